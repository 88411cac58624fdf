"""How long rows have waited for their vectors, as far as it can be known.

What is known of a pending row, the best first:

1. when its change was captured: ``captured_for`` is where change capture answers;
2. else, that it changed after the last moment at which nothing was pending: the start of the last complete sync, or a
   later look that found nothing to do (``ops.syncs``). So the answer is "at most so long", and as sharp as the looks
   are frequent; the freshness sensor looks at least five times within the declared time.
"""

from __future__ import annotations

from dataclasses import dataclass

from vector_assets.records import Generation
from vector_assets.spec import Collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.syncs import SyncTimes
from vector_assets.stores.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Freshness:
    """What waits. ``oldest_pending_s`` is None when nothing does, or when there is no generation yet."""

    oldest_pending_s: float | None
    pending: int
    failed: int
    stale: int
    generation: int | None


def look(workspace: Workspace, collection: Collection) -> Freshness:
    """Count what waits in the generation that people search, else in the one on its way; remember a clean moment."""
    store = CollectionStore(workspace, collection)
    generation = _watched(store)
    failed = workspace.failures.count(collection.name)
    if generation is None:
        return Freshness(None, 0, failed, 0, None)
    times = SyncTimes(workspace.database)
    before = times.now()
    counted = workspace.embeddings.coverage(generation, store.relation)
    if not counted.pending:
        times.keep(generation, before)
    oldest = waited(store, generation, counted.pending)
    return Freshness(oldest, counted.pending, failed, counted.stale, generation.number)


def oldest_pending(workspace: Workspace, collection: Collection) -> float | None:
    """Return how many seconds the oldest pending row has waited, at most; None when none waits."""
    return look(workspace, collection).oldest_pending_s


def waited(store: CollectionStore, generation: Generation, pending: int) -> float | None:
    """Return the same where the pending rows of a generation are counted already."""
    if not pending:
        return None
    captured = captured_for(store, generation)
    return captured if captured is not None else SyncTimes(store.workspace.database).waited(generation)


def captured_for(store: CollectionStore, generation: Generation) -> float | None:
    """Return the seconds since the oldest captured change that this generation has not seen; None without capture.

    A change that turned out to be none (an unread column) counts until the next sync has looked at it: "at most".
    """
    database = store.workspace.database
    with database.connect() as connection:
        row = connection.execute(
            database.compose(
                "select extract(epoch from clock_timestamp() - min(c.changed_at))::float8 "
                "from {ops}.cursors s join {ops}.changes c on c.capture = s.capture "
                "and c.xid >= pg_snapshot_xmin(s.seen) and not pg_visible_in_snapshot(c.xid, s.seen) "
                "where s.collection = %s and s.reader = %s"
            ),
            (generation.collection, str(generation.number)),
        ).fetchone()
    return max(float(str(row[0])), 0.0) if row and row[0] is not None else None


def _watched(store: CollectionStore) -> Generation | None:
    generations = store.all()
    live = next((g for g in generations if g.state == "live"), None)
    return live or next((g for g in generations if g.state in ("candidate", "building")), None)
