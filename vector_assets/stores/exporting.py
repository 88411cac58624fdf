"""The export stage against the stores: the live generation in one snapshot, with its contract, into files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import cast

import numpy as np
import psycopg
from psycopg import sql

from vector_assets.errors import NotLive
from vector_assets.index.export import Exported, ExportPlan, same_export, write_export
from vector_assets.index.export_parts import ExportBlock
from vector_assets.records import Generation
from vector_assets.source.keys import INTEGER_TYPES
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.connections import Connection

_BLOCK = 8192
_TRIES = 5


def export_live(store: CollectionStore, url: str, plan: ExportPlan, *, replace: bool = False) -> Exported:
    """Write the live generation to ``url``; what is there already, of just this content, is left as it is.

    One export at a time goes to one place. Memory is bounded by a block of vectors (for npz by a file). Raises NotLive,
    or ExportError when the place cannot be written or holds something else.
    """
    collection = store.collection.name
    with store.workspace.database.connect(autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtextextended(%s, 5))", (f"export/{url}",))
        live = store.workspace.generations.live(collection)
        if live is None:
            raise NotLive.nothing(collection)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for _ in range(_TRIES):
            before = store.workspace.embeddings.content_version(live)
            with connection.transaction():
                connection.execute("select 1")  # the snapshot is taken here
                if store.workspace.embeddings.content_version(live) != before:
                    continue  # a sync is writing: what the snapshot holds has no name yet
                return _export(store, connection, live, before, url, plan, replace=replace)
        with connection.transaction():
            return _export(store, connection, live, "", url, plan, replace=replace)


def _export(
    store: CollectionStore,
    connection: Connection,
    live: Generation,
    version: str,
    url: str,
    plan: ExportPlan,
    *,
    replace: bool,
) -> Exported:
    head = _head(store, live, version)
    same = same_export(url, head, plan) if version else None
    key = [column.name for column in store.relation.key]
    return same or write_export(url, head, key, _blocks(store, connection, live), plan, replace=replace)


def _head(store: CollectionStore, live: Generation, version: str) -> dict[str, object]:
    """Return what the vectors are: plain JSON values."""
    contracts = {d: dict(store.workspace.checkpoints.get(d).contract) for d in sorted({*live.checkpoints.values()})}
    return {
        "collection": live.collection,
        "generation": live.number,
        "content_version": version,
        "checkpoint_set": live.checkpoint_set,
        "layout": [{**asdict(part), "fields": list(part.fields)} for part in live.parts],
        "dims": live.dims,
        "metric": live.metric,
        "vector_type": live.vector_type,
        "key_types": [column.type for column in store.relation.key],
        "contracts": contracts,
    }


def _blocks(store: CollectionStore, connection: Connection, live: Generation) -> Iterator[ExportBlock]:
    """Stream all vectors in key order. Keys that are no whole numbers come in Postgres' own spelling."""
    integers = [column.type in INTEGER_TYPES for column in store.relation.key]
    names = store.relation.key_names
    keys = sql.SQL(", ").join(
        sql.SQL("v.{}" if integer else "v.{}::text").format(sql.Identifier(name))
        for name, integer in zip(names, integers, strict=True)
    )
    query = sql.SQL(
        "select v.chunk_no, v.start_offset, v.stop_offset, v.chunk_digest, v.present, v.truncated, v.vector, {} "
        "from {} v order by {}, v.chunk_no"
    ).format(keys, store.workspace.embeddings.vectors_table(live), store.relation.stored_key("v"))
    kind = np.float32 if live.vector_type == "vector" else np.float16
    with connection.cursor(name="export", binary=True) as cursor:
        cursor.itersize = _BLOCK
        cursor.execute(query)
        while rows := cursor.fetchmany(_BLOCK):
            numbers, starts, stops, digests, present, truncated, vectors, *values = zip(*rows, strict=True)
            yield ExportBlock(
                tuple(
                    np.array(column, np.int64 if integer else np.str_)
                    for column, integer in zip(values, integers, strict=True)
                ),
                np.array(numbers, np.int32),
                np.array(starts, np.int32),
                np.array(stops, np.int32),
                np.frombuffer(b"".join(cast(tuple[bytes, ...], digests)), np.uint8).reshape(len(rows), -1),
                np.array(present, np.int64),
                np.array(truncated, np.bool_),
                np.stack([vector.to_numpy() for vector in vectors]).astype(kind),
            )
