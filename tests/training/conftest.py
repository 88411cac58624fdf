"""A tiny base model, and a keyword task that it can learn: the query's keyword names its document's other keyword."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "encoder"))

from tiny import make_tiny_bert  # noqa: E402 - a helper beside the tests, which are no package

from vector_assets.records import Pair, SplitName, TrainingSet  # noqa: E402
from vector_assets.spec import Training  # noqa: E402
from vector_assets.training import pairs_digest  # noqa: E402


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of three layers."""
    return make_tiny_bert(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="session")
def keywords() -> TrainingSet:
    """a<i> asks for the document with b<i>; filler words differ between the splits, the rule does not."""
    pairs: list[Pair] = []
    splits: tuple[SplitName, ...] = ("train", "validation", "test")
    for number, split in enumerate(splits):
        for key in range(24):
            for copy in range(8 if split == "train" else 1):
                fill = (key * 7 + copy * 3 + number * 11) % 30
                pairs.append(
                    Pair(f"c{fill} a{key}", f"b{key} d{fill} e{(fill + copy) % 30}", f"{split}{key}", split, f"[{key}]")
                )
    unique = tuple(dict.fromkeys(pairs))
    return TrainingSet(pairs_digest(unique), unique, {"train": 192})


@pytest.fixture
def training() -> Training:
    """Settings that learn the keyword task in a few seconds."""
    return Training(
        pairs="pairs.jsonl", trainable="last_2", learning_rate=3e-3, batch_size=24, evaluations_per_epoch=1,
        patience=6, max_epochs=25, max_held_out=100,
    )  # fmt: skip
