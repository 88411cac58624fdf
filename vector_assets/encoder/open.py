"""The encoder of any checkpoint, and the checkpoint of any untrained encoder: local or behind a provider."""

from __future__ import annotations

from pathlib import Path

from vector_assets.encoder.canaries import CheckedEncoder
from vector_assets.encoder.checkpoint import make_checkpoint
from vector_assets.encoder.contract import ContractSettings
from vector_assets.encoder.files import is_provider
from vector_assets.encoder.provider.checkpoint import PREFIX, make_provider_checkpoint
from vector_assets.encoder.provider.encoder import ProviderEncoder
from vector_assets.encoder.resolve import ModelLookup, resolve_encoder
from vector_assets.encoder.text.model import TextEncoder
from vector_assets.records import Checkpoint
from vector_assets.spec import Space


def open_encoder(folder: Path) -> CheckedEncoder:
    """Load the encoder of a checkpoint folder. Raises EncoderError when it cannot be loaded or trusted."""
    return ProviderEncoder(folder) if is_provider(folder) else TextEncoder(folder)


def settings_of(space: Space) -> ContractSettings:
    """Return what a space declares differently from its encoder's own contract."""
    return ContractSettings(space.max_tokens, space.query_prefix, space.document_prefix, space.dims)


def store_untrained(
    name: str, root: Path, *, folder: Path, models: ModelLookup | None = None, settings: ContractSettings | None = None
) -> Checkpoint:
    """Store the encoder of a declared name as it is, under its digest in ``root``."""
    if name.startswith(PREFIX):
        return make_provider_checkpoint(name, root, settings=settings)
    return make_checkpoint(resolve_encoder(name, folder=folder, models=models), root, settings=settings)
