"""Finding and opening files: local paths, globs and fsspec URLs, plain or .gz."""

from __future__ import annotations

import gzip
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from vector_assets.errors import SourceError

#: What reading bytes can raise: the medium, a truncated or broken .gz.
READ_ERRORS = (OSError, EOFError, zlib.error)
_MAGIC = re.compile(r"[*?\[]")
_STAMPS = ("mtime", "etag", "ETag", "last_modified", "LastModified", "updated", "created")


class NoFile(SourceError):
    """Nothing is where files are declared to be."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file: its file system, its path there, the name that messages show, its size and when it was written."""

    system: fsspec.AbstractFileSystem
    path: str
    name: str
    size: int
    stamp: str

    @property
    def ending(self) -> str:
        """The ending that tells the format, without .gz: ``jsonl`` for ``a.jsonl.gz``."""
        return self.path.removesuffix(".gz").rpartition("/")[2].rpartition(".")[2].lower()


def find_files(url: str) -> tuple[SourceFile, ...]:
    """Return the files that a path, glob or URL names, sorted by path. Raises SourceError when there is none."""
    shown = _without_password(url)
    try:
        system, path = fsspec.url_to_fs(url)
        # A path that exists is taken as it is, so that folders with [brackets] in their name can be read.
        paths = [path] if system.exists(path) else []
        if not paths and _MAGIC.search(path):
            paths = sorted(str(found) for found in system.glob(path) if not system.isdir(found))
            if not paths:
                raise NoFile(f"{shown}: no file matches; expected at least one file")
        if not paths:
            raise NoFile(f"{shown}: no such file; expected a path, a glob or an fsspec URL")
        if system.isdir(paths[0]):
            raise SourceError(f"{shown}: is a folder; expected a file or a glob such as {shown.rstrip('/')}/*.parquet")
        return tuple(_file(system, found) for found in paths)
    except (OSError, ValueError, ImportError) as error:
        raise SourceError(f"{shown}: cannot be reached: {_one_line(error)}") from error


@contextmanager
def open_bytes(file: SourceFile) -> Iterator[BinaryIO]:
    """Open a file for reading in order, decompressing .gz on the way. What fails while it is open is a SourceError."""
    try:
        with file.system.open(file.path, "rb") as raw:
            if not file.path.endswith(".gz"):
                yield cast("BinaryIO", raw)
                return
            with gzip.open(raw, "rb") as plain:
                yield cast("BinaryIO", plain)
    except READ_ERRORS as error:
        raise SourceError(f"{file.name}: cannot be read: {_one_line(error)}") from error


@contextmanager
def open_seekable(file: SourceFile) -> Iterator[BinaryIO]:
    """Open a file for reading anywhere; a .gz is unpacked into a temporary file first."""
    with open_bytes(file) as stream:
        if not file.path.endswith(".gz"):
            yield stream
            return
        with tempfile.TemporaryFile() as unpacked:
            shutil.copyfileobj(stream, unpacked)
            unpacked.seek(0)
            yield cast("BinaryIO", unpacked)


def stamp_of(info: Mapping[str, object]) -> str:
    """Return what tells that a file was written anew: its time of writing or its etag."""
    return next((f"{name}={info[name]}" for name in _STAMPS if info.get(name) is not None), "")


def _file(system: fsspec.AbstractFileSystem, path: str) -> SourceFile:
    info = system.info(path)
    stamp = stamp_of(info)
    name = path if isinstance(system, LocalFileSystem) else _without_password(str(system.unstrip_protocol(path)))
    return SourceFile(system=system, path=path, name=name, size=int(info.get("size") or 0), stamp=stamp)


def _without_password(url: str) -> str:
    return re.sub(r"://[^/@]*@", "://***@", url)


def _one_line(error: BaseException) -> str:
    return _without_password(" ".join(str(error).split()) or type(error).__name__)
