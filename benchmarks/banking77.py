"""Banking77: a fine-tuned encoder and its head against a logistic regression on the untrained vectors.

Control: the regression on all of train, its strength chosen by cross-validation on train. Arm: the project's training
(a twentieth of each intent of train is validation, which chooses the step). Both are scored on the official test
texts; exact McNemar and paired bootstrap. Besides, the protocol of MTEB for the untrained encoder: 8 texts an intent,
10 draws, regression of 100 iterations.

    python benchmarks/banking77.py --data FOLDER --work /tmp/banking77 --json banking77.json
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from learning import (
    arguments,
    finish,
    head_says,
    labelled,
    learn,
    mcnemar,
    read_labelled,
    say,
    set_of,
    timed,
    training,
    words,
)
from learning import vectors as encode

from vector_assets.metrics import paired_bootstrap
from vector_assets.records import TrainingSet, Vectors
from vector_assets.training import store_base

Rows = list[tuple[str, str]]
SHOTS, DRAWS = 8, 10
STRENGTHS = (3.0, 10.0, 30.0)


def split(rows: Rows, share: float = 0.05) -> tuple[Rows, Rows]:
    """Return what is learned and what validates: the same share of each intent, drawn by a seed of its own."""
    generator = np.random.default_rng(7)
    chosen: set[int] = set()
    for label in sorted({label for _, label in rows}):
        places = [place for place, row in enumerate(rows) if row[1] == label]
        chosen.update(int(place) for place in generator.permutation(places)[: max(1, round(share * len(places)))])
    return (
        [row for place, row in enumerate(rows) if place not in chosen],
        [row for place, row in enumerate(rows) if place in chosen],
    )


def few_shots(train: tuple[Vectors, list[str]], test: tuple[Vectors, list[str]]) -> list[float]:
    """Return the accuracy of a regression on 8 texts an intent, for each draw."""
    from sklearn.linear_model import LogisticRegression

    found = []
    labels = np.array(train[1])
    for draw in range(DRAWS):
        generator = np.random.default_rng(draw)
        places = np.concatenate(
            [generator.permutation(np.flatnonzero(labels == one))[:SHOTS] for one in sorted(set(train[1]))]
        )
        probe = LogisticRegression(max_iter=100).fit(train[0][places], labels[places])
        found.append(float(np.mean(probe.predict(test[0]) == np.array(test[1]))))
    return found


def probe(train: tuple[Vectors, list[str]], test: Vectors) -> tuple[list[str], dict[str, float]]:
    """Return what the control says, and the accuracy of each strength in cross-validation on train."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    scores = {
        strength: float(cross_val_score(LogisticRegression(C=strength, max_iter=1000), *train, cv=folds).mean())
        for strength in STRENGTHS
    }
    best = max(scores, key=lambda strength: scores[strength])
    fitted = LogisticRegression(C=best, max_iter=1000).fit(*train)
    return fitted.predict(test).tolist(), {f"{strength:g}": score for strength, score in scores.items()}


def control(rows: Rows, test: Rows, asked: argparse.Namespace, whole: TrainingSet) -> tuple[Vectors, dict[str, Any]]:
    """Return whether the control is right about each test text, and its numbers."""
    from vector_assets.encoder import resolve_encoder

    base = resolve_encoder(asked.encoder, folder=asked.work)
    stored = store_base(whole, training(asked, 0, labels="category"), base, asked.work / "checkpoints")
    train_vectors = encode(stored.folder, [text for text, _ in rows])
    test_vectors = encode(stored.folder, [text for text, _ in test])
    known, truth = (train_vectors, [label for _, label in rows]), [label for _, label in test]
    shots = few_shots(known, (test_vectors, truth))
    say(f"8 shots, 10 draws: {np.mean(shots):.4f} +- {np.std(shots):.4f}")
    said, scores = probe(known, test_vectors)
    right = np.array([a == b for a, b in zip(said, truth, strict=True)], np.float64)
    say(f"control: accuracy {right.mean():.4f}; by cross-validation {scores}")
    return right, {
        "accuracy": float(right.mean()), "f1_macro": _f1(truth, said), "cross_validation": scores,
        "eight_shots": {"mean": float(np.mean(shots)), "sd": float(np.std(shots)), "draws": shots},
    }  # fmt: skip


def arm(test: Rows, right: Vectors, asked: argparse.Namespace, whole: TrainingSet, seed: int) -> dict[str, Any]:
    """Train once and compare with the control on test."""
    declared = training(asked, seed, labels="category", max_test=4000, max_validation=2000)
    done = learn(asked, whole, declared, f"{asked.objective} seed {seed}")
    assert done.head is not None, "the objective has no head"
    truth = [label for _, label in test]
    said = head_says(done.head, encode(done.checkpoint.folder, [text for text, _ in test]))
    now = np.array([a == b for a, b in zip(said, truth, strict=True)], np.float64)
    compared = paired_bootstrap(right, now, metric="accuracy", seed=seed)
    say(f"seed {seed}: {words(compared)}")
    return {
        "seed": seed, "accuracy": float(now.mean()), "f1_macro": _f1(truth, said), "against_control": compared,
        "mcnemar": mcnemar(right, now), "validation": dict(done.validation), "probe_validation":
        dict(done.base_validation), "against_own_probe": done.classified, "best_step": done.history.best_step,
        "steps": len(done.history.steps), "seconds": done.history.seconds, "gap": done.history.gap,
        "bfloat16": done.fast, "checkpoint": done.checkpoint.digest[:12],
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = arguments(
        __doc__, data="train.csv.gz and test.csv.gz (text,category)", objective="classification", trainable="last_6",
        learning_rate=2e-4, batch_size=32, evaluations_per_epoch=1, patience=2, max_epochs=4,
    )  # fmt: skip
    asked = parser.parse_args()
    rows = read_labelled(asked.data / "train.csv.gz")
    to_learn, check = split(rows)
    if asked.tune:
        pairs = [*labelled(to_learn, "train"), *labelled(check, "validation"), *labelled(check[:100], "test")]
        for seed in asked.seeds:
            declared = training(asked, seed, labels="category", max_validation=2000)
            done = learn(asked, set_of(pairs), declared, f"{asked.objective} seed {seed}")
            say(f"validation: {done.base_validation['accuracy']:.4f} -> {done.validation['accuracy']:.4f}")
        return
    test = read_labelled(asked.data / "test.csv.gz")
    whole = set_of([*labelled(to_learn, "train"), *labelled(check, "validation"), *labelled(test, "test")])
    seconds: dict[str, float] = {}
    with timed("all", seconds):
        with timed("control", seconds):
            right, probed = control(rows, test, asked, whole)
        arms = [arm(test, right, asked, whole, seed) for seed in asked.seeds]
    gains = [each["accuracy"] - probed["accuracy"] for each in arms]
    if gains:
        say(f"gain over the control: mean {np.mean(gains):+.4f}, least {min(gains):+.4f} over {len(gains)} seeds")
    finish(asked, {"counts": dict(whole.report), "control": probed, "arms": arms, "seconds": seconds})


def _f1(truth: list[str], said: list[str]) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, said, average="macro"))


if __name__ == "__main__":
    main()
