"""What the benchmarks of training share: real data from a folder, the project's own training, numbers as JSON."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vector_assets.encoder import ContractSettings, load_encoder, resolve_encoder
from vector_assets.records import Comparison, Pair, SplitName, TrainingSet, Vectors
from vector_assets.spec import Training
from vector_assets.training import Trained, pairs_digest, train


def say(text: str) -> None:
    """Print a line at once: a benchmark takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class PrintLog:
    """A RunLog that prints each look at validation."""

    def __init__(self, name: str) -> None:
        self._name = name

    def params(self, values: Mapping[str, str | int | float | bool]) -> None:
        """Keep nothing."""

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Print what was found on validation."""
        shown = {name.partition("/")[2]: f"{value:.4f}" for name, value in values.items() if name[:11] == "validation/"}
        if shown:
            say(f"  {self._name} step {step}: {' '.join(f'{name} {value}' for name, value in shown.items())}")

    def artifact(self, path: Path, *, folder: str = "") -> None:
        """Keep nothing."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Keep nothing."""


class NullLog(PrintLog):
    """A RunLog that keeps nothing and says nothing."""

    def __init__(self) -> None:
        super().__init__("")

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Keep nothing."""


def arguments(doc: str | None, *, data: str, **defaults: Any) -> argparse.ArgumentParser:  # noqa: ANN401
    """Return a parser of what all of them take; ``defaults`` are those of the training's settings."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {data}")
    parser.add_argument("--work", type=Path, required=True, help="where checkpoints go; may be removed afterwards")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--layer", help="the layer that is pooled: a number, or mix; the last one")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="none: the control alone")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--tune", action="store_true", help="print validation only; nothing of test is read")
    return parser


def read_labelled(path: Path) -> list[tuple[str, str]]:
    """Return text and label of each line of a CSV with a header, plain or .gz."""
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        return [(text, label) for text, label in list(csv.reader(file))[1:]]


def labelled(rows: Sequence[tuple[str, str]], split: SplitName) -> list[Pair]:
    """Return labelled texts of one split."""
    return [Pair("", text, f"{split}{n}", split, f"[{n}]", label) for n, (text, label) in enumerate(rows)]


def set_of(pairs: Sequence[Pair]) -> TrainingSet:
    """Return a training set of pairs whose splits are given."""
    report = {name: sum(pair.split == name for pair in pairs) for name in ("train", "validation", "test")}
    return TrainingSet(pairs_digest(pairs), tuple(pairs), report)


def training(asked: argparse.Namespace, seed: int, **settings: Any) -> Training:  # noqa: ANN401
    """Return the declaration that the arguments give."""
    names = set(Training.model_fields) & set(vars(asked))
    given = {name: getattr(asked, name) for name in names}
    return Training.model_validate({**given, "seed": seed, **settings})


def learn(asked: argparse.Namespace, training_set: TrainingSet, declared: Training, name: str) -> Trained:
    """Train as the encoder asset does, and say how long it took."""
    base = resolve_encoder(asked.encoder, folder=Path.cwd())
    layer = asked.layer if asked.layer in (None, "mix") else int(asked.layer)
    with timed(name):
        return train(
            training_set, declared, base, destination=asked.work / "checkpoints", log=PrintLog(name),
            base_log=NullLog(), report_folder=asked.work / "reports" / name.replace(" ", "_"),
            settings=ContractSettings(layer=layer) if layer else None,
        )  # fmt: skip


def vectors(folder: Path, texts: Sequence[str], *, queries: bool = False) -> Vectors:
    """Encode as it is served, in full precision."""
    encoder = load_encoder(folder, precision="full")
    return encoder.encode_queries(texts) if queries else encoder.encode_documents(texts).vectors


def head_says(path: Path, found: Vectors) -> list[str]:
    """Return the label that a stored head gives each vector."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        labels = json.loads(file.metadata()["labels"])
        weight = file.get_tensor("weight")
        bias = file.get_tensor("bias") if "bias" in file.keys() else None  # noqa: SIM118 - no mapping
    if bias is None:
        weight = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    scores = found @ weight.T + (0 if bias is None else bias)
    return [labels[place] for place in scores.argmax(1)]


def mcnemar(old: Vectors, new: Vectors) -> dict[str, float]:
    """Exact two-sided McNemar test of two rows of right and wrong."""
    from scipy.stats import binomtest

    gained, lost = int(((old == 0) & (new == 1)).sum()), int(((old == 1) & (new == 0)).sum())
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return {"gained": gained, "lost": lost, "p": p}


def words(found: Comparison) -> str:
    """Return a comparison in a line."""
    return (
        f"{found.metric} {found.old:.4f} -> {found.new:.4f}, {found.difference:+.4f} "
        f"[{found.low:+.4f}, {found.high:+.4f}], p {found.p:.4f}"
    )


@contextmanager
def timed(name: str, into: dict[str, float] | None = None) -> Iterator[None]:
    """Say how long a block took, and under which load of the machine."""
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    if into is not None:
        into[name] = round(seconds, 1)
    say(f"{name}: {seconds:.0f} s (load {os.getloadavg()[0]:.1f})")


def finish(asked: argparse.Namespace, found: Mapping[str, Any]) -> None:
    """Print the numbers as JSON, and write them where asked to."""
    settings = {name: str(value) for name, value in vars(asked).items() if name not in ("data", "work", "json")}
    text = json.dumps({"settings": settings, **found}, indent=1, default=_plain)
    say(text)
    if asked.json:
        asked.json.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:  # noqa: ANN401 - what JSON does not know
    if isinstance(value, Comparison):
        return asdict(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(type(value).__name__)
