"""A provider's model as a checkpoint: its name and contract, and canaries that tell when it is another one."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np

from vector_assets.encoder.canaries import DEFAULT_DOCUMENTS, DEFAULT_QUERIES, make_canaries
from vector_assets.encoder.canary_file import write_canaries
from vector_assets.encoder.checkpoint import is_whole, place, read_checkpoint
from vector_assets.encoder.contract import Contract, ContractSettings, write_contract
from vector_assets.encoder.files import PROVIDER_FILE, checkpoint_digest
from vector_assets.encoder.provider.encoder import ProviderEncoder, patiently
from vector_assets.encoder.provider.endpoint import Endpoint
from vector_assets.errors import EncoderError
from vector_assets.records import Checkpoint

PREFIX = "provider:"
# Stands where a provider says nothing: it limits texts by itself.
_NO_LIMIT = 1 << 20
_TRIES, _WAIT = 6, 20.0
_MODEL = re.compile(r"[A-Za-z0-9][\w./:@-]{0,199}")


def make_provider_checkpoint(
    name: str, root: Path, *, settings: ContractSettings | None = None, endpoint: Endpoint | None = None
) -> Checkpoint:
    """Store ``provider:MODEL`` below ``root`` under its digest; the provider is asked for the width and the canaries.

    A busy provider is asked again for a minute. Raises EncoderError, in one line, when it refuses.
    """
    model = name.removeprefix(PREFIX)
    if not name.startswith(PREFIX) or not _MODEL.fullmatch(model):
        raise EncoderError(f"{name}: expected provider:MODEL, such as provider:text-embedding-3-small")
    asked = settings or ContractSettings()
    if asked.max_tokens:
        raise EncoderError(f"{name}: a provider cuts texts by itself; leave max_tokens out")
    server = endpoint or Endpoint.from_environment()
    try:
        vectors, _ = patiently(lambda: server.embed(model, ["short"]), tries=_TRIES, longest=_WAIT)
        contract = _contract(vectors.shape[1], asked)
        root.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(prefix=".making-", dir=root))
        try:
            text = json.dumps({"api": "openai", "model": model}, sort_keys=True)
            (working / PROVIDER_FILE).write_text(text + "\n", encoding="utf-8")
            write_contract(working, contract)
            destination = root / checkpoint_digest(working)
            if not is_whole(destination):
                encoder = ProviderEncoder(working, endpoint=server)
                canaries = patiently(
                    lambda: make_canaries(encoder, DEFAULT_DOCUMENTS, DEFAULT_QUERIES), tries=_TRIES, longest=_WAIT
                )
                assert all(np.isfinite(canary.vector).all() for canary in canaries)
                write_canaries(working, canaries)
                place(working, destination)
        finally:
            shutil.rmtree(working, ignore_errors=True)
    except ValueError as error:
        raise EncoderError(f"{name}: {error}") from None
    return read_checkpoint(destination)


def _contract(dims: int, asked: ContractSettings) -> Contract:
    return Contract(
        kind="provider", query_prefix=asked.query_prefix or "", document_prefix=asked.document_prefix or "",
        pooling="provider", dims=dims, max_tokens=_NO_LIMIT, lowercase=False, tokenizer="provider",
        revision=asked.revision or 0,
    )  # fmt: skip
