"""Cited passages: what a row says, once, within a budget."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from vector_assets.search.context import Excerpt, cited, jaccard, merged, rendered, shingles

ROW = "The cat sat down. It slept all day long.\n\nA dog came by. Nothing happened after that."


def words(text: str) -> int:
    return len(text.split())


def piece(start: int, stop: int, *, score: float = 0.5, key: str = "r", text: str = ROW) -> Excerpt:
    return Excerpt(key, key, text[start:stop], score, start, stop)


def take(excerpts: list[Excerpt], tokens: int = 1000, whole: str = ROW) -> tuple[tuple[Excerpt, ...], int]:
    return cited(excerpts, lambda _: whole, words, tokens=tokens)


def test_passages_are_numbered_and_say_where_they_stand() -> None:
    passages, used = take([piece(42, 56, score=0.9), piece(0, 17, key="s")])
    assert [(one.n, one.id, one.text, one.start, one.stop) for one in passages] == [
        (1, "r", "A dog came by.", 42, 56),
        (2, "s", "The cat sat down.", 0, 17),
    ]
    assert rendered(passages) == "[1] A dog came by.\n\n[2] The cat sat down."
    assert used == words(rendered(passages)) == 10


def test_pieces_of_a_row_that_touch_become_one_at_the_place_of_the_better() -> None:
    first, second, third = piece(0, 17, score=0.4), piece(18, 40, score=0.9), piece(42, 56, score=0.6)
    other = Excerpt("s", "s", "Something else entirely stands here.", 0.8, 0, 36)
    assert [(one.id, one.start, one.stop, one.score) for one in merged([second, other, first], lambda _: ROW)] == [
        ("r", 0, 40, 0.9),
        ("s", 0, 36, 0.8),
    ]
    bridged = merged([first, other, third, second], lambda _: ROW)
    assert [(one.id, one.start, one.stop) for one in bridged] == [("r", 0, 56), ("s", 0, 36)]
    apart = merged([first, third], lambda _: ROW)
    assert len(apart) == 2, "a sentence stands between them"
    overlapping = merged([piece(0, 25), piece(18, 40)], lambda _: ROW)
    assert [one.text for one in overlapping] == [ROW[:40]]


def test_what_was_said_is_not_said_again() -> None:
    text = "one two three four five six seven eight nine ten eleven twelve"
    same = Excerpt("b", "b", "One two three, four five six seven eight nine ten eleven twelve!", 0.4, 0, 60)
    nearly = Excerpt("c", "c", text + " thirteen", 0.3, 0, 70)  # 8 of 9 runs of five words in common
    other = Excerpt("d", "d", "one two three four five but then something else follows here", 0.2, 0, 60)
    first = Excerpt("a", "a", text, 0.5, 0, len(text))
    assert jaccard(shingles(text), shingles(nearly.text)) == 8 / 9
    passages, _ = take([first, same, nearly, other])
    assert [one.id for one in passages] == ["a", "d"]


def test_a_chunk_said_by_another_row_is_known_though_its_own_was_merged() -> None:
    repeated = Excerpt("s", "s", "It slept all day long.", 0.3, 0, 22)
    passages, _ = take([piece(0, 17), piece(18, 40), repeated])
    assert [one.id for one in passages] == ["r"]


def test_of_the_first_that_does_not_fit_whole_sentences_are_taken() -> None:
    long = piece(0, len(ROW), key="long")
    assert [one.text for one in take([long], tokens=10)[0]] == ["The cat sat down. It slept all day long."]
    assert take([long], tokens=4) == ((), 0), "not even its first sentence fits, with its mark"
    passages, used = take([piece(42, 56, key="s"), long], tokens=10)
    assert [one.text for one in passages] == ["A dog came by.", "The cat sat down."] and used == 10


SENTENCES = st.lists(st.sampled_from(["Cats purr.", "Dogs bark at night.", "A b c d e f g h.", "…", " "]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(SENTENCES, st.integers(1, 40), st.randoms(use_true_random=False))
def test_never_over_the_budget_and_word_for_word(parts: list[str], tokens: int, random: object) -> None:
    whole = " ".join(parts)
    pieces, start = [], 0
    for part in parts:
        pieces.append(piece(start, start + len(part), text=whole, key="r"))
        start += len(part) + 1
    random.shuffle(pieces)  # type: ignore[attr-defined]
    passages, used = take(pieces, tokens=tokens, whole=whole)
    assert used == (words(rendered(passages)) if passages else 0) <= tokens
    for one in passages:
        assert whole[one.start : one.stop] == one.text
    spans = sorted((one.start, one.stop) for one in passages)
    assert all(a[1] <= b[0] for a, b in pairwise(spans)), "no word twice"
