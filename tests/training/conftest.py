"""A tiny base model, and a keyword task that it can learn: the query's keyword names its document's other keyword."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "encoder"))

from tiny import make_tiny_bert

from vector_assets.encoder import TextEncoder, make_checkpoint
from vector_assets.records import Pair, SplitName, TrainingSet
from vector_assets.spec import Training
from vector_assets.training import pairs_digest
from vector_assets.training.scoring import Tokenize


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of three layers."""
    return make_tiny_bert(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="session")
def stored(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its checkpoint."""
    return make_checkpoint(base, tmp_path_factory.mktemp("stored")).folder


@pytest.fixture(scope="session")
def tokenize(stored: Path) -> Tokenize:
    """Cuts texts into tokens as that checkpoint does."""
    encoder = TextEncoder(stored)
    return lambda texts, is_query: encoder.tokenize(texts, role="query" if is_query else "document").ids


@pytest.fixture(scope="session")
def keywords() -> TrainingSet:
    """a<i> asks for the document of b<i>; the filler words of held-out queries were not seen with their keyword."""
    pairs: list[Pair] = []
    splits: tuple[SplitName, ...] = ("train", "validation", "test")
    for number, split in enumerate(splits):
        for key in range(24):
            for copy in range(22 if split == "train" else 1):
                fill = (key * 7 + copy * 7 + number * 11) % 30
                pairs.append(Pair(f"c{fill} a{key}", f"b{key} d{key} e{key}", f"{split}{key}", split, f"[{key}]"))
    return TrainingSet(pairs_digest(pairs), tuple(pairs), {"train": 24 * 22})


@pytest.fixture(scope="session")
def solved(keywords: TrainingSet) -> TrainingSet:
    """The same training pairs, but what is held out any model answers: the document is the query."""
    pairs = tuple(pair if pair.split == "train" else replace(pair, document=pair.query) for pair in keywords.pairs)
    return TrainingSet(pairs_digest(pairs), pairs, keywords.report)


@pytest.fixture
def training() -> Training:
    """Settings that learn the keyword task in a few seconds."""
    return Training(
        pairs="pairs.jsonl", trainable="last_2", learning_rate=3e-3, batch_size=24, evaluations_per_epoch=1,
        patience=6, max_epochs=14, max_validation=100, max_test=100,
    )  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny matrices gain nothing by threads, and lose much by them while the machine is shared."""
    import torch

    torch.set_num_threads(1)
