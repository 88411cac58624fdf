"""What it costs to keep vectors true to rows: against the number of rows, and against the share that changed.

Rows of about 200 characters are generated in a table of their own, which is used in place; the encoder is a fixed
cheap one, so that what is measured is the sync and not a model. Each figure is the whole embeddings stage: find the
generations, list what differs, encode, store, and the data version of the outcome. Figures are medians of --rounds.

    python benchmarks/sync_cost.py --rows 100000 1000000 --share 0 0.001 0.01 --json sync.json

A home of its own (--home) keeps the server apart from the project's; it is made in a temporary folder and removed.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
from embedded import own_workspace

from vector_assets.embedding.layout import Layout, SpaceEncoder, plan_layout
from vector_assets.embedding.run import run_embeddings
from vector_assets.records import Canary, Checkpoint, Encoded, Generation, Vectors
from vector_assets.spec import Collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.workspace import Workspace

DIMS = 64
DIGEST = "0" * 64


class CheapEncoder:
    """A fixed random projection of byte counts: some 100,000 texts a second."""

    digest, dims, bulk_bound = DIGEST, DIMS, 0.9999

    def __init__(self) -> None:
        self.projection = np.random.default_rng(0).standard_normal((256, DIMS)).astype(np.float32)
        self.seconds, self.texts = 0.0, 0

    def encode_documents(self, texts: Sequence[str]) -> Encoded:
        """Encode and keep the time that it took."""
        started = time.perf_counter()
        counts = np.stack([np.bincount(np.frombuffer(t.encode(), np.uint8), minlength=256) for t in texts])
        vectors = counts.astype(np.float32) @ self.projection
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        self.seconds += time.perf_counter() - started
        self.texts += len(texts)
        return Encoded(vectors, np.zeros(len(texts), np.bool_), len(texts))

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Encode questions by the same projection."""
        return self.encode_documents(texts).vectors


class Store(CollectionStore):
    """The real stores, with the cheap encoder in place of a checkpoint."""

    def __init__(self, workspace: Workspace, collection: Collection) -> None:
        super().__init__(workspace, collection)
        self.cheap = CheapEncoder()
        canary = Canary("query", "a", tuple(map(float, self.cheap.encode_queries(["a"])[0])))
        workspace.checkpoints.save(Checkpoint(DIGEST, Path("/none"), {"dims": DIMS}, (canary,)))

    def layout(self) -> Layout:
        """Lay out the one space."""
        return plan_layout(self.collection, {"text": SpaceEncoder(DIGEST, DIMS)})

    def require_intact(self, digest: str) -> None:
        """The cheap encoder has no files."""

    def _encoder(self, digest: str) -> CheapEncoder:  # type: ignore[override]
        return self.cheap

    def stage(self) -> tuple[float, float, Generation, dict[str, int]]:
        """Run the embeddings stage; return its seconds, those of the encoder, and the counts."""
        self.cheap.seconds = 0.0
        started = time.perf_counter()
        run = run_embeddings(self.collection, self.layout(), self, self.encoders)
        newest = self.all()[0]
        self.workspace.embeddings.content_version(newest)
        seconds = time.perf_counter() - started
        report = run.latest
        return seconds, self.cheap.seconds, newest, {"encoded": report.encoded, "removed": report.removed}


def make_rows(url: str, table: str, rows: int) -> float:
    """Create and fill the table; return the seconds of the insert without triggers."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create table {table} (id bigint primary key, title text, body text, note text)")
        started = time.perf_counter()
        connection.execute(
            f"insert into {table} select i, 'title ' || md5(i::text), "
            f"repeat(md5((i * 7)::text) || ' ', 5), 'n' from generate_series(1, {rows}) i"
        )
        seconds = time.perf_counter() - started
        connection.execute(f"vacuum analyze {table}")
    return seconds


def change(url: str, table: str, rows: int, share: float, round_: int) -> int:
    """Update a share of the rows in statements of a thousand, as an application would; return how many."""
    count = int(rows * share)
    step = max(1, rows // max(count, 1))
    with psycopg.connect(url, autocommit=True) as connection:
        for start in range(0, count, 1000):
            ids = [(i * step) % rows + 1 for i in range(start, min(start + 1000, count))]
            connection.execute(f"update {table} set body = md5(body) || %s where id = any(%s)", (str(round_), ids))
    return count


def measure(
    workspace: Workspace, rows: int, shares: Sequence[float], rounds: int, *, index: bool
) -> list[dict[str, object]]:
    """Measure one table size: by captured changes and by comparing all rows, interleaved."""
    url = workspace.addresses.database.libpq
    table = f"bench_{rows}"
    make_rows(url, table, rows)
    collection = Collection.model_validate(
        {
            "name": f"bench_{rows}",
            "source": {"kind": "postgres", "table": table, "capture": "trigger"},
            "fields": {"title": "text", "body": "text"},
            "spaces": {"text": {"fields": ["title", "body"]}},
        }
    )
    store = Store(workspace, collection)
    workspace.raw.observe(collection)
    captured = store.relation
    scanned = replace(captured, capture="scan")
    found: list[dict[str, object]] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, encoding, generation, counts = store.stage()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found.append(
        {"rows": rows, "what": "first load", "seconds": seconds, "encoding": encoding, **counts,
         "peak_mib_more": (after - before) / 1024, "peak_mib": after / 1024}
    )  # fmt: skip
    print(json.dumps(found[-1]), flush=True)
    if index:  # each changed row is then an insertion into the HNSW graph as well
        workspace.indexes.build(generation)
    store.swap(generation, because="benchmark")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'vacuum analyze embedding."{generation.table}_rows"')
        connection.execute(f'vacuum analyze embedding."{generation.table}"')
    for share in shares:
        taken: dict[str, list[tuple[float, float, int]]] = {"trigger": [], "scan": []}
        for round_ in range(rounds):
            # A scan leaves a cursor that says "compared as a whole": one sync by triggers comes between, unmeasured.
            for name, relation in (("trigger", captured), ("scan", scanned)):
                count = change(url, table, rows, share, 2 * round_ + (name == "scan"))
                store.__dict__["relation"] = relation
                seconds, encoding, _, counts = store.stage()
                assert counts["encoded"] == count, (counts, count)
                taken[name].append((seconds, encoding, count))
            store.__dict__["relation"] = captured
            store.stage()
        for name, each in taken.items():
            seconds = statistics.median(s for s, _, _ in each)
            encoding = statistics.median(e for _, e, _ in each)
            spread = [round(min(s for s, _, _ in each), 3), round(max(s for s, _, _ in each), 3)]
            found.append(
                {"rows": rows, "capture": name, "what": f"{share:.2%} changed", "seconds": seconds, "spread": spread,
                 "encoding": encoding, "encoded": each[0][2], "bound": 1.2 * encoding + 2}
            )  # fmt: skip
            print(json.dumps(found[-1]), flush=True)
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--share", type=float, nargs="+", default=[0.0, 0.001, 0.01])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--index", action="store_true", help="with an HNSW index on the vectors")
    arguments = parser.parse_args()
    with own_workspace() as workspace:
        found: list[dict[str, object]] = []
        for rows in arguments.rows:
            found += measure(workspace, rows, arguments.share, arguments.rounds, index=arguments.index)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
