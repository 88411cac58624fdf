"""Whether a checkpoint's folder still holds what it was stored with; if not, which file and which setting moved.

The digest is the name of the content. Beside it lies a list of the files with the sha256 of each, which hashes to that
digest: so the list proves itself, and an edited one is only useless, never believed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from vector_assets.encoder.contract import CONTRACT_FILE, Contract, derive_contract, read_contract
from vector_assets.encoder.files import MANIFEST_FILE, digest_of, file_digests, marks_of, model_files
from vector_assets.encoder.image.contract import ImageContract, read_image_contract
from vector_assets.encoder.image.preprocessing import Preprocessing, read_preprocessing
from vector_assets.errors import ContractMismatch, EncoderError
from vector_assets.records import Checkpoint

_SHOWN = 3  # changed files that a message names
#: What a folder's own configuration says of its vectors, beside what contract.json says.
_SETTINGS = ("pooling", "dims", "max_tokens", "lowercase", "tokenizer", "query_prefix", "document_prefix")


def write_manifest(folder: Path) -> None:
    """Write the list of files beside them."""
    text = json.dumps(file_digests(folder), indent=1, ensure_ascii=False)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def require_intact(checkpoint: Checkpoint, *, noted: bool = False) -> None:
    """Return when the folder's files have the checkpoint's digest. Cheap: files are read once, and when they changed.

    With ``noted`` files that were found intact before, by any process, are not read while inode, size and times are as
    they were then: enough for a sync that encodes nothing. Before an encoder is loaded its files are read.

    Raises ContractMismatch naming each changed file and setting with both sides, EncoderError when there is no folder.
    """
    folder, digest = checkpoint.folder, checkpoint.digest
    if not folder.is_dir():
        raise EncoderError(
            f"checkpoint {digest[:12]}: its folder {folder} is gone; expected files with that digest: put it back, or "
            "materialize the encoder"
        )
    marks = _marks(folder) if noted else None
    if marks is not None and marks == _noted(folder, digest):
        return
    found = file_digests(folder)
    if digest_of(found) == digest:
        if marks is not None:
            _note(folder, digest, marks)
        return
    raise ContractMismatch(
        f"checkpoint {digest[:12]} has other files than were stored: {_named(checkpoint, found)}; {folder} has digest "
        f"{digest_of(found)[:12]}, expected {digest[:12]}: put the files back, or remove the folder and materialize "
        "the encoder"
    )


def _marks(folder: Path) -> dict[str, list[int]] | None:
    """Return the marks of each file that makes the model; None while one is too young to be known by them."""
    found = {path.relative_to(folder).as_posix(): marks_of(path) for path in model_files(folder)}
    return None if None in found.values() else {path: list(marks) for path, marks in found.items() if marks}


def _note_of(folder: Path) -> Path:
    return folder.parent / ".marks" / f"{folder.name}.json"


def _noted(folder: Path, digest: str) -> dict[str, list[int]] | None:
    try:
        noted = json.loads(_note_of(folder).read_bytes())
        return dict(noted["files"]) if noted["digest"] == digest else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _note(folder: Path, digest: str, marks: Mapping[str, Sequence[int]]) -> None:
    path = _note_of(folder)
    with suppress(OSError):  # without the note the next process reads the files, and says the same
        path.parent.mkdir(exist_ok=True)
        working = path.with_suffix(f".{os.getpid()}")
        working.write_text(json.dumps({"digest": digest, "files": marks}), encoding="utf-8")
        working.replace(path)


def _named(checkpoint: Checkpoint, found: Mapping[str, str]) -> str:
    expected = _manifest(checkpoint)
    if expected is None:
        lines = ["which of them is not known, for the list beside them is not of this checkpoint"]
    else:
        lines = [
            f"{path}: expected {_short(expected.get(path))}, found {_short(found.get(path))}"
            for path in sorted({*expected, *found})
            if expected.get(path) != found.get(path)
        ]
        rest = len(lines) - _SHOWN
        lines = lines[:_SHOWN] + ([f"and {rest} more"] if rest > 0 else [])
    return ", ".join(lines) + "".join(f" ({setting})" for setting in _moved_settings(checkpoint))


def _short(digest: str | None) -> str:
    return f"sha256 {digest[:12]}" if digest else "no such file"


def _manifest(checkpoint: Checkpoint) -> dict[str, str] | None:
    """Return the list of files, None when it is not there or not the list that the digest was made of."""
    try:
        stored = json.loads((checkpoint.folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(stored, dict) or digest_of({str(k): str(v) for k, v in stored.items()}) != checkpoint.digest:
        return None
    return {str(path): str(content) for path, content in stored.items()}


def _moved_settings(checkpoint: Checkpoint) -> list[str]:
    """Return what the folder says otherwise than the stored contract; nothing where the folder cannot be read."""
    folder, values = checkpoint.folder, dict(checkpoint.contract)
    try:
        if values.get("kind") == "image":
            image = ImageContract.model_validate(values)
            moved = _differences(
                image, lambda: read_image_contract(folder), tuple(ImageContract.model_fields), CONTRACT_FILE
            )
            return moved + _differences(
                image, lambda: read_preprocessing(folder), tuple(Preprocessing.model_fields), "the model"
            )
        stored = Contract.model_validate(values)
    except ValidationError:
        return []
    moved = _differences(stored, lambda: read_contract(folder), tuple(Contract.model_fields), CONTRACT_FILE)
    if stored.kind == "text":
        moved += _differences(stored, lambda: derive_contract(folder), _SETTINGS, "the model")
    return moved


def _differences(stored: BaseModel, read: Callable[[], BaseModel], names: Sequence[str], where: str) -> list[str]:
    try:
        now = read().model_dump()
    except (EncoderError, ValueError, KeyError, TypeError, AttributeError, OSError):
        return []  # unreadable: that the file is another is said already
    then = stored.model_dump()
    return [
        f"{where}: {name} expected {_value(then[name])}, found {_value(now[name])}"
        for name in names
        if then[name] != now[name]
    ]


def _value(value: object) -> str:
    """Show a setting; of a digest its beginning."""
    return value[:12] if isinstance(value, str) and len(value) == 64 else repr(value)
