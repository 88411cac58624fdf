"""Little data on Banking77: what freezing saves, what unlabelled texts add, how results grow with rows.

    e1  50 texts for each of some intents: the last two layers against all of them (both after a linear probe), against
        all of them without the probe, and against a network from scratch. Train/test gap, accuracy, frozen tensors.
    e5  a small network from scratch, labels for 1 % of the texts: fine-tuned alone, and after dropout_pairs (or
        denoising) over all texts; and the self-supervised vectors as they are against the fine-tuned ones.
    e6  the learning curve asset's function: rows 10 to 1,000, from pretrained weights and from scratch.

Validation (a twentieth of each intent of train) chooses every step; the official test texts are scored once for each
checkpoint. Everything is the project's own training.

    python benchmarks/small_data.py --data FOLDER --work /tmp/small_data --json small_data.json --seeds 0
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from banking77 import Rows, split
from learning import (
    NullLog,
    PrintLog,
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

from vector_assets.encoder import resolve_encoder
from vector_assets.metrics import paired_bootstrap
from vector_assets.records import Pair, RunLog, TrainingSet, Vectors
from vector_assets.training import store_base
from vector_assets.training.arms import compare
from vector_assets.training.curve import clear, draw_curve
from vector_assets.training.curve.subsets import nested_order, part_of
from vector_assets.training.loop import learn as learn_session
from vector_assets.training.run import begin
from vector_assets.training.scoring import Scored
from vector_assets.training.watch import Evaluated

ROWS = [10, 30, 100, 300, 1000]


def shots(rows: Rows, labels: Sequence[str], each: int, seed: int) -> Rows:
    """Return so many texts of each of these labels, drawn by seed; all of them where there are fewer."""
    generator = np.random.default_rng([seed, 50])
    found: Rows = []
    for label in labels:
        mine = [row for row in rows if row[1] == label]
        found += [mine[place] for place in sorted(generator.permutation(len(mine))[:each])]
    return found


def frozen_of(base: Path, tuned: Path, layers: int) -> dict[str, int]:
    """Count the tensors below the last ``layers``, those of their norms, and how many differ from the base's."""
    from safetensors.numpy import load_file

    old, new = load_file(base / "model.safetensors"), load_file(tuned / "model.safetensors")
    count = 1 + max(int(name.split("layer.")[1].split(".")[0]) for name in old if "layer." in name)
    learned = tuple(f"encoder.layer.{place}." for place in range(count - layers, count))
    below = [name for name in old if not any(one in name for one in learned)]
    return {
        "frozen": len(below),
        "norms_among_them": sum("LayerNorm" in name for name in below),
        "changed_of_frozen": sum(old[name].tobytes() != new[name].tobytes() for name in below),
        "changed_of_learned": sum(old[name].tobytes() != new[name].tobytes() for name in old if name not in below),
    }


def e1(asked: argparse.Namespace, train: Rows, check: Rows, test: Rows, seed: int) -> dict[str, Any]:
    """Compare what learns, on few texts of each of some intents."""
    names = sorted({label for _, label in train})
    chosen = [names[place] for place in sorted(np.random.default_rng(20).permutation(len(names))[: asked.labels])]
    held = {name: [row for row in rows if row[1] in set(chosen)] for name, rows in (("check", check), ("test", test))}
    whole = set_of([
        *labelled(shots(train, chosen, asked.shots, seed), "train"), *labelled(held["check"], "validation"),
        *labelled(held["test"], "test"),
    ])  # fmt: skip
    settings: dict[str, dict[str, Any]] = {
        "last_2 after probe": {"trainable": "last_2"},
        "all after probe": {"trainable": "all"},
        "all without probe": {"trainable": "all", "head": {"start": "random"}},
        "scratch": {
            "trainable": "all", "start": "scratch", "layers": asked.scratch_layers or None,
            "learning_rate": asked.scratch_rate, "max_epochs": asked.scratch_epochs,
        },
    }  # fmt: skip
    truth = np.array([label for _, label in held["test"]])
    found: dict[str, dict[str, Any]] = {}
    right: dict[str, Vectors] = {}
    for name, one in settings.items():
        if asked.arms and name not in asked.arms:
            continue
        declared = training(asked, seed, objective="classification", labels="category", **one)
        done = learn(asked, whole, declared, f"e1 {name} seed {seed}")
        assert done.head is not None, "a classification has a head"
        said = head_says(done.head, encode(done.checkpoint.folder, [text for text, _ in held["test"]]))
        right[name] = np.array(truth == np.array(said), np.float64)
        learned = done.validation["accuracy"] + done.history.gap
        found[name] = {
            "accuracy": float(right[name].mean()), "train_accuracy": learned,
            "train_test_gap": learned - float(right[name].mean()), "validation": done.validation["accuracy"],
            "best_step": done.history.best_step, "steps": len(done.history.steps), "seconds": done.history.seconds,
        }  # fmt: skip
        if name == "last_2 after probe":
            found[name]["probe_accuracy"] = done.base_test["accuracy"]
            found[name]["tensors"] = frozen_of(done.base.folder, done.checkpoint.folder, 2)
        say(f"e1 {name}: accuracy {found[name]['accuracy']:.4f}, gap {found[name]['train_test_gap']:+.4f}")
    mine = right["last_2 after probe"]
    return {
        "labels": len(chosen), "texts": whole.report, "arms": found,
        "last_2_against": {
            name: {"test": paired_bootstrap(other, mine, metric="accuracy", seed=seed), "mcnemar": mcnemar(other, mine)}
            for name, other in right.items() if name != "last_2 after probe"
        },
    }  # fmt: skip


def e5(asked: argparse.Namespace, train: Rows, check: Rows, test: Rows, seed: int) -> dict[str, Any]:
    """Learn from few labels with and without all texts before."""
    every = set_of([*labelled(train, "train"), *labelled(check, "validation"), *labelled(test, "test")])
    order = nested_order(every.split("train"), seed=seed, draw=0)
    few = part_of(every, order, max(2, round(asked.share * len(order))))
    kept = {pair.document for pair in few.split("train")}
    texts = [Pair("", text, f"u{n}", "unlabelled", f"[{n}]") for n, (text, _) in enumerate(train) if text not in kept]
    whole = set_of([*few.pairs, *texts])
    first = {
        "objective": asked.pretraining, "texts": asked.texts, "epochs": asked.pretrain_epochs, "batch_size": 64,
        "learning_rate": asked.scratch_rate,
    }  # fmt: skip
    alone = _scored(asked, whole, seed, "e5 fine-tuned alone")
    after = _scored(asked, whole, seed, f"e5 after {asked.pretraining}", pretrain=first)
    gain = compare(alone["tuned"], after["tuned"], seed=seed)
    over_raw = compare(after["raw"], after["tuned"], seed=seed)
    assert gain[1], "a classification has accuracies"
    say(f"e5 fine-tuned alone -> after {asked.pretraining}: {words(gain[1])}; {words(gain[0])}")
    say(f"e5 raw {asked.pretraining} vectors -> fine-tuned: {words(over_raw[0])}")
    names = {"fresh": alone["fresh"], "fine-tuned alone": alone["tuned"], "self-supervised, raw": after["raw"],
             "self-supervised, then fine-tuned": after["tuned"]}  # fmt: skip
    return {
        "labelled": len(few.split("train")), "texts": len(texts), "arms": {k: v.metrics for k, v in names.items()},
        "after_against_alone": {"accuracy": gain[1], "retrieval": gain[0]},
        "fine_tuned_against_raw": {"retrieval": over_raw[0], "accuracy": over_raw[1]},
        "seconds": {"alone": alone["seconds"], "after": after["seconds"]},
        "steps": {"alone": alone["steps"], "after": after["steps"]},
    }  # fmt: skip


def _scored(asked: argparse.Namespace, whole: TrainingSet, seed: int, name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Train from scratch and score test: fresh, after the self-supervised stage, and what validation chose."""
    declared = training(
        asked, seed, objective="classification", labels="category", start="scratch", trainable="all",
        layers=asked.scratch_layers or None, learning_rate=asked.scratch_rate, max_epochs=asked.few_epochs,
        batch_size=16, **more,
    )  # fmt: skip
    base = resolve_encoder(asked.encoder, folder=Path.cwd())
    stored = store_base(whole, declared, base, asked.work / "checkpoints")
    session = begin(whole, declared, stored, log=PrintLog(name))
    pool = session.pool(whole.split("test"))
    session.prepare(pool)
    seen: list[Scored] = []

    def judge(looks: Sequence[Evaluated], metric: str) -> None:
        if len(looks) <= (2 if declared.pretrain else 1):  # step 0, and the look that follows the first stage
            seen.append(session.score_test(pool))

    with timed(name):
        history = learn_session(session, judge=judge)
    tuned = session.score_test(pool)
    say(f"{name}: accuracy {tuned.metrics['accuracy']:.4f}")
    return {
        "fresh": seen[0], "raw": seen[-1], "tuned": tuned, "seconds": history.seconds, "steps": len(history.steps),
    }  # fmt: skip


def e6(asked: argparse.Namespace, train: Rows, check: Rows, test: Rows, seed: int) -> dict[str, Any]:
    """Draw the curve of both starts."""
    whole = set_of([*labelled(train, "train"), *labelled(check, "validation"), *labelled(test, "test")])
    declared = training(
        asked, seed, objective="classification", labels="category", trainable="last_2", max_epochs=asked.curve_epochs,
        curve={
            "rows": asked.rows, "learning_rates": {"scratch": asked.scratch_rate},
            "layers": asked.scratch_layers or None,
        },
    )  # fmt: skip
    work = asked.work / f"curve_{seed}"
    clear(work)

    @contextmanager
    def opened(number: int, name: str) -> Iterator[RunLog]:
        with timed(f"e6 {name}"):
            yield NullLog()

    found = draw_curve(
        whole, declared, resolve_encoder(asked.encoder, folder=Path.cwd()), work=work, log=NullLog(),
        report_folder=asked.work / "reports" / f"curve_{seed}", open_point=opened,
    )  # fmt: skip
    clear(work)
    for line in found.means:
        say("e6 " + ", ".join(f"{name} {value}" for name, value in line.items()))
    warnings = found.warnings(declared.max_gap)
    for warning in warnings:
        say(f"e6 warning: {warning}")
    return {"metric": found.metric, "points": [asdict(point) for point in found.points], "warnings": warnings,
            "picture": found.report[0]}  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = arguments(
        __doc__, data="train.csv.gz and test.csv.gz (text,category)", learning_rate=2e-4, batch_size=32,
        evaluations_per_epoch=1, patience=2, max_epochs=4, learn_tokens=32, max_validation=300, max_test=1000,
        labels=15, shots=50, share=0.01, texts=10_000, pretrain_epochs=1, pretraining="dropout_pairs",
        scratch_layers=2, scratch_rate=5e-4, scratch_epochs=8, few_epochs=20, curve_epochs=3,
    )  # fmt: skip
    parser.add_argument("--only", nargs="*", default=["e1", "e5", "e6"], choices=["e1", "e5", "e6"])
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS)
    parser.add_argument("--arms", nargs="*", help="of e1: these alone, 'last_2 after probe' among them")
    parser.set_defaults(seeds=[0])
    asked = parser.parse_args()
    train, check = split(read_labelled(asked.data / "train.csv.gz"))
    test = check if asked.tune else read_labelled(asked.data / "test.csv.gz")  # --tune reads nothing of test
    held = {
        "e1": (check, test),  # of its few intents all texts are held out
        "rest": (_some(check, asked.max_validation), _some(test, asked.max_test)),
    }
    seconds: dict[str, float] = {}
    found: dict[str, list[Any]] = {}
    for name, measure in (("e1", e1), ("e5", e5), ("e6", e6)):
        if name in asked.only:
            for seed in asked.seeds:
                with timed(name, seconds):
                    found.setdefault(name, []).append(measure(asked, train, *held.get(name, held["rest"]), seed))
    shutil.rmtree(asked.work / "checkpoints", ignore_errors=True)
    finish(asked, {**found, "seconds": seconds})


def _some(rows: Rows, most: int) -> Rows:
    """Return at most so many, spread over the labels; each comes with another that it can be found by."""
    order = nested_order([Pair("", text, "", "test", "", label) for text, label in rows], seed=0, draw=0, together=2)
    return [rows[place] for place in sorted(order[:most])]


if __name__ == "__main__":
    main()
