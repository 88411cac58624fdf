"""Ten swaps by promotion and rollback, while processes and threads ask: no error, no empty answer, no mixture."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from fakes import Execute, FakeStore, KeywordEncoder
from stages import materialize

from vector_assets.index.swap import promote, roll_back
from vector_assets.search.engine import SearchEngine

SWAPS = 10
QUERIES = 250  # of each of four readers, at least

#: Another order of axes for rows, and questions twisted on top, so that the two spaces agree on nothing: what one
#: calls a cat the other calls an owl, and the vector of one, asked of the other's table, finds fish.
OTHER = KeywordEncoder(("fish", "cat", "dog", "owl"), order=(0, 3, 2, 1, 4))
API = {1: "cat", 2: "owl"}
SQL = {1: "cat", 2: "fish"}  # the first axis of either space


def test_readers_in_a_loop_see_one_whole_generation_at_a_time(
    store: FakeStore, execute: Execute, name: str, tmp_path: Path
) -> None:
    store.questions_asked = []
    materialize(store)
    store.use(OTHER)
    materialize(store)
    stop = tmp_path / "stop"
    url = store.workspace.addresses.database.user("vector_assets_reader").libpq
    processes = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "sql_reader.py"), url, name, str(QUERIES), str(stop)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    seen: list[tuple[int, int, frozenset[str], frozenset[float]]] = []
    failed: list[Exception] = []
    threads = [threading.Thread(target=_read, args=(store, stop, seen, failed)) for _ in range(2)]
    try:
        for process in processes:
            assert process.stdout and process.stdout.readline() == "ready\n", process.stderr
        for thread in threads:
            thread.start()
        for number in range(SWAPS):
            execute(f"update {name} set body = body || '.' where id = {number + 1}")  # live is behind, as it may be
            before = len(seen)
            while len(seen) < before + 20 and not failed:
                threads[0].join(0.01)
            _swap(store, number)
    finally:
        stop.touch()
        for thread in threads:
            thread.join(60)
        ends = [process.communicate(timeout=60) for process in processes]
    assert not failed, failed
    assert [process.returncode for process in processes] == [0, 0], ends
    assert {(generation, rows, animals) for generation, rows, animals, _ in seen} == {
        (generation, 10, frozenset((animal,))) for generation, animal in API.items()
    }
    assert {scores for *_, scores in seen} == {frozenset((1.0,))}
    answers: Counter[str] = Counter()
    asked = len(seen)
    for out, _ in ends:
        found = json.loads(out.splitlines()[-1])
        answers.update(found["answers"])
        asked += found["asked"]
    assert set(answers) == {json.dumps([10, [[number, animal, "1.000"]]]) for number, animal in SQL.items()}
    assert asked >= 4 * QUERIES


def _swap(store: FakeStore, number: int) -> None:
    """Promote the second generation, or roll back to the first, in turns."""
    generations = store.workspace.generations
    first, second = (generations.get(store.collection.name, each) for each in (1, 2))
    if number % 2:
        target = generations.rollback_target(store.collection.name)
        assert target.number == first.number
        assert roll_back(store, target, store.catch_up, because="test").action == "rolled back"
    else:
        generations.set_state(second, "candidate")
        assert promote(store, store.catch_up, because="test").live.number == second.number


def _read(
    store: FakeStore,
    stop: Path,
    seen: list[tuple[int, int, frozenset[str], frozenset[float]]],
    failed: list[Exception],
) -> None:
    """Ask through the engine, as the Python API and the command line do."""
    reader = store.workspace.reader()
    engine = SearchEngine(reader, store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
    asked = 0
    try:
        while asked < QUERIES or not stop.exists():
            hits = engine.search("a cat", k=10)
            animals = frozenset(str(hit.row["title"]).split()[0] for hit in hits.hits)
            seen.append((hits.generation, len(hits.hits), animals, frozenset(round(hit.score, 3) for hit in hits.hits)))
            asked += 1
    except Exception as error:
        failed.append(error)
    finally:
        reader.close()
