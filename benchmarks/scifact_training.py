"""SciFact: an encoder tuned on the train claims against its base, by nDCG@10 on the test claims and the whole corpus.

A fifth of the train claims is validation (claims that share an abstract stay together); it chooses the step. Test
claims are asked once per checkpoint. What the gate says of each comparison is printed: promote, or keep.

    python benchmarks/scifact_training.py --data FOLDER --work /tmp/scifact --json scifact.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from learning import arguments, finish, learn, say, set_of, timed, training, words
from learning import vectors as encode

from vector_assets.embedding.text import row_text
from vector_assets.encoder import load_encoder
from vector_assets.index.decide import decide
from vector_assets.metrics import Scores, evaluate, paired_bootstrap, score
from vector_assets.records import JudgedQuery, Pair, SplitName, TrainingSet
from vector_assets.source.jsonl import read_objects
from vector_assets.source.judged import read_judged

DEPTH = 100
METRIC = "ndcg@10"


def corpus_of(path: Path) -> dict[str, str]:
    """Return the text of each abstract by its JSON key, as the product would read title and text."""
    return {
        json.dumps([line.text("_id")]): row_text([line.text("title"), line.text("text")])
        for line in read_objects(str(path))
    }


def parts(judged: list[JudgedQuery]) -> dict[str, SplitName]:
    """Return the split of each claim: claims that share an abstract, directly or by others, go together."""
    group = {query.id: query.id for query in judged}

    def head(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    first: dict[str, str] = {}
    for query in judged:
        for key in query.relevant:
            group[head(query.id)] = head(first.setdefault(key, query.id))
    return {query.id: "validation" if _share(head(query.id)) < 0.2 else "train" for query in judged}


def pairs_of(judged: list[JudgedQuery], corpus: dict[str, str], split: dict[str, SplitName]) -> list[Pair]:
    """Return one pair for each judgement."""
    return [
        Pair(query.text, corpus[key], query.id, split[query.id], key)
        for query in judged
        for key in sorted(query.relevant)
    ]


def ask(folder: Path, corpus: dict[str, str], judged: list[JudgedQuery]) -> tuple[dict[str, float], Scores]:
    """Return mean metrics over the whole corpus, and nDCG@10 of each claim; exact search."""
    documents = load_encoder(folder).encode_documents(list(corpus.values())).vectors
    scores = encode(folder, [query.text for query in judged], queries=True) @ documents.T
    keys = np.array(list(corpus))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    rankings = {query.id: keys[row].tolist() for query, row in zip(judged, order, strict=True)}
    return evaluate(rankings, judged), score(rankings, judged, METRIC)


def arm(asked: argparse.Namespace, whole: TrainingSet, seed: int) -> Any:  # noqa: ANN401
    """Train once."""
    declared = training(asked, seed, pairs="train", max_validation=1000, max_test=1000)
    return learn(asked, whole, declared, f"contrastive seed {seed}")


def main() -> None:
    """Measure and print."""
    parser = arguments(
        __doc__, data="corpus.jsonl.gz, queries.jsonl.gz, qrels_train.tsv.gz and qrels_test.tsv.gz",
        trainable="last_2", learning_rate=5e-5, learn_tokens=128, batch_size=32, evaluations_per_epoch=1, patience=2,
        max_epochs=5,
    )  # fmt: skip
    asked = parser.parse_args()
    corpus = corpus_of(asked.data / "corpus.jsonl.gz")
    queries = str(asked.data / "queries.jsonl.gz")
    judged = read_judged(queries, str(asked.data / "qrels_train.tsv.gz"))
    split = parts(judged)
    say(f"{len(corpus)} abstracts, claims {Counter(split.values())}")
    learned = pairs_of(judged, corpus, split)
    held_out = [pair for pair in learned if pair.split == "validation"]
    # The training stage scores its own test pairs; the claims of the benchmark's test are asked below.
    unused = [Pair(pair.query, pair.document, pair.group, "test", pair.key) for pair in held_out[:20]]
    whole = set_of([*learned, *unused])
    seconds: dict[str, float] = {}
    with timed("all", seconds):
        trained = {seed: arm(asked, whole, seed) for seed in asked.seeds}
        if asked.tune:
            for seed, done in trained.items():
                shown = (done.base_validation["mrr@10"], done.validation["mrr@10"])
                say(f"seed {seed} validation MRR@10 {shown[0]:.4f} -> {shown[1]:.4f}, step {done.history.best_step}")
            return
        test = read_judged(queries, str(asked.data / "qrels_test.tsv.gz"))
        with timed("base on test", seconds):
            base, before = ask(trained[asked.seeds[0]].base.folder, corpus, test)
        say(f"base: {base}")
        arms = []
        for seed, done in trained.items():
            tuned, after = ask(done.checkpoint.folder, corpus, test)
            compared = paired_bootstrap(before, after, metric=METRIC, seed=seed)
            decision = decide(compared)
            say(f"seed {seed}: {words(compared)}; the gate: {decision.decision}")
            arms.append({
                "seed": seed, "test": tuned, "against_base": compared, "gate": decision.decision,
                "reason": decision.reason, "validation_mrr": [done.base_validation["mrr@10"],
                done.validation["mrr@10"]], "best_step": done.history.best_step, "steps": len(done.history.steps),
                "seconds": done.history.seconds, "checkpoint": done.checkpoint.digest[:12],
            })  # fmt: skip
    finish(asked, {"counts": dict(whole.report), "base": base, "arms": arms, "seconds": seconds})


def _share(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


if __name__ == "__main__":
    main()
