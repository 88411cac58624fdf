"""What going live and going back cost: the seconds until readers are answered by the other generation.

A table of random unit vectors is loaded twice over, as two generations with their HNSW indexes; then they go live in
turns, by promotion and by rollback. Of a rollback, ``swap`` is until the other generation answers, and ``all`` is with
the sync that follows; --changed rows were written to meanwhile.

    python benchmarks/swap_cost.py --rows 100000 --dims 384 --rounds 5 --json swap.json

A home of its own (--home) keeps the server apart from the project's; it is made in a temporary folder and removed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psycopg

from vector_assets.embedding.layout import Layout, SpaceEncoder, plan_layout
from vector_assets.embedding.run import run_embeddings
from vector_assets.index.integrity import Checked, check_canaries_found
from vector_assets.index.swap import promote, roll_back
from vector_assets.records import Canary, Checkpoint, Encoded, Generation, JudgedQuery, Vectors
from vector_assets.runtime.postgres import remove_postgres
from vector_assets.spec import Collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.measuring import measure_newest
from vector_assets.stores.workspace import Workspace, open_workspace


class RandomEncoder:
    """A vector drawn by the text: near others of its group of 50, so that an index finds what it should."""

    bulk_bound = 0.9999

    def __init__(self, dims: int, seed: int) -> None:
        self.dims, self.seed = dims, seed
        self.digest = hashlib.sha256(f"{dims} {seed}".encode()).hexdigest()
        self.centres = np.random.default_rng(seed).standard_normal((2000, dims)).astype(np.float32)

    def encode_documents(self, texts: Sequence[str]) -> Encoded:
        """Encode: (n, dims), unit length."""
        numbers = [int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) for text in texts]
        noise = np.stack([np.random.default_rng(n).standard_normal(self.dims, dtype=np.float32) for n in numbers])
        vectors = self.centres[np.array(numbers) % len(self.centres)] + 0.5 * noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Encoded(vectors, np.zeros(len(texts), np.bool_), len(texts))

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Encode questions the same way."""
        return self.encode_documents(texts).vectors


class Store(CollectionStore):
    """The real stores, with random encoders in place of checkpoints."""

    page = 4096

    def __init__(self, workspace: Workspace, collection: Collection, dims: int) -> None:
        super().__init__(workspace, collection)
        self.known = {each.digest: each for each in (RandomEncoder(dims, 1), RandomEncoder(dims, 2))}
        self.chosen, self.other = self.known.values()
        for each in self.known.values():
            canary = Canary("query", "a", tuple(map(float, each.encode_queries(["a"])[0])))
            workspace.checkpoints.save(Checkpoint(each.digest, Path("/none"), {"dims": dims}, (canary,)))

    def layout(self) -> Layout:
        """Lay out the one space."""
        return plan_layout(self.collection, {"text": SpaceEncoder(self.chosen.digest, self.chosen.dims)})

    def judged(self) -> list[JudgedQuery]:
        """Nobody judged anything."""
        return []

    def canaries(self, generation: Generation) -> Checked:
        """There is no model to check."""
        return check_canaries_found(1.0, 1.0, query_bound=0.9999, document_bound=0.9999, passed=True)

    def require_intact(self, digest: str) -> None:
        """A random encoder has no files."""

    def _encoder(self, digest: str) -> RandomEncoder:  # type: ignore[override]
        return self.known[digest]


def build(workspace: Workspace, rows: int, dims: int) -> Store:
    """Load two generations with indexes; the second is the candidate."""
    with psycopg.connect(workspace.addresses.database.libpq, autocommit=True) as connection:
        connection.execute("create table swapped (id bigint primary key, title text)")
        connection.execute(
            "insert into swapped select i, 'row ' || i || ' ' || md5(i::text) from generate_series(1, %s) i", (rows,)
        )
    collection = Collection.model_validate(
        {
            "name": "swapped",
            "source": {"kind": "postgres", "table": "swapped"},
            "fields": {"title": "text"},
            "spaces": {"text": {"fields": ["title"]}},
            "index": {"recall": 0.5},
            "evaluation": {"synthetic": 0},
        }
    )
    store = Store(workspace, collection, dims)
    for number in (1, 2):
        if number == 2:
            store.chosen, store.other = store.other, store.chosen
        run_embeddings(collection, store.layout(), store, store.encoders)
        measure_newest(store, maintenance=False, log=lambda said: print(" ", said, file=sys.stderr))
        if number == 1:
            promote(store, store.catch_up, because="first")
    return store


def measure(store: Store, rounds: int, changed: int) -> dict[str, dict[str, float]]:
    """Swap there and back; return medians and worst of the seconds."""
    generations = store.workspace.generations
    taken: dict[str, list[float]] = {"promote, all": [], "rollback, swap": [], "rollback, all": []}
    with psycopg.connect(store.workspace.addresses.database.libpq, autocommit=True) as connection:
        for _ in range(rounds):
            second = generations.get("swapped", 2)
            generations.set_state(second, "candidate")
            started = time.perf_counter()
            promote(store, store.catch_up, because="benchmark")
            taken["promote, all"].append(time.perf_counter() - started)
            connection.execute("update swapped set title = title || '.' where id <= %s", (changed,))
            started = time.perf_counter()
            swapped: list[float] = []

            def catch_up(generation: Generation, started: float = started, swapped: list[float] = swapped) -> None:
                swapped.append(time.perf_counter() - started)
                store.catch_up(generation)

            roll_back(store, generations.rollback_target("swapped"), catch_up, because="benchmark")
            taken["rollback, all"].append(time.perf_counter() - started)
            taken["rollback, swap"].append(swapped[0])
    return {name: {"median": statistics.median(each), "worst": max(each)} for name, each in taken.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--changed", type=int, default=100)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="va-swap-") as folder:
        home = options.home or Path(folder) / "home"
        os.environ["VECTOR_ASSETS_HOME"] = str(home)
        try:
            store = build(open_workspace(), options.rows, options.dims)
            found = measure(store, options.rounds, options.changed)
        finally:
            if not options.home:
                remove_postgres(home)
    for name, seconds in found.items():
        print(f"{name:>16}: median {seconds['median']:.3f} s, worst {seconds['worst']:.3f} s")
    if options.json:
        options.json.write_text(json.dumps({"rows": options.rows, "dims": options.dims, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
