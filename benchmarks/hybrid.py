"""Hybrid search against its parts, through the functions that SQL calls: nDCG@10, recall@10, MRR@10 and milliseconds.

Methods: vector, bm25, rrf and calibrated (weights learned on other questions than are judged), all of the live
generation of an embedded Postgres. ``against`` is the paired bootstrap of nDCG@10 against the better part.

    python benchmarks/hybrid.py --scifact FOLDER --banking77 FOLDER --python-functions --cache FOLDER --json FILE

--encoder is minilm or a checkpoint's folder; --python-encoder one for python_functions, such as the bundled project
has trained. A home of its own is made in a temporary folder and removed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from judged_sets import JudgedSet, RememberingEncoder, banking77, python_functions, scifact
from pgvector import Vector
from pgvector.psycopg import register_vector

from vector_assets.embedding.layout import Layout, SpaceEncoder, plan_layout
from vector_assets.embedding.run import run_embeddings
from vector_assets.encoder import make_checkpoint, read_checkpoint, resolve_encoder
from vector_assets.index.integrity import Checked, check_canaries_found
from vector_assets.index.swap import promote
from vector_assets.metrics import evaluate, paired_bootstrap, score
from vector_assets.records import Canary, Checkpoint, Generation, JudgedQuery
from vector_assets.runtime.postgres import remove_postgres
from vector_assets.spec import Collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.measuring import measure_newest
from vector_assets.stores.workspace import Workspace, open_workspace

CALLS = {
    "vector": "select id from search.{0}(%(q)s, 10) order by score desc, id",
    "bm25": "select id from search.{0}_bm25(%(words)s, 10) order by score desc, id",
    "rrf": "select id from search.{0}_hybrid(%(q)s, %(words)s, 10) order by score desc, id",
    "calibrated": "select id from search.{0}_hybrid(%(q)s, %(words)s, 10, null, 'calibrated') order by score desc, id",
}
SHOWN = ("ndcg@10", "recall@10", "mrr@10")


class Store(CollectionStore):
    """The real stores, with remembered vectors and the questions of a set."""

    def __init__(self, workspace: Workspace, asked: JudgedSet, encoder: RememberingEncoder) -> None:
        collection = Collection.model_validate({
            "name": asked.name, "source": {"kind": "postgres", "table": asked.name}, "fields": {"body": "text"},
            "spaces": {"text": {"fields": ["body"]}}, "lexical": ["body"], "evaluation": {"synthetic": 0},
        })  # fmt: skip
        super().__init__(workspace, collection)
        self.encoder, self.learned = encoder, asked.learned
        canary = Canary("query", "a", tuple(map(float, encoder.encode_queries(["a"])[0])))
        workspace.checkpoints.save(Checkpoint(encoder.digest, Path("/none"), {"dims": encoder.dims}, (canary,)))

    def layout(self) -> Layout:
        """Lay out the one space."""
        return plan_layout(self.collection, {"text": SpaceEncoder(self.encoder.digest, self.encoder.dims)})

    def judged(self) -> list[JudgedQuery]:
        """Nothing: what is judged is asked below."""
        return []

    def calibration_queries(self) -> list[JudgedQuery]:
        """Questions of the set that are not judged."""
        return self.learned

    def calibration_version(self) -> str:
        """They stay the same."""
        return "1"

    def canaries(self, generation: Generation) -> Checked:
        """Remembered vectors need no model."""
        return check_canaries_found(1.0, 1.0, query_bound=0.9999, document_bound=0.9999, passed=True)

    def require_intact(self, digest: str) -> None:
        """Nor its files."""

    def _encoder(self, digest: str) -> RememberingEncoder:  # type: ignore[override]
        return self.encoder


def load(workspace: Workspace, asked: JudgedSet, encoder: RememberingEncoder) -> dict[str, Any]:
    """Make a collection of the set and its generation live; return what was learned."""
    with psycopg.connect(workspace.addresses.database.libpq) as connection:
        connection.execute(f"create table {asked.name} (id text primary key, body text)")
        with connection.cursor().copy(f"copy {asked.name} from stdin") as copy:
            for row in asked.rows.items():
                copy.write_row(row)
    store = Store(workspace, asked, encoder)
    workspace.raw.observe(store.collection)
    run_embeddings(store.collection, store.layout(), store, store.encoders)
    measured = measure_newest(store, maintenance=False, log=say)
    promote(store, store.catch_up, because="benchmark")
    return dict(workspace.generations.measures(measured.generation)["fusion"])  # type: ignore[call-overload]


def ask(workspace: Workspace, asked: JudgedSet, encoder: RememberingEncoder) -> dict[str, Any]:
    """Ask every method each judged question, in turns; return scores, comparisons and milliseconds."""
    vectors = encoder.encode_queries([query.text for query in asked.judged])
    rankings: dict[str, dict[str, list[str]]] = {name: {} for name in CALLS}
    seconds: dict[str, list[float]] = {name: [] for name in CALLS}
    with psycopg.connect(workspace.addresses.database.libpq, autocommit=True) as connection:
        register_vector(connection)
        connection.execute("set role vector_assets_reader")
        for query, vector in zip(asked.judged, vectors, strict=True):
            values = {"q": Vector(vector), "words": query.text}
            for name, call in CALLS.items():
                started = time.perf_counter()
                rows = connection.execute(call.format(asked.name), values).fetchall()  # type: ignore[arg-type]
                seconds[name].append(time.perf_counter() - started)
                rankings[name][query.id] = [json.dumps([row[0]], ensure_ascii=False) for row in rows]
    means = {name: evaluate(found, asked.judged) for name, found in rankings.items()}
    better = max(("vector", "bm25"), key=lambda name: means[name]["ndcg@10"])
    scores = {name: score(found, asked.judged, "ndcg@10") for name, found in rankings.items()}
    return {
        name: {
            **{metric: round(means[name][metric], 4) for metric in SHOWN},
            "ms": round(1000 * statistics.median(seconds[name]), 2),
            "p95_ms": round(1000 * float(np.quantile(seconds[name], 0.95)), 2),
            "against": {"part": better, **asdict(paired_bootstrap(scores[better], scores[name], metric="ndcg@10"))},
        }
        for name in CALLS
    }


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scifact", type=Path)
    parser.add_argument("--banking77", type=Path)
    parser.add_argument("--python-functions", action="store_true")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--python-encoder", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder for vectors and checkpoints")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    base = make_checkpoint(resolve_encoder(given.encoder, folder=Path.cwd()), given.cache / "checkpoints")
    sets = [scifact(given.scifact)] if given.scifact else []
    sets += [banking77(given.banking77)] if given.banking77 else []
    sets += [python_functions()] if given.python_functions else []
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VECTOR_ASSETS_HOME"] = str(Path(folder) / "home")
        try:
            workspace = open_workspace()
            for each in sets:
                own = given.python_encoder if each.name == "python_functions" else None
                encoder = RememberingEncoder(read_checkpoint(own) if own else base, given.cache)
                fusion = load(workspace, each, encoder)
                methods = ask(workspace, each, encoder)
                counts = {"rows": len(each.rows), "learned": len(each.learned), "judged": len(each.judged)}
                found[each.name] = {**counts, "encoder": encoder.digest[:12], "fusion": fusion, "methods": methods}
                for name, one in methods.items():
                    say(f"{each.name} {name}: {json.dumps(one)}")
        finally:
            remove_postgres(Path(folder) / "home")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
