"""What a run would cost, before it is run: counted from the source, timed on a sample."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from vector_assets.embedding.layout import chunk_rule
from vector_assets.embedding.text import row_chunks, row_text
from vector_assets.encoder.canaries import CheckedEncoder
from vector_assets.encoder.contract import ContractSettings
from vector_assets.encoder.open import open_encoder, store_untrained
from vector_assets.errors import NotFound
from vector_assets.records import RawRow, SourceReader, Value
from vector_assets.source.open import open_source
from vector_assets.source.queue import QueueReader
from vector_assets.spec import Collection, PostgresSource, Space
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.indexes import M
from vector_assets.stores.workspace import Workspace

SAMPLE = 128
TIMED = 1024  # texts of the sample that are encoded at most
# A row of the vectors' table beside its vector: header, key, digest, stamp; a row of the rows' table; their indexes.
ROW_OVERHEAD = 420


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows that would be encoded, the time that takes here, and the space it needs."""

    rows: int
    encode: int
    chunks: int
    rows_per_second: float
    seconds: float
    table_bytes: int
    index_bytes: int
    trains: tuple[str, ...]


def plan(workspace: Workspace, collection: Collection) -> Plan:
    """Count what the next run would encode and time a sample of it with the encoders that it would use.

    Training, when it is due, is named and not timed: it stops when validation stops improving.
    """
    store = CollectionStore(workspace, collection)
    sample, rows, encode = _rows(workspace, store)
    dims, speed, chunks = 0, 0.0, 1.0
    for name, space in collection.spaces.items():
        encoder = _encoder(workspace, collection, name, space)
        dims += encoder.dims
        texts = [found for row in sample if (found := _texts([row[field] for field in space.fields], space))]
        if texts:
            each = sum(map(len, texts)) / len(texts)
            chunks = max(chunks, each)
            timed = [text for found in texts for text in found][:TIMED]
            encoder.encode_documents(timed[:16])
            started = time.perf_counter()
            encoder.encode_documents(timed)
            speed += each * (time.perf_counter() - started) / len(timed)
    trains = tuple(name for name, space in collection.spaces.items() if space.train and not _is_trained(store, name))
    return Plan(
        rows=rows,
        encode=encode,
        chunks=round(encode * chunks),
        rows_per_second=1 / speed if speed else 0.0,
        seconds=encode * speed,
        table_bytes=round(encode * chunks) * (dims * 4 + ROW_OVERHEAD),
        index_bytes=round(encode * chunks) * (dims * 4 + 2 * M * 6 + 60),
        trains=trains,
    )


def _texts(values: list[Value], space: Space) -> list[str]:
    """What a space encodes of a row: its text, or the chunks of it."""
    rule = chunk_rule(space)
    if rule is None:
        return [text] if (text := row_text(values)) else []
    text, spans = row_chunks(values, rule)
    return [text[start:stop] for start, stop in spans]


def _rows(workspace: Workspace, store: CollectionStore) -> tuple[list[dict[str, Value]], int, int]:
    """Return sample rows by field, the rows of the source, and how many the next run would encode."""
    collection = store.collection
    if not isinstance(collection.source, PostgresSource):
        reader = open_source(collection)
        if isinstance(reader, QueueReader):
            waiting = reader.waiting(workspace.database.url.libpq)
            if workspace.raw.version(collection.name) is None:
                return [], waiting, waiting
            return _stored(workspace, store, waiting)
        changed = workspace.raw.fingerprint_of(collection, reader) != workspace.raw.fingerprint(collection.name)
        if changed:
            return _read(collection, reader)
    return _stored(workspace, store, 0)


def _stored(workspace: Workspace, store: CollectionStore, waiting: int) -> tuple[list[dict[str, Value]], int, int]:
    """Count what is there already; each message that waits may be a row more."""
    collection = store.collection
    sample = workspace.raw.sample(collection, SAMPLE)
    count = workspace.raw.count(collection)
    try:
        layout = store.layout()
    except NotFound:
        return sample, count + waiting, count + waiting
    same = [g for g in store.all() if g.state in ("live", "building", "candidate") and layout.describes(g, collection)]
    pending = workspace.embeddings.coverage(same[0], store.relation).pending if same else count
    return sample, count + waiting, pending + waiting


def _read(collection: Collection, reader: SourceReader) -> tuple[list[dict[str, Value]], int, int]:
    """Read the source once, keeping an even sample of it and nothing else (reservoir sampling, Vitter 1985)."""
    chooser = random.Random(0)  # noqa: S311 - a sample, not a secret
    kept: list[tuple[Value, ...]] = []
    count = 0
    for row in reader.rows():
        if isinstance(row, RawRow):
            count += 1
            place = len(kept) if len(kept) < SAMPLE else chooser.randrange(count)
            if place == len(kept):
                kept.append(row.values)
            elif place < SAMPLE:
                kept[place] = row.values
    return [dict(zip(collection.fields, values, strict=True)) for values in kept], count, count


def _encoder(workspace: Workspace, collection: Collection, name: str, space: Space) -> CheckedEncoder:
    stored = workspace.checkpoints.encoder(collection.name, name)
    if stored:
        return open_encoder(workspace.checkpoints.get(stored.checkpoint).folder)
    settings = ContractSettings(space.max_tokens, space.query_prefix, space.document_prefix)
    found = store_untrained(
        space.encoder, workspace.checkpoint_folder,
        folder=collection.folder, models=workspace.tracked_model, settings=settings,
    )  # fmt: skip
    return open_encoder(found.folder)


def _is_trained(store: CollectionStore, space: str) -> bool:
    stored = store.workspace.checkpoints.encoder(store.collection.name, space)
    return bool(stored and stored.training_key)
