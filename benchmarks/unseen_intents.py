"""Banking77 with 20 intents held out whole: what softmax, triplet and ArcFace make of intents they never saw.

All three learn from the same 47 intents with the same settings; 10 further intents validate: they choose the step and
the threshold. Then, on texts of the 20 held-out intents, none of which was learned from:

- identification: a gallery of one text an intent, drawn --draws times; how often the nearest of it is the own intent;
- verification: all pairs of texts by cosine; area under the curve, true accepts at false-accept rates, and what a
  threshold gives that was set for 1 % false accepts on the validation intents alone;
- the mean angle between a text and its intent's mean.

Softmax is the control, once with a head that starts at random and once as the linear probe; the untrained encoder is
shown beside both. An arm is an objective, with @ and how its head starts where that is not the default. Whether a
difference is one: paired bootstrap over texts, and over intents, since texts of one intent are alike.

    python benchmarks/unseen_intents.py --data FOLDER --work /tmp/unseen --json unseen.json
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from learning import arguments, finish, labelled, learn, read_labelled, say, set_of, timed, training, words
from learning import vectors as encode
from numpy.typing import NDArray

from vector_assets.metrics import paired_bootstrap
from vector_assets.records import TrainingSet, Vectors

Rows = list[tuple[str, str]]
Scores = NDArray[np.float64]
UNSEEN, VALIDATION = 20, 10
FALSE_ACCEPTS = (1e-1, 1e-2, 1e-3)
CONTROL = "classification"


def split(rows: Rows, seed: int) -> tuple[Rows, Rows, Rows]:
    """Return texts to learn from, of validation intents, of unseen intents; the seed draws the intents."""
    intents = np.random.default_rng([seed, 77]).permutation(sorted({label for _, label in rows}))
    unseen, check = set(intents[:UNSEEN]), set(intents[UNSEEN : UNSEEN + VALIDATION])
    return (
        [row for row in rows if row[1] not in unseen | check],
        [row for row in rows if row[1] in check],
        [row for row in rows if row[1] in unseen],
    )


def identify(vectors: Vectors, classes: NDArray[np.int64], draws: int, seed: int) -> tuple[Scores, Scores]:
    """Return rank-1 accuracy of each draw, and the share of draws in which each text was identified."""
    generator = np.random.default_rng([seed, 1])
    members = [np.flatnonzero(classes == one) for one in range(classes.max() + 1)]
    right, asked = np.zeros(len(vectors)), np.zeros(len(vectors))
    accuracies = np.empty(draws)
    for draw in range(draws):
        gallery = np.array([generator.choice(places) for places in members])
        probes = np.ones(len(vectors), np.bool_)
        probes[gallery] = False
        hit = (vectors @ vectors[gallery].T).argmax(1) == classes
        accuracies[draw] = hit[probes].mean()
        right += hit & probes
        asked += probes
    return accuracies, right / np.maximum(asked, 1)


def pairs(vectors: Vectors, classes: NDArray[np.int64]) -> tuple[Vectors, Vectors]:
    """Return the cosines of all pairs of one intent, and of all pairs of two, each sorted from low to high."""
    same, other = [], []
    for place in range(len(vectors) - 1):
        cosines = vectors[place + 1 :] @ vectors[place]
        alike = classes[place + 1 :] == classes[place]
        same.append(cosines[alike])
        other.append(cosines[~alike])
    return np.sort(np.concatenate(same)), np.sort(np.concatenate(other))


def share_above(cosines: Vectors, threshold: float) -> float:
    """Return the share of sorted cosines at or above a threshold."""
    return float(1 - np.searchsorted(cosines, threshold) / len(cosines))


def threshold_at(other: Vectors, rate: float) -> float:
    """Return the least threshold that accepts at most this share of pairs of two intents."""
    return float(np.nextafter(other[len(other) - 1 - int(rate * len(other))], 2))


def curve(same: Vectors, other: Vectors) -> list[tuple[float, float, float]]:
    """Return false-accept rate, true-accept rate and threshold, 60 points from 1e-4 to 1."""
    rates = np.geomspace(1e-4, 0.999, 60)
    found = [(rate, threshold_at(other, rate)) for rate in rates]
    return [(float(rate), share_above(same, threshold), threshold) for rate, threshold in found]


def angle(vectors: Vectors, classes: NDArray[np.int64]) -> float:
    """Return the mean angle, in degrees, between a text and the mean direction of its intent."""
    angles = []
    for one in range(classes.max() + 1):
        mine = vectors[classes == one]
        centre = mine.mean(0) / np.linalg.norm(mine.mean(0))
        angles.append(np.degrees(np.arccos(np.clip(mine @ centre, -1, 1))))
    return float(np.concatenate(angles).mean())


def measure(folder: Path, check: Rows, unseen: Rows, asked: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Return all numbers of one checkpoint; those that start with _ are for later comparisons."""
    vectors, classes = _encoded(folder, unseen)
    checked, check_classes = _encoded(folder, check)
    accuracies, each = identify(vectors, classes, asked.draws, seed)
    same, other = pairs(vectors, classes)
    _, check_other = pairs(checked, check_classes)
    chosen = threshold_at(check_other, 1e-2)
    low, high = np.quantile(accuracies, [0.025, 0.975])
    return {
        "rank_1": float(accuracies.mean()), "rank_1_draws_95": [float(low), float(high)],
        "rank_1_validation": float(identify(checked, check_classes, asked.draws, seed)[0].mean()),
        "auc": float(np.searchsorted(other, same).mean() / len(other)),
        "tar_at_far": {f"{rate:g}": share_above(same, threshold_at(other, rate)) for rate in FALSE_ACCEPTS},
        "threshold": {"cosine": chosen, "false_accepts_validation": share_above(check_other, chosen),
                      "false_accepts": share_above(other, chosen), "true_accepts": share_above(same, chosen)},
        "angle": angle(vectors, classes), "_curve": curve(same, other), "_each": each, "_classes": classes,
    }  # fmt: skip


def compare(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rank-1 of two objectives over all seeds: over texts (of each seed's intents), and over intents."""
    before, after = (np.concatenate([one["_each"] for one in arm]) for arm in (old, new))
    intents = [
        np.concatenate([np.bincount(one["_classes"], one["_each"]) / np.bincount(one["_classes"]) for one in arm])
        for arm in (old, new)
    ]
    return {
        "over_texts": paired_bootstrap(before, after, metric="rank-1"),
        "over_intents": paired_bootstrap(*intents, metric="rank-1"),
    }


def draw(
    curves: Mapping[str, list[tuple[float, float, float]]],
    path: Path,
    title: str = "Pairs of texts of 20 unseen intents",
) -> None:
    """Draw the true-accept rate over the false-accept rate, and write the points beside it as CSV."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.5), layout="constrained", dpi=130)
    axes = figure.subplots()
    for name, points in curves.items():
        axes.plot([point[0] for point in points], [point[1] for point in points], label=name, lw=1.6)
    axes.set(xscale="log", xlabel="false accepts", ylabel="true accepts", title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path.with_suffix(".png"))
    with path.with_suffix(".csv").open("w", newline="") as file:
        written = csv.writer(file)
        written.writerow(["arm", "false_accepts", "true_accepts", "threshold"])
        written.writerows([name, *point] for name, points in curves.items() for point in points)


def arms(asked: argparse.Namespace, rows: Rows, seed: int) -> dict[str, dict[str, Any]]:
    """Train every objective on the same split and measure it, the untrained encoder first."""
    to_learn, check, unseen = split(rows, seed)
    asked_for = check if asked.tune else unseen
    whole = training_set(to_learn, check, asked_for, seed)
    found: dict[str, dict[str, Any]] = {}
    for arm in asked.objectives:
        objective, _, start = arm.partition("@")
        declared = training(
            asked, seed, labels="category", objective=objective, max_test=2000, max_validation=2000,
            patience=asked.patience, learning_rate=asked.rates.get(arm, asked.learning_rate),
            **({"head": {"start": start}} if start else {}),
        )  # fmt: skip
        done = learn(asked, whole, declared, f"{arm} seed {seed}")
        if not found:
            found["untrained"] = measure(done.base.folder, check, asked_for, asked, seed)
        found[arm] = {
            **measure(done.checkpoint.folder, check, asked_for, asked, seed),
            "validation_mrr": done.validation["mrr@10"], "best_step": done.history.best_step,
            "steps": len(done.history.steps), "seconds": done.history.seconds,
        }  # fmt: skip
    for name, one in found.items():
        at = " ".join(f"{rate}: {share:.3f}" for rate, share in one["tar_at_far"].items())
        say(f"seed {seed} {name}: rank-1 {one['rank_1']:.4f} (validation {one['rank_1_validation']:.4f}), "
            f"AUC {one['auc']:.4f}, TAR at FAR {at}, angle {one['angle']:.1f}")  # fmt: skip
    return found


def training_set(to_learn: Rows, check: Rows, unseen: Rows, seed: int) -> TrainingSet:
    """Put the three parts together; of validation and test 1,000 texts each, since they are looked at often."""
    generator = np.random.default_rng([seed, 2])
    kept = [[part[place] for place in sorted(generator.permutation(len(part))[:1000])] for part in (check, unseen)]
    return set_of([*labelled(to_learn, "train"), *labelled(kept[0], "validation"), *labelled(kept[1], "test")])


def _encoded(folder: Path, rows: Rows) -> tuple[Vectors, NDArray[np.int64]]:
    labels = sorted({label for _, label in rows})
    return encode(folder, [text for text, _ in rows]), np.array([labels.index(label) for _, label in rows], np.int64)


def main() -> None:
    """Measure and print."""
    parser = arguments(
        __doc__, data="train.csv.gz and test.csv.gz (text,category)", trainable="last_2", learning_rate=2e-4,
        batch_size=64, evaluations_per_epoch=2, max_epochs=2, patience=1000, draws=500,
    )  # fmt: skip
    parser.add_argument(
        "--objectives",
        nargs="+",
        default=[f"{CONTROL}@random", CONTROL, "triplet", "arcface"],
        help="each with @ and how its head starts, where that is not the default",
    )
    parser.add_argument("--rate", nargs="+", default=[], metavar="ARM=RATE", help="a rate of its own")
    asked = parser.parse_args()
    asked.rates = {name: float(rate) for name, _, rate in (each.partition("=") for each in asked.rate)}
    rows = [row for name in ("train", "test") for row in read_labelled(asked.data / f"{name}.csv.gz")]
    seconds: dict[str, float] = {}
    with timed("all", seconds):
        found = {seed: arms(asked, rows, seed) for seed in asked.seeds}
    by_arm = {name: [found[seed][name] for seed in asked.seeds] for name in found[asked.seeds[0]]}
    controls = [name for name in by_arm if name.partition("@")[0] == CONTROL]
    compared = {
        f"{name} against {control}": compare(by_arm[control], each)
        for control in controls
        for name, each in by_arm.items()
        if name not in controls
    }
    for name, one in compared.items():
        say(f"{name}, over texts: {words(one['over_texts'])}")
        say(f"{name}, over intents: {words(one['over_intents'])}")
    if asked.json:
        mean = {name: np.mean([one["_curve"] for one in each], axis=0).tolist() for name, each in by_arm.items()}
        draw(mean, asked.json)
    shown = {
        seed: {name: {k: v for k, v in one.items() if k[0] != "_"} for name, one in each.items()}
        for seed, each in found.items()
    }
    finish(asked, {"arms": shown, "against_softmax": compared, "seconds": seconds})


if __name__ == "__main__":
    main()
