"""Which rows a run would encode: the rows of the source, how many of them differ from what is held, and a sample."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from psycopg import sql

from vector_assets.errors import NotFound
from vector_assets.records import BadRow, Generation, RawRow, SourceReader, Value
from vector_assets.source.open import open_source
from vector_assets.source.queue import QueueReader
from vector_assets.spec import Collection, PostgresSource
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.generation_tables import row_digest
from vector_assets.stores.lexical.coverage import word_coverage
from vector_assets.stores.lexical.index import LexicalIndex, standing
from vector_assets.stores.raw_merge import Staging

# Rows that are looked at: the vectors of a row are known to 3 % where their number varies as much as it is large.
SAMPLE = 1024
# Of rows with images: they are held in memory, and each takes much longer than a text.
IMAGE_SAMPLE = 48


@dataclass(slots=True)
class PlannedRows:
    """What the source has: rows, how many need work, and a sample of them with their keys.

    The sample is empty where rows cannot be looked at without taking them.
    """

    rows: int
    encode: int
    words: int = 0  # rows whose words would be cut; 0 without an index of words
    sample: list[dict[str, Value]] = field(default_factory=list)
    keys: list[tuple[str | int, ...]] = field(default_factory=list)


def planned_rows(store: CollectionStore) -> PlannedRows:
    """Count the rows of the source and how many of them the next run would encode."""
    collection, workspace = store.collection, store.workspace
    if not isinstance(collection.source, PostgresSource):
        reader = open_source(collection)
        if isinstance(reader, QueueReader):
            waiting = reader.waiting(workspace.database.url.libpq)
            if workspace.raw.version(collection.name) is None:
                return PlannedRows(waiting, waiting, waiting if collection.lexical else 0)
            return _stored(store, waiting)
        changed = workspace.raw.fingerprint_of(collection, reader) != workspace.raw.fingerprint(collection.name)
        if changed:
            return _read(store, reader)
    return _stored(store, 0)


def _stored(store: CollectionStore, waiting: int) -> PlannedRows:
    """Count what is there already; each message that waits may be a row more."""
    collection, workspace = store.collection, store.workspace
    count = workspace.raw.count(collection)
    found = PlannedRows(count + waiting, count + waiting)
    if collection.lexical:
        held = word_coverage(workspace.database, collection.name, collection.lexical, store.relation)
        found.words = held.pending + waiting
    names = list(collection.fields)
    key = store.relation.source_key("r")
    query = sql.SQL("select {}, {} from {} r order by hashtextextended(json_build_array({})::text, 0) limit {}").format(
        key, store.relation.inputs(names, "r"), store.relation.table, key, sql.Literal(_sample(collection))
    )
    with workspace.database.connect() as connection:
        for row in connection.execute(query):
            values = cast(tuple[Value, ...], row)
            parts = len(store.relation.key)
            found.keys.append(_key(values[:parts]))
            found.sample.append(dict(zip(names, values[parts:], strict=True)))
    generation = _described(store)
    if generation:
        found.encode = workspace.embeddings.coverage(generation, store.relation).pending + waiting
    return found


def _read(store: CollectionStore, reader: SourceReader) -> PlannedRows:
    """Read the source once, keeping an even sample of it (reservoir sampling, Vitter 1985).

    Where vectors are held already, the rows are also staged in a temporary table and compared with them there.
    """
    chooser = random.Random(0)  # noqa: S311 - a sample, not a secret
    kept: list[RawRow] = []
    count, wanted = 0, _sample(store.collection)

    def sampled() -> Iterator[RawRow | BadRow]:
        nonlocal count
        for row in reader.rows():
            yield row
            if isinstance(row, RawRow):
                count += 1
                if len(kept) < wanted:
                    kept.append(row)
                elif (place := chooser.randrange(count)) < wanted:
                    kept[place] = row

    generation = _described(store)
    words = _words(store)
    if generation is None and words is None:
        for _ in sampled():
            pass
        differing, cut = count, count
    else:
        differing, cut = _differing(store, reader, generation, words, sampled())
    sample = [dict(zip(store.collection.fields, row.values, strict=True)) for row in kept]
    return PlannedRows(
        count, differing, cut if store.collection.lexical else 0, sample, [_key(row.key) for row in kept]
    )


def _words(store: CollectionStore) -> LexicalIndex | None:
    """Return the declared index of words where there is one."""
    collection, database = store.collection, store.workspace.database
    if collection.lexical is None:
        return None
    with database.connect() as connection:
        return standing(database, connection, collection.name, collection.lexical)


def _differing(
    store: CollectionStore, reader: SourceReader, generation: Generation | None, words: LexicalIndex | None,
    rows: Iterator[RawRow | BadRow],
) -> tuple[int, int]:  # fmt: skip
    """Count the rows whose digest is not the one that a generation, and an index of words, hold. Nothing stays."""
    relation = store.relation
    with store.workspace.database.connect() as connection:
        staging = Staging(connection, store.collection, reader.key)
        staging.create()
        staging.add(rows)

        def count(held: sql.Identifier, digest: sql.Composed) -> int:
            found = connection.execute(
                sql.SQL(
                    "select count(*) from pg_temp.staged s left join {} g on {} where g.row_digest is distinct from {}"
                ).format(held, relation.same("s", "g"), digest)
            ).fetchone()
            assert found is not None
            return int(str(found[0]))

        found = connection.execute("select count(*) from pg_temp.staged").fetchone()
        assert found is not None
        all_of_them = int(str(found[0]))
        embedded = store.workspace.embeddings.rows_table(generation) if generation else None
        encode = count(embedded, row_digest(generation, relation, "s")) if generation and embedded else all_of_them
        cut = count(words.rows, relation.digest(words.fields, "s")) if words else all_of_them
        connection.rollback()
    return encode, cut


def _described(store: CollectionStore) -> Generation | None:
    """Return the newest generation that a run would sync as it is; None before the first one, or for another layout."""
    try:
        layout = store.layout()
    except NotFound:
        return None
    standing = ("live", "building", "candidate")
    return next((g for g in store.all() if g.state in standing and layout.describes(g, store.collection)), None)


def _sample(collection: Collection) -> int:
    return IMAGE_SAMPLE if "image" in collection.fields.values() else SAMPLE


def _key(values: tuple[object, ...]) -> tuple[str | int, ...]:
    return tuple(value if type(value) is int else str(value) for value in values)
