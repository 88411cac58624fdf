"""A store of collections with images: the real image encoder on a tiny model, counting what it encodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fakes import FakeStore, KeywordEncoder

from vector_assets.encoder.checkpoint import read_checkpoint
from vector_assets.encoder.image.encoder import ImageEncoder
from vector_assets.encoder.image.samples import probe_image
from vector_assets.records import Checkpoint, Encoded

#: A space of the field ``photo``.
PHOTO = {"kind": "image", "fields": ["photo"], "encoder": "./model"}


class CountingImageEncoder(ImageEncoder):
    """Remembers the images that it encoded, the probe left out."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.encoded: list[bytes] = []
        self.calls = 0

    def encode_documents(self, images: Sequence[bytes]) -> Encoded:
        self.calls += 1
        found = super().encode_documents(images)
        self.encoded += [image for image in images if image != probe_image()]
        return found


class ImageStore(FakeStore):
    """Stores of a collection whose spaces are of texts (keyword encoders) and of images."""

    def use(self, *encoders: KeywordEncoder | CountingImageEncoder) -> None:  # type: ignore[override]
        self.chosen = dict(zip(self.collection.spaces, encoders, strict=True))  # type: ignore[assignment]
        self._known |= {encoder.digest: encoder for encoder in encoders}  # type: ignore[misc]
        for encoder in encoders:
            if isinstance(encoder, ImageEncoder):
                self.workspace.checkpoints.save(read_checkpoint(encoder.folder))
            else:
                contract = {"dims": encoder.dims}
                self.workspace.checkpoints.save(Checkpoint(encoder.digest, Path("/nowhere"), contract, ()))
