"""A tiny ResNet and made drawings, for all tests of training with images."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_images import drawings
from tiny_vision import VIT, make_tiny_vision, set_processor

from vector_assets.encoder.image.checkpoint import make_image_checkpoint
from vector_assets.records import TrainingSet


@pytest.fixture(scope="session")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random ResNet of two stages, as a model folder; images are made 24 x 24."""
    folder = make_tiny_vision(tmp_path_factory.mktemp("vision") / "model")
    set_processor(folder, **VIT | {"size": {"height": 24, "width": 24}})
    return folder


@pytest.fixture(scope="session")
def stored(vision: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a stored checkpoint."""
    return make_image_checkpoint(vision, tmp_path_factory.mktemp("stored")).folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    """Drawings of twelve labels."""
    return drawings(tmp_path_factory.mktemp("drawn") / "images")
