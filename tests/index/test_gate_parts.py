"""What the gate is made of, by hand: BM25, synthetic questions, shadow reads, slices, and what is said of them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from vector_assets.index.decide import decide, decide_first, remark, weigh_words
from vector_assets.index.fusion import fused_rankings
from vector_assets.index.known_items import drawn_keys, known_item
from vector_assets.index.lexical import bm25_rankings, words
from vector_assets.index.retrieve import exact_rankings
from vector_assets.index.shadow import compare_shadow, rank_biased_overlap
from vector_assets.index.slices import SliceFound, compare_slices
from vector_assets.records import Comparison, JudgedQuery, Pair
from vector_assets.stores.held_out import of_test_split

ROWS = [
    ("[1]", "the cat sat on the mat"),
    ("[2]", "the dog ate the cat"),
    ("[3]", "a dog, a dog and a bone"),
    ("[4]", ""),
    ("[5]", "the cat sat on the mat"),
]


def by_hand(query: str, k1: float = 1.5, b: float = 0.75) -> list[str]:
    """BM25 as Lucene counts it, by falling score, then key."""
    documents = {key: words(text) for key, text in ROWS}
    mean = sum(map(len, documents.values())) / len(documents)
    scores: Counter[str] = Counter()
    for word in words(query):
        found = [key for key, text in documents.items() if word in text]
        idf = math.log(1 + (len(documents) - len(found) + 0.5) / (len(found) + 0.5))
        for key in found:
            tf, length = documents[key].count(word), len(documents[key])
            scores[key] += idf * tf / (tf + k1 * (1 - b + b * length / mean))  # type: ignore[assignment]
    return sorted(scores, key=lambda key: (-round(scores[key], 6), key))


@pytest.mark.parametrize("query", ["a dog", "the CAT on a mat", "cat cat dog", "zebra", "", "the bone ate"])
def test_bm25_ranks_as_counted_by_hand(query: str) -> None:
    assert bm25_rankings(ROWS, [JudgedQuery("q", query, {})], limit=5) == {"q": by_hand(query)}


def test_bm25_keeps_to_its_bound_to_the_rows_that_are_asked_and_to_k() -> None:
    assert bm25_rankings(iter(ROWS), [JudgedQuery("q", "cat", {})], limit=4) is None
    asked = [
        JudgedQuery("some", "the cat", {}, among=frozenset(("[1]", "[2]"))),
        JudgedQuery("own", "the cat", {}, own="[2]"),
        JudgedQuery("all", "the cat", {}),
    ]
    found = bm25_rankings(ROWS, asked, limit=5)
    assert found == {"some": ["[2]", "[1]"], "own": ["[1]", "[5]"], "all": ["[2]", "[1]", "[5]"]}
    assert bm25_rankings(ROWS, asked[2:], limit=5, k=2) == {"all": ["[2]", "[1]"]}
    assert bm25_rankings([("[1]", " ")], asked[:1], limit=5) == {"some": []}


def test_words_of_any_script() -> None:
    assert words("Ünïcode-words_42, don't") == ["ünïcode", "words", "42", "don", "t"]
    assert words("日本語 text") == ["日", "本", "語", "text"]


TEXT = "Once there was a king who had seven sons. He rode over the hills at night with two of them. Short one."


def test_a_known_item_is_words_of_one_sentence_in_their_order_and_not_all_of_them() -> None:
    found = {str(known_item(f"[{n}]", TEXT, 0)) for n in range(60)}
    assert len(found) > 20
    first, second = (sentence.split() for sentence in TEXT.split(". ")[:2])
    for query in found:
        asked = query.removesuffix(".").split()
        source = first if asked[0] in first[:8] and set(asked) <= set(first) else second
        places = [source.index(word) for word in asked]
        assert 3 <= len(asked) <= len(source) // 2 + 1 and places == sorted(places)


def test_a_known_item_hangs_on_its_row_and_the_seed_alone() -> None:
    assert known_item("[7]", TEXT, 0) == "He rode over with them.", "in every process, on every machine"
    assert len({known_item("[7]", TEXT, seed) for seed in range(9)}) > 3
    assert known_item("[7]", "Too short. Also this.", 0) is None
    assert known_item("[7]", "", 0) is None
    long = known_item("[7]", " ".join(f"w{n}" for n in range(5000)), 0)
    assert long and len(long.split()) == 10


def test_a_row_that_comes_or_goes_changes_one_drawn_key_at_most() -> None:
    keys = [f"[{n}]" for n in range(500)]
    drawn = drawn_keys(keys, 50, 0)
    assert len(set(drawn)) == 50 and drawn_keys(reversed(keys), 50, 0) == drawn
    for changed in (keys[1:], keys[:250] + keys[251:], [*keys, "[500]"], [*keys, "[x]"]):
        assert len(set(drawn) - set(drawn_keys(changed, 50, 0))) <= 1
    assert drawn_keys(keys, 50, 1) != drawn


def test_rank_biased_overlap_by_hand() -> None:
    assert rank_biased_overlap("abcdefghij", "abcdefghij") == pytest.approx(1)
    assert rank_biased_overlap("abc", "xyz") == 0
    assert rank_biased_overlap("", "") == 1 and rank_biased_overlap("", "a") == 0
    # agreement 1, 1/2, 1 at depths 1, 2, 3
    wanted = 1 * 0.9**3 + (0.1 / 0.9) * (1 * 0.9 + 0.5 * 0.9**2 + 1 * 0.9**3)
    assert rank_biased_overlap("abc", "acb") == pytest.approx(wanted)
    assert rank_biased_overlap("abc", "acbzzz") == pytest.approx(wanted), "to the depth that both reach"
    assert rank_biased_overlap("abcd", "bacd") > rank_biased_overlap("abcd", "abdc") - 1, "a number"
    assert rank_biased_overlap("abcd", "bacd") < rank_biased_overlap("abcd", "abdc"), "the top counts more"


def test_shadow_reads_tell_how_much_moves() -> None:
    old = {"1": [f"{n}" for n in range(20)], "2": ["a", "b"]}
    new = {"1": [f"{n}" for n in (*range(5), *range(10, 15), *range(5, 10), *range(15, 20))], "2": ["a", "b"]}
    found = compare_shadow(old, new, ["1", "2"])
    assert found is not None
    assert (found.questions, found.overlap, found.top1) == (2, 0.75, 1.0)
    # of the first question 5 rows stay, and 10 move by 5; the second is as it was
    assert found.rank_change == pytest.approx(50 / 15 / 2)
    gone = compare_shadow({"1": ["a"]}, {"1": ["b"]}, ["1"])
    assert gone and (gone.overlap, gone.top1, gone.rank_change, gone.rbo) == (0, 0, 100, 0)
    deep = [f"r{number}" for number in range(300)]
    far = compare_shadow({"1": deep}, {"1": [*deep[1:200], "r0", *deep[200:]]}, ["1"])
    assert far is not None and far.rank_change == (100 + 10) / 11, "beyond the first 100 is the 101st, however deep"
    assert compare_shadow(old, new, []) is None


def _scores(*parts: tuple[int, float]) -> np.ndarray:
    return np.concatenate([np.full(count, value) for count, value in parts])


def test_a_slice_is_worse_when_it_fell_far_and_not_by_chance() -> None:
    random = np.random.default_rng(0)
    old = random.uniform(0.3, 0.7, 100)
    new = old + _scores((40, 0.2), (30, -0.1), (30, -0.02)) + random.normal(0, 0.02, 100)
    slices = {"up": range(40), "far": range(40, 70), "little": range(70, 100), "few": range(40, 50), "none": ()}
    found = {each.name: each.said for each in compare_slices(slices, old, new, metric="m", drop=0.05, least=20)}
    assert found == {"far": "worse", "little": "holds", "up": "holds", "few": "few"}
    assert list(found) == ["far", "little", "up", "few"], "the worst first, what is not judged last"
    wide = old.copy()
    wide[40:70] += np.where(np.arange(30) % 2, 0.35, -0.5)  # 0.075 lower in the mean, and as likely higher
    noisy = compare_slices(slices, old, wide, metric="m", drop=0.05, least=20)
    assert {each.said for each in noisy} == {"holds", "few"}


def test_noise_alone_makes_hardly_any_slice_worse() -> None:
    """20 slices of 25 questions that fall or rise by chance, by more than the bound in every fifth of them."""
    stopped, fell = 0, 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        old, new = random.uniform(0, 1, (2, 500))
        slices = {str(n): range(25 * n, 25 * n + 25) for n in range(20)}
        found = compare_slices(slices, old, new, metric="m", drop=0.05, least=20)
        stopped += any(each.said == "worse" for each in found)
        fell += any(each.comparison.difference < -0.05 for each in found)
    assert fell == 20 and stopped <= 3


def _comparison(difference: float, width: float = 0.01) -> Comparison:
    return Comparison("ndcg@10", 100, 0.5, 0.5 + difference, difference, difference - width, difference + width, 0.01)


def test_a_worse_slice_keeps_live_and_is_named() -> None:
    worse = SliceFound("topic=physics", _comparison(-0.2), "worse")
    others = [SliceFound("topic=maths", _comparison(-0.1), "worse"), SliceFound("topic=art", _comparison(0.2), "holds")]
    found = decide(_comparison(0.05), slices=[worse, *others])
    assert found.decision == "keep"
    assert found.reason.startswith("better than live on the whole (ndcg@10 0.500 -> 0.550")
    assert "but worse on topic=physics: ndcg@10 0.500 -> 0.300" in found.reason and found.reason.endswith("and 1 more")
    assert decide(_comparison(0.05), slices=others[1:]).decision == "promote"
    few = SliceFound("topic=physics", _comparison(-0.2), "few")
    assert decide(_comparison(0.05), slices=[few]).decision == "promote"
    assert decide(_comparison(0.0), slices=[worse]).reason.startswith("a tie keeps live")
    assert decide(None, same_vectors=True, slices=[worse]).decision == "promote"


@pytest.mark.parametrize("difference", [0.5, 0.0, -0.5])
def test_synthetic_questions_are_never_enough(difference: float) -> None:
    found = decide(_comparison(difference), synthetic=True)
    assert (found.decision, found.comparison) == ("needs_evaluation", None)
    assert "synthetic known-item queries say ndcg@10 0.500" in found.reason and "promote --because" in found.reason


def test_what_words_find_better_stays_out_unless_hybrid_is_not_below_them() -> None:
    first, beaten = decide_first(None), _comparison(-0.1)
    for bm25 in (None, _comparison(0.3), _comparison(-0.005)):
        assert weigh_words(first, bm25) == first, "left out, better, not significant"
    kept = weigh_words(first, beaten)
    assert kept.decision == "keep" and "; BM25 finds better than these vectors, ndcg@10 0.500 -> 0.400" in kept.reason
    assert kept.reason.endswith("; declare lexical: so that hybrid is searched, or use promote --because")
    for difference in (0.0, 0.002, 0.1):
        assert weigh_words(first, beaten, hybrid=_comparison(difference)).decision == "promote", difference
    below = weigh_words(first, beaten, hybrid=_comparison(-0.002))
    assert below.decision == "keep" and "and better than hybrid of both, ndcg@10 0.500 -> 0.498" in below.reason


def test_what_is_better_than_live_goes_live_though_words_find_better() -> None:
    better, beaten = _comparison(0.05), _comparison(-0.1)
    found = weigh_words(decide(better), beaten, live=better)
    assert found.decision == "promote" and "goes live all the same, since what is live is worse" in found.reason
    tie = decide(_comparison(0.0))
    assert weigh_words(tie, beaten, live=_comparison(0.0)).decision == "keep"
    promoted = replace(tie, decision="promote")
    for difference in (0.0, 0.004, -0.1):
        found = weigh_words(promoted, beaten, live=_comparison(difference))
        assert found.decision == "keep", f"not significantly better than live: {difference}"
    assert "; BM25 finds better" in weigh_words(tie, beaten, live=_comparison(0.0)).reason


def test_two_rankings_are_fused_by_places_as_by_hand() -> None:
    # b: 1/12 + 1/11; a: 1/11; d: 1/12; c: 1/13, and e: 1/13 after it by its key.
    found = fused_rankings({"q": ["a", "b", "c"], "r": ["x"]}, {"q": ["b", "d", "e"]})
    assert found == {"q": ["b", "a", "d", "c", "e"], "r": ["x"]}


def test_what_does_not_decide_is_said() -> None:
    decision = decide(_comparison(0.05))
    assert remark(decision, None) == decision
    shadow = compare_shadow({"1": ["a"]}, {"1": ["a"]}, ["1"])
    noticed = remark(decision, shadow)
    assert "on 1 recent questions live and candidate share 100% of the first ten" in noticed.reason


def test_exact_rankings_leave_out_what_a_query_must_not_find() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 0, 2, 0]]
    keys = [(n,) for n in range(6)]
    some = frozenset(("[1]", "[2]", "[3]"))
    asked = [
        JudgedQuery("all", "", {}),
        JudgedQuery("some", "", {}, among=some, own="[3]"),
        JudgedQuery("too", "", {}, own="[3]"),
    ]
    for size in (1, 4, 6):
        blocks = [(keys[i : i + size], vectors[i : i + size]) for i in range(0, 6, size)]
        found = exact_rankings(blocks, np.eye(4, dtype=np.float32)[[0, 0, 0]], asked)
        assert found == {
            "all": ["[0]", "[1]", "[3]", "[5]", "[2]", "[4]"],
            "some": ["[1]", "[2]"],
            "too": ["[0]", "[1]", "[5]", "[2]", "[4]"],
        }


def test_held_out_labels_ask_for_each_other() -> None:
    labelled = [("a", "[1]"), ("b", "[2]"), ("a", "[3]"), ("a", ""), ("c", "[4]")]
    pairs = [Pair("", f"text {key}", key, "test", key, label) for label, key in labelled]
    found = list(of_test_split("text", [*pairs, Pair("asks", "doc", "g", "test", "[9]")]))
    among = frozenset(("[1]", "[2]", "[3]", "[4]"))
    assert found == [
        JudgedQuery("text-0", "text [1]", {"[3]": 1.0}, among=among, own="[1]"),
        JudgedQuery("text-2", "text [3]", {"[1]": 1.0}, among=among, own="[3]"),
        JudgedQuery("text-5", "asks", {"[9]": 1.0}),
    ]
