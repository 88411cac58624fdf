"""What Postgres decided, told to MLflow after the commit, and again until it has arrived."""

from __future__ import annotations

from collections.abc import Mapping

from vector_assets.stores.workspace import Workspace


def project_live(workspace: Workspace, collection: str) -> int:
    """Point MLflow's alias ``champion`` at the live checkpoints; return the outbox entries closed.

    Entries are closed only after MLflow has answered: a kill in between leaves them to the next run. What is set is
    the live generation of now, not of the entry, so that entries may be worked off late and together.
    """
    database = workspace.database
    with database.connect() as connection:
        rows = connection.execute(
            database.compose("select id from {ops}.outbox where collection = %s and done_at is null order by id"),
            (collection,),
        ).fetchall()
    if not rows:
        return 0
    live = workspace.generations.live(collection)
    champions: Mapping[str, str] = live.checkpoints if live else {}
    for space, digest in champions.items():
        registered = workspace.checkpoints.registered(digest)
        # A checkpoint that several collections use is registered by the first: its alias is not ours to move.
        if registered.model == f"{collection}.{space}" and registered.version:
            workspace.tracking.set_champion(registered.model, registered.version)
    last = max(int(str(row[0])) for row in rows)
    with database.connect() as connection:
        connection.execute(
            database.compose(
                "update {ops}.outbox set done_at = now() where collection = %s and done_at is null and id <= %s"
            ),
            (collection, last),
        )
    return len(rows)
