"""The encoder of any checkpoint, and the checkpoint of any untrained encoder: of texts, of images, of a provider."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from vector_assets.encoder.canaries import CheckedEncoder
from vector_assets.encoder.checkpoint import make_checkpoint
from vector_assets.encoder.contract import Contract, ContractSettings, read_contract
from vector_assets.encoder.files import is_provider
from vector_assets.encoder.image.checkpoint import ImageSettings, make_image_checkpoint
from vector_assets.encoder.image.contract import ImageContract, read_image_contract
from vector_assets.encoder.image.encoder import ImageEncoder
from vector_assets.encoder.image.files import check_image_folder, is_image_checkpoint
from vector_assets.encoder.provider.checkpoint import PREFIX, make_provider_checkpoint
from vector_assets.encoder.provider.encoder import ProviderEncoder
from vector_assets.encoder.resolve import STATIC, ModelLookup, resolve_encoder
from vector_assets.encoder.static import make_static_checkpoint
from vector_assets.encoder.text.model import TextEncoder
from vector_assets.records import Checkpoint
from vector_assets.spec import ImageSpace, Space

Settings = ContractSettings | ImageSettings


def open_encoder(folder: Path) -> CheckedEncoder:
    """Load the encoder of a checkpoint folder. Raises EncoderError when it cannot be loaded or trusted."""
    if is_image_checkpoint(folder):
        return ImageEncoder(folder)
    return ProviderEncoder(folder) if is_provider(folder) else TextEncoder(folder)


def settings_of(space: Space) -> Settings:
    """Return what a space declares differently from its encoder's own contract."""
    if isinstance(space, ImageSpace):
        return ImageSettings(space.pooling, space.revision or None)
    return ContractSettings(
        max_tokens=space.max_tokens,
        query_prefix=space.query_prefix,
        document_prefix=space.document_prefix,
        dims=space.dims,
        layer=space.layer,
        revision=space.revision or None,
    )


def stored_contract(values: Mapping[str, object]) -> BaseModel:
    """Return the contract that the database holds, of its kind."""
    return (ImageContract if values.get("kind") == "image" else Contract).model_validate(dict(values))


def folder_contract(folder: Path) -> BaseModel:
    """Return the contract of a checkpoint folder, of its kind."""
    return read_image_contract(folder) if is_image_checkpoint(folder) else read_contract(folder)


def store_untrained(
    name: str, root: Path, *, folder: Path, models: ModelLookup | None = None, settings: Settings | None = None
) -> Checkpoint:
    """Store the encoder of a declared name as it is, under its digest in ``root``."""
    if isinstance(settings, ImageSettings):
        source = resolve_encoder(name, folder=folder, models=models, check=check_image_folder)
        return make_image_checkpoint(source, root, settings=settings)
    if name.startswith(PREFIX):
        return make_provider_checkpoint(name, root, settings=settings)
    if name.startswith(STATIC):
        return make_static_checkpoint(name, root, folder=folder, models=models, settings=settings)
    return make_checkpoint(resolve_encoder(name, folder=folder, models=models), root, settings=settings)
