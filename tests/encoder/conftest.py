"""Shared encoders: a tiny random BERT made once, and the packaged MiniLM stored once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vector_assets.encoder import make_checkpoint, resolve_encoder
from vector_assets.records import Checkpoint

sys.path.insert(0, str(Path(__file__).parent))

from tiny import make_tiny_bert


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as it comes from elsewhere: no contract, no canaries."""
    return make_tiny_bert(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def tiny(tiny_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The same as a stored checkpoint."""
    return make_checkpoint(
        tiny_source,
        tmp_path_factory.mktemp("stored"),
        documents=["a1 b2 c3", "d4", "e5 f6 g7 h8"],
        queries=["a1", "h3 b2"],
    )


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The packaged MiniLM as a stored checkpoint."""
    return make_checkpoint(resolve_encoder("minilm", folder=Path.cwd()), tmp_path_factory.mktemp("minilm"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny matrices gain nothing by threads, and lose much by them while the machine is shared."""
    import torch

    torch.set_num_threads(1)
