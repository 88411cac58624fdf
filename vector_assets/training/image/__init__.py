"""Training of image encoders from labels: the same loop and objectives, on pictures in place of token ids."""

from __future__ import annotations

from pathlib import Path

from vector_assets.encoder.image.contract import read_image_contract
from vector_assets.errors import NotFound
from vector_assets.records import TrainingSet
from vector_assets.spec import Training
from vector_assets.training.image.network import ImageNetwork
from vector_assets.training.image.pictures import Pictures, read_from, with_rotations
from vector_assets.training.network import KEPT_BYTES

__all__ = ["ImageNetwork", "Pictures", "open_network", "with_rotations"]


def open_network(folder: Path, training_set: TrainingSet, training: Training) -> tuple[ImageNetwork, Pictures]:
    """Return the network of an image checkpoint, and what gives its pictures their numbers.

    Raises NotFound for a training set whose images are not at hand.
    """
    if training_set.images is None:
        raise NotFound(f"training set {training_set.digest[:12]} comes without its images; expected a folder of them")
    pictures = Pictures(read_from(training_set.images), read_image_contract(folder), KEPT_BYTES)
    return ImageNetwork(folder, pictures, trainable=training.trainable, augment=training.augment), pictures
