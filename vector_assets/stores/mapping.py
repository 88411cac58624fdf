"""The map stage against the stores: vectors and labels out, picture into artifacts and MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from psycopg import sql

from vector_assets.errors import NotFound
from vector_assets.index.map import MAX_POINTS, draw_map, project
from vector_assets.records import Vectors
from vector_assets.stores.collection import CollectionStore

MAP_VERSION = "1"


@dataclass(frozen=True, slots=True)
class DrawnMap:
    """A picture of the live generation."""

    path: Path
    generation: int
    points: int
    coloured_by: str | None
    version: str
    now: bool


def draw_live_map(store: CollectionStore) -> DrawnMap:
    """Draw the live generation, coloured by the first category field, and log the picture with its encoder's run.

    A generation whose content was drawn before is not drawn again.
    """
    live = next((g for g in store.all() if g.state == "live"), None)
    if live is None:
        raise NotFound(
            f"collection {store.collection.name} has no live generation to draw; materialize its index first"
        )
    coloured_by = next((name for name, kind in store.collection.fields.items() if kind == "category"), None)
    version = f"{live.number}-{store.workspace.embeddings.content_version(live)}-{coloured_by}-{MAP_VERSION}"
    path = Path(store.workspace.artifacts) / "maps" / f"{live.table}.png"
    known = store.workspace.generations.measures(live).get("map")
    if isinstance(known, dict) and known.get("version") == version and path.is_file():
        return DrawnMap(path, live.number, int(known["points"]), coloured_by, version, now=False)
    vectors, labels = _read(store, live.number, coloured_by)
    title = f"{store.collection.name}, generation {live.number}: {len(vectors)} rows"
    draw_map(project(vectors), labels, path, title=title + (f" by {coloured_by}" if coloured_by else ""))
    registered = store.workspace.checkpoints.registered(live.parts[0].checkpoint)
    if registered.run_id:
        store.workspace.tracking.reopen(registered.run_id).artifact(path, folder="map")
    store.workspace.generations.measure(live, {"map": {"version": version, "points": len(vectors)}})
    return DrawnMap(path, live.number, len(vectors), coloured_by, version, now=True)


def _read(store: CollectionStore, number: int, coloured_by: str | None) -> tuple[Vectors, list[str]]:
    """Return at most MAX_POINTS vectors, chosen by the hash of their key, with the label of their row.

    A row in chunks stands where the mean of its chunks does: its first one is often no more than a title.
    """
    generation = store.workspace.generations.get(store.collection.name, number)
    relation = store.relation
    label = sql.SQL("r.{}::text").format(sql.Identifier(coloured_by)) if coloured_by else sql.SQL("''")
    table = store.workspace.embeddings.vectors_table(generation)
    mean = sql.SQL("(select avg(o.vector) from {} o where {})").format(table, relation.same_stored("o", "c"))
    point = mean if generation.chunked is not None else sql.SQL("c.vector")
    query = sql.SQL(
        "select {}, c.label from (select v.*, coalesce({}, '') as label from {} v join {} r on {} where v.chunk_no = 0 "
        "order by hashtextextended(json_build_array({})::text, 0) limit {}) c"
    ).format(
        point, label, table, relation.table, relation.same("r", "v"),
        relation.source_key("r"), sql.Literal(MAX_POINTS),
    )  # fmt: skip
    with store.workspace.database.connect() as connection:
        rows = connection.execute(query).fetchall()
    vectors = np.asarray([row[0].to_numpy() for row in rows], dtype=np.float32)  # type: ignore[attr-defined]
    return vectors.reshape(len(rows), generation.dims), [str(row[1]) for row in rows]
