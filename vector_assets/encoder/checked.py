"""The one way to an encoder whose vectors are kept or compared with kept ones: files, contract and canaries first."""

from __future__ import annotations

from vector_assets.encoder.canaries import CheckedEncoder, check_canaries, require
from vector_assets.encoder.contract import differences
from vector_assets.encoder.intact import require_intact
from vector_assets.encoder.open import folder_contract, open_encoder, stored_contract
from vector_assets.errors import ContractMismatch
from vector_assets.records import Checkpoint


def checked_encoder(checkpoint: Checkpoint) -> CheckedEncoder:
    """Load a checkpoint, or fail closed: other files, another contract or other vectors than were stored."""
    require_intact(checkpoint)
    encoder = open_encoder(checkpoint.folder)
    require_intact(checkpoint)  # again: what was loaded is what was compared
    moved = differences(stored_contract(checkpoint.contract), folder_contract(checkpoint.folder))
    if moved:
        raise ContractMismatch(f"checkpoint {checkpoint.digest[:12]}: stored contract and folder differ: {moved[0]}")
    require(check_canaries(encoder, checkpoint.canaries, stored=checkpoint.digest))
    return encoder
