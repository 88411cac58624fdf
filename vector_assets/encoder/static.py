"""``static:NAME``: the checkpoint of the token vectors of another encoder, the cheap arm beside it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vector_assets.encoder.checkpoint import make_checkpoint
from vector_assets.encoder.contract import ContractSettings, is_static
from vector_assets.encoder.resolve import STATIC, ModelLookup, resolve_encoder
from vector_assets.encoder.text.static import write_static
from vector_assets.records import Checkpoint


def make_static_checkpoint(
    name: str, root: Path, *, folder: Path, models: ModelLookup | None = None, settings: ContractSettings | None = None
) -> Checkpoint:
    """Store the token vectors of the encoder that stands behind ``static:``, under their digest in ``root``.

    Of an encoder that is a table already, the table is stored as it is. Raises EncoderError for one without a table.
    """
    source = resolve_encoder(name.removeprefix(STATIC), folder=folder, models=models)
    if is_static(source):
        return make_checkpoint(source, root, settings=settings)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=root) as working:
        write_static(source, Path(working))
        return make_checkpoint(Path(working), root, settings=settings)
