"""Answers or none, end to end: learned beside a candidate, kept with its generation, read as the reader."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import closing
from typing import Any, cast

import pytest
from fakes import ANIMALS, Declare, Execute, FakeStore, KeywordEncoder
from rich.console import Console
from stages import materialize, measure

from vector_assets.collection_client import CollectionClient
from vector_assets.errors import UserError
from vector_assets.index.calibrating import LEAST_QUESTIONS
from vector_assets.index.swap import roll_back, settle
from vector_assets.records import JudgedQuery
from vector_assets.records.calibration import Calibrated, Step
from vector_assets.search import engine as engines
from vector_assets.search.answers import answerable, scoring, with_probabilities
from vector_assets.search.ask import Ask
from vector_assets.search.engine import SearchEngine
from vector_assets.search.hits import Hit, Hits
from vector_assets.show.hits import hits_json, show_hits
from vector_assets.stores.calibrations import calibrate_live, calibrate_vectors, known_calibrations
from vector_assets.stores.evaluating import evaluate_live
from vector_assets.stores.workspace import Workspace

#: One animal named: its ten rows, all right. Two: half of what is found is right, at 1 / sqrt 2. None: nothing is.
BOTH = 0.7071


def rows_of(animal: str) -> dict[str, float]:
    return {f"[{i}]": 1.0 for i in range(1, 41) if i % 4 == ANIMALS.index(animal)}


def questions(start: int = 0) -> list[JudgedQuery]:
    named = [(f"a {ANIMALS[n % 4]}", rows_of(ANIMALS[n % 4])) for n in range(start, start + 60)]
    both = [("a cat and a dog", rows_of("cat")) for _ in range(40)]
    other = [("a horse", rows_of("owl")) for _ in range(30)]
    return [JudgedQuery(f"q{n}", text, right) for n, (text, right) in enumerate([*named, *both, *other])]


def learn(store: FakeStore, number: int | None = None) -> bool:
    generation = store.all()[0] if number is None else store.workspace.generations.get(store.collection.name, number)
    return calibrate_vectors(store, generation, print)


def ask(store: FakeStore, text: str, precision: float | None = None, **more: object) -> Hits:
    reader = store.workspace.reader()
    with closing(reader):
        engine = SearchEngine(reader, store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
        return engine.answer(Ask(text, precision=precision, **more))  # type: ignore[arg-type]


@pytest.fixture
def live(store: FakeStore) -> FakeStore:
    """A live generation that was calibrated as a candidate."""
    store.questions_learned, store.questions_asked = questions(), questions(2)
    store.embed()
    measure(store)
    assert learn(store)
    settle(store, store.catch_up)
    return store


def test_hits_below_the_floor_are_left_out_and_no_answer_is_one(live: FakeStore) -> None:
    sure = ask(live, "a dog", 0.9)
    assert [hit.row["title"].split()[0] for hit in sure.hits] == ["dog"] * 10  # type: ignore[union-attr]
    assert all(hit.probability and hit.probability > 0.9 for hit in sure.hits)
    assert sure.floor and sure.floor.score == 1.0

    unsure = ask(live, "a cat and a dog", 0.9)
    assert unsure.hits == () and unsure.floor and unsure.floor.best == pytest.approx(BOTH, abs=1e-3)
    told = hits_json(unsure)
    assert (told["answered"], told["hits"], told["threshold"], told["precision"]) == (False, [], 1.0, 0.9)
    console = Console(record=True, width=200)
    show_hits(console, unsure)
    assert (
        "no answer (best score 0.7071 is below 1, the score from which 90 % of answers are right)"
        in console.export_text()
    )

    half = ask(live, "a cat and a dog", 0.7)  # of all that is found for one or two animals, 4 in 5 are right
    assert len(half.hits) == 10 and half.floor and half.floor.score == pytest.approx(BOTH, abs=1e-3)
    assert hits_json(half)["answered"] is True


def test_a_context_asks_for_the_declared_precision_where_scores_are_known(
    live: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = live.workspace.reader()
    engine = SearchEngine(reader, live.collection.name, live.reader_encoder)  # type: ignore[arg-type]
    monkeypatch.setattr(CollectionClient, "_engine_of", lambda self: engine)
    client = CollectionClient(live.workspace, live.collection)
    with closing(reader):
        sure, unsure = client.context("a dog"), client.context("a cat and a dog")
        assert sure.answered and sure.passages
        assert (unsure.answered, unsure.passages) == (False, ())
        assert "below 1, the score from which 90 % of answers are right" in unsure.why
        assert client.context("a cat and a dog", precision="none").answered
        assert client.context("a cat and a dog", precision=0.7).answered
        assert client.context("a cat and a dog", diverse=0.5).answered, "nobody knows what such scores mean"
        assert client.search("a cat and a dog").floor is None


def test_probabilities_are_shown_without_a_floor_and_are_what_was_seen(live: FakeStore) -> None:
    for text, wanted in (("a fish", 1.0), ("a cat and a dog", 0.5), ("a horse", 0.25)):
        hits = ask(live, text)
        assert hits.floor is None and "answered" not in hits_json(hits)
        assert hits.hits[0].probability == pytest.approx(wanted, abs=0.08), text
    beyond = ask(live, "a fish", k=12)
    assert [hit.probability is None for hit in beyond.hits] == [False] * 10 + [True] * 2
    assert len(ask(live, "a fish", 0.5, k=12).hits) == 10
    assert ask(live, "a fish", method="exact").hits[0].probability == ask(live, "a fish").hits[0].probability


def test_errors_are_measured_on_the_questions_of_the_evaluation(live: FakeStore) -> None:
    found = known_calibrations(live, live.live())["vector"]
    told = found.calibrated.reliability
    assert told and told.questions == 130 and told.ece < 0.05
    assert (found.kept.stated, found.kept.threshold, found.kept.precision) == (0.9, 1.0, 1.0)
    assert found.kept.answered == pytest.approx(60 / 130)
    live.questions_asked = [JudgedQuery(f"w{n}", "a cat", rows_of("dog")) for n in range(30)]
    assert learn(live)  # other questions: measured again, and they disagree
    moved = known_calibrations(live, live.live())["vector"]
    assert moved.calibrated.reliability and moved.calibrated.reliability.ece > 0.9 and moved.kept.precision == 0.0


def test_it_is_learned_once_and_forgotten_with_its_questions(live: FakeStore) -> None:
    assert not learn(live) and not calibrate_live(live, live.live(), print)
    live.questions_learned = live.questions_learned[: LEAST_QUESTIONS - 1]
    assert learn(live) and known_calibrations(live, live.live()) == {}
    with pytest.raises(UserError, match=r"method vector has none; declare evaluation\.calibration"):
        ask(live, "a cat", 0.9)
    assert ask(live, "a cat").hits[0].probability is None
    assert not learn(live)


def test_thresholds_go_live_and_back_with_their_generation(live: FakeStore, execute: Execute) -> None:
    name = live.collection.name
    view = (
        f"select generation, method, answer_precision, threshold from search.calibrations where collection = '{name}'"
    )
    assert execute(f"set role vector_assets_reader; {view}") == [] or True
    assert execute(view) == [(1, "vector", 0.9, 1.0)]
    live.use(KeywordEncoder(seed="again"))
    live.questions_learned = [dataclasses.replace(each, relevant=rows_of("owl")) for each in questions()]
    store_before = ask(live, "a dog", 0.9)
    live.embed()
    measure(live)
    assert learn(live)
    assert execute(view) == [(1, "vector", 0.9, 1.0)] and ask(live, "a dog", 0.9).hits == store_before.hits
    candidate = live.all()[0]
    live.workspace.generations.swap(live.collection, candidate, live.relation, because="the test")
    assert execute(view) == [(2, "vector", 0.9, None)] and ask(live, "a dog", 0.9).hits == ()
    assert "from no score on" in ask(live, "a dog", 0.9).floor.why  # type: ignore[union-attr]
    roll_back(live, live.workspace.generations.rollback_target(name), live.catch_up, because="the test")
    assert execute(view) == [(1, "vector", 0.9, 1.0)] and len(ask(live, "a dog", 0.9).hits) == 10


def test_a_collection_without_questions_to_learn_from_searches_as_before(
    store: FakeStore, declare: Declare, animals: Callable[[int], None]
) -> None:
    materialize(store)
    assert not learn(store)
    assert ask(store, "a cat").hits[0].probability is None
    with pytest.raises(UserError, match=r"--precision needs a calibration"):
        ask(store, "a cat", 0.9)
    with pytest.raises(UserError, match="expected a share between 0 and 1"):
        Ask("a cat", precision=90)


def test_hybrid_is_calibrated_anew_when_its_weights_are(live: FakeStore, declare: Declare) -> None:
    live.collection = declare(lexical=["title", "body"])
    materialize(live)
    generation = live.live()
    assert calibrate_live(live, generation, print) and not calibrate_live(live, generation, print)
    before = known_calibrations(live, generation)
    assert {"vector", "bm25", "hybrid/calibrated"} == set(before)
    fusion = cast(dict[str, Any], live.workspace.generations.measures(generation)["fusion"])
    doubled = {**fusion, "vector_scale": 2 * fusion["vector_scale"]}
    live.workspace.generations.measure(generation, {"fusion": doubled})
    live.workspace.generations.refresh_views(live.collection, generation, live.relation)
    assert calibrate_live(live, generation, print), "the same questions, other weights"
    after = known_calibrations(live, generation)
    assert after["hybrid/calibrated"].calibrated.knots != before["hybrid/calibrated"].calibrated.knots
    assert (after["bm25"], after["vector"]) == (before["bm25"], before["vector"])
    assert not calibrate_live(live, generation, print)


def test_scores_of_words_are_calibrated_anew_when_words_count_otherwise(live: FakeStore, declare: Declare) -> None:
    live.collection = declare(lexical={"fields": ["title", "body"]})
    materialize(live)
    assert calibrate_live(live, live.live(), print)
    before = known_calibrations(live, live.live())
    live.collection = declare(lexical={"fields": ["title", "body"], "k1": 9.0, "b": 0.0})
    materialize(live)
    assert calibrate_live(live, live.live(), print), "the same questions and rows, other scores"
    after = known_calibrations(live, live.live())
    assert after["bm25"].calibrated.knots != before["bm25"].calibrated.knots
    assert after["vector"] == before["vector"]
    assert learn(live) is False and calibrate_vectors(live, live.live(), print, anew=True), "maintenance learns again"


def test_an_engine_that_stays_open_learns_what_scores_mean(live: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    known = live.workspace.generations.measures(live.live())["calibration"]
    live.workspace.generations.measure(live.live(), {"calibration": {}})
    reader = live.workspace.reader()
    with closing(reader):
        engine = SearchEngine(reader, live.collection.name, live.reader_encoder)  # type: ignore[arg-type]
        assert engine.answer(Ask("a dog")).hits[0].probability is None
        live.workspace.generations.measure(live.live(), {"calibration": known})
        assert engine.answer(Ask("a dog")).hits[0].probability is None, "not with every question"
        monkeypatch.setattr(engines, "CALIBRATIONS_KEPT", 0.0)
        probability = engine.answer(Ask("a dog")).hits[0].probability
        assert probability and probability > 0.9


def test_only_plain_questions_in_words_have_calibrated_scores() -> None:
    assert scoring(Ask("a", k=3, precision=0.5)) == "vector" == scoring(Ask("a", method="exact"))
    assert scoring(Ask("a", image=b"png")) is None and scoring(Ask(image=b"png")) is None


def test_the_floor_is_pure_arithmetic() -> None:
    steps = tuple(Step(score, 1000, 900, 900, low) for score, low in ((0.9, 0.97), (0.8, 0.93), (0.7, 0.8)))
    calibrated = Calibrated("vector", "logistic", ((0.5, 0.1), (0.9, 0.9)), steps, 900, 2, {})
    hits = [Hit(str(n), f"[{n}]", score, {}) for n, score in enumerate((0.85, 0.8, 0.8))]
    found = answerable(hits, calibrated, 0.9)
    assert [(hit.id, hit.probability) for hit in found.hits] == [("0", pytest.approx(0.8)), ("1", pytest.approx(0.7))]
    assert found.answered and found.floor and (found.floor.score, found.floor.best) == (0.8, 0.85)
    assert not answerable(hits[1:], calibrated, 0.95).answered
    assert [hit.probability is None for hit in with_probabilities(hits, calibrated)] == [False, False, True]
    nothing = answerable([], calibrated, 0.9)
    assert nothing.floor and nothing.floor.why == "no answer (nothing was found)"


def test_words_are_calibrated_as_they_are_asked_once_live(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None]
) -> None:
    """One word or two, a row has the same BM25 score: what a score promises lies between, and 90 % is out of reach."""
    animals(40)
    store = FakeStore(workspace, declare(lexical={"fields": ["title"], "language": "none"}), KeywordEncoder())
    store.questions_learned, store.questions_asked = questions(), questions(2)
    store.embed()
    measure(store)
    assert learn(store)
    settle(store, store.catch_up)
    vectors = known_calibrations(store, store.live())["vector"]
    assert calibrate_live(store, store.live(), print)
    known = known_calibrations(store, store.live())
    assert sorted(known) == ["bm25", "hybrid/calibrated", "vector"] and known["vector"] == vectors
    assert known["bm25"].calibrated.questions == 100  # a horse is nowhere
    assert not calibrate_live(store, store.live(), print)
    found = ask(store, "a fish", method="bm25").hits
    assert [hit.probability for hit in found] == [pytest.approx(0.8, abs=0.03)] * 10
    assert ask(store, "a fish", 0.9, method="bm25").hits == () and len(ask(store, "a fish", 0.9).hits) == 10
    assert len(ask(store, "a fish", 0.7, method="bm25").hits) == 10
    told = evaluate_live(store, methods=["vector", "bm25"])
    assert [each.name for each in told.systems] == ["vector", "bm25"] and len(told.tested) == 1
