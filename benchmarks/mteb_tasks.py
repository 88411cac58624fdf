"""Four types of task by the protocols of MTEB, for MiniLM and for its token vectors alone (static:minilm).

SciFact retrieval (test queries, all abstracts), Banking77 classification (8 texts an intent, 10 draws), clustering of
Banking77's test texts, and a synthetic set of the STS type: pairs of Banking77's test texts, 1 where both have one
intent and 0 where they have two. Nobody judged those pairs; MTEB has no such task.

    python benchmarks/mteb_tasks.py --data FOLDER --work /tmp/mteb_tasks --json mteb_tasks.json
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from learning import finish, read_labelled, say, timed

from vector_assets.encoder import load_encoder
from vector_assets.encoder.open import store_untrained
from vector_assets.index.scores import (
    Classification,
    Clustering,
    Reading,
    Retrieval,
    Sts,
    TaskData,
    as_result,
    main_score,
)
from vector_assets.source.jsonl import read_objects
from vector_assets.source.judged import read_judged
from vector_assets.source.scored import Labelled, ScoredPairs

TASKS = ("Banking77Classification", "Banking77TestClustering", "Banking77SyntheticSTS", "SciFact")


def scifact(folder: Path, documents: int) -> Retrieval:
    """Return test queries over all abstracts, or over the judged ones and others up to ``documents``."""
    judged = read_judged(str(folder / "queries.jsonl.gz"), str(folder / "qrels_test.tsv.gz"))
    rows = {
        line.text("_id"): f"{line.text('title')}\n{line.text('text')}".strip()
        for line in read_objects(str(folder / "corpus.jsonl.gz"))
    }
    answers = {key for query in judged for key in query.relevant}
    needed = {row for row in rows if f'["{row}"]' in answers} if documents else set(rows)
    others = np.random.default_rng(0).permutation(sorted(set(rows) - needed)).tolist()
    kept = sorted(needed | set(others[: max(0, documents - len(needed))]))
    return Retrieval(tuple(judged), tuple((row,) for row in kept), tuple(rows[row] for row in kept), len(rows))


def banking77(folder: Path) -> tuple[Labelled, Labelled]:
    """Return train and test texts with their intents."""
    train, test = (
        Labelled(*map(tuple, zip(*read_labelled(folder / f"{name}.csv.gz"), strict=True))) for name in ("train", "test")
    )
    return train, test


def pairs_of(test: Labelled, each: int = 10, seed: int = 0) -> ScoredPairs:
    """Return as many pairs of one intent as of two, ``each`` of an intent, drawn by the seed."""
    generator = np.random.default_rng(seed)
    labels = np.array(test.labels)
    left, right, scores = [], [], []
    for label in sorted(set(test.labels)):
        same, other = np.flatnonzero(labels == label), np.flatnonzero(labels != label)
        for _ in range(each):
            first, second = generator.choice(same, 2, replace=False)
            left += [test.texts[first], test.texts[first]]
            right += [test.texts[second], test.texts[generator.choice(other)]]
            scores += [1.0, 0.0]
    return ScoredPairs(tuple(left), tuple(right), tuple(scores))


def data_of(asked: argparse.Namespace) -> dict[str, TaskData]:
    """Return the four tasks by name."""
    train, test = banking77(asked.data / "banking77")
    return {
        "Banking77Classification": Classification(train, test),
        "Banking77TestClustering": Clustering(test),
        "Banking77SyntheticSTS": Sts(pairs_of(test)),
        "SciFact": scifact(asked.data / "scifact", asked.documents),
    }


def measure(name: str, asked: argparse.Namespace, tasks: dict[str, TaskData]) -> dict[str, Any]:
    """Return the result of each task by one encoder, stored as the encoder asset stores it."""
    encoder = load_encoder(store_untrained(name, asked.work / "checkpoints", folder=asked.work).folder)
    reading = Reading(encoder)
    found = {}
    for task, data in tasks.items():
        started = time.perf_counter()
        with timed(f"{name}, {task}"):
            scores = data.score(reading)
        seconds = time.perf_counter() - started
        found[task] = as_result(task, data.revision, scores, languages=["eng-Latn"], seconds=seconds)
        say(f"{name}: {task} {data.main} {main_score(found[task]):.4f}")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with scifact and banking77")
    parser.add_argument("--work", type=Path, required=True, help="where checkpoints go; may be removed afterwards")
    parser.add_argument("--encoders", nargs="+", default=["minilm", "static:minilm"])
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--documents", type=int, default=0, help="SciFact with this many abstracts; 0: all")
    parser.add_argument("--json", type=Path, help="write the results here as well")
    asked = parser.parse_args()
    tasks = {name: data for name, data in data_of(asked).items() if name in asked.tasks}
    results = {name: measure(name, asked, tasks) for name in asked.encoders}
    say(f"{'task':<26}{'metric':<18}" + "".join(f"{name:>16}" for name in results))
    for task, data in tasks.items():
        scores = "".join(f"{main_score(found[task]):>16.4f}" for found in results.values())
        say(f"{task:<26}{data.main:<18}{scores}")
    if "Banking77SyntheticSTS" in tasks:
        first, last = (main_score(results[asked.encoders[end]]["Banking77SyntheticSTS"]) for end in (0, -1))
        say(f"on the STS-type pairs {asked.encoders[-1]} {'loses' if last < first else 'does not lose'}")
    finish(asked, {"results": results})


if __name__ == "__main__":
    main()
