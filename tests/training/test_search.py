"""A search with real training: the declared settings first, faults recorded, test looked at once, kills survived."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from runlog import MemoryLog

from vector_assets.encoder import ContractSettings, load_encoder, read_contract
from vector_assets.errors import EncoderError
from vector_assets.records import TrainingSet
from vector_assets.spec import Search, Training
from vector_assets.training import Trained, pairs_digest, train, training_key
from vector_assets.training.retrieval import judge, pool_of
from vector_assets.training.search import run as searching
from vector_assets.training.search import search, search_folder
from vector_assets.training.session import Session


@pytest.fixture(scope="module")
def few(keywords: TrainingSet) -> TrainingSet:
    """Half of the keywords, and not half of their pairs."""
    copies: Counter[str] = Counter()
    pairs = []
    for pair in keywords.pairs:
        copies[pair.group] += 1
        if int(pair.key[1:-1]) < 12 and copies[pair.group] <= 10:
            pairs.append(pair)
    return TrainingSet(pairs_digest(pairs), tuple(pairs), {"train": 120})


class Logs:
    """The logs of a search's trials, by number, and how each ended."""

    def __init__(self) -> None:
        self.trials: dict[int, MemoryLog] = {}
        self.ended: dict[int, str] = {}
        self.names: list[str] = []
        self.parent, self.base = MemoryLog(), MemoryLog()

    @contextmanager
    def open(self, number: int, name: str) -> Iterator[MemoryLog]:
        self.names.append(name)
        log = self.trials[number] = MemoryLog()
        try:
            yield log
        except BaseException:
            self.ended[number] = "FAILED"
            raise
        self.ended[number] = "FINISHED"


def _declared(**given: Any) -> Training:
    return Training(
        pairs="pairs.jsonl", trainable="last_1", learning_rate=1e-4, batch_size=12, evaluations_per_epoch=1,
        patience=3, max_epochs=2,
        search=Search(**{"trials": 4, "learning_rate": [1e-3, 1e-2], "pruner": "none", **given}),
    )  # fmt: skip


def _search(
    training_set: TrainingSet, training: Training, base: Path, folder: Path, logs: Logs, **more: Any
) -> Trained:
    return search(
        training_set, training, base, destination=folder / "checkpoints", unfinished=folder / "unfinished",
        log=logs.parent, base_log=logs.base, open_trial=logs.open, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(few: TrainingSet, base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Logs, Path]:
    folder, logs = tmp_path_factory.mktemp("search"), Logs()
    return _search(few, _declared(), base, folder, logs), logs, folder


def test_the_best_beats_the_declared_settings_and_is_what_a_run_of_its_own_gives(
    found: tuple[Trained, Logs, Path], few: TrainingSet, base: Path, tmp_path: Path
) -> None:
    trained = found[0]
    searched = trained.searched
    assert searched and searched.best and searched.baseline_validation is not None
    assert searched.base_validation <= searched.baseline_validation < searched.validation
    assert searched.settings == searched.trials[searched.best].settings
    assert searched.test and searched.test.new == pytest.approx(trained.test["mrr@10"])
    assert searched.test.low <= searched.test.difference <= searched.test.high
    best = _declared().model_copy(update={"search": None, **searched.settings})
    alone = train(few, best, base, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog())
    assert alone.checkpoint.digest == trained.checkpoint.digest and alone.key == searched.key
    assert (alone.test, alone.base_test, alone.validation) == (trained.test, trained.base_test, trained.validation)
    assert alone.comparison == trained.comparison and alone.history.gap == pytest.approx(trained.history.gap)
    assert trained.key != alone.key and trained.history.resumed_at is None


def test_only_base_and_best_are_kept(found: tuple[Trained, Logs, Path]) -> None:
    trained, _, folder = found
    kept = {path.name for path in (folder / "checkpoints").iterdir() if path.name != "reports"}
    assert kept == {trained.base.digest, trained.checkpoint.digest}
    states = {path.stem for path in search_folder(folder / "unfinished", trained.key).glob("*.pt")}
    assert trained.searched and states == {trained.searched.key, trained.searched.trials[0].key}


def test_trials_are_logged_with_the_parent_telling_them_all(found: tuple[Trained, Logs, Path]) -> None:
    trained, logs, _ = found
    searched = trained.searched
    assert searched and logs.names == ["trial 0 (declared settings)", "trial 1", "trial 2", "trial 3"]
    assert set(logs.ended.values()) == {"FINISHED"} and logs.trials[0].logged_tags["arm"] == "baseline"
    for number, log in logs.trials.items():
        tried = searched.trials[number]
        assert log.logged_params["learning_rate"] == tried.settings["learning_rate"]
        assert log.logged_tags["state"] == tried.state == "complete" and log.logged_tags["training_key"] == tried.key
        assert log.series("validation_best/mrr_at_10")[0][1] == tried.value and log.series("train/loss")
        assert not [name for _, values in log.logged_metrics for name in values if name.startswith("test")]
    values = [(one.number, one.value) for one in searched.trials]
    assert logs.parent.series("search/validation") == values
    assert logs.parent.series("search/best")[-1] == (3, searched.validation)
    assert logs.parent.logged_params["best_learning_rate"] == searched.settings["learning_rate"]
    assert logs.parent.logged_params["best_trial"] == searched.best and logs.parent.logged_params["trials"] == 4
    assert ("search", "search.png") in logs.parent.artifacts and ("search", "trials.csv") in logs.parent.artifacts
    assert logs.base.logged_tags["arm"] == "base" and logs.base.series("test/mrr_at_10")
    png, table = trained.report[-2:]
    assert png.read_bytes().startswith(b"\x89PNG") and png.stat().st_size > 5000
    rows = list(csv.DictReader(table.open()))
    assert [row["state"] for row in rows] == ["complete"] * 4 and rows[0]["learning_rate"] == "0.0001"


def test_no_trial_looks_at_test_and_three_arms_do_once(
    few: TrainingSet, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    score, attempt, pool = Session.score, searching._Runner.attempt, pool_of(few.split("test"))

    def scored(self: Session, given: Any) -> Any:
        events.append("test" if given == pool else "other")
        return score(self, given)

    def attempted(self: Any, one: Any) -> None:
        attempt(self, one)
        events.append("ended")

    monkeypatch.setattr(Session, "score", scored)
    monkeypatch.setattr(searching._Runner, "attempt", attempted)
    _search(few, _declared(trials=3), base, tmp_path, Logs())
    last = len(events) - events[::-1].index("ended")
    assert events.count("ended") == 3 and "test" not in events[:last] and events[last:].count("test") == 3


def test_a_failed_trial_is_failed_and_the_search_goes_on(
    few: TrainingSet, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = searching.begin

    def broken(training_set: Any, training: Training, *given: Any, **more: Any) -> Any:
        if training.batch_size == 16:
            raise RuntimeError("no memory\nfor so many")
        return begin(training_set, training, *given, **more)

    monkeypatch.setattr(searching, "begin", broken)
    logs = Logs()
    training = _declared(learning_rate=None, batch_size=[8, 16], trials=3)
    searched = _search(few, training, base, tmp_path, logs).searched
    assert searched and [one.state for one in searched.trials] == ["complete", "complete", "failed"]
    failed = searched.trials[2]
    assert failed.value is None and failed.error == "RuntimeError: no memory"
    assert logs.ended == {0: "FINISHED", 1: "FINISHED", 2: "FAILED"}
    assert logs.trials[2].logged_tags["error"] == "RuntimeError: no memory" and not logs.trials[2].logged_metrics
    assert 2 not in dict(logs.parent.series("search/validation"))
    assert logs.parent.logged_params["trials_failed"] == 1


def test_all_failed_is_one_line_and_the_next_run_tries_anew(
    few: TrainingSet, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any, **more: Any) -> Any:
        raise RuntimeError("no memory")

    monkeypatch.setattr(searching, "begin", broken)
    for _ in range(2):
        logs = Logs()
        with pytest.raises(EncoderError, match="search: all 4 trials failed, the first with: RuntimeError: no memory"):
            _search(few, _declared(), base, tmp_path, logs)
        assert len(logs.ended) == 4 and not list((tmp_path / "unfinished").iterdir())


def test_the_untrained_base_wins_where_nothing_beats_it(solved: TrainingSet, base: Path, tmp_path: Path) -> None:
    trained = _search(solved, _declared(trials=2), base, tmp_path, Logs())
    assert not trained.improved and trained.checkpoint == trained.base
    assert trained.searched and trained.searched.best is None and trained.searched.settings == {}
    assert trained.searched.test and trained.searched.test.difference == 0


def test_a_layer_sweep_chooses_without_learning_anything(
    few: TrainingSet, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: Any) -> float:
        raise AssertionError("something learns")

    monkeypatch.setattr(Session, "update", never)
    training = Training(pairs="pairs.jsonl", search=Search(layer=[1, 2, 3, "mix"]), max_epochs=2)
    trained = _search(few, training, base, tmp_path, Logs())
    searched = trained.searched
    assert searched and [one.settings["layer"] for one in searched.trials] == [-1, 1, 2, "mix"]
    pool = pool_of(few.split("validation"))
    wanted = {}
    for one in searched.trials:
        settings = ContractSettings(layer=one.settings["layer"])  # type: ignore[arg-type]
        stored = searching.store_base(few, training, base, tmp_path / "each", settings)
        encoder = load_encoder(stored.folder)
        queries = encoder.encode_queries([query.text for query in pool.queries])
        found = judge(pool, queries, encoder.encode_documents(pool.documents).vectors)
        assert one.state == "complete" and one.value == pytest.approx(found.metrics["mrr@10"])
        wanted[one.number] = one.value
    best = max(wanted.values())
    assert searched.validation == best >= searched.base_validation == wanted[0]
    if best > wanted[0]:
        assert searched.best is not None and wanted[searched.best] == best
        assert read_contract(trained.checkpoint.folder).layer == searched.settings["layer"]
    kept = {path.name for path in (tmp_path / "checkpoints").iterdir() if path.name != "reports"}
    assert kept == {trained.base.digest, trained.checkpoint.digest}


def test_a_layer_that_is_not_there_stops_the_search_before_it_begins(
    few: TrainingSet, base: Path, tmp_path: Path
) -> None:
    training = Training(pairs="pairs.jsonl", search=Search(layer=[2, 9]))
    logs = Logs()
    with pytest.raises(EncoderError, match="layer 9 is asked for and the encoder has 3 layers; expected 1 to 3"):
        _search(few, training, base, tmp_path, logs)
    assert logs.names == []


def test_a_search_that_was_stopped_ends_as_an_undisturbed_one(
    found: tuple[Trained, Logs, Path],
    few: TrainingSet,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained, _, _ = found
    update, steps = Session.update, [0]

    def torn(self: Session, *given: Any) -> float:
        steps[0] += 1
        if steps[0] in (15, 35):
            raise KeyboardInterrupt  # no fault of the trial: as a kill, but in one process
        return update(self, *given)

    monkeypatch.setattr(Session, "update", torn)
    logs = Logs()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            _search(few, _declared(), base, tmp_path, logs)
    again = _search(few, _declared(), base, tmp_path, logs)
    assert again.searched and trained.searched
    assert [(one.settings, one.value, one.state) for one in again.searched.trials] == [
        (one.settings, one.value, one.state) for one in trained.searched.trials
    ]
    assert again.checkpoint.digest == trained.checkpoint.digest and again.test == trained.test
    assert len(logs.names) == 6 and logs.names[0] == logs.names[1]  # the two that were stopped began twice
    assert steps[0] < 2 * sum(1 for log in logs.trials.values() for _ in log.series("train/loss"))


def test_the_key_is_that_of_the_declaration(found: tuple[Trained, Logs, Path], few: TrainingSet) -> None:
    trained, _, _ = found
    assert trained.key == training_key(few.digest, _declared(), trained.base.digest)


def test_a_search_that_is_killed_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    command = [sys.executable, str(Path(__file__).with_name("killed_search.py")), str(tmp_path), "1", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"seed {seed}\n{done.stderr[-3000:]}"
    result = json.loads(done.stdout.splitlines()[-1])
    undisturbed, disturbed = result["both"]
    assert disturbed == undisturbed and undisturbed["improved"], f"seed {seed}"
    assert result["killed"] and result["left"] == []
    begun = result["begun"]
    assert len(begun) <= 4 + result["killed"] and sorted(begun) == begun, f"seed {seed}"  # no ended trial ran again
