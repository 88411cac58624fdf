"""The files of a model folder: which are taken, which are refused, and the digest over them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from vector_assets.encoder.contract import TOKENIZER_FILES, modules_of, read_json
from vector_assets.errors import EncoderError

#: Weights, configuration, tokenizer. Code, notes and pickles are neither copied nor hashed.
SUFFIXES = (".safetensors", ".json", ".txt", ".model")

#: Ours, about a checkpoint and not part of it.
MANIFEST_FILE = "checkpoint_files.json"
BESIDE = ("canaries.json", MANIFEST_FILE)

#: Names the model of a checkpoint whose vectors a provider computes; such a folder has no weights.
PROVIDER_FILE = "provider.json"

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")
_TRUSTED = "sentence_transformers."


def model_files(folder: Path) -> list[Path]:
    """Return the files that make the model, sorted by their path inside the folder."""
    found = []
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
        if not hidden and path.is_file() and path.suffix in SUFFIXES and str(inside) not in BESIDE:
            found.append(path)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def checkpoint_digest(folder: Path) -> str:
    """Return sha256 over the sorted paths of weights, configuration, tokenizer and contract, each with its sha256."""
    return digest_of(file_digests(folder))


def digest_of(files: Mapping[str, str]) -> str:
    """Return a checkpoint's digest from the sha256 of each of its files, by path inside the folder, in their order."""
    total = hashlib.sha256()
    for path, content in files.items():
        total.update(f"{path}\0{content}\n".encode())
    return total.hexdigest()


def file_digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file that makes the model. A file that did not change is read once per process."""
    return {path.relative_to(folder).as_posix(): _content(path) for path in model_files(folder)}


def _content(path: Path) -> str:
    marks = marks_of(path)
    return _sha256(path) if marks is None else _known_sha256(path, marks)


def marks_of(path: Path) -> tuple[int, ...] | None:
    """Return what another content would change of a file: inode, size, times; None while it may change unseen.

    The time of change cannot be set by hand as that of writing can; what is younger than a second may change again
    within the clock's tick.
    """
    found = path.stat()
    if abs(time.time() - found.st_ctime) < 1:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@lru_cache(maxsize=1024)
def _known_sha256(path: Path, marks: tuple[int, ...]) -> str:
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_provider(folder: Path) -> bool:
    """Tell whether a checkpoint's vectors are computed by a provider."""
    return (folder / PROVIDER_FILE).is_file()


def check_folder(folder: Path) -> None:
    """Raise EncoderError unless the folder holds safetensors weights, a configuration and a tokenizer, and no code."""
    if not folder.is_dir():
        raise EncoderError(
            f"{folder}: no such folder; an encoder is a folder with weights, configuration and tokenizer"
        )
    config = read_json(folder / "config.json")
    if "auto_map" in config:
        raise EncoderError(f"{folder}: config.json names code of its own (auto_map), which is not run")
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise EncoderError(f"{folder}: tokenizer.json is missing; save the tokenizer into the same folder")
    check_weights(folder)
    for module in modules_of(folder):
        if not str(module["type"]).startswith(_TRUSTED):
            raise EncoderError(
                f"{folder}: modules.json names {module['type']}, code that is not sentence-transformers' own"
            )
        inner = folder / str(module["path"])
        if folder.resolve() not in (inner.resolve(), *inner.resolve().parents):
            raise EncoderError(f"{folder}: modules.json points outside of the folder: {module['path']}")
        if inner.is_dir() and inner != folder:
            check_weights(inner, required=False)


def check_weights(folder: Path, *, required: bool = True) -> None:
    """Raise EncoderError where the weights are pickles, or are none although they are ``required``."""
    files = [path for path in folder.iterdir() if path.is_file()]
    if any(path.suffix == ".safetensors" for path in files):
        return
    pickles = sorted(path.name for path in files if path.suffix in _PICKLES)
    if pickles:
        raise EncoderError(
            f"{folder}: the weights are a pickle ({pickles[0]}), which can run code when loaded; "
            "convert to safetensors (save_pretrained writes it)"
        )
    if required:
        raise EncoderError(f"{folder}: no weights; expected model.safetensors")
