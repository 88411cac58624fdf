"""ImageEncoder: the bytes of images -> unit vectors, from a checkpoint folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vector_assets.encoder.files import checkpoint_digest
from vector_assets.encoder.image.contract import read_image_contract, require_same_preprocessing
from vector_assets.encoder.image.decode import decode
from vector_assets.encoder.image.files import check_image_folder
from vector_assets.encoder.image.model import VisionModel
from vector_assets.errors import NotFinite
from vector_assets.records import Encoded, Kind, Vectors

EXACT_BOUND = 0.9999  # least cosine between two computations of one vector


class ImageEncoder:
    """Implements records.Encoder on a stored checkpoint; rows and questions are encoded alike, in full precision.

    Raises NotEncodable for an image that is none, is broken or too large, and EncoderError at once where the folder's
    preprocessing is not that of its contract.
    """

    reads: Kind = "image"

    def __init__(self, folder: Path) -> None:
        check_image_folder(folder)
        self.folder = folder
        self.contract = read_image_contract(folder)
        require_same_preprocessing(folder, self.contract)
        self._digest = checkpoint_digest(folder)
        self._model = VisionModel(folder, self.contract.pooling)

    @property
    def digest(self) -> str:
        """sha256 over the checkpoint's files."""
        return self._digest

    @property
    def dims(self) -> int:
        """Width of a vector."""
        return self.contract.dims

    @property
    def bulk_bound(self) -> float:
        """Least cosine that rows must have to their stored vectors."""
        return EXACT_BOUND

    def encode_documents(self, images: Sequence[bytes]) -> Encoded:
        """Encode rows. Nothing of an image is cut off but what the contract's crop takes."""
        return Encoded(self._encode(images), np.zeros(len(images), np.bool_), 0)

    def encode_queries(self, images: Sequence[bytes]) -> Vectors:
        """Encode questions."""
        return self._encode(images)

    def _encode(self, images: Sequence[bytes]) -> Vectors:
        if not images:
            return np.zeros((0, self.dims), np.float32)
        # All are decoded before the model runs: a broken one costs no computed vector.
        pixels = [self.contract(decode(image)) for image in images]
        vectors = np.empty((len(images), self.dims), np.float32)
        # Without resizing or cropping, images keep their own sizes.
        for shape in dict.fromkeys(each.shape for each in pixels):
            places = [place for place, each in enumerate(pixels) if each.shape == shape]
            vectors[places] = self._model.run(np.stack([pixels[place] for place in places]))
        if not np.isfinite(vectors).all():
            raise NotFinite(f"{self.folder}: the model gives vectors that are not finite; its weights may be damaged")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = vectors / np.maximum(lengths, 1e-12)
        return unit
