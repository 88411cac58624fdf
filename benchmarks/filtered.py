"""Filtered search against hand-tuned pgvector: recall@10 and milliseconds at several selectivities, interleaved.

Rivals, on the same table and session: ``iterative`` (HNSW with hnsw.iterative_scan = relaxed_order, the ef_search of
the generation), ``strict`` (the same in strict_order) and ``exact`` (btree on the filter, exact distance). Ours is
search.<collection>(…) with a filter on a copied column, and on one that only the source has. The rows of the filter
``near`` all lie as far from the question as there are.

The column ``part`` has the values 1, 3 and 10 in as many per cent of the rows, each with a partial index; ``plain``
has the same values and none. There ``ours`` asks plain, ``ours, partial`` asks part, and ``partial`` is that index by
hand, at the width that was measured for it.

    python benchmarks/filtered.py --rows 200000 --vectors vectors.npy --queries queries.npy --json filtered.json

Vectors are tiled with noise up to --rows; without --vectors they are drawn around 2,000 centres. A home of its own
(--home) keeps the loaded table from one run to the next.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psycopg
from pgvector import Vector
from pgvector.psycopg import register_vector
from psycopg.types.json import Jsonb
from swap_cost import Store

from vector_assets.embedding.run import run_embeddings
from vector_assets.index.swap import promote
from vector_assets.records import Encoded, Vectors
from vector_assets.runtime.postgres import remove_postgres
from vector_assets.spec import Collection
from vector_assets.stores.measuring import measure_newest
from vector_assets.stores.workspace import Workspace, open_workspace

PARTS = (1, 3, 10)  # per cent of the rows
SHARES = (0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.5, 1.0)
Answer = list[tuple[int, float]]


class TableEncoder:
    """The vector of row i is the i-th of a table: the text is the number."""

    bulk_bound = 0.9999

    def __init__(self, table: Vectors) -> None:
        self.table, self.dims, self.digest = table, table.shape[1], "f" * 64

    def encode_documents(self, texts: list[str]) -> Encoded:
        """Look up: (n, dims), unit length."""
        return Encoded(self.table[[int(text) for text in texts]], np.zeros(len(texts), np.bool_), len(texts))

    def encode_queries(self, texts: list[str]) -> Vectors:
        """The same; the canary asks for a word."""
        return self.table[[int(text) if text.isdigit() else 0 for text in texts]]


class TableStore(Store):
    """The real stores; there are no files of a model to check."""

    def require_intact(self, digest: str) -> None:
        """A table has no files."""


def vectors(path: Path | None, rows: int, dims: int) -> Vectors:
    """Unit vectors (rows, dims): those of a file, and again with noise (cosine to the original about .86)."""
    rng = np.random.default_rng(0)
    if path:
        real = np.load(path)
        real = real[np.abs(real).sum(axis=1) > 0]
    else:
        real = rng.standard_normal((2000, dims), dtype=np.float32)
        real /= np.linalg.norm(real, axis=1, keepdims=True)
    dims = real.shape[1]
    found = real[np.arange(rows) % len(real)]
    noise = rng.standard_normal((rows, dims), dtype=np.float32) * np.float32(0.6 / np.sqrt(dims))
    noise[: len(real) if path else 0] = 0
    found = found + noise
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def build(workspace: Workspace, table: Vectors) -> Store:
    """Load the table, index it and make it live; what is there already is used."""
    rows = len(table)
    collection = Collection.model_validate(
        {
            "name": "filtered",
            "source": {"kind": "postgres", "table": "filtered"},
            "fields": {
                "title": "text", "rank": "number", "other": "number", "near": "number", "part": "number",
                "plain": "number",
            },
            "filters": ["rank", "near", "part", "plain"],
            "spaces": {"text": {"fields": ["title"]}},
            "index": {"recall": 0.98, "partial": {"part": list(PARTS)}},
            "evaluation": {"synthetic": 0},
        }
    )  # fmt: skip
    with psycopg.connect(workspace.addresses.database.libpq, autocommit=True) as connection:
        if connection.execute("select to_regclass('filtered')").fetchone() == (None,):
            connection.execute(
                "create table filtered (id bigint primary key, title text, rank integer, other integer, near integer, "
                "part integer, plain integer)"
            )
            near = (table @ table[0]).argsort().argsort()
            ranks = np.random.default_rng(1).permutation(rows)
            parts = np.random.default_rng(2).permutation(np.repeat([*PARTS, 0], per_cent(rows)))
            with connection.cursor().copy("copy filtered from stdin") as copy:
                for number in range(rows):
                    rank, part = int(ranks[number]), int(parts[number])
                    copy.write_row((number, str(number), rank, rank, int(near[number]), part, part))
            connection.execute("create index on filtered (other)")
            connection.execute("vacuum analyze filtered")
    store = TableStore(workspace, collection, table.shape[1])
    encoder = TableEncoder(table)
    store.chosen, store.known = encoder, {encoder.digest: encoder}  # type: ignore[assignment, dict-item]
    from vector_assets.records import Canary, Checkpoint

    canary = Canary("query", "a", tuple(map(float, table[0])))
    workspace.checkpoints.save(Checkpoint(encoder.digest, Path("/none"), {"dims": table.shape[1]}, (canary,)))
    run_embeddings(collection, store.layout(), store, store.encoders)  # type: ignore[arg-type]
    if not any(one.state == "live" for one in store.all()):
        measure_newest(store, maintenance=False, log=lambda said: print(" ", said, file=sys.stderr))
        promote(store, store.catch_up, because="benchmark")
    store.workspace.generations.refresh_views(collection, store.all()[0], store.relation)  # as the code is now
    return store


def per_cent(rows: int) -> list[int]:
    """How many rows have each of PARTS, and how many none of them."""
    counts = [rows * part // 100 for part in PARTS]
    return [*counts, rows - sum(counts)]


def part_arms(name: str, part: int, *, ef: int, narrow: int) -> dict[str, tuple[list[str], str]]:
    """The same for one value, whose rows have a partial index that is searched at ``narrow``."""

    def near(column: str) -> str:
        return (
            f"select k1, 1 - (vector <=> %(q)s) from embedding.{name} where f_{column} = {part} "
            "order by vector <=> %(q)s limit 10"
        )

    ours = "select id, score from search.filtered(%(q)s, 10, filter => %(tree)s)"
    relaxed = ["set enable_sort = off", "set hnsw.iterative_scan = relaxed_order"]
    found = f"select k1, 1 - (vector <=> %(q)s) from embedding.{name} where f_plain = {part}"
    return {
        "ours": ([], ours),
        "ours, partial": ([], ours.replace("tree", "parted")),
        "iterative": ([*relaxed, f"set hnsw.ef_search = {ef}"], near("plain")),
        "partial": ([*relaxed, f"set hnsw.ef_search = {narrow}"], near("part")),
        "exact": ([], f"with m as materialized ({found}) select * from m order by 2 desc limit 10"),
    }


def arms(name: str, column: str, ef: int) -> dict[str, tuple[list[str], str]]:
    """Of every way its settings and its query."""
    bare = f"select k1, 1 - (vector <=> %(q)s) from embedding.{name} where f_{column} < %(below)s"
    near = " order by vector <=> %(q)s limit 10"
    hnsw = [f"set hnsw.ef_search = {ef}", "set enable_sort = off"]
    return {
        "ours": ([], "select id, score from search.filtered(%(q)s, 10, filter => %(tree)s)"),
        "ours, source": ([], "select id, score from search.filtered(%(q)s, 10, filter => %(source)s)"),
        "iterative": ([*hnsw, "set hnsw.iterative_scan = relaxed_order"], bare + near),
        "strict": ([*hnsw, "set hnsw.iterative_scan = strict_order"], bare + near),
        "exact": ([], f"with m as materialized ({bare}) select * from m order by 2 desc limit 10"),
    }


def measure(store: Store, table: Vectors, queries: Vectors, shares: tuple[float, ...]) -> list[dict[str, object]]:
    """Ask every way every question, in turns; return recall, hits and times."""
    generation = next(one for one in store.all() if one.state == "live")
    lines: list[dict[str, object]] = []
    with psycopg.connect(store.workspace.addresses.database.libpq, autocommit=True) as connection:
        register_vector(connection)
        columns = {
            column: np.array(connection.execute(f"select {column} from filtered order by id").fetchall())[:, 0]
            for column in ("rank", "near", "part")
        }
        connection.execute("select '[1]'::vector <=> '[1]'::vector")
        widths = partial_widths(store)
        near = [("near", 0.01), ("near", 0.1), ("near", 0.3)]
        for column, share in [("part", one / 100) for one in PARTS] + [("rank", one) for one in shares] + near:
            ef, part = generation.ef_search or 40, round(100 * share)
            below = max(10, int(share * len(table)))
            if column == "part":
                ways = part_arms(generation.table, part, ef=ef, narrow=widths[part])
                matching = np.flatnonzero(columns["part"] == part)
            else:
                ways = arms(generation.table, column, ef)
                matching = np.flatnonzero(columns[column] < below)
            # The rows with a small "near" are the farthest from row 0: ask what lies close to that.
            asked = queries if column != "near" else vectors_like(table[0], len(queries))
            right = [set(matching[np.argsort(-(table[matching] @ q))[:10]]) for q in asked]
            recall: dict[str, list[float]] = {way: [] for way in ways}
            taken: dict[str, list[float]] = {way: [] for way in ways}
            fewest = dict.fromkeys(ways, 10)
            for q, wanted in zip(asked, right, strict=True):
                for way, (settings, query) in ways.items():
                    if way == "ours, source" and column == "near":
                        continue
                    connection.execute("reset all")
                    for setting in settings:
                        connection.execute(setting.encode())
                    values = {
                        "q": Vector(q),
                        "below": below,
                        "tree": Jsonb(
                            {"field": "plain", "op": "=", "value": part}
                            if column == "part"
                            else {"field": column, "op": "<", "value": below}
                        ),
                        "parted": Jsonb({"field": "part", "op": "=", "value": part}),
                        "source": Jsonb({"field": "other", "op": "<", "value": below}),
                    }
                    started = time.perf_counter()
                    rows = connection.execute(query.encode(), values, binary=True).fetchall()
                    taken[way].append(1000 * (time.perf_counter() - started))
                    recall[way].append(len({int(str(row[0])) for row in rows} & wanted) / len(wanted))
                    fewest[way] = min(fewest[way], len(rows))
            for way in ways:
                if taken[way]:
                    line = {
                        "filter": column, "share": share, "way": way, "recall": round(float(np.mean(recall[way])), 4),
                        "fewest": fewest[way], "p50": round(float(np.median(taken[way])), 2),
                        "p99": round(float(np.quantile(taken[way], 0.99)), 2),
                    }  # fmt: skip
                    lines.append(line)
                    print(
                        f"{column:>5} {share:7.2%} {way:>13}: recall {line['recall']:.3f}, {line['fewest']:2} rows or "
                        f"more, p50 {line['p50']:.2f} ms, p99 {line['p99']:.2f} ms"
                    )
    return lines


def partial_widths(store: Store) -> dict[int, int]:
    """Of each value with a partial index the width that was measured for it; says what is known of each."""
    generation = next(one for one in store.all() if one.state == "live")
    found = {}
    for one in store.workspace.generations.measures(generation)["partial"]:  # type: ignore[attr-defined]
        print(f"partial index of {one['field']} = {one['value']}, {one['bytes'] / 2**20:.1f} MiB: {one['said']}")
        found[int(one["value"])] = int(one["recall"]["ef_search"])
    return found


def vectors_like(one: Vectors, count: int) -> Vectors:
    """Unit vectors about one."""
    noise = np.random.default_rng(5).standard_normal((count, len(one)), dtype=np.float32)
    found = one + noise * np.float32(0.3 / np.sqrt(len(one)))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def main() -> None:
    """Load, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dims", type=int, default=384)
    parser.add_argument("--asked", type=int, default=200)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--shares", type=float, nargs="*", default=SHARES)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = vectors(options.vectors, options.rows, options.dims)
    if options.queries:
        queries = np.load(options.queries)[: options.asked]
    else:
        queries = vectors(options.vectors, options.rows + options.asked, options.dims)[-options.asked :]
    with tempfile.TemporaryDirectory(prefix="va-filtered-") as folder:
        home = options.home or Path(folder) / "home"
        os.environ["VECTOR_ASSETS_HOME"] = str(home)
        try:
            store = build(open_workspace(), table)
            lines = measure(store, table, queries, tuple(options.shares))
        finally:
            if not options.home:
                remove_postgres(home)
    if options.json:
        options.json.write_text(json.dumps({"rows": options.rows, "lines": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
