"""What a run would cost, before it is run: counted from the source, timed and weighed on a sample."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from psycopg import sql

from vector_assets.embedding.layout import VECTOR_DIMS, chunk_rule
from vector_assets.embedding.text import row_chunks, row_text
from vector_assets.encoder.contract import ContractSettings
from vector_assets.encoder.open import open_encoder, store_untrained
from vector_assets.errors import NotFound
from vector_assets.records import Encoder, RawRow, SourceReader, Value
from vector_assets.runtime.machine import machine
from vector_assets.source.open import open_source
from vector_assets.source.queue import QueueReader
from vector_assets.spec import Collection, PostgresSource, Space
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.estimates import measure_storage, time_encoder
from vector_assets.stores.planned_changes import Changes, planned_changes
from vector_assets.stores.relation import columns
from vector_assets.stores.workspace import Workspace

# Rows that are looked at: the vectors of a row are known to 3 % where their number varies as much as it is large.
SAMPLE = 1024
# What reading and storing take beside the encoding, which shares the cores with them; see benchmarks/plan_accuracy.py.
ROW_SECONDS = 0.0005


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows that would be encoded, the time that takes here, and the space it needs.

    ``seconds`` are those of the embeddings stage: ``start_seconds`` until the encoders are ready, and the rows.
    ``table_bytes`` and ``index_bytes`` are those of the vectors that are added.
    """

    rows: int
    encode: int
    chunks: int
    rows_per_second: float
    start_seconds: float
    seconds: float
    table_bytes: int
    index_bytes: int
    trains: tuple[str, ...]
    changes: Changes
    load: float  # processes that wanted to run, over the cores there are: above 1 the seconds may be half or twice


@dataclass(slots=True)
class _Found:
    """What the source has: rows, how many need work, and a sample of them with their keys."""

    rows: int
    encode: int
    sample: list[dict[str, Value]] = field(default_factory=list)
    keys: list[tuple[str | int, ...]] = field(default_factory=list)


def plan(workspace: Workspace, collection: Collection) -> Plan:
    """Count what the next run would encode; time a sample with the encoders that it would use, store a sample of rows.

    Training, when it is due, is named and not timed: it stops when validation stops improving.
    """
    store = CollectionStore(workspace, collection)
    found = _rows(workspace, store)
    load = os.getloadavg()[0] / machine().cores
    counts = [0] * len(found.sample)
    dims, start, each = 0, 0.0, 0.0
    for name, space in collection.spaces.items():
        texts = [_texts([row[name] for name in space.fields], space) for row in found.sample]
        counts = [max(count, len(cut)) for count, cut in zip(counts, texts, strict=True)]
        drawn = [text for cut in texts for text in cut]
        if drawn and found.encode:
            timed = time_encoder(_loader(workspace, collection, name, space), drawn)
            dims += timed.dims
            start += timed.start_seconds
            each += timed.seconds * len(drawn) / len(texts)
    chunks = round(found.encode * sum(counts) / len(counts)) if counts else found.encode
    each += ROW_SECONDS
    stored = measure_storage(
        workspace.database, chunks if dims else 0, dims=dims,
        vector_type="vector" if dims <= VECTOR_DIMS else "halfvec", keys=found.keys,
        beside=["".join(str(row[name]) for name in collection.filters) for row in found.sample],
    )  # fmt: skip
    return Plan(
        rows=found.rows,
        encode=found.encode,
        chunks=chunks,
        rows_per_second=1 / each,
        start_seconds=start,
        seconds=start + found.encode * each,
        table_bytes=stored.table_bytes,
        index_bytes=stored.index_bytes,
        trains=tuple(name for name, space in collection.spaces.items() if space.train and not _is_trained(store, name)),
        changes=planned_changes(workspace, collection),
        load=load,
    )


def _texts(values: list[Value], space: Space) -> list[str]:
    """What a space encodes of a row: its text, or the chunks of it."""
    rule = chunk_rule(space)
    if rule is None:
        return [text] if (text := row_text(values)) else []
    text, spans = row_chunks(values, rule)
    return [text[start:stop] for start, stop in spans]


def _rows(workspace: Workspace, store: CollectionStore) -> _Found:
    """Count the rows of the source and how many of them the next run would encode."""
    collection = store.collection
    if not isinstance(collection.source, PostgresSource):
        reader = open_source(collection)
        if isinstance(reader, QueueReader):
            waiting = reader.waiting(workspace.database.url.libpq)
            if workspace.raw.version(collection.name) is None:
                return _Found(waiting, waiting)
            return _stored(workspace, store, waiting)
        changed = workspace.raw.fingerprint_of(collection, reader) != workspace.raw.fingerprint(collection.name)
        if changed:
            return _read(collection, reader)
    return _stored(workspace, store, 0)


def _stored(workspace: Workspace, store: CollectionStore, waiting: int) -> _Found:
    """Count what is there already; each message that waits may be a row more."""
    collection = store.collection
    count = workspace.raw.count(collection)
    found = _Found(count + waiting, count + waiting)
    names = list(collection.fields)
    key = store.relation.source_key("r")
    query = sql.SQL("select {}, {} from {} r order by hashtextextended(json_build_array({})::text, 0) limit {}").format(
        key, columns(names, "r"), store.relation.table, key, sql.Literal(SAMPLE)
    )
    with workspace.database.connect() as connection:
        for row in connection.execute(query):
            values = cast(tuple[Value, ...], row)
            parts = len(store.relation.key)
            found.keys.append(_key(values[:parts]))
            found.sample.append(dict(zip(names, values[parts:], strict=True)))
    try:
        layout = store.layout()
    except NotFound:
        return found
    same = [g for g in store.all() if g.state in ("live", "building", "candidate") and layout.describes(g, collection)]
    if same:
        found.encode = workspace.embeddings.coverage(same[0], store.relation).pending + waiting
    return found


def _read(collection: Collection, reader: SourceReader) -> _Found:
    """Read the source once, keeping an even sample of it and nothing else (reservoir sampling, Vitter 1985)."""
    chooser = random.Random(0)  # noqa: S311 - a sample, not a secret
    kept: list[RawRow] = []
    count = 0
    for row in reader.rows():
        if isinstance(row, RawRow):
            count += 1
            place = len(kept) if len(kept) < SAMPLE else chooser.randrange(count)
            if place == len(kept):
                kept.append(row)
            elif place < SAMPLE:
                kept[place] = row
    sample = [dict(zip(collection.fields, row.values, strict=True)) for row in kept]
    return _Found(count, count, sample, [_key(row.key) for row in kept])


def _key(values: tuple[object, ...]) -> tuple[str | int, ...]:
    return tuple(value if type(value) is int else str(value) for value in values)


def _loader(workspace: Workspace, collection: Collection, name: str, space: Space) -> Callable[[], Encoder]:
    """Find, or fetch, the checkpoint that a space would use; what is returned loads its encoder."""
    stored = workspace.checkpoints.encoder(collection.name, name)
    if stored:
        folder = workspace.checkpoints.get(stored.checkpoint).folder
    else:
        settings = ContractSettings(space.max_tokens, space.query_prefix, space.document_prefix, space.layer)
        folder = store_untrained(
            space.encoder, workspace.checkpoint_folder,
            folder=collection.folder, models=workspace.tracked_model, settings=settings,
        ).folder  # fmt: skip
    return lambda: open_encoder(folder)


def _is_trained(store: CollectionStore, space: str) -> bool:
    stored = store.workspace.checkpoints.encoder(store.collection.name, space)
    return bool(stored and stored.training_key)
