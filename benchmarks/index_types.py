"""What each kind of index weighs, costs to build, finds and takes, beside pgvector tuned by hand on the same vectors.

Vectors are those of real docstrings (first lines, by MiniLM), tiled with noise to --rows at a cosine of about .86;
1,000 texts are held out and asked. The collection goes the way that all take: loaded, indexed after the load, measured,
promoted; each further kind is a generation copied from live. Then the held-out questions are asked of each generation
in turn, prepared and binary, on one connection each: ``raw`` is the bare SQL on the generation's own table with SET
hnsw.ef_search (what an expert writes), ``function`` is search.<c>(…), ``search`` is the Reader that the API and the
command line use, rows included and without encoding. Each round asks all questions of all three, one question at a
time in a drawn order, so that what else the machine does meets them alike; figures are medians over the rounds.

    python benchmarks/index_types.py --rows 200000 --rounds 3 --json index_types.json

--vectors FILE.npy takes unit vectors that were encoded before; its last 1,000 are the questions.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from pgvector import HalfVector, Vector
from pgvector.psycopg import register_vector

from vector_assets.embedding.layout import Layout, SpaceEncoder, plan_layout
from vector_assets.embedding.run import run_embeddings
from vector_assets.index.comparing import Asked
from vector_assets.index.integrity import Checked, check_canaries_found
from vector_assets.index.swap import promote
from vector_assets.records import Canary, Checkpoint, Encoded, Generation, JudgedQuery, RawRow, Vectors
from vector_assets.runtime.postgres import remove_postgres
from vector_assets.spec import Collection, Index
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.indexes import index_name
from vector_assets.stores.measuring import measure_newest
from vector_assets.stores.workspace import Workspace, open_workspace

QUESTIONS, K = 1000, 10
ASKED_BEFORE = 500  # of the questions: recall is declared on these, and found on the others
COSINE = 0.86
KINDS: dict[str, dict[str, str]] = {
    "hnsw float32": {},
    "hnsw half": {"precision": "half"},
    "hnsw binary": {"precision": "binary"},
    "ivfflat float32": {"type": "ivfflat"},
    "exact": {"type": "exact"},
}
Times = dict[str, list[float]]


class StoredEncoder:
    """A text's vector stands in an array, under the number at its end."""

    bulk_bound = 0.9999
    digest = "b" * 64

    def __init__(self, vectors: Vectors) -> None:
        self.vectors, self.dims = vectors, vectors.shape[1]

    def encode_documents(self, texts: Sequence[str]) -> Encoded:
        """Look vectors up: (n, dims), unit length."""
        numbers = [int(word) - 1 if (word := text.rsplit(" ", 1)[-1]).isdigit() else 0 for text in texts]
        return Encoded(self.vectors[numbers], np.zeros(len(texts), np.bool_), len(texts))

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Look questions up the same way."""
        return self.encode_documents(texts).vectors


class Store(CollectionStore):
    """The real stores, with stored vectors in place of a checkpoint."""

    page = 8192

    def __init__(
        self, workspace: Workspace, collection: Collection, encoder: StoredEncoder, questions: Vectors
    ) -> None:
        super().__init__(workspace, collection)
        self.only, self.asked_of = encoder, questions
        canary = Canary("query", "1", tuple(map(float, encoder.encode_queries(["1"])[0])))
        workspace.checkpoints.save(Checkpoint(encoder.digest, Path("/none"), {"dims": encoder.dims}, (canary,)))

    def layout(self) -> Layout:
        """Lay out the one space."""
        return plan_layout(self.collection, {"text": SpaceEncoder(self.only.digest, self.only.dims)})

    def require_intact(self, digest: str) -> None:
        """Stored vectors have no files."""

    def judged(self) -> list[JudgedQuery]:
        """Nobody judged anything."""
        return []

    def asked(self, judged: Sequence[JudgedQuery], *, deciding: bool) -> Asked:
        """Recall is measured on half of the held-out questions, as where people have asked them."""
        return Asked(recent=tuple(str(number) for number in range(ASKED_BEFORE)))

    def questions(self, generation: Generation, texts: Sequence[str]) -> Vectors:
        """Look these questions up."""
        return self.asked_of[[int(text) for text in texts]]

    def canaries(self, generation: Generation) -> Checked:
        """There is no model to check."""
        return check_canaries_found(1.0, 1.0, query_bound=0.9999, document_bound=0.9999, passed=True)

    def _encoder(self, digest: str) -> StoredEncoder:  # type: ignore[override]
        return self.only


def tiled(vectors: Vectors, rows: int) -> Vectors:
    """Make as many vectors as are wanted, each further one near a real one."""
    rng = np.random.default_rng(0)
    near = vectors[rng.integers(0, len(vectors), max(0, rows - len(vectors)))]
    noise = rng.standard_normal(near.shape, dtype=np.float32)
    noise *= np.sqrt(1 / COSINE**2 - 1) / np.linalg.norm(noise, axis=1, keepdims=True)
    whole: Vectors = np.vstack([vectors, near + noise])[:rows]
    return np.ascontiguousarray(whole / np.linalg.norm(whole, axis=1, keepdims=True))


def real_vectors(count: int) -> Vectors:
    """Encode first lines of docstrings of installed packages."""
    from vector_assets.encoder.open import open_encoder, settings_of, store_untrained
    from vector_assets.source.open import open_source
    from vector_assets.spec.project import find_project

    os.environ["PYTHON_FUNCTIONS"] = "full"
    collection = find_project(None).collection("python_functions")
    place = list(collection.fields).index("summary")
    texts: dict[str, None] = {}
    for row in open_source(collection).rows():
        if len(texts) == count:
            break
        if isinstance(row, RawRow) and row.values[place]:
            texts[str(row.values[place])] = None
    space = next(iter(collection.spaces.values()))
    with tempfile.TemporaryDirectory() as folder:
        stored = store_untrained("minilm", Path(folder), folder=Path(), models=None, settings=settings_of(space))
        encoder = open_encoder(stored.folder)
        vectors: Vectors = encoder.encode_documents(list(texts)).vectors
    return vectors[np.random.default_rng(0).permutation(len(vectors))]


def load(workspace: Workspace, vectors: Vectors, questions: Vectors, recall: float) -> Store:
    """Put the rows into a table and all of them into a first generation."""
    with psycopg.connect(workspace.addresses.database.libpq, autocommit=True) as connection:
        connection.execute("create table kinds (id bigint primary key, title text)")
        connection.execute("insert into kinds select i, 'row ' || i from generate_series(1, %s) i", (len(vectors),))
    collection = Collection.model_validate(
        {
            "name": "kinds",
            "source": {"kind": "postgres", "table": "kinds"},
            "fields": {"title": "text"},
            "spaces": {"text": {"fields": ["title"]}},
            "index": {"recall": recall},
            "evaluation": {"synthetic": 0},
        }
    )
    return Store(workspace, collection, StoredEncoder(vectors), questions)


def make(store: Store, kind: dict[str, str], recall: float) -> dict[str, Any]:
    """Declare a kind of index, and take it live the way that all take."""
    index = Index.model_validate(kind | {"recall": recall})
    store.collection = store.collection.model_copy(update={"index": index})
    run_embeddings(store.collection, store.layout(), store, store.encoders)
    measured = measure_newest(store, maintenance=False, log=lambda said: print(" ", said, file=sys.stderr))
    promote(store, store.catch_up, because="benchmark")
    values: dict[str, Any] = dict(measured.values["index"])  # type: ignore[call-overload]
    chosen = measured.values["recalls"][-1]  # type: ignore[index]
    return values | {"width": chosen["ef_search"], "recall_measured": chosen["mean"], "sound": measured.sound}


def built_in_turn(store: Store, rows: int, pairs: int, memory_mb: int = 1024) -> tuple[list[float], list[float]]:
    """Seconds of the live table's index as a candidate's is built, and by the statement that an expert would write.

    In turn, ``pairs`` times, none of them concurrent; the one that is in use is put back at the end.
    """
    live = store.all()[0]
    index = f"embedding.{index_name(live)}"
    what = {
        "float32": f"vector {live.vector_type}_cosine_ops",
        "half": "vector halfvec_cosine_ops",
        "binary": f"(binary_quantize(vector)::bit({live.dims})) bit_hamming_ops",
    }[live.precision]
    lists = f"with (lists = {max(1, rows // 1000)})" if live.index_type == "ivfflat" else ""
    ours, hand = [], []
    with psycopg.connect(store.workspace.addresses.database.libpq, autocommit=True) as connection:
        connection.execute(f"set maintenance_work_mem = '{memory_mb}MB'")  # type: ignore[arg-type]
        connection.execute("set max_parallel_maintenance_workers = 1")

        def by_hand() -> None:
            started = time.perf_counter()
            connection.execute(
                f"create index by_hand on embedding.{live.table} using {live.index_type} ({what}) {lists}"  # type: ignore[arg-type]
            )
            hand.append(time.perf_counter() - started)
            connection.execute("drop index embedding.by_hand")

        def as_declared() -> None:
            ours.append(store.workspace.indexes.build(replace(live, state="candidate")).seconds)

        for number in range(pairs):  # who comes first changes: what one build leaves to be written slows the next
            for build in (by_hand, as_declared) if number % 2 == 0 else (as_declared, by_hand):
                connection.execute(f"drop index if exists {index}")  # type: ignore[arg-type]
                connection.execute("checkpoint")
                build()
        if pairs % 2 == 0:
            store.workspace.indexes.build(replace(live, state="candidate"))
    return ours, hand


def raw_sql(live: Generation, width: int) -> tuple[list[str], str]:
    """What an expert would write to ask the generation's table: settings, and the query."""
    kind = f"%s::{live.vector_type}"
    if live.index_type == "exact":
        return [
            "set enable_indexscan = off"
        ], f"select k1 from embedding.{live.table} order by vector <=> {kind} limit {K}"
    if live.index_type == "ivfflat":
        return (
            [f"set ivfflat.probes = {width}"],
            f"select k1 from embedding.{live.table} order by vector <=> {kind} limit {K}",
        )
    settings = [f"set hnsw.ef_search = {width}"]
    if live.precision == "binary":
        bits = f"bit({live.dims})"
        return settings, (
            f"select k1 from (select k1, vector from embedding.{live.table} order by "
            f"binary_quantize(vector)::{bits} <~> binary_quantize(%s::vector)::{bits} limit {width}) v "
            f"order by vector <=> {kind} limit {K}"
        )
    return settings, f"select k1 from embedding.{live.table} order by vector <=> {kind} limit {K}"


def asked(store: Store, questions: Vectors, width: int, rounds: int) -> tuple[dict[str, Times], list[list[int]]]:
    """Ask the bare SQL, the function and the reader, in an order drawn for each question; return times and finds."""
    live = store.all()[0]
    settings, query = raw_sql(live, width)
    reader = store.workspace.reader()
    found: list[list[int]] = []
    times: dict[str, Times] = {arm: {"p50": [], "p99": []} for arm in ("raw", "function", "search")}
    wrap = Vector if live.vector_type == "vector" else HalfVector
    url = store.workspace.addresses.database.libpq
    with psycopg.connect(url, autocommit=True) as raw, psycopg.connect(url, autocommit=True) as sql:
        for connection in (raw, sql):
            register_vector(connection)
            connection.execute("set jit = off")  # as who tunes by hand would: a plan over many rows is compiled else
            connection.execute("select '[1]'::vector <=> '[1]'::vector")
        for setting in settings:
            raw.execute(setting)  # type: ignore[arg-type]
        twice = 2 if live.precision == "binary" else 1

        def bare(question: Vectors) -> list[int]:
            values = tuple(wrap(question) for _ in range(twice))
            return [row[0] for row in raw.execute(query, values, prepare=True, binary=True)]  # type: ignore[arg-type]

        def function(question: Vectors) -> list[int]:
            call = "select id from search.kinds(%s, %s)"
            return [row[0] for row in sql.execute(call, (Vector(question), K), prepare=True, binary=True)]

        def search(question: Vectors) -> list[int]:
            return [int(hit.id) for hit in reader.search(live, question, k=K, exact=False)]

        arms: dict[str, Callable[[Vectors], list[int]]] = {"raw": bare, "function": function, "search": search}
        order, rng = list(arms), np.random.default_rng(0)
        for number in range(rounds + 1):  # the first is not counted
            each: dict[str, list[float]] = {arm: [] for arm in arms}
            for question in questions:
                rng.shuffle(order)  # who asks a question first finds less of the graph in the caches of the processor
                for arm in order:
                    started = time.perf_counter()
                    ids = arms[arm](question)
                    each[arm].append(1000 * (time.perf_counter() - started))
                    if number == 0 and arm == "function":
                        found.append(ids)
            if number:
                for arm, taken in each.items():
                    times[arm]["p50"].append(float(np.percentile(taken, 50)))
                    times[arm]["p99"].append(float(np.percentile(taken, 99)))
    reader.close()
    return times, found


def nearest(vectors: Vectors, questions: Vectors) -> Vectors:
    """Return the cosine of the tenth nearest row of each question, by numpy."""
    scores = np.concatenate([np.partition(part @ vectors.T, -K, axis=1)[:, -K] for part in np.split(questions, 10)])
    return np.asarray(scores, np.float32)


def measure(store: Store, vectors: Vectors, questions: Vectors, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Make and ask every kind; one line each."""
    limits = nearest(vectors, questions)
    lines = []
    for name, kind in KINDS.items():
        if options.kinds and name not in options.kinds:
            continue
        made = make(store, kind, options.recall)
        some = questions if name != "exact" else questions[ASKED_BEFORE:][:50]
        times, found = asked(store, some, made["width"], options.rounds)
        first = [made.get("index_seconds", 0.0)]
        ours, hand = built_in_turn(store, len(vectors), options.builds) if name != "exact" else ([0.0], [0.0])
        later = slice(ASKED_BEFORE, None) if name != "exact" else slice(None)
        right = limits if name != "exact" else limits[ASKED_BEFORE:][:50]
        recalls = [
            float(np.mean(vectors[np.array(ids) - 1] @ question >= limit - 1e-6))
            for ids, question, limit in zip(found[later], some[later], right[later], strict=True)
        ]
        line = {
            "kind": name, "width": made["width"],
            "table_mib": made["table_bytes"] / 2**20, "index_mib": made["index_bytes"] / 2**20,
            "build_s": statistics.median(ours), "by_hand_s": statistics.median(hand),
            "build_ratio": statistics.median(a / b for a, b in zip(ours, hand, strict=True)) if hand[0] else 1.0,
            "builds_s": [round(each, 1) for each in ours], "builds_by_hand_s": [round(each, 1) for each in hand],
            "first_build_s": first[0], "recall_declared_on": made["recall_measured"],
            "recall": float(np.mean(recalls)), "worst": min(recalls),
            **{f"{arm}_{what}": statistics.median(all_) for arm, each in times.items() for what, all_ in each.items()},
        }  # fmt: skip
        lines.append(line)
        print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}), flush=True)
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--real", type=int, default=20_000, help="texts to encode")
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--recall", type=float, default=0.98)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--builds", type=int, default=1, help="of each index, ours and by hand")
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS))
    parser.add_argument("--home", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    real = np.load(options.vectors) if options.vectors else real_vectors(options.real + QUESTIONS)
    real = real[np.linalg.norm(real, axis=1) > 0]
    questions, vectors = real[-QUESTIONS:], tiled(real[:-QUESTIONS], options.rows)
    with tempfile.TemporaryDirectory(prefix="va-kinds-") as folder:
        home = options.home or Path(folder) / "home"
        os.environ["VECTOR_ASSETS_HOME"] = str(home)
        try:
            lines = measure(load(open_workspace(), vectors, questions, options.recall), vectors, questions, options)
        finally:
            if not options.home:
                remove_postgres(home)
    print("| kind | width | table MiB | index MiB | build s (by hand) | recall@10 | worst | raw | function | search |")
    for each in lines:
        timed = " | ".join(
            f"{each[f'{arm}_p50']:.2f} ({each[f'{arm}_p99']:.2f})" for arm in ("raw", "function", "search")
        )
        print(
            f"| {each['kind']} | {each['width']} | {each['table_mib']:.0f} | {each['index_mib']:.0f} | "
            f"{each['build_s']:.1f} ({each['by_hand_s']:.1f}) | {each['recall']:.4f} | {each['worst']:.1f} | {timed} |"
        )
    if options.json:
        told = {"rows": options.rows, "recall": options.recall, "kinds": lines}
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
