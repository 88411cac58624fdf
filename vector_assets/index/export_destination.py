"""Where an export goes: a folder on any fsspec file system, its faults said in one line without passwords."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from vector_assets.errors import ExportError

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
#: What file systems raise beside OSError; a missing package for a protocol is an ImportError.
FILE_ERRORS = (OSError, ValueError, ImportError)
DATA = re.compile(r"data-[0-9a-f]{16}")

Manifest = Mapping[str, Any]


def manifest_digest(manifest: Manifest) -> str:
    """Return sha256 over the manifest without this digest, as canonical JSON."""
    rest = {name: value for name, value in manifest.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class Destination:
    """A folder on any fsspec file system."""

    def __init__(self, url: str) -> None:
        """Raises ExportError when the URL names no file system that is installed here."""
        self.shown = re.sub(r"://[^/@]*@", "://***@", url)
        with self.faults("cannot be reached"):
            self.system, path = fsspec.url_to_fs(url)
        self.root = str(path).rstrip("/")

    def path(self, name: str) -> str:
        """Return the full path of something inside."""
        return f"{self.root}/{name}"

    @contextlib.contextmanager
    def faults(self, what: str) -> Iterator[None]:
        """Turn what a file system raises into one line without passwords."""
        try:
            yield
        except FILE_ERRORS as error:
            reason = re.sub(r"://[^/@]*@", "://***@", " ".join(str(error).split()) or type(error).__name__)
            raise ExportError(f"{self.shown}: {what}: {reason}") from error

    def names(self) -> list[str]:
        """Return the names of what is directly inside; none for a folder that is not there."""
        with self.faults("cannot be listed"):
            self.system.invalidate_cache()
            try:
                found = self.system.ls(self.root, detail=False)
            except FileNotFoundError:
                return []
        return [str(path).rstrip("/").rpartition("/")[2] for path in found]

    def manifest(self) -> Manifest | None:
        """Return the manifest; None when there is none. Raises ExportError when it is not one or was changed."""
        if MANIFEST not in self.names():
            return None
        with self.faults("manifest.json cannot be read"):
            manifest = json.loads(self.system.cat_file(self.path(MANIFEST)))
        if not isinstance(manifest, dict) or manifest.get("format_version") != FORMAT_VERSION:
            raise ExportError(f"{self.shown}: manifest.json is not of an export of version {FORMAT_VERSION}")
        if manifest.get("digest") != manifest_digest(manifest):
            raise ExportError(f"{self.shown}: manifest.json is not as it was written; export again")
        return manifest

    def put_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest in one step."""
        text = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
        with self.faults("manifest.json cannot be written"):
            self.system.makedirs(self.root, exist_ok=True)
            if isinstance(self.system, LocalFileSystem):
                half = self.path(f".{MANIFEST}-{secrets.token_hex(4)}")
                self.system.pipe_file(half, text)
                self.system.mv(half, self.path(MANIFEST))
            else:
                self.system.pipe_file(self.path(MANIFEST), text)  # one object is written whole or not at all

    def remove_data(self, *, but: str) -> None:
        """Remove files of exports that the manifest does not name: the one before, and what a kill left behind."""
        for name in self.names():
            if DATA.fullmatch(name) and name != but:
                with contextlib.suppress(*FILE_ERRORS):  # a reader or a right may be in the way; nothing depends on it
                    self.system.rm(self.path(name), recursive=True)
