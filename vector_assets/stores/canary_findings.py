"""Canaries that have moved: kept when an encoder is loaded or checked, so that a retraining is asked for by them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from vector_assets.encoder.canaries import CanaryReport, CheckedEncoder, check_canaries
from vector_assets.encoder.checked import checked_encoder
from vector_assets.encoder.intact import require_intact
from vector_assets.encoder.open import open_encoder
from vector_assets.errors import CanaryMismatch
from vector_assets.stores.database import Database
from vector_assets.stores.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Moved:
    """The checkpoint that a space uses does not give its canaries. ``found_at`` is when that was seen last."""

    checkpoint: str
    found_at: datetime
    said: str


def loaded(workspace: Workspace, collection: str, digest: str) -> CheckedEncoder:
    """Load a checkpoint, checked, and keep what its canaries said; raises as ``checked_encoder`` does."""
    try:
        encoder = checked_encoder(workspace.checkpoints.get(digest))
    except CanaryMismatch as error:
        _keep(workspace.database, collection, digest, str(error))
        raise
    _keep(workspace.database, collection, digest, None)
    return encoder


def compared(workspace: Workspace, collection: str, digest: str) -> CanaryReport:
    """Compare the canaries of a checkpoint and keep what they said; raises ContractMismatch for other files."""
    checkpoint = workspace.checkpoints.get(digest)
    require_intact(checkpoint)
    report = check_canaries(open_encoder(checkpoint.folder), checkpoint.canaries, stored=digest)
    _keep(workspace.database, collection, digest, None if report.passed else f"canaries have moved: {report.sides}")
    return report


def moved(database: Database, collection: str, space: str) -> Moved | None:
    """Return what was found of the checkpoint that a space uses now; None while it gives its canaries."""
    with database.connect() as connection:
        row = connection.execute(
            database.compose(
                "select f.checkpoint, f.found_at, f.said from {ops}.canary_findings f "
                "join {ops}.encoders e using (collection, space, checkpoint) where f.collection = %s and f.space = %s"
            ),
            (collection, space),
        ).fetchone()
    return Moved(str(row[0]), cast(datetime, row[1]), str(row[2])) if row else None


def _keep(database: Database, collection: str, checkpoint: str, said: str | None) -> None:
    with database.connect() as connection:
        if said is None:
            connection.execute(
                database.compose("delete from {ops}.canary_findings where collection = %s and checkpoint = %s"),
                (collection, checkpoint),
            )
            return
        connection.execute(
            database.compose(
                "insert into {ops}.canary_findings (collection, space, checkpoint, said) "
                "select collection, space, checkpoint, %s from {ops}.encoders where collection = %s and "
                "checkpoint = %s on conflict (collection, space) do update set checkpoint = excluded.checkpoint, "
                "found_at = now(), said = excluded.said"
            ),
            (said, collection, checkpoint),
        )
