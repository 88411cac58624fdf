"""Reading an export again, each file verified against the manifest before a row of it is given out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np

from vector_assets.errors import ExportError
from vector_assets.index.export_destination import MANIFEST, Destination, Manifest
from vector_assets.index.export_parts import ExportBlock, read_npz, read_parquet

_READ = {"parquet": read_parquet, "npz": read_npz}
_CHUNK = 1 << 20


def read_export(url: str) -> Export:
    """Open an export. Raises ExportError where there is no whole one: without its manifest it was not finished."""
    destination = Destination(url)
    manifest = destination.manifest()
    if manifest is None:
        raise ExportError(f"{destination.shown}: no {MANIFEST}, so no finished export; export the collection again")
    return Export(destination, manifest)


class Export:
    """A finished export: what its vectors mean, and the vectors.

    ``head`` has collection, generation, checkpoint_set, layout, dims, metric, vector_type and the contract of each
    checkpoint by its digest.
    """

    def __init__(self, destination: Destination, manifest: Manifest) -> None:
        """Use ``read_export`` instead."""
        self._destination = destination
        self.manifest = manifest
        self.head: Manifest = manifest["head"]

    def __len__(self) -> int:
        return int(self.manifest["rows"])

    def blocks(self) -> Iterator[ExportBlock]:
        """Stream the vectors, one row group or file at a time. Raises ExportError for a file that was changed."""
        for file in self.manifest["files"]:
            self._verify(file)
            rows = 0
            with self._open(file) as stream:
                for head, block in _READ[self.manifest["cut"]["format"]](stream, self.manifest["key"]):
                    if head != self.head:
                        raise ExportError(f"{self._destination.shown}: {file['path']} is of another export")
                    rows += len(block)
                    yield block
            if rows != file["rows"]:
                raise ExportError(
                    f"{self._destination.shown}: {file['path']} has {rows} rows, expected {file['rows']}; export again"
                )

    def read(self) -> ExportBlock:
        """Return all vectors at once, in the order of the files."""
        blocks = list(self.blocks())
        return ExportBlock.join(blocks) if blocks else self._empty()

    def _verify(self, file: Manifest) -> None:
        digest = hashlib.sha256()
        with self._open(file) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != file["sha256"]:
            raise ExportError(f"{self._destination.shown}: {file['path']} is not as it was written; export again")

    @contextmanager
    def _open(self, file: Manifest) -> Iterator[IO[bytes]]:
        with (
            self._destination.faults(f"{file['path']} cannot be read (a newer export may have replaced it)"),
            self._destination.system.open(self._destination.path(file["path"]), "rb") as stream,
        ):
            yield stream

    def _empty(self) -> ExportBlock:
        kind = np.float16 if self.head["vector_type"] == "halfvec" else np.float32
        none = np.zeros(0, np.int32)
        return ExportBlock(
            tuple(np.zeros(0, np.int64) for _ in self.manifest["key"]), none, none, none, np.zeros((0, 32), np.uint8),
            np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros((0, int(self.head["dims"])), kind),
        )  # fmt: skip
