"""Omniglot, the two small background sets: what softmax, triplet and ArcFace make of characters they never saw.

Whole alphabets are held out: two to test, one to validate, which chooses the step and the threshold; the seed draws
them. All objectives learn from the other five, with one backbone (a ResNet of transformers, random weights by seed),
the same epochs and rates, through the training of image spaces. Then, on characters of the two alphabets:

- 20-way 1-shot: 20 characters drawn, one image of each shown, the nearest of another image of each by cosine;
- identification: a gallery of one image of every character; how often the nearest of it is the own character;
- verification: all pairs of images by cosine: area under the curve, true accepts at false-accept rates, and what a
  threshold gives that was set for 1 % false accepts on the validation characters alone;
- the mean angle between an image and its character's mean;
- the 20 one-shot runs of the data set's authors, within alphabets that stand in neither small set.

An arm is an objective; with @views the images are read without their labels first. With --labelled 2 only so many
images of a character have a label: what self-supervision is worth where labels are few.

    python benchmarks/omniglot.py --data FOLDER --work /tmp/omniglot --json omniglot.json
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from learning import NullLog, PrintLog, arguments, finish, say, set_of, timed, training, words
from numpy.typing import NDArray
from unseen_intents import angle, compare, curve, draw, identify, pairs, share_above, threshold_at

from vector_assets.encoder.image.checkpoint import ImageSettings
from vector_assets.encoder.open import open_encoder
from vector_assets.records import Pair, SplitName, TrainingSet, Vectors
from vector_assets.training import Trained, train

Images = NDArray[np.uint8]  # (n, 105, 105), 1 is ink
FALSE_ACCEPTS = (1e-1, 1e-2, 1e-3)
CONTROL = "classification"
WAYS, UNSEEN = 20, 2


class Omniglot:
    """All images, each once, as PNG files in a folder under the sha256 of their bytes."""

    def __init__(self, data: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        with np.load(data / "omniglot_small.npz") as file:
            _, first = np.unique(file["packed"], axis=0, return_index=True)  # the small sets share two alphabets
            first = np.sort(first)
            self.characters = file["character"][first]
            self.alphabets = file["alphabet"][first]
            self.names = [store(image, folder) for image in unpacked(file["packed"][first], file["shape"])]
        with np.load(data / "oneshot_runs.npz") as file:
            self.answers = file["answer"]
            self.shown, self.asked = (
                [[store(image, folder) for image in unpacked(run, file["shape"])] for run in file[name]]
                for name in ("train", "test")
            )

    def split(self, seed: int) -> dict[SplitName, NDArray[np.bool_]]:
        """Return which images are whose: alphabets drawn by seed; that of validation has 20 characters at least."""
        drawn = list(np.random.default_rng([seed, 105]).permutation(np.unique(self.alphabets)))
        enough = [one for one in drawn if len(np.unique(self.characters[self.alphabets == one])) >= WAYS]
        check = enough[0]
        unseen = [one for one in drawn if one != check][:UNSEEN]
        held = {"validation": self.alphabets == check, "test": np.isin(self.alphabets, unseen)}
        say(f"seed {seed}: validation {check}, test {' and '.join(unseen)}")
        return {"train": ~(held["validation"] | held["test"]), **held}  # type: ignore[dict-item]

    def training_set(self, splits: Mapping[SplitName, NDArray[np.bool_]], labelled: int) -> TrainingSet:
        """Return the images; of each character to learn from so many with their label, the others without."""
        seen: Counter[str] = Counter()
        made: list[Pair] = []
        for split, mine in splits.items():
            for place in np.flatnonzero(mine):
                character = str(self.characters[place])
                seen[character] += 1
                known = split != "train" or seen[character] <= labelled
                made.append(
                    Pair("", self.names[place], f"{split}{place}", split if known else "unlabelled", f"[{place}]",
                         character if known else "")
                )  # fmt: skip
        found = set_of(made)
        return TrainingSet(found.digest, found.pairs, found.report, self.folder)


def unpacked(packed: Images, shape: Images) -> Images:
    """Return images of packed bits."""
    height, width = (int(one) for one in shape)
    return np.unpackbits(packed, axis=-1)[..., : height * width].reshape(*packed.shape[:-1], height, width)


def store(image: Images, folder: Path) -> str:
    """Write black ink on white, and return its name."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray((1 - image) * 255).save(stream, "PNG")
    name = hashlib.sha256(stream.getvalue()).hexdigest()
    (folder / name).write_bytes(stream.getvalue())
    return name


def make_base(folder: Path, asked: argparse.Namespace, seed: int) -> Path:
    """Write a ResNet with random weights, as a folder of transformers."""
    import torch
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(seed)
    sizes = [int(one) for one in asked.widths.split(",")]
    config = ResNetConfig(
        embedding_size=sizes[0], hidden_sizes=sizes, depths=[1] * len(sizes), layer_type="basic", hidden_act="relu"
    )
    ResNetModel(config).eval().save_pretrained(folder)
    processor = {
        "image_processor_type": "ViTImageProcessor", "size": {"height": asked.side, "width": asked.side},
        "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor) + "\n", encoding="utf-8")
    return folder


def one_shot(vectors: Vectors, classes: NDArray[np.int64], episodes: int, seed: int) -> NDArray[np.float64]:
    """Return the accuracy of each 20-way 1-shot episode: a probe of each of 20 characters drawn."""
    generator = np.random.default_rng([seed, 20])
    members = [np.flatnonzero(classes == one) for one in range(classes.max() + 1)]
    found = np.empty(episodes)
    for episode in range(episodes):
        drawn = generator.choice(len(members), WAYS, replace=False)
        shown, probes = np.array([generator.choice(members[one], 2, replace=False) for one in drawn]).T
        found[episode] = ((vectors[probes] @ vectors[shown].T).argmax(1) == np.arange(WAYS)).mean()
    return found


def measure(folder: Path, data: Omniglot, splits: Mapping[SplitName, Any], asked: Any, seed: int) -> dict[str, Any]:  # noqa: ANN401
    """Return all numbers of one checkpoint; those that start with _ are for later comparisons."""
    checked, check_classes = encoded(folder, data, splits["validation"])
    check_same, check_other = pairs(checked, check_classes)
    shots = one_shot(checked, check_classes, asked.draws, seed)
    found: dict[str, Any] = {
        "one_shot_validation": float(shots.mean()),
        "auc_validation": auc(check_same, check_other),
        "angle_validation": angle(checked, check_classes),
    }
    if asked.tune:
        return found
    vectors, classes = encoded(folder, data, splits["test"])
    same, other = pairs(vectors, classes)
    accuracies, each = identify(vectors, classes, asked.draws, seed)
    shots = one_shot(vectors, classes, asked.draws, seed)
    chosen = threshold_at(check_other, 1e-2)
    low, high = np.quantile(accuracies, [0.025, 0.975])
    return {
        **found, "one_shot": float(shots.mean()), "rank_1": float(accuracies.mean()),
        "rank_1_draws_95": [float(low), float(high)], "characters": int(classes.max()) + 1, "auc": auc(same, other),
        "tar_at_far": {f"{rate:g}": share_above(same, threshold_at(other, rate)) for rate in FALSE_ACCEPTS},
        "threshold": {"cosine": chosen, "false_accepts_validation": share_above(check_other, chosen),
                      "false_accepts": share_above(other, chosen), "true_accepts": share_above(same, chosen)},
        "angle": angle(vectors, classes), "official_runs": official(folder, data),
        "_curve": curve(same, other), "_each": each, "_classes": classes,
    }  # fmt: skip


def auc(same: Vectors, other: Vectors) -> float:
    """Return the share of comparisons in which a pair of one character is nearer than a pair of two."""
    return float(np.searchsorted(other, same).mean() / len(other))


def official(folder: Path, data: Omniglot) -> float:
    """Return the share right of the authors' 20 runs."""
    right = []
    for shown, asked, answers in zip(data.shown, data.asked, data.answers, strict=True):
        right.append((vectors_of(folder, data, asked) @ vectors_of(folder, data, shown).T).argmax(1) == answers)
    return float(np.mean(right))


def encoded(folder: Path, data: Omniglot, mine: NDArray[np.bool_]) -> tuple[Vectors, NDArray[np.int64]]:
    """Return vectors as they are served, and the characters as numbers."""
    _, classes = np.unique(data.characters[mine], return_inverse=True)
    return vectors_of(folder, data, [data.names[place] for place in np.flatnonzero(mine)]), classes


def vectors_of(folder: Path, data: Omniglot, names: Sequence[str]) -> Vectors:
    """Encode as rows are encoded."""
    return opened(folder).encode_documents([(data.folder / name).read_bytes() for name in names]).vectors


def opened(folder: Path, known: dict[Path, Any] = {}) -> Any:  # noqa: ANN401, B006 - loads each encoder once
    """Load the encoder of a checkpoint."""
    if folder not in known:
        known[folder] = open_encoder(folder)
    return known[folder]


def learn(asked: argparse.Namespace, data: Omniglot, whole: TrainingSet, arm: str, seed: int) -> Trained:
    """Train as the encoder asset does."""
    objective, _, first = arm.partition("@")
    augment = {"tilt": asked.tilt, "shift": asked.shift, "zoom": asked.zoom, "rotations": not asked.no_rotations}
    declared = training(
        asked, seed, labels="character", objective=objective, augment=augment, max_test=2000, max_validation=2000,
        patience=1000, learning_rate=asked.rates.get(objective, asked.learning_rate),
        **({} if objective == "triplet" else {"head": {"start": asked.head_start}}),
        **({"pretrain": {"objective": first, "epochs": asked.pretrain_epochs, "batch_size": asked.pretrain_batch_size,
                         "learning_rate": asked.pretrain_rate}} if first else {}),
    )  # fmt: skip
    name = f"{arm} seed {seed}"
    base = make_base(asked.work / f"base_{seed}", asked, seed)
    with timed(name):
        return train(
            whole, declared, base, destination=asked.work / "checkpoints", log=PrintLog(name), base_log=NullLog(),
            settings=ImageSettings(), report_folder=asked.work / "reports" / name.replace(" ", "_"),
        )  # fmt: skip


def arms(asked: argparse.Namespace, data: Omniglot, seed: int) -> dict[str, dict[str, Any]]:
    """Train every objective on the same split and measure it, the untrained encoder first."""
    splits = data.split(seed)
    if asked.tune:
        splits = {**splits, "test": splits["validation"]}
    whole = data.training_set(splits, asked.labelled)
    found: dict[str, dict[str, Any]] = {}
    for objective in asked.objectives:
        done = learn(asked, data, whole, objective, seed)
        if not found:
            found["untrained"] = measure(done.base.folder, data, splits, asked, seed)
        found[objective] = {
            **measure(done.checkpoint.folder, data, splits, asked, seed), "best_step": done.history.best_step,
            "steps": len(done.history.steps), "seconds": done.history.seconds,
        }  # fmt: skip
    for name, one in found.items():
        shown = " ".join(f"{key} {value:.4f}" for key, value in one.items() if isinstance(value, float))
        say(f"seed {seed} {name}: {shown} {one.get('tar_at_far', '')} {one.get('threshold', '')}")
    return found


def main() -> None:
    """Measure and print."""
    parser = arguments(
        __doc__, data="omniglot_small.npz and oneshot_runs.npz", trainable="all", learning_rate=3e-3, batch_size=64,
        evaluations_per_epoch=1, max_epochs=15, draws=1000, side=32, widths="32,64,128", tilt=10.0, shift=0.1,
        zoom=0.1, head_start="random", labelled=20, pretrain_epochs=10, pretrain_batch_size=256, pretrain_rate=3e-3,
    )  # fmt: skip
    parser.add_argument("--no-rotations", action="store_true")
    parser.add_argument("--objectives", nargs="+", default=[CONTROL, "triplet", "arcface"])
    parser.add_argument("--rate", nargs="+", default=[], metavar="OBJECTIVE=RATE", help="a rate of its own")
    asked = parser.parse_args()
    asked.rates = {name: float(rate) for name, _, rate in (each.partition("=") for each in asked.rate)}
    seconds: dict[str, float] = {}
    with timed("all", seconds):
        data = Omniglot(asked.data, asked.work / "images")
        found = {seed: arms(asked, data, seed) for seed in asked.seeds}
    by_arm = {name: [found[seed][name] for seed in asked.seeds] for name in found[asked.seeds[0]]}
    compared = {}
    if not asked.tune and CONTROL in by_arm:
        compared = {name: compare(by_arm[CONTROL], each) for name, each in by_arm.items() if name != CONTROL}
    for name, one in compared.items():
        say(f"{name} against softmax, over images: {words(one['over_texts'])}")
        say(f"{name} against softmax, over characters: {words(one['over_intents'])}")
    if asked.json and not asked.tune:
        draw({name: np.mean([one["_curve"] for one in each], axis=0).tolist() for name, each in by_arm.items()},
             asked.json, "Pairs of images of unseen characters")  # fmt: skip
    shown = {
        seed: {name: {k: v for k, v in one.items() if k[0] != "_"} for name, one in each.items()}
        for seed, each in found.items()
    }
    finish(asked, {"arms": shown, "against_softmax": compared, "seconds": seconds})


if __name__ == "__main__":
    main()
