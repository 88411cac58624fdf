"""A generation as files: parts first, the manifest last, so that a half export is never taken for a whole one.

    <url>/manifest.json                            what it is, and its files with their digests
    <url>/data-<random>/part-00000.parquet         or data-<random>/partition=00003/part-00000.parquet

Each export writes a folder of its own; the manifest, replaced in one step, is what makes it count. Only then do the
files of the export before it go. Object stores have no renaming of folders, hence this way round.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vector_assets.errors import ExportError
from vector_assets.index.export_destination import (
    DATA,
    FILE_ERRORS,
    FORMAT_VERSION,
    Destination,
    Manifest,
    manifest_digest,
)
from vector_assets.index.export_parts import PARTS, ROWS_PER_FILE, ExportBlock, HashingFile, PartWriter
from vector_assets.spec.export import ExportFormat


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """How the files are cut. ``rows_per_file`` bounds what a reader, and for npz the writer, holds at once."""

    format: ExportFormat = "parquet"
    partitions: int | None = None
    rows_per_file: int | None = None

    @property
    def limit(self) -> int:
        """Vectors in a file, at most."""
        return self.rows_per_file or ROWS_PER_FILE[self.format]


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export. ``written`` is False when just this content was there already."""

    url: str
    manifest: Manifest
    seconds: float
    written: bool

    @property
    def rows(self) -> int:
        """Vectors in all files."""
        return int(self.manifest["rows"])

    @property
    def files(self) -> int:
        """How many files hold them."""
        return len(self.manifest["files"])

    @property
    def bytes(self) -> int:
        """Size of the files together."""
        return sum(int(file["bytes"]) for file in self.manifest["files"])


def same_export(url: str, head: Mapping[str, object], plan: ExportPlan) -> Exported | None:
    """Return the export that is there already when it is of just this content, cut in this way, and complete."""
    destination = Destination(url)
    try:
        found = destination.manifest()
    except ExportError:
        return None
    if found is None or found["head"] != dict(head) or found["cut"] != _cut(plan):
        return None
    with destination.faults("cannot be read"):
        for file in found["files"]:
            path = destination.path(file["path"])
            if not destination.system.exists(path) or destination.system.size(path) != file["bytes"]:
                return None
    return Exported(destination.shown, found, 0.0, written=False)


def write_export(
    url: str,
    head: Mapping[str, object],
    key: Sequence[str],
    blocks: Iterable[ExportBlock],
    plan: ExportPlan,
    *,
    replace: bool = False,
) -> Exported:
    """Stream blocks into files below ``url`` and finish with the manifest.

    ``head`` says what the vectors are; it is in every file and in the manifest. An older export of the same collection
    is followed by this one; anything else that is there needs ``replace``, and files that are not an export's are never
    touched. Raises ExportError; then nothing of this export is left, and the one before still counts.
    """
    started = time.perf_counter()
    destination = Destination(url)
    _allow(destination, head, replace=replace)
    folder = f"data-{secrets.token_hex(8)}"
    try:
        with destination.faults("cannot be written"):
            files = list(_write_parts(destination, folder, head, key, blocks, plan))
    except BaseException:
        with contextlib.suppress(*FILE_ERRORS):
            destination.system.rm(destination.path(folder), recursive=True)
        raise
    manifest: dict[str, object] = {
        "format_version": FORMAT_VERSION,
        "head": dict(head),
        "key": list(key),
        "cut": _cut(plan),
        "rows": sum(file["rows"] for file in files),
        "files": files,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    manifest["digest"] = manifest_digest(manifest)
    destination.put_manifest(manifest)
    destination.remove_data(but=folder)
    return Exported(destination.shown, manifest, time.perf_counter() - started, written=True)


def _cut(plan: ExportPlan) -> dict[str, object]:
    return {"format": plan.format, "partitions": plan.partitions, "rows_per_file": plan.limit}


def _allow(destination: Destination, head: Mapping[str, object], *, replace: bool) -> None:
    if replace:
        return
    try:
        found = destination.manifest()
    except ExportError as error:
        raise ExportError(f"{error}; --replace overwrites it") from None
    if found is not None and found["head"]["collection"] != head["collection"]:
        raise ExportError(
            f"{destination.shown} holds an export of collection {found['head']['collection']}; "
            "choose another URL, or --replace it"
        )
    others = [name for name in destination.names() if not DATA.fullmatch(name) and not name.startswith(".")]
    if found is None and others:
        raise ExportError(
            f"{destination.shown} is not empty ({others[0]}) and holds no export; choose another URL, or --replace "
            "to write beside what is there"
        )


class _Part:
    """One file being written."""

    def __init__(self, stack: ExitStack, destination: Destination, name: str) -> None:
        self.name = name
        self.rows = 0
        self.stream = HashingFile(stack.enter_context(destination.system.open(destination.path(name), "wb")))
        self.stack = stack
        self.writer: PartWriter | None = None

    def finish(self) -> dict[str, Any]:
        """Close the file and return its line of the manifest."""
        assert self.writer is not None
        self.writer.close()
        self.stack.close()
        return {"path": self.name, "rows": self.rows, "bytes": self.stream.size, "sha256": self.stream.digest}


def _write_parts(
    destination: Destination,
    folder: str,
    head: Mapping[str, object],
    key: Sequence[str],
    blocks: Iterable[ExportBlock],
    plan: ExportPlan,
) -> Iterator[dict[str, Any]]:
    """Write the files of an export, closing each when it is full; yield their lines of the manifest."""
    open_parts: dict[int, _Part] = {}
    made: dict[int, int] = {}
    with ExitStack() as guard:
        for block in blocks:
            for number, piece in _pieces(block, plan.partitions):
                rest = piece
                while len(rest):
                    part = open_parts.get(number)
                    if part is None:
                        place = folder if plan.partitions is None else f"{folder}/partition={number:05}"
                        destination.system.makedirs(destination.path(place), exist_ok=True)
                        name = f"{place}/part-{made.get(number, 0):05}.{plan.format}"
                        part = open_parts[number] = _Part(guard.enter_context(ExitStack()), destination, name)
                        part.writer = PARTS[plan.format](part.stream, key, head)  # type: ignore[arg-type]
                        made[number] = made.get(number, 0) + 1
                    taken = rest.take(slice(0, plan.limit - part.rows))
                    assert part.writer is not None
                    part.writer.add(taken)
                    part.rows += len(taken)
                    rest = rest.take(slice(len(taken), None))
                    if part.rows == plan.limit:
                        yield open_parts.pop(number).finish()
        for number in sorted(open_parts):
            yield open_parts[number].finish()


def _pieces(block: ExportBlock, partitions: int | None) -> Iterator[tuple[int, ExportBlock]]:
    if partitions is None:
        yield 0, block
        return
    places = block.partition(partitions)
    for number in sorted(set(places.tolist())):
        yield number, block.take(places == number)
