"""Do stated precisions hold? SciFact, or Banking77 as retrieval, by method.

scifact: calibrated on the train claims, held against the test claims; what nobody judged counts as wrong, so the true
precision is at least what is printed. banking77: questions of the test file, one half calibrates and the other is held
against it; right is every training text of the same intent (a draw of --rows of them is the corpus), so all is judged.

Of each method: both forms by cross-validated log loss on the calibration questions, the expected calibration error
(ECE) on the others, and for each stated precision the score it is kept from, the share of answers from there on that is
right, and the share of questions that get one. An answer is a hit among the first ten.

Vectors are asked by exact scan, words by bm25s (stemmed, English stop words, k1 1.2, b 0.75), and both are fused by
reciprocal ranks (k 60) over the first 100 of each. --swap calibrates on the other side.

    python benchmarks/calibration.py --set scifact --data FOLDER --work /tmp/calibration --json calibration.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from learning import read_labelled, say, timed
from scifact_training import corpus_of

from vector_assets.encoder import load_encoder
from vector_assets.encoder.open import store_untrained
from vector_assets.index.calibrating import (
    FORMS,
    Marked,
    Scored,
    calibrate,
    cross_validated,
    judge,
    keep,
    mark,
    probabilities,
)
from vector_assets.index.pictures import draw_reliability
from vector_assets.metrics import evaluate
from vector_assets.records import JudgedQuery, Vectors
from vector_assets.source.judged import read_judged

STATED = (0.5, 0.6, 0.7, 0.8, 0.9)
POOL = 100


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--set", choices=sorted(SETS), default="scifact")
    parser.add_argument("--rows", type=int, default=4000, help="of Banking77's training texts")
    parser.add_argument("--work", type=Path, required=True, help="where vectors are kept between runs")
    parser.add_argument("--swap", action="store_true", help="calibrate on test, hold against train")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    corpus, sides = SETS[asked.set](asked)
    learned, held = reversed(sides.values()) if asked.swap else sides.values()
    split = {id(queries): name for name, queries in sides.items()}
    rankings = [ranked(asked.work, corpus, split[id(queries)], queries) for queries in (learned, held)]
    told = {
        name: of_method(name, rankings[0][name], learned, rankings[1][name], held) for name in rankings[0]
    }  # fmt: skip
    pictures = {name: (each["calibrated"], each["kept"][-1]) for name, each in told.items()}
    draw_reliability(
        pictures, asked.work / "reliability.png", title=f"{asked.set}, questions that calibration has not seen"
    )
    if asked.json:
        asked.json.write_text(json.dumps({n: each["numbers"] for n, each in told.items()}, indent=2) + "\n")


def scifact(asked: argparse.Namespace) -> tuple[dict[str, str], dict[str, list[JudgedQuery]]]:
    """Return the abstracts, and the claims of both splits."""
    queries = str(asked.data / "queries.jsonl.gz")
    sides = {split: read_judged(queries, str(asked.data / f"qrels_{split}.tsv.gz")) for split in ("train", "test")}
    return corpus_of(asked.data / "corpus.jsonl.gz"), sides


def banking77(asked: argparse.Namespace) -> tuple[dict[str, str], dict[str, list[JudgedQuery]]]:
    """Return a draw of the training texts, and 1,500 questions of the test file in two halves."""
    random = np.random.default_rng(0)
    train, test = (read_labelled(asked.data / f"{split}.csv.gz") for split in ("train", "test"))
    rows = [train[place] for place in random.permutation(len(train))[: asked.rows]]
    alike: dict[str, dict[str, float]] = {}
    for number, (_, label) in enumerate(rows):
        alike.setdefault(label, {})[f"[{number}]"] = 1.0
    drawn = [test[place] for place in random.permutation(len(test))[:1500]]
    asked_for = [JudgedQuery(f"q{n}", text, alike[label]) for n, (text, label) in enumerate(drawn)]
    return {f"[{n}]": text for n, (text, _) in enumerate(rows)}, {"one": asked_for[:750], "other": asked_for[750:]}


SETS = {"scifact": scifact, "banking77": banking77}


def ranked(work: Path, corpus: Mapping[str, str], split: str, queries: Sequence[JudgedQuery]) -> dict[str, Scored]:
    """Rank the corpus for the questions by each method."""
    keys = list(corpus)
    documents, questions = vectors(work, list(corpus.values()), split, queries)
    found: dict[str, Scored] = {
        "vector": best(keys, questions @ documents.T, queries),
        "bm25": best(keys, words(list(corpus.values()), [query.text for query in queries]), queries),
    }
    found["hybrid/rrf"] = fused([found["vector"], found["bm25"]])
    return found


def of_method(
    name: str, learned: Scored, by: Sequence[JudgedQuery], held: Scored, on: Sequence[JudgedQuery]
) -> dict[str, Any]:
    """Calibrate a method and print what holds."""
    marked, fresh = mark(learned, by), mark(held, on)
    calibrated = calibrate(marked, method=name)
    assert calibrated is not None
    reliability = judge(calibrated, fresh)
    ndcg = evaluate({query: [key for key, _ in hits] for query, hits in held.items()}, on)["ndcg@10"]
    say(f"{name}: nDCG@10 {ndcg:.4f}, ECE {reliability.ece:.4f}, Brier {reliability.brier:.4f}, {calibrated.form}")
    forms = {}
    for form, fit in FORMS.items():
        promised = probabilities(fit(marked), fresh.scores)
        forms[form] = {
            "cv_log_loss": cross_validated(marked, fit), "held_log_loss": log_loss(promised, fresh),
            "held_brier": float(((promised - fresh.right) ** 2).mean()), "held_ece": ece(promised, fresh),
        }  # fmt: skip
        say(f"  {form}: " + ", ".join(f"{what} {value:.4f}" for what, value in forms[form].items()))
    kept = [keep(calibrated, fresh, stated, questions=len(on)) for stated in STATED]
    for each in kept:
        found = "no score shows it" if each.threshold is None else (
            f"from {each.threshold:.4f} on {each.precision} of {each.answers} answers right, "
            f"{each.answered:.3f} of questions answered"
        )  # fmt: skip
        say(f"  stated {each.stated}: {found}")
    numbers = {"ndcg@10": ndcg, "reliability": asdict(reliability), "forms": forms, "kept": [asdict(k) for k in kept]}
    return {"calibrated": reliable(calibrated, reliability), "kept": kept, "numbers": numbers}


def reliable(calibrated: Any, reliability: Any) -> Any:  # noqa: ANN401
    """Put what was found beside what was promised."""
    from dataclasses import replace

    return replace(calibrated, reliability=reliability)


def log_loss(promised: np.ndarray[Any, Any], fresh: Marked) -> float:
    """Return the mean log loss."""
    return float(-np.log(np.where(fresh.right, promised, 1 - promised)).mean())


def ece(promised: np.ndarray[Any, Any], fresh: Marked) -> float:
    """Return the expected calibration error over ten bins of equally many hits."""
    parts = np.array_split(np.argsort(promised, kind="stable"), 10)
    return float(sum(len(p) * abs(promised[p].mean() - fresh.right[p].mean()) for p in parts) / len(promised))


def vectors(work: Path, texts: Sequence[str], split: str, queries: Sequence[JudgedQuery]) -> tuple[Vectors, Vectors]:
    """Encode with MiniLM as it is, once."""
    encoder = load_encoder(store_untrained("minilm", work / "checkpoints", folder=Path.cwd()).folder)
    corpus, questions = work / "corpus.npy", work / f"{split}.npy"
    if not corpus.exists():
        with timed("corpus"):
            np.save(corpus, encoder.encode_documents(texts).vectors)
    if not questions.exists():
        np.save(questions, encoder.encode_queries([query.text for query in queries]))
    return np.load(corpus), np.load(questions)


def words(texts: Sequence[str], questions: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return BM25 scores, (questions, rows)."""
    import bm25s
    import Stemmer

    cut: dict[str, Any] = {"stopwords": "en", "stemmer": Stemmer.Stemmer("english"), "show_progress": False}
    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index(bm25s.tokenize(list(texts), **cut), show_progress=False)
    asked = bm25s.tokenize(list(questions), return_ids=False, **cut)
    return np.stack([index.get_scores(tokens) for tokens in asked])


def best(keys: Sequence[str], scores: np.ndarray[Any, Any], queries: Sequence[JudgedQuery]) -> Scored:
    """Return the best hits of each question with their scores; those of 0 are none."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :POOL]
    return {
        query.id: [(keys[place], float(line[place])) for place in found if line[place] > 0]
        for query, line, found in zip(queries, scores, order, strict=True)
    }


def fused(parts: Sequence[Scored], *, k: int = 60) -> Scored:
    """Fuse by reciprocal ranks (Cormack et al. 2009)."""
    found: dict[str, list[tuple[str, float]]] = {}
    for query in parts[0]:
        scores: dict[str, float] = {}
        for part in parts:
            for rank, (key, _) in enumerate(part[query], start=1):
                scores[key] = scores.get(key, 0.0) + 1 / (k + rank)
        found[query] = sorted(scores.items(), key=lambda hit: (-hit[1], hit[0]))[:POOL]
    return found


if __name__ == "__main__":
    main()
