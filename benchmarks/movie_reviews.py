"""Sentences labelled by sentiment or kind (MR, SST-2, Subj, TREC): a fine-tuned encoder, its head, and the probe.

Files are read in the layouts that they are passed around in: a label and a sentence a line, as in the data of Kim's
convolutional networks (2014); or number, rating and sentence by tabs, as the package vaderSentiment has those of
MR in its sources, in the order of MR: the first --positive ones are positive, what follows is negative. The last few
hundred of that file stand in no order and are left out (--rows).

Without --test: ten folds, as Kim's results for MR are of, of which --folds are run. Control: a logistic regression on
the untrained vectors, its strength by cross-validation on the fold's train. Arm: the project's training, where a
twentieth of each label of train is validation. Paired over the sentences of all folds together.

    python benchmarks/movie_reviews.py --data movieReviewSnippets_GroundTruth.txt --work /tmp/mr --json mr.json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from banking77 import Rows, control, split
from learning import arguments, finish, head_says, labelled, learn, mcnemar, say, set_of, timed, training, words
from learning import vectors as encode

from vector_assets.metrics import paired_bootstrap
from vector_assets.records import Vectors

FOLDS = 10


def read(path: Path, *, positive: int, rows: int) -> Rows:
    """Return text and label of each line, whichever layout it has."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if "\t" not in lines[0]:
        return [(text, label) for label, _, text in (line.partition(" ") for line in lines)]
    texts = [line.split("\t")[2] for line in lines[:rows]]
    return [(text, "positive" if place < positive else "negative") for place, text in enumerate(texts)]


def folds(rows: Rows, chosen: list[int]) -> Iterator[tuple[int, Rows, Rows]]:
    """Yield each chosen fold: its number, what is learned from, and what is tested."""
    order = np.random.default_rng(0).permutation(len(rows))
    for fold in chosen:
        held = set(order[fold::FOLDS].tolist())
        yield (
            fold, [row for place, row in enumerate(rows) if place not in held],
            [row for place, row in enumerate(rows) if place in held],
        )  # fmt: skip


def one(
    asked: argparse.Namespace, train: Rows, test: Rows, fold: int, seed: int
) -> tuple[Vectors, Vectors, dict[str, Any]]:
    """Return whether the control and the arm are right about each sentence, and the numbers."""
    to_learn, check = split(train)
    whole = set_of([*labelled(to_learn, "train"), *labelled(check, "validation"), *labelled(test, "test")])
    right, probed = control(train, test, asked, whole)
    declared = training(asked, seed, labels="label", max_test=10_000, max_validation=2000)
    done = learn(asked, whole, declared, f"fold {fold}")
    assert done.head is not None, "a classification has a head"
    said = head_says(done.head, encode(done.checkpoint.folder, [text for text, _ in test]))
    now = np.array([a == label for a, (_, label) in zip(said, test, strict=True)], np.float64)
    say(f"fold {fold}: probe {right.mean():.4f}, tuned {now.mean():.4f}")
    return (
        right, now, {
            "fold": fold, "probe": probed, "tuned": float(now.mean()), "validation": done.validation["accuracy"],
            "best_step": done.history.best_step, "steps": len(done.history.steps), "gap": done.history.gap,
            "seconds": done.history.seconds,
        },
    )  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = arguments(
        __doc__, data="(or the file itself) the sentences", objective="classification", trainable="last_2",
        learning_rate=2e-4, batch_size=32, evaluations_per_epoch=2, patience=4, max_epochs=6, dropout=0.1,
    )  # fmt: skip
    parser.add_argument("--test", type=Path, help="a file of sentences to test, in place of folds")
    parser.add_argument("--folds", type=int, nargs="*", default=list(range(FOLDS)))
    parser.add_argument("--positive", type=int, default=5152)
    parser.add_argument("--rows", type=int, default=10_300)
    asked = parser.parse_args()
    rows = read(asked.data, positive=asked.positive, rows=asked.rows)
    say(f"{len(rows)} sentences, {len({label for _, label in rows})} labels")
    if asked.tune:
        _, train, _ = next(folds(rows, asked.folds))
        to_learn, check = split(train)
        pairs = [*labelled(to_learn, "train"), *labelled(check, "validation"), *labelled(check[:100], "test")]
        done = learn(asked, set_of(pairs), training(asked, asked.seeds[0], labels="label", max_validation=2000), "tune")
        say(f"validation: {done.base_validation['accuracy']:.4f} -> {done.validation['accuracy']:.4f}")
        return
    if asked.test:
        cut = [(0, rows, read(asked.test, positive=asked.positive, rows=asked.rows))]
    else:
        cut = list(folds(rows, asked.folds))
    seconds: dict[str, float] = {}
    with timed("all", seconds):
        found = [one(asked, train, test, fold, asked.seeds[0]) for fold, train, test in cut]
    old, new = (np.concatenate([each[place] for each in found]) for place in (0, 1))
    compared = paired_bootstrap(old, new, metric="accuracy", seed=0)
    say(words(compared))
    numbers = {"tuned_against_probe": compared, "mcnemar": mcnemar(old, new), "folds": [each[2] for each in found]}
    finish(asked, {"sentences": len(rows), **numbers, "seconds": seconds})


if __name__ == "__main__":
    main()
