"""Revisions: the same declaration and weights as another checkpoint, whose canaries are those of today."""

from __future__ import annotations

from vector_assets.encoder.open import Settings, settings_of
from vector_assets.errors import CanaryMismatch
from vector_assets.spec import Collection
from vector_assets.stores.canary_findings import loaded, moved
from vector_assets.stores.workspace import Workspace


def revision_of(workspace: Workspace, collection: Collection, space: str) -> int:
    """Return the declared revision, or a higher one that was counted up since."""
    database = workspace.database
    with database.connect() as connection:
        row = connection.execute(
            database.compose("select revision from {ops}.revisions where collection = %s and space = %s"),
            (collection.name, space),
        ).fetchone()
    return max(collection.spaces[space].revision, int(str(row[0])) if row else 0)


def space_settings(workspace: Workspace, collection: Collection, space: str) -> Settings:
    """Return what a space declares differently from its encoder's own contract, with its revision of today."""
    revision = revision_of(workspace, collection, space)
    return settings_of(collection.spaces[space].model_copy(update={"revision": revision}))


def revise_moved(workspace: Workspace, collection: Collection, space: str) -> int | None:
    """Count a space's revision up where its checkpoint does not give its canaries, now as when that was found.

    Else the same key would find the same checkpoint, which is refused. None where it gives them: a library that was put
    back needs no other checkpoint.
    """
    found = moved(workspace.database, collection.name, space)
    if found is None:
        return None
    try:
        loaded(workspace, collection.name, found.checkpoint)
    except CanaryMismatch as error:
        because = str(error)
    else:
        return None
    revision = revision_of(workspace, collection, space) + 1
    database = workspace.database
    with database.connect() as connection:
        connection.execute(
            database.compose(
                "insert into {ops}.revisions (collection, space, revision, because) values (%s, %s, %s, %s) "
                "on conflict (collection, space) do update set revision = excluded.revision, "
                "because = excluded.because, raised_at = now()"
            ),
            (collection.name, space, revision, because),
        )
    return revision
