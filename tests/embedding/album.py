"""A file of rows with images beside it, for the tests of images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from fakes import Execute
from image_store import CountingImageEncoder, ImageStore

from vector_assets.source.open import open_source
from vector_assets.spec import Collection
from vector_assets.stores.raw_record import RawSync
from vector_assets.stores.workspace import Workspace


@dataclass
class Album:
    """A JSONL file of rows with images beside it, copied to raw and embedded."""

    workspace: Workspace
    collection: Collection
    images: CountingImageEncoder
    folder: Path
    execute: Execute

    def write(self, **rows: str | None) -> None:
        """Write the rows: id to path."""
        lines = [json.dumps({"id": key, "title": f"cat {key}", "photo": path}) for key, path in rows.items()]
        (self.folder / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines))

    def put(self, name: str, content: bytes) -> None:
        (self.folder / "pictures").mkdir(exist_ok=True)
        (self.folder / "pictures" / name).write_bytes(content)

    def sync(self) -> RawSync:
        return self.workspace.raw.sync(self.collection, open_source(self.collection))

    def store(self) -> ImageStore:
        return ImageStore(self.workspace, self.collection, self.images)

    def failures(self) -> dict[str, str]:
        return {failure.row_key: failure.error for failure in self.workspace.failures.list(self.collection.name)}
