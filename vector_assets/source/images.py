"""Images of rows: the bytes that a file names or holds, as they are. Nothing is decoded here."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from vector_assets.errors import SourceError
from vector_assets.source.storage import READ_ERRORS, SourceFile, stamp_of
from vector_assets.source.values import WrongValue, too_large
from vector_assets.spec.field import IMAGE_BYTES

_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
# What a file system may raise where a name is wrong, beside what reading raises.
_ERRORS = (*READ_ERRORS, ValueError, ImportError, NotImplementedError)


def is_path(value: object) -> bool:
    """Tell whether a value names an image rather than being one."""
    return isinstance(value, str) and value != ""


def read_image(path: str, beside: SourceFile) -> bytes:
    """Read the image that a row of the file ``beside`` names. Raises WrongValue, which is that row's failure alone."""
    try:
        system, place = _locate(path, beside)
        info = system.info(place)
        if info.get("type") == "directory":
            raise WrongValue(f"{path} is a folder; expected an image")
        size = int(info.get("size") or 0)
        if size > IMAGE_BYTES:
            raise WrongValue(f"{path}: {too_large(size)}")
        with system.open(place, "rb") as stream:
            content = bytes(stream.read(IMAGE_BYTES + 1))
    except FileNotFoundError:
        raise WrongValue(f"{path}: no such file; expected an image, named relative to {beside.name}") from None
    except _ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WrongValue(f"{path}: cannot be read: {reason}") from None
    if len(content) > IMAGE_BYTES:
        raise WrongValue(f"{path}: {too_large(len(content))}")
    return content


def read_question(path: str) -> bytes:
    """Read an image that is asked with: a path, from the working directory on, or a URL. Raises SourceError."""
    here = SourceFile(LocalFileSystem(), str(Path.cwd() / "question"), "the working directory", 0, "")
    try:
        return read_image(str(Path(path).expanduser()) if "://" not in path else path, here)
    except WrongValue as error:
        raise SourceError(str(error)) from None


def images_stamp(paths: Iterable[str], beside: SourceFile) -> str:
    """Digest of the sizes and times (or etags) of the images that a file names: it differs when one of them changed.

    Each folder is listed once, which also tells of files in it that are missing; where a file system lists nothing,
    each image is asked for by itself.
    """
    listed: dict[tuple[int, str], Mapping[str, object]] = {}
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path}\0{_stamp(path, beside, listed)}\n".encode(errors="surrogatepass"))
    return total.hexdigest()[:32]


def looks_like_images(values: list[object]) -> bool:
    """Tell whether the values of a column are images, or names of them."""
    if not values:
        return False
    if all(isinstance(value, dict) and value.keys() == {"bytes", "path"} for value in values):
        return True
    if all(isinstance(value, bytes) for value in values):
        return all(value.startswith(_STARTS) for value in values if isinstance(value, bytes))
    return all(isinstance(value, str) and value.lower().endswith(_ENDINGS) for value in values)


def _locate(path: str, beside: SourceFile) -> tuple[fsspec.AbstractFileSystem, str]:
    """Where an image is: a URL as it is, a path in the file system of the file that names it, from its folder on."""
    if "://" in path:
        system, place = fsspec.url_to_fs(path)
        if isinstance(system, LocalFileSystem) and not isinstance(beside.system, LocalFileSystem):
            raise WrongValue(f"{path}: is a file of this machine; expected a path or URL where {beside.name} is")
        return system, place
    return beside.system, posixpath.join(posixpath.dirname(beside.path), path)


def _stamp(path: str, beside: SourceFile, listed: dict[tuple[int, str], Mapping[str, object]]) -> str:
    try:
        system, place = _locate(path, beside)
        folder = posixpath.dirname(posixpath.normpath(place)) if "://" not in place else ""
        if not folder:
            return _shown(system.info(place))
        if (id(system), folder) not in listed:
            system.invalidate_cache(folder)
            found_there = system.ls(folder, detail=True)
            listed[id(system), folder] = {posixpath.normpath(str(one["name"])): one for one in found_there}
        return _shown(listed[id(system), folder].get(posixpath.normpath(place)))
    except (WrongValue, *_ERRORS):
        return "missing"


def _shown(info: object) -> str:
    if not isinstance(info, dict):
        return "missing"
    return f"{info.get('size')} {stamp_of(info)}"
