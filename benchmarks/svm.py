"""Ranking by a support vector machine against nearness to the mean, on three sets whose answers are known.

- banking77: rows are all texts; five texts of an intent are liked, the other texts of the intent are the answers.
- omniglot: rows are drawings as pixels (28 x 28, blurred, unit length); five drawings of a character are liked.
- scifact: rows are abstracts; the claim is asked (``one``), or the claim with all but one of its abstracts (``more``).

nDCG@10 of the nearest to the mean of what is liked (kNN, an exact scan), and of the machine by several
settings, with the paired bootstrap over the queries. What is liked is never found. The machine ranks the 2,000 nearest
rows and a sample of 2,000, as ``search --method svm`` does.

``--seconds`` measures ``search --method svm`` itself: an engine on a collection of 20,000 rows of 384 dims in Postgres.

    python benchmarks/svm.py --data FOLDER --work /tmp/svm --json svm.json
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from learning import finish, read_labelled, say, timed, words
from numpy.typing import NDArray
from swap_cost import Store

from vector_assets.embedding.run import run_embeddings
from vector_assets.encoder import load_encoder, make_checkpoint, resolve_encoder
from vector_assets.index.swap import promote
from vector_assets.metrics import ndcg_at_k, paired_bootstrap
from vector_assets.records import Vectors
from vector_assets.runtime.postgres import remove_postgres
from vector_assets.search.ask import Ask
from vector_assets.search.engine import SearchEngine
from vector_assets.search.feedback import rocchio
from vector_assets.search.svm import NEAREST, SAMPLED, decision_values
from vector_assets.spec import Collection
from vector_assets.stores.measuring import measure_newest
from vector_assets.stores.workspace import Workspace, open_workspace

Order = NDArray[np.int64]  # rows, best first
K = 10


@dataclass
class Query:
    """Vectors that are positive (p, dims), rows that are liked and so left out, and the rows that answer."""

    positives: Vectors
    liked: list[int]
    answers: set[int]


def knn(table: Vectors, query: Query) -> Order:
    """Rows by cosine to the mean of the positives."""
    cosines = table @ rocchio(None, query.positives, table[:0])
    cosines[query.liked] = -np.inf
    return np.argsort(-cosines, kind="stable")


def machine(*, c: float, near_too: bool) -> Callable[[Vectors, Query], Order]:
    """Rows by the machine; negatives are the sample, or the sample and the nearest rows (``near_too``)."""

    def order(table: Vectors, query: Query) -> Order:
        near = knn(table, query)[: min(NEAREST, len(table) - len(query.liked))]
        drawn = np.random.default_rng(0).permutation(len(table))[:SAMPLED]
        drawn = drawn[~np.isin(drawn, query.liked)]
        pool = np.union1d(near, drawn)
        others = np.concatenate([near, drawn]) if near_too else drawn
        values = decision_values(query.positives, table[others], table[pool], c=c)
        return pool[np.argsort(-values, kind="stable")]

    return order


ARMS: dict[str, Callable[[Vectors, Query], Order]] = {
    "kNN": knn,
    "svm C .1": machine(c=0.1, near_too=False),
    "svm C .1, the nearest as negatives too": machine(c=0.1, near_too=True),
    "svm C .001": machine(c=0.001, near_too=False),
    "svm C 1": machine(c=1, near_too=False),
}


def compared(table: Vectors, queries: list[Query]) -> dict[str, Any]:
    """Return nDCG@10 of each arm, each compared with the nearest."""
    found: dict[str, Any] = {"queries": len(queries), "rows": len(table)}
    baseline: list[float] = []
    for name, arm in ARMS.items():
        scores, seconds = [], []
        for query in queries:
            start = time.perf_counter()
            ranking = [str(row) for row in arm(table, query)[:K]]
            seconds.append(time.perf_counter() - start)
            scores.append(ndcg_at_k(ranking, {str(row): 1.0 for row in query.answers}, K))
        baseline = baseline or scores
        against = paired_bootstrap(baseline, scores, metric="ndcg@10")
        found[name] = {"ndcg@10": float(np.mean(scores)), "median_seconds": statistics.median(seconds)}
        if name != "kNN":
            found[name]["against_knn"] = against
            say(f"  {name}: {words(against)}, {statistics.median(seconds):.2f} s")
    return found


def of_classes(table: Vectors, classes: NDArray[np.int64], *, liked: int, count: int) -> list[Query]:
    """Draw queries: some rows of a class are liked, its others are the answers."""
    generator = np.random.default_rng(liked)
    members = [np.flatnonzero(classes == one) for one in np.unique(classes)]
    queries = []
    for number in range(count):
        mine = generator.permutation(members[number % len(members)])
        queries.append(Query(table[mine[:liked]], mine[:liked].tolist(), set(mine[liked:].tolist())))
    return queries


def banking77(asked: argparse.Namespace) -> Iterator[tuple[str, Vectors, list[Query]]]:
    """Texts of train and test; what is liked and what answers are texts of one intent."""
    folder = asked.data / "banking77"
    rows = [*read_labelled(folder / "train.csv.gz"), *read_labelled(folder / "test.csv.gz")]
    table = encoded(asked, "banking77", [text for text, _ in rows])
    classes = np.unique([label for _, label in rows], return_inverse=True)[1]
    for liked in (1, 5):
        yield f"banking77, {liked} liked", table, of_classes(table, classes, liked=liked, count=asked.queries)


def omniglot(asked: argparse.Namespace) -> Iterator[tuple[str, Vectors, list[Query]]]:
    """Drawings of both minimal sets, each once."""
    stored = np.load(asked.data / "omniglot_small" / "omniglot_small.npz")
    kept = np.sort(np.unique(stored["packed"], axis=0, return_index=True)[1])  # the small sets share two alphabets
    height, width = stored["shape"]
    bits = np.unpackbits(stored["packed"][kept], axis=1)[:, : height * width]
    table = pixels(bits.reshape(-1, height, width).astype(np.float32))
    names = [f"{a} {c}" for a, c in zip(stored["alphabet"][kept], stored["character"][kept], strict=True)]
    classes = np.unique(names, return_inverse=True)[1]
    for liked in (1, 5):
        yield f"omniglot, {liked} liked", table, of_classes(table, classes, liked=liked, count=asked.queries)


def pixels(images: Vectors) -> Vectors:
    """Return drawings as unit vectors: blurred, 28 x 28."""
    from scipy.ndimage import gaussian_filter, zoom

    small = np.stack([zoom(gaussian_filter(image, 2.5), 28 / 105, order=1).ravel() for image in images])
    unit: Vectors = (small / np.linalg.norm(small, axis=1, keepdims=True)).astype(np.float32)
    return unit


def scifact(asked: argparse.Namespace) -> Iterator[tuple[str, Vectors, list[Query]]]:
    """Claims of train and test; those with several abstracts once more with all but one of these liked."""
    folder = asked.data / "scifact"
    with gzip.open(folder / "corpus.jsonl.gz", "rt") as file:
        documents = [json.loads(line) for line in file]
    with gzip.open(folder / "queries.jsonl.gz", "rt") as file:
        claims = {str(one["_id"]): one["text"] for one in map(json.loads, file)}
    place = {str(one["_id"]): row for row, one in enumerate(documents)}
    relevant: dict[str, list[int]] = {}
    tests: set[str] = set()
    for split in ("train", "test"):
        with gzip.open(folder / f"qrels_{split}.tsv.gz", "rt") as file:
            for line in list(file)[1:]:
                claim, document, gain = line.split("\t")
                if float(gain) > 0:
                    relevant.setdefault(claim, []).append(place[document])
                    tests |= {claim} if split == "test" else set()
    names = sorted(relevant)
    table = encoded(asked, "scifact", [f"{one['title']}\n{one['text']}" for one in documents])
    vectors = dict(zip(names, encoded(asked, "scifact_claims", [claims[name] for name in names]), strict=True))
    one = [Query(vectors[name][None], [], set(relevant[name])) for name in sorted(tests)]
    generator = np.random.default_rng(0)
    drawn = generator.permutation(len(one))[: asked.queries]
    yield "scifact, the claim alone", table, [one[place] for place in sorted(drawn)]
    more = []
    for name, rows in relevant.items():
        for left in rows if len(rows) > 1 else ():
            liked = [row for row in rows if row != left]
            more.append(Query(np.concatenate([vectors[name][None], table[liked]]), liked, {left}))
    drawn = generator.permutation(len(more))[: asked.queries]
    yield "scifact, the claim and all but one of its abstracts", table, [more[place] for place in sorted(drawn)]


def encoded(asked: argparse.Namespace, name: str, texts: list[str]) -> Vectors:
    """Encode texts once; they are kept under --work."""
    path = asked.work / f"{name}.npy"
    if not path.is_file():
        source = resolve_encoder(asked.encoder, folder=Path.cwd())
        encoder = load_encoder(make_checkpoint(source, asked.work / "checkpoints").folder)
        with timed(f"encoding {name}"):
            np.save(path, encoder.encode_documents(texts).vectors)
    found: Vectors = np.load(path)
    if len(found) != len(texts):
        raise SystemExit(f"{path} has {len(found)} vectors of {len(texts)} texts; remove it")
    return found


SETS = {"banking77": banking77, "omniglot": omniglot, "scifact": scifact}


class DrawnStore(Store):
    """Stores whose vectors are drawn: there are no files to look after."""

    def require_intact(self, digest: str) -> None:
        """Find nothing wrong."""


def seconds(rows: int, dims: int, times: int) -> Mapping[str, Any]:
    """Measure search by the machine, and by the index, on a collection in Postgres; its encoder takes next to none."""
    with tempfile.TemporaryDirectory(prefix="svm-") as folder:
        home = Path(folder) / "home"
        os.environ["VECTOR_ASSETS_HOME"] = str(home)
        try:
            store = loaded(open_workspace(), rows, dims)
            load = lambda checkpoint: store.known[checkpoint.digest]  # noqa: E731
            engine = SearchEngine(store.workspace.reader(), "rows_of_svm", load)
            liked = tuple(map(str, range(1, 6)))
            asks = {
                "vector": Ask("question 7"),
                "svm": Ask("question 7", method="svm"),
                "svm, five liked": Ask("question 7", like=liked, method="svm"),
                "vector, diverse": Ask("question 7", diverse=0.5),
            }
            found = {}
            for name, ask in asks.items():
                engine.answer(ask)  # imports and caches
                each = [engine.answer(ask).ms for _ in range(times)]
                found[name] = {"median_ms": statistics.median(each), "worst_ms": max(each)}
                say(f"  {name}: {found[name]['median_ms']:.0f} ms, worst {found[name]['worst_ms']:.0f}")
            return {"rows": rows, "dims": dims, "load": os.getloadavg()[0], **found}
        finally:
            remove_postgres(home)


def loaded(workspace: Workspace, rows: int, dims: int) -> DrawnStore:
    """Make a collection live, its vectors drawn by their texts."""
    with psycopg.connect(workspace.addresses.database.libpq, autocommit=True) as connection:
        connection.execute("create table rows_of_svm (id bigint primary key, title text)")
        connection.execute(
            "insert into rows_of_svm select i, 'row ' || md5(i::text) from generate_series(1, %s) i", (rows,)
        )
    declared = {
        "name": "rows_of_svm",
        "source": {"kind": "postgres", "table": "rows_of_svm"},
        "fields": {"title": "text"},
        "spaces": {"text": {"fields": ["title"]}},
        "index": {"recall": 0.5},
        "evaluation": {"synthetic": 0},
    }
    store = DrawnStore(workspace, Collection.model_validate(declared), dims)
    run_embeddings(store.collection, store.layout(), store, store.encoders)
    measure_newest(store, maintenance=False, log=lambda said: say(f"  {said}"))
    promote(store, store.catch_up, because="benchmark")
    return store


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with banking77, omniglot_small and scifact")
    parser.add_argument("--work", type=Path, required=True, help="where vectors are kept")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--sets", nargs="*", default=[*SETS], choices=[*SETS])
    parser.add_argument("--queries", type=int, default=120, help="of each set, drawn")
    parser.add_argument("--seconds", action="store_true", help="measure search at 20,000 rows of 384 dims as well")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    for one in asked.sets:
        for name, table, queries in SETS[one](asked):
            with timed(name):
                found[name] = compared(table, queries)
    if asked.seconds:
        found["seconds"] = seconds(20_000, 384, 20)
    finish(asked, found)


if __name__ == "__main__":
    main()
