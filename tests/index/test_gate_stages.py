"""The gate over real tables: the arms beside a candidate, slices, synthetic questions, shadow reads, what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from rich.console import Console
from stages import WRONG, begin, materialize, measure, search, states

from vector_assets.errors import NotFound, NotLive
from vector_assets.index.swap import promote, roll_back, settle
from vector_assets.records import JudgedQuery
from vector_assets.show.status import show_status
from vector_assets.stores.asking import synthetic_queries
from vector_assets.stores.evaluating import evaluate_live
from vector_assets.stores.query_log import QueryLog
from vector_assets.stores.row_texts import values_of
from vector_assets.stores.status import collection_status
from vector_assets.stores.workspace import Workspace

WORDS = [f"w{number:02}" for number in range(1, 61)]


@pytest.fixture
def numbered(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str
) -> FakeStore:
    """60 rows, row n named wn, in the topics t0, t1 and t2 in turns; each is asked for by its name."""
    animals(60)
    execute(f"update {name} set title = 'w' || lpad(id::text, 2, '0'), body = ''")
    store = FakeStore(workspace, declare(evaluation={"slices": ["topic"]}), _knows(0))
    store.questions_asked = [
        JudgedQuery(f"q{n}", WORDS[n - 1], {f"[{n}]": 1.0}, slice="low" if n <= 10 else "") for n in range(1, 61)
    ]
    return store


def _knows(*topics: int, seed: str = "") -> KeywordEncoder:
    """Tells the rows of some topics apart; all others look alike to it."""
    known = [word for n, word in enumerate(WORDS, start=1) if n % 3 in topics]
    return KeywordEncoder(known, seed=seed, width=61)


def _arms(store: FakeStore, number: int) -> dict[str, dict[str, Any]]:
    values = store.workspace.generations.measures(store.workspace.generations.get(store.collection.name, number))
    return {str(arm["arm"]): arm for arm in cast(list[dict[str, Any]], values["arms"])}


def test_live_candidate_and_bm25_stand_in_one_table(store: FakeStore) -> None:
    materialize(store)
    assert list(_arms(store, 1)) == ["candidate", "bm25"]
    store.use(KeywordEncoder(order=WRONG))
    measured, _ = materialize(store)
    arms = _arms(store, 2)
    assert list(arms) == ["live", "candidate", "bm25"]
    assert arms["live"]["scores"]["mrr@10"] == arms["bm25"]["scores"]["mrr@10"] == 1.0, "the words are in the titles"
    assert arms["candidate"]["scores"] == measured.values["evaluation"]
    assert arms["candidate"]["scores"]["mrr@10"] < 0.3 and arms["live"]["against"]["difference"] < -0.7
    assert measured.decision.decision == "keep"
    assert "; BM25 finds better than these vectors, mrr@10 1.000 -> 0." in measured.decision.reason


def test_a_candidate_that_beats_live_but_not_bm25_goes_live_and_says_so(numbered: FakeStore) -> None:
    begin(numbered)
    numbered.use(_knows(0, 1))
    measured, swapped = materialize(numbered)
    assert measured.decision.reason.startswith("better than live")
    assert "; BM25 finds better than these vectors, mrr@10 1.000 -> 0." in measured.decision.reason
    assert "; goes live all the same, since what is live is worse; declare lexical:" in measured.decision.reason
    assert (measured.decision.decision, swapped.live.number) == ("promote", 2)


def test_a_first_generation_that_bm25_beats_stays_out_until_hybrid_is_declared(
    numbered: FakeStore, declare: Declare, execute: Execute, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    numbered.embed()
    measured = measure(numbered)
    assert measured.decision.decision == "keep" and measured.sound
    assert measured.decision.reason.startswith("first generation; the encoder is untrained")
    way = "; declare lexical: so that hybrid is searched, or use promote --because"
    assert measured.decision.reason.endswith(way)
    with pytest.raises(NotFound, match=r"nothing can go live: generation 1 is keep \(first generation.*--because\)$"):
        settle(numbered, numbered.catch_up)
    status = collection_status(numbered.workspace, numbered.collection)
    assert (status.generation, status.decision) == (None, "keep") and str(status.reason).endswith(way)
    show_status(Console(), {name: status})
    assert "nothing is live; decision: keep (first generation;" in capsys.readouterr().out
    with pytest.raises(NotLive, match=f"kept its candidate out, see vector-assets status {name} for the way out"):
        search(numbered, "w03")
    assert not measure(numbered).now, "nothing has changed: nothing is decided anew"
    numbered.collection = declare(evaluation={"slices": ["topic"]}, lexical=["title"])
    measured, swapped = materialize(numbered)
    assert measured.now and (measured.decision.decision, swapped.live.number) == ("promote", 1)
    assert ", but hybrid of both is not below it: mrr@10 1.000 -> 1.000" in measured.decision.reason
    arms = _arms(numbered, 1)
    assert list(arms) == ["candidate", "bm25", "hybrid"] and arms["hybrid"]["scores"]["mrr@10"] == 1.0
    assert measured.values["evaluation"] == arms["candidate"]["scores"]
    assert arms["hybrid"]["against"]["old"] == 1.0 and arms["hybrid"]["against"]["new"] < 0.5
    execute(f"update {name} set title = 'other' where id = 60")
    materialize(numbered)
    kept = _arms(numbered, 1)
    assert [kept[arm]["note"] for arm in ("bm25", "hybrid")] == ["as measured at the last decision"] * 2


def test_questions_that_are_texts_of_the_rows_let_words_decide_nothing(numbered: FakeStore, declare: Declare) -> None:
    texts = {"objective": "dropout_pairs"}
    numbered.collection = declare(spaces={"text": {"fields": ["title"], "train": texts}})
    measured, swapped = materialize(numbered)
    assert "BM25" not in measured.decision.reason and swapped.live.number == 1
    assert _arms(numbered, 1)["bm25"]["against"]["high"] < 0, "it is shown all the same"


def test_a_first_generation_whose_hybrid_is_below_bm25_waits_for_a_person(store: FakeStore, declare: Declare) -> None:
    store.collection = declare(evaluation={"metric": "ndcg@10"}, lexical=["title"])
    store.use(KeywordEncoder(order=WRONG))
    store.embed()
    decision = measure(store).decision
    assert (
        decision.decision == "keep"
        and "; BM25 finds better than these vectors, ndcg@10 1.000 -> 0.0" in decision.reason
    )
    assert ", and better than hybrid of both, ndcg@10 1.000 -> 0." in decision.reason
    assert decision.reason.endswith("; take another encoder, or train it, or use promote --because")
    assert promote(store, store.catch_up, because="only the graph of neighbours is used").live.number == 1


def test_bm25_is_left_out_beyond_the_declared_rows_and_said_to_be(store: FakeStore, declare: Declare) -> None:
    store.collection = declare(evaluation={"bm25_rows": 39})
    materialize(store)
    bm25 = _arms(store, 1)["bm25"]
    assert bm25["scores"] == {} and bm25["note"] == "left out: there are more than 39 rows, see evaluation.bm25_rows"
    store.collection = declare(evaluation={"bm25_rows": 40})
    assert measure(store).now and _arms(store, 1)["bm25"]["scores"]["mrr@10"] == 1.0


def test_the_words_of_the_rows_are_not_read_again_with_every_sync(
    store: FakeStore, execute: Execute, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialize(store)
    read: list[int] = []
    texts = FakeStore.texts

    def counted(self: FakeStore) -> Iterator[tuple[str, str]] | None:
        read.append(1)
        return texts(self)

    monkeypatch.setattr(FakeStore, "texts", counted)
    execute(f"update {name} set title = 'cat news' where id = 1")
    assert materialize(store)[0].now
    kept = _arms(store, 1)["bm25"]
    assert read == [] and kept["scores"]["mrr@10"] == 1.0 and kept["note"] == "as measured at the last decision"
    measure(store, maintenance=True)
    assert read == [1] and _arms(store, 1)["bm25"]["note"] == ""
    store.questions_asked = store.questions_asked[:3]
    assert measure(store).now and read == [1, 1], "other questions"


def test_a_candidate_that_is_much_worse_on_a_slice_stays_out(numbered: FakeStore) -> None:
    begin(numbered)
    numbered.use(_knows(1, 2))
    measured, swapped = materialize(numbered)
    decision = measured.decision
    assert (decision.decision, swapped.live.number) == ("keep", 1)
    assert decision.reason.startswith("better than live on the whole (mrr@10 0.")
    assert "but worse on topic=t0: mrr@10 1.000 -> 0." in decision.reason
    slices = {each["name"]: each for each in cast(list[dict[str, Any]], measured.values["slices"])}
    assert {name: each["said"] for name, each in slices.items()} == {
        "topic=t0": "worse", "topic=t1": "holds", "topic=t2": "holds", "slice=low": "few"
    }  # fmt: skip
    assert slices["topic=t0"]["comparison"]["queries"] == 20 and slices["slice=low"]["comparison"]["queries"] == 10


def test_a_slice_may_fall_as_far_as_declared(numbered: FakeStore, declare: Declare) -> None:
    numbered.collection = declare(evaluation={"slices": ["topic"], "slice_drop": 1.0})
    begin(numbered)
    numbered.use(_knows(1, 2))
    assert materialize(numbered)[0].decision.decision == "promote"


def test_slices_are_categories_of_the_collection(declare: Declare) -> None:
    with pytest.raises(ValueError, match=r"evaluation\.slices: price is a field of type number; expected a category"):
        declare(evaluation={"slices": ["price"]})
    with pytest.raises(ValueError, match=r"evaluation\.slices: colour is not a declared field"):
        declare(evaluation={"slices": ["colour"]})


def test_values_are_found_by_keys_of_several_columns(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    execute(f'create table {name} (id bigint, day date, title text, "to%pic" text, primary key (id, day))')
    execute(f"insert into {name} select i, date '2024-01-01' + i, 'x' || i, 'y%' from generate_series(1, 9) i")
    collection = declare(fields={"title": "text", "to%pic": "category"}, spaces={"text": {"fields": ["title"]}})
    relation = workspace.raw.relation(collection)
    found = values_of(workspace.database, relation, ['[3,"2024-01-04"]', '[4,"2024-01-04"]'], ["title", "to%pic"])
    assert found == {'[3,"2024-01-04"]': ("x3", "y%")}
    assert values_of(workspace.database, relation, [], ["title"]) == {}


@pytest.fixture
def told(store: FakeStore, execute: Execute, name: str) -> FakeStore:
    """Nobody has judged a question; the rows have sentences."""
    store.questions_asked = []
    execute(f"update {name} set body = title || ' lived in house number ' || id || ' beside the old river mill'")
    return store


def test_synthetic_questions_are_named_so_and_a_person_promotes(told: FakeStore) -> None:
    first, _ = materialize(told)
    assert first.decision.decision == "promote" and first.values["evaluation"] == {}
    told.use(KeywordEncoder(order=WRONG))
    measured, swapped = materialize(told)
    decision = measured.decision
    assert (decision.decision, decision.comparison, swapped.live.number) == ("needs_evaluation", None, 1)
    assert "synthetic known-item queries say mrr@10 0." in decision.reason and " over 40 queries" in decision.reason
    assert "BM25" not in decision.reason, "made of the rows' words, they favour it"
    assert measured.values["synthetic"] is True and list(_arms(told, 2)) == ["live", "candidate", "bm25"]
    assert measured.quality.passed and "is not known" in measured.quality.summary
    assert promote(told, told.catch_up, because="I looked at it").live.number == 2


def test_synthetic_questions_stay_while_rows_come_and_go(
    told: FakeStore, declare: Declare, execute: Execute, name: str
) -> None:
    told.collection = declare(evaluation={"synthetic": 20})

    def made() -> dict[str, str]:
        return {each.id: each.text for each in synthetic_queries(told.workspace, told.collection, told.relation)}

    before = made()
    assert len(before) == 20 and before == made()
    gone = next(iter(before)).removeprefix("synthetic [").removesuffix("]")
    execute(
        f"insert into {name} select i, 'cat', 'a wholly new row of some eight words', 't1' "
        "from generate_series(700, 701) i"
    )
    execute(f"delete from {name} where id = {gone}")
    after = made()
    assert len(after) == 20 and len(before.items() - after.items()) <= 3
    told.collection = declare(evaluation={"synthetic": 20, "seed": 1})
    assert made() != before
    told.collection = declare(evaluation={"synthetic": 0})
    told.use(KeywordEncoder())
    materialize(told)
    told.use(KeywordEncoder(seed="other"))
    assert materialize(told)[0].decision.reason.startswith("no held-out queries to compare it with live on; declare")


def test_evaluate_shows_the_candidate_and_bm25_beside_live(told: FakeStore) -> None:
    materialize(told)
    with pytest.raises(NotFound, match=r"no held-out queries; declare evaluation: or give .* or --synthetic"):
        evaluate_live(told, method="vector")
    alone = evaluate_live(told, method="vector", synthetic=True)
    assert alone.synthetic and alone.queries == 40 and [arm.arm for arm in alone.arms] == ["live", "bm25"]
    told.use(KeywordEncoder(order=WRONG))
    materialize(told)
    told.questions_asked = [JudgedQuery("q", "cat", {f"[{n}]": 1.0 for n in range(4, 41, 4)})]
    found = evaluate_live(told, method="vector")
    assert not found.synthetic and found.method == "vector"
    assert {arm.arm: arm.scores["ndcg@10"] for arm in found.arms} == {"live": 1.0, "candidate": 0.0, "bm25": 1.0}
    candidate = found.arms[1].against
    assert candidate and (candidate.old, candidate.new) == (0.0, 1.0), "live against the candidate"
    told.questions_asked = [JudgedQuery("q", "cat", {"[8]": 1.0}, among=frozenset(("[4]", "[8]")), own="[4]")]
    exact = evaluate_live(told, method="vector")
    assert (exact.method, exact.scores["mrr@10"]) == ("exact", 1.0)


def test_recent_questions_are_asked_of_both_generations(store: FakeStore, declare: Declare, name: str) -> None:
    store.collection = declare(evaluation={"shadow": 50})
    materialize(store)
    reader = store.workspace.reader()
    for question in ("a cat", "an owl", "a cat", "  ", "a dog"):
        reader.record(name, question)
    reader.close()
    assert QueryLog(store.workspace.database).recent(name, 50) == ["a dog", "a cat", "an owl"]
    store.use(KeywordEncoder(order=WRONG))
    measured, _ = materialize(store)
    shadow = cast(dict[str, float], measured.values["shadow"])
    assert (shadow["questions"], shadow["overlap@10"], shadow["top1_agreement"]) == (3, 0.0, 0.0)
    assert "on 3 recent questions live and candidate share 0% of the first ten" in measured.decision.reason
    assert measured.decision.decision == "keep"
    store.questions_asked = []
    store.collection = declare(evaluation={"shadow": 50, "synthetic": 0})
    store.use(KeywordEncoder(seed="same"))
    again, _ = materialize(store)
    assert again.decision.decision == "needs_evaluation" and "share 100% of the first ten" in again.decision.reason


def test_judged_questions_that_come_later_decide(store: FakeStore) -> None:
    asked = store.questions_asked
    store.questions_asked = []
    store.use(KeywordEncoder(order=WRONG))
    materialize(store)
    store.use(KeywordEncoder(seed="good"))
    assert materialize(store)[0].decision.decision == "needs_evaluation"
    store.questions_asked = asked
    measured, swapped = materialize(store)
    assert (measured.now, measured.decision.decision, swapped.live.number) == (True, "promote", 2)


def test_maintenance_drops_what_is_no_longer_kept(
    store: FakeStore, declare: Declare, execute: Execute, name: str
) -> None:
    store.questions_asked = []
    materialize(store)
    for seed in ("2", "3"):
        store.use(KeywordEncoder(seed=seed))
        materialize(store)
        promote(store, store.catch_up, because="test")
    store.collection = declare(keep_generations=1)
    assert settle(store, store.catch_up).dropped == ()
    assert settle(store, store.catch_up, clean=True).dropped == (1,)
    left = "select count(*) from pg_tables where schemaname = 'embedding' and tablename like %s"
    assert execute(left, (f"{name}\\_g%",)) == [(4,)]
    roll_back(store, store.workspace.generations.rollback_target(name), store.catch_up, because="test")
    assert states(store) == {3: "retired", 2: "live", 1: "retired"}


def test_maintenance_clears_a_build_that_nobody_declares_any_more(
    store: FakeStore, execute: Execute, name: str
) -> None:
    first = store.chosen["text"]
    materialize(store)
    store.use(KeywordEncoder(seed="other"))
    store.embed()
    store.use(first)
    measure(store)
    assert states(store) == {2: "building", 1: "live"}
    measure(store, maintenance=True)
    assert states(store) == {2: "failed", 1: "live"}
    left = "select 1 from pg_tables where schemaname = 'embedding' and tablename like %s"
    assert execute(left, (f"{name}\\_g2%",)) == []
    assert len(search(store, "cat").hits) == 5
