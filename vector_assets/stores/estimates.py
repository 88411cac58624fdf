"""What encoding and storing take, found by doing a little of it: a sample of texts encoded, a sample of rows stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pgvector import HalfVector, Vector
from psycopg import sql

from vector_assets.index.size_planner import IndexPlan
from vector_assets.records import Encoder, Generation, Input
from vector_assets.stores.database import Database
from vector_assets.stores.search_sql.nearest import indexed

# Texts in one call of the embeddings stage: half a page. The encoder sorts what it is given by length, and small calls
# cost more a text, so that the time of a text depends on how many others come with it.
TEXTS, FIRST, GROWTH = 512, 8, 4
# A slow encoder gets fewer: what it does in about this time.
SECONDS = 8.0
# Rows that are stored to see what they weigh.
STORED = 512

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Timed:
    """``start_seconds`` until an encoder is ready, once; then ``seconds`` a text. ``texts`` were timed."""

    start_seconds: float
    seconds: float
    texts: int
    dims: int
    truncated: float = 0.0  # share of the texts that were cut at the encoder's limit


def time_encoder(load: Callable[[], Encoder], texts: Sequence[Input], clock: Clock = time.perf_counter) -> Timed:
    """Time the encoding of texts in a call as large as the stage's own, or as ``SECONDS`` allow.

    Calls grow by a factor until then, which warms up and says how much can be afforded; the last one counts. Each takes
    texts evenly from those sorted by length: a few are then as long as all. Equal texts of a call are encoded once, as
    the stage does.
    """
    ordered = sorted(texts, key=lambda text: (len(text), text))  # all texts, or all images
    began = clock()
    encoder = load()
    encoder.encode_documents(ordered[:1])
    ready = clock()
    size, each, spent = 0, 0.0, 0.0
    following = min(FIRST, len(ordered))
    while following > size:
        size = following
        started = clock()
        encoded = encoder.encode_documents(list(dict.fromkeys(_evenly(ordered, size))))
        took = clock() - started
        each, spent = took / size, spent + took
        affordable = (SECONDS - spent) / each if each > 0 else TEXTS
        following = min(TEXTS, len(ordered), GROWTH * size, int(max(affordable, 0)))
    return Timed(ready - began, each, size, encoder.dims, float(encoded.truncated.mean()))


def _evenly(ordered: Sequence[Input], count: int) -> list[Input]:
    return [ordered[int((place + 0.5) * len(ordered) / count)] for place in range(count)]


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes of a generation's table of vectors and of its indexes, as ``EmbeddingStore.sizes`` counts them."""

    table_bytes: int
    index_bytes: int


def measure_storage(
    database: Database, vectors: int, *, dims: int, plan: IndexPlan, metric: str,
    keys: Sequence[Sequence[str | int]], beside: Sequence[str] = (),
) -> Stored:  # fmt: skip
    """Store some rows as a generation does, in a temporary table with its indexes, and scale what they weigh.

    ``keys`` are keys of the source, ``beside`` texts as long as what is copied beside the vectors. Pages hold whole
    rows, and wide vectors are stored apart, in pieces: that is simpler measured than computed.
    """
    generation = Generation(
        "", 0, "building", "", (), dims, plan.vector_type, (), metric,
        index_type=plan.index_type, precision=plan.precision,
    )  # fmt: skip
    count = min(vectors, STORED)
    if not count or not keys:
        return Stored(0, 0)
    kinds = ["bigint" if isinstance(value, int) else "text" for value in keys[0]]
    names = [sql.Identifier(f"k{number}") for number in range(1, len(kinds) + 1)]
    columns = sql.SQL(", ").join(sql.SQL("{} {}").format(n, sql.SQL(k)) for n, k in zip(names, kinds, strict=True))
    with database.connect() as connection:
        connection.execute(
            sql.SQL(
                "create temp table planned ({}, chunk_no integer, chunk_digest bytea, start_offset integer, "
                "stop_offset integer, vector {}({}), present bigint, checkpoint_set text, truncated boolean, "
                "beside text, primary key ({}, chunk_no))"
            ).format(columns, sql.SQL(plan.vector_type), sql.Literal(dims), sql.SQL(", ").join(names))
        )
        with connection.cursor() as cursor, cursor.copy("copy pg_temp.planned from stdin (format binary)") as copy:
            copy.set_types([*kinds, "int4", "bytea", "int4", "int4", plan.vector_type, "int8", "text", "bool", "text"])
            for number, vector in enumerate(_some_vectors(count, dims, plan.vector_type)):
                text = beside[number % len(beside)] if beside else None
                key = keys[number % len(keys)]
                copy.write_row([*key, number, bytes(32), 0, 0, vector, 1, "0" * 64, False, text])
        if plan.index_type != "exact":
            options = "" if plan.index_type == "hnsw" else "with (lists = 1)"
            connection.execute(
                sql.SQL("create index on pg_temp.planned using {} ({}) {}").format(
                    sql.SQL(plan.index_type), indexed(generation), sql.SQL(options)
                )
            )
        row = connection.execute(
            "select pg_table_size('pg_temp.planned'), pg_indexes_size('pg_temp.planned')"
        ).fetchone()
        connection.rollback()
    assert row is not None
    table, index = (round(int(str(size)) * vectors / count) for size in row)
    return Stored(table, index)


def _some_vectors(count: int, dims: int, vector_type: str) -> list[Vector | HalfVector]:
    values = np.random.default_rng(0).standard_normal((count, dims)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    wrap = Vector if vector_type == "vector" else HalfVector
    return [wrap(value) for value in values]
