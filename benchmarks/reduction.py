"""Fewer dims: those that principal components choose against the first ones of the encoder, and against all of them.

    SciFact    300 test claims over the whole corpus: nDCG@10, recall@10, recall@100; the map is learned from the corpus
    Banking77  3,080 test texts: the nearest train text has their intent; the map is learned from the train texts

``kept`` is the share of the ten nearest by all dims that are among the ten nearest by fewer: of each claim in the
corpus, and of each test text among the test texts. ``centred`` is the same analysis around the mean, with vectors
shifted by it. Texts are encoded once, by all dims, in the precision that the embeddings stage would choose here; every
arm is made of those vectors.

    python benchmarks/reduction.py --scifact FOLDER --banking77 FOLDER --work /tmp/reduction --json reduction.json
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from learning import finish, mcnemar, read_labelled, say, timed, words
from numpy.typing import NDArray
from scifact_training import corpus_of

from vector_assets.encoder import load_encoder, make_checkpoint, resolve_encoder
from vector_assets.encoder.text.model import cut
from vector_assets.metrics import evaluate, paired_bootstrap, score
from vector_assets.records import JudgedQuery, Vectors
from vector_assets.source.judged import read_judged
from vector_assets.training.pca import Moments

DIMS = (128, 64)
FEW = 1000  # texts that a map is learned from as well
Map = Callable[[Vectors], Vectors]
Places = NDArray[np.intp]


def unit(vectors: Vectors) -> Vectors:
    """Return vectors of length 1."""
    found: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return found


def nearest(queries: Vectors, documents: Vectors, k: int, *, own: bool = False) -> Places:
    """Return the places of the k best documents of each query; with ``own`` queries are the documents themselves."""
    scores = queries @ documents.T
    if own:
        np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def kept(whole: Places, fewer: Places) -> float:
    """Return the mean share of the places of one that are among those of the other."""
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(whole[:, :10], fewer[:, :10], strict=True)]))


def maps(rows: Vectors, dims: int) -> tuple[dict[str, Map], dict[str, float]]:
    """Return what makes vectors shorter, by name, and the share of the variance of ``rows`` that each keeps."""
    moments = Moments(rows.shape[1])
    moments.add(rows)
    found = moments.components(dims)
    mean = rows.mean(axis=0)
    around = np.linalg.eigh(np.cov(rows.astype(np.float64), rowvar=False))[1][:, ::-1][:, :dims].astype(np.float32)
    few = Moments(rows.shape[1])
    few.add(rows[np.random.default_rng(0).permutation(len(rows))[:FEW]])
    from_few = few.components(dims).weight
    made: dict[str, Map] = {
        f"first {dims}": lambda vectors: cut(vectors, dims),
        f"pca {dims}": lambda vectors: unit(vectors @ found.weight.T),
        f"pca {dims} of {FEW} texts": lambda vectors: unit(vectors @ from_few.T),
        f"pca {dims} centred": lambda vectors: unit((vectors - mean) @ around),
    }
    return made, {"first": float(found.cut[dims - 1]), "pca": float(found.explained[dims - 1])}


def encoded(asked: argparse.Namespace, name: str, texts: list[str], *, queries: bool = False) -> Vectors:
    """Return vectors of all dims; a file in ``--work`` spares the next run the encoding."""
    path = asked.work / f"{name}.npy"
    if not path.is_file():
        source = resolve_encoder(asked.encoder, folder=Path.cwd())
        encoder = load_encoder(make_checkpoint(source, asked.work / "checkpoints").folder)
        with timed(name):
            np.save(path, encoder.encode_queries(texts) if queries else encoder.encode_documents(texts).vectors)
    found: Vectors = np.load(path)
    return found


def scifact(asked: argparse.Namespace) -> dict[str, Any]:
    """Ask the claims of test."""
    corpus = corpus_of(next(asked.scifact.glob("corpus.jsonl*")))
    queries, qrels = (str(next(asked.scifact.glob(name))) for name in ("queries.jsonl*", "qrels_test.tsv*"))
    judged = read_judged(queries, qrels)
    keys = np.array(list(corpus))
    documents = encoded(asked, "scifact_corpus", list(corpus.values()))
    claims = encoded(asked, "scifact_claims", [one.text for one in judged], queries=True)
    whole = nearest(claims, documents, 100)
    asked_all = ranked(judged, keys, whole)
    each = {"all": score(asked_all, judged, "ndcg@10")}
    found: dict[str, Any] = {"all 384": evaluate(asked_all, judged)}
    for dims in DIMS:
        made, shares = maps(documents, dims)
        found[f"explained {dims}"] = shares
        for name, shorter in made.items():
            places = nearest(shorter(claims), shorter(documents), 100)
            rankings = ranked(judged, keys, places)
            each[name] = score(rankings, judged, "ndcg@10")
            found[name] = {**evaluate(rankings, judged), "kept": kept(whole, places)}
            say(f"{name}: {found[name]}")
        for old, new in (
            (f"first {dims}", f"pca {dims}"),
            (f"pca {dims}", "all"),
            (f"pca {dims}", f"pca {dims} centred"),
        ):
            compared = paired_bootstrap(each[old], each[new], metric="ndcg@10", seed=0)
            found[f"{old} -> {new}"] = compared
            say(f"{old} -> {new}: {words(compared)}")
    return found


def ranked(judged: list[JudgedQuery], keys: NDArray[Any], places: Places) -> dict[str, list[str]]:
    """Return the rankings by query."""
    return {one.id: keys[row].tolist() for one, row in zip(judged, places, strict=True)}


def banking77(asked: argparse.Namespace) -> dict[str, Any]:
    """Ask each test text for the intent of the nearest train text."""
    train, test = (read_labelled(next(asked.banking77.glob(f"{name}.csv*"))) for name in ("train", "test"))
    rows = encoded(asked, "banking77_train", [text for text, _ in train])
    texts = encoded(asked, "banking77_test", [text for text, _ in test])
    intents, truth = np.array([label for _, label in train]), np.array([label for _, label in test])
    whole = nearest(texts, texts, 10, own=True)
    right = {"all": (intents[(texts @ rows.T).argmax(axis=1)] == truth).astype(np.float64)}
    found: dict[str, Any] = {"all 384": {"accuracy": float(right["all"].mean())}}
    for dims in DIMS:
        made, shares = maps(rows, dims)
        found[f"explained {dims}"] = shares
        for name, shorter in made.items():
            few = shorter(texts)
            right[name] = (intents[(few @ shorter(rows).T).argmax(axis=1)] == truth).astype(np.float64)
            found[name] = {
                "accuracy": float(right[name].mean()), "kept": kept(whole, nearest(few, few, 10, own=True)),
            }  # fmt: skip
            say(f"{name}: {found[name]}")
        found[f"first {dims} -> pca {dims}"] = mcnemar(right[f"first {dims}"], right[f"pca {dims}"])
    return found


def main() -> None:
    """Measure both sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scifact", type=Path, help="folder with corpus, queries and qrels_test")
    parser.add_argument("--banking77", type=Path, help="folder with train.csv and test.csv")
    parser.add_argument("--work", type=Path, required=True, help="where vectors go; may be removed afterwards")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    found: Mapping[str, Any] = {
        name: measure(asked)
        for name, measure in (("scifact", scifact), ("banking77", banking77))
        if getattr(asked, name)
    }
    finish(asked, found)


if __name__ == "__main__":
    main()
