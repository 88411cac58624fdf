"""Fields -> vectors: load, encode, contract, canaries. Importing this package imports no torch."""

from vector_assets.encoder.canaries import CanaryReport, check_canaries, make_canaries, require
from vector_assets.encoder.checkpoint import make_checkpoint, read_checkpoint
from vector_assets.encoder.contract import Contract, ContractSettings, differences, read_contract
from vector_assets.encoder.files import check_folder, checkpoint_digest
from vector_assets.encoder.resolve import ModelLookup, resolve_encoder
from vector_assets.encoder.text.model import TextEncoder, load_encoder

__all__ = [
    "CanaryReport",
    "Contract",
    "ContractSettings",
    "ModelLookup",
    "TextEncoder",
    "check_canaries",
    "check_folder",
    "checkpoint_digest",
    "differences",
    "load_encoder",
    "make_canaries",
    "make_checkpoint",
    "read_checkpoint",
    "read_contract",
    "require",
    "resolve_encoder",
]
