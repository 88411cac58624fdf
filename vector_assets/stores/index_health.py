"""What an index has become since it was built: dead tuples, growth, changed rows; and whether to build it anew."""

from __future__ import annotations

from dataclasses import dataclass

from vector_assets.records import Generation
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database

# Rows written into a graph cost some four times a build's, and vacuuming deleted ones out of it more than the build
# (SPEED 4: 553 against 2,820 rows a second; VACUUM of 1,000 dead tuples 19.6 s): from here on it is built anew.
MAX_CHANGED, MAX_DEAD, MAX_GROWN = 0.25, 0.10, 1.5


@dataclass(frozen=True, slots=True)
class Health:
    """Shares, of the rows that the index was built over. None is what cannot be known: no index, or an old one."""

    dead: float  # of the table's tuples
    bytes: int
    changed: float | None = None  # rows inserted, updated and deleted since
    grown: float | None = None  # bytes a row now, to bytes a row then

    @property
    def numbers(self) -> dict[str, float]:
        """What is known, by name."""
        known = {"index_dead": self.dead, "index_changed": self.changed, "index_grown": self.grown}
        return {name: round(value, 4) for name, value in known.items() if value is not None}

    @property
    def worn(self) -> str | None:
        """Why the index should be built anew; None while it need not."""
        if self.changed is not None and self.changed > MAX_CHANGED:
            return f"{self.changed:.0%} of its rows were changed since it was built (bound {MAX_CHANGED:.0%})"
        if self.changed is not None and self.dead > MAX_DEAD:
            return f"{self.dead:.0%} of its tuples are dead (bound {MAX_DEAD:.0%})"
        if self.grown is not None and self.grown > MAX_GROWN:
            return f"it weighs {self.grown:.1f} times what it weighed for a row (bound {MAX_GROWN})"
        return None


def read_health(database: Database, connection: Connection, generation: Generation, index: str) -> Health:
    """Hold Postgres' own counters against what they were at the build."""
    table = database.names.table("embedding", generation.table).as_string(connection)
    row = connection.execute(
        "select pg_stat_get_live_tuples(t), pg_stat_get_dead_tuples(t), coalesce(pg_relation_size(to_regclass(%s)), 0) "
        "from to_regclass(%s) t",
        (database.names.table("embedding", index).as_string(connection), table),
    ).fetchone()
    assert row is not None
    live, dead, size = (int(str(value or 0)) for value in row)
    share = dead / (live + dead) if dead else 0.0
    built = connection.execute(
        database.compose(
            "select rows, bytes, changes from {ops}.index_builds where collection = %s and generation = %s"
        ),
        (generation.collection, generation.number),
    ).fetchone()
    if built is None or not size:
        return Health(share, size)
    rows, bytes_then, changes_then = (int(str(value)) for value in built)
    now = changes(database, connection, generation)
    since = now - changes_then if now >= changes_then else now  # the counters start again after a crash
    each = bytes_then / max(rows, 1)
    grown = size / max(live, 1) / each if rows > 1000 and live > 1000 else None  # of few rows a page is a jump
    return Health(share, size, since / max(rows, 1), grown)


def changes(database: Database, connection: Connection, generation: Generation) -> int:
    """Rows of a generation's vectors that were ever inserted, updated and deleted, as Postgres counted."""
    row = connection.execute(
        "select pg_stat_get_tuples_inserted(t) + pg_stat_get_tuples_updated(t) + pg_stat_get_tuples_deleted(t) "
        "from to_regclass(%s) t",
        (database.names.table("embedding", generation.table).as_string(connection),),
    ).fetchone()
    return int(str(row[0] or 0)) if row else 0
