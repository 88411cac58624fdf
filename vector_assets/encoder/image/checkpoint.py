"""A vision model's folder as a checkpoint: its files as they are, our contract, and canaries that are images."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vector_assets.encoder.canaries import make_canaries
from vector_assets.encoder.canary_file import write_canaries
from vector_assets.encoder.checkpoint import copy_model, is_whole, place, read_checkpoint, replace_tensors
from vector_assets.encoder.contract import write_contract
from vector_assets.encoder.files import checkpoint_digest
from vector_assets.encoder.image.contract import ImageContract, read_image_contract
from vector_assets.encoder.image.decode import decode
from vector_assets.encoder.image.encoder import ImageEncoder
from vector_assets.encoder.image.files import check_image_folder, is_image_checkpoint
from vector_assets.encoder.image.model import VisionModel, architecture_of, choose_pooling
from vector_assets.encoder.image.preprocessing import read_preprocessing
from vector_assets.encoder.image.samples import probe_image, sample_images, to_text
from vector_assets.errors import EncoderError
from vector_assets.records import Checkpoint
from vector_assets.spec.image import ImagePooling

if TYPE_CHECKING:
    import torch

_QUESTIONS = 2


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What an image space declares of its encoder; None leaves the model its usual pooling."""

    pooling: ImagePooling | None = None
    revision: int | None = None


def make_image_checkpoint(
    source: Path,
    root: Path,
    *,
    settings: ImageSettings | None = None,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> Checkpoint:
    """Store a vision model's folder, with ``weights`` in place of its own tensors, under its digest in ``root``.

    The folder appears whole or not at all.

    Raises EncoderError for folders that cannot be loaded or trusted, or whose processor does not fit the model.
    """
    check_image_folder(source)
    asked, revision = (settings or ImageSettings()).pooling, (settings or ImageSettings()).revision
    if is_image_checkpoint(source):  # one of ours, as models:/ gives them
        own = read_image_contract(source)
        asked, revision = asked or own.pooling, revision or own.revision
    pooling = choose_pooling(source, asked)
    root.mkdir(parents=True, exist_ok=True)
    working = Path(tempfile.mkdtemp(prefix=".making-", dir=root))
    try:
        copy_model(source, working)
        if weights:
            replace_tensors(working, weights)
        write_contract(working, _contract(working, pooling, revision or 0))
        destination = root / checkpoint_digest(working)
        if not is_whole(destination):
            images = [to_text(image) for image in sample_images()]
            write_canaries(working, make_canaries(ImageEncoder(working), images, images[:_QUESTIONS]))
            place(working, destination)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return read_checkpoint(destination)


def _contract(folder: Path, pooling: ImagePooling, revision: int) -> ImageContract:
    """Ask the model for its width, which also tells whether it takes what the processor gives."""
    preprocessing = read_preprocessing(folder)
    model = VisionModel(folder, pooling)
    pixels = preprocessing(decode(probe_image()))
    try:
        dims = model.run(pixels[None]).shape[1]
    except (ValueError, RuntimeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        shape = " x ".join(map(str, pixels.shape))
        raise EncoderError(f"{folder}: the model does not take the {shape} that its processor gives: {first}") from None
    kind, _ = architecture_of(folder)
    return ImageContract(**preprocessing.model_dump(), model=kind, pooling=pooling, dims=dims, revision=revision)
