"""Scores on judged queries: methods of the live generation, generations that are kept, and BM25 beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from vector_assets.encoder.image.samples import ImageText, from_text
from vector_assets.errors import NotFound, UserError
from vector_assets.index.comparing import Arm, bm25_arm, rank_words
from vector_assets.index.levels import Level
from vector_assets.index.passages import K as CITED
from vector_assets.index.passages import PassageRecall
from vector_assets.index.retrieve import exact_rankings
from vector_assets.index.systems import System, Tested, compare_pairs, system
from vector_assets.metrics import Rankings, evaluate, paired_bootstrap, ranking_depth, score
from vector_assets.records import Generation, JudgedQuery
from vector_assets.search.ask import METHODS, Ask, Method
from vector_assets.search.engine import SearchEngine
from vector_assets.search.hits import Hit
from vector_assets.source.judged import read_judged
from vector_assets.spec import Evaluation
from vector_assets.stores.asking import synthetic_queries
from vector_assets.stores.calibrations import live_methods
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.levels import measure_levels
from vector_assets.stores.passages import cited_recall, judged_spans


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Means over the queries, of the live generation by its first method, and the table with what stands beside it.

    ``against`` in a line of ``arms`` compares that arm (old) with the live generation (new). ``systems`` are all
    methods and generations that were asked, each with intervals, and ``tested`` every pair of them. ``synthetic``: the
    queries were made from words of the rows, nobody judged them. ``levels`` are those of held-out labels, by space,
    where labels are declared to be paths and no other queries were asked for. ``passages`` says by method how often
    what it cites is a judged passage; ``passages_gone`` counts judged passages that do not stand in their rows.
    """

    scores: dict[str, float]
    queries: int
    generation: int
    method: str
    arms: tuple[Arm, ...] = ()
    synthetic: bool = False
    systems: tuple[System, ...] = ()
    tested: tuple[Tested, ...] = ()
    metric: str = ""
    judged: tuple[JudgedQuery, ...] = ()
    levels: Mapping[str, tuple[Level, ...]] = field(default_factory=dict)
    passages: Mapping[str, PassageRecall] = field(default_factory=dict)
    passages_gone: int = 0


def evaluate_live(
    store: CollectionStore,
    *,
    method: Method = "vector",
    methods: Sequence[Method] = (),
    generations: Sequence[int] = (),
    queries: str | None = None,
    qrels: str | None = None,
    synthetic: bool = False,
) -> Evaluated:
    """Score live on the given queries, else on the declared or held-out ones. Raises NotFound without any.

    Methods ask as people do, through the search engine; ``exact`` scans all vectors, as do ``generations``, each with
    its own checkpoint. Held-out labelled texts are always asked exactly, since they look at some rows only.
    ``synthetic`` asks known items instead. The candidate, where there is one, is asked by an exact scan, and BM25 of
    all rows is measured in memory where no method is BM25.
    """
    live = store.workspace.generations.live(store.collection.name)
    if live is None:
        raise NotFound(f"collection {store.collection.name} has no live generation; materialize it first")
    others = [_kept(store, number) for number in dict.fromkeys(generations)]
    judged = _queries(store, queries, qrels, synthetic=synthetic)
    asked = _methods(store, methods or (method,), judged)
    spans = judged_spans(store, live, judged)
    found: list[System] = []
    passages: dict[str, PassageRecall] = {}
    for way in asked:
        answers = _scanned(store, live, judged) if way == "exact" else _ask(store, way, judged)
        cited = cited_recall(answers.first, spans)
        if cited:
            passages[way] = cited
        found.append(system(way, answers.rankings, judged))
    found += [system(f"generation {each.number}", _scan(store, each, judged), judged) for each in others]
    scores = {metric: mean.mean for metric, mean in found[0].means.items()}
    arms = _beside(store, judged, found[0].rankings)
    tested = compare_pairs(found, store.metric)
    return Evaluated(
        scores, len(judged), live.number, asked[0], (Arm("live", scores), *arms), synthetic, tuple(found), tested,
        store.metric, tuple(judged), {} if queries or synthetic else measure_levels(store, live), passages, spans.gone,
    )  # fmt: skip


def _methods(store: CollectionStore, methods: Sequence[Method], judged: Sequence[JudgedQuery]) -> tuple[Method, ...]:
    """Return the methods to ask, each once; by exact scan alone where questions look at some rows only."""
    there = live_methods(store)
    for each in methods:
        if each not in there:
            missing = "has no words indexed: declare lexical:" if each in METHODS else "knows no such method"
            raise UserError(
                f"--method {each}: collection {store.collection.name} {missing}; expected {' or '.join(there)}"
            )
    if any(query.among is not None for query in judged):
        left = [each for each in methods if each not in ("vector", "exact")]
        if left:
            raise UserError(
                f"--method {left[0]}: held-out labelled texts are looked for among themselves, by an exact scan; "
                "expected vector or exact, or evaluation: with queries and qrels"
            )
        return ("exact",)
    return tuple(dict.fromkeys(methods))


@dataclass(frozen=True, slots=True)
class _Answers:
    """Row keys by question, best first, and its first hits whole, where the method gives hits."""

    rankings: Rankings
    first: Mapping[str, Sequence[Hit]] = field(default_factory=dict)


def _scanned(store: CollectionStore, generation: Generation, judged: Sequence[JudgedQuery]) -> _Answers:
    return _Answers(_scan(store, generation, judged))


def _scan(store: CollectionStore, generation: Generation, judged: Sequence[JudgedQuery]) -> Rankings:
    questions = store.questions(generation, [query.text for query in judged])
    return exact_rankings(store.blocks(generation), questions, judged, top=generation.top)


def _ask(store: CollectionStore, method: Method, judged: Sequence[JudgedQuery]) -> _Answers:
    reader = store.workspace.reader()
    engine = SearchEngine(reader, store.collection.name, store.load)
    k = ranking_depth(judged)
    rankings: dict[str, list[str]] = {}
    first: dict[str, Sequence[Hit]] = {}
    with closing(reader):
        for query in judged:
            hits = engine.answer(_asked(query, k, method)).hits
            rankings[query.id], first[query.id] = [hit.key for hit in hits], hits[:CITED]
    return _Answers(rankings, first)


def _asked(query: JudgedQuery, k: int, method: Method) -> Ask:
    if isinstance(query.text, ImageText):
        return Ask(image=from_text(query.text), k=k, method=method)
    return Ask(query.text, k=k, method=method)


def _kept(store: CollectionStore, number: int) -> Generation:
    """Return a generation whose vectors are still there; raises NotFound with those that are."""
    kept = store.workspace.generations.kept(store.collection.name)
    for each in kept:
        if each.number == number:
            return each
    there = ", ".join(str(each.number) for each in kept)
    raise NotFound(
        f"generation {number} of collection {store.collection.name} is not kept; expected one of {there} "
        "(keep_generations says how many retired ones stay)"
    )


def _queries(
    store: CollectionStore, queries: str | None, qrels: str | None, *, synthetic: bool
) -> Sequence[JudgedQuery]:
    if synthetic:
        made = synthetic_queries(store.workspace, store.collection, store.relation)
        if not made:
            raise NotFound(
                f"collection {store.collection.name} gives no synthetic queries: evaluation.synthetic is 0, or no row "
                "has a sentence of 4 words"
            )
        return made
    judged = read_judged(queries, qrels, store.relation.key) if queries and qrels else store.judged()
    if not judged:
        raise NotFound(
            f"collection {store.collection.name} has no held-out queries; declare evaluation: or give "
            "--queries and --qrels, or --synthetic for queries made from its rows"
        )
    return judged


def _beside(store: CollectionStore, judged: Sequence[JudgedQuery], live: Rankings) -> list[Arm]:
    """Score the candidate, where one waits, and BM25 on the same queries."""
    arms = []
    declared = store.collection.evaluation or Evaluation()
    candidate = _waiting(store)
    if candidate:
        found = _scan(store, candidate, judged)
        against = paired_bootstrap(
            score(found, judged, store.metric), score(live, judged, store.metric), metric=store.metric
        )
        arms.append(Arm("candidate", evaluate(found, judged), against))
    words = rank_words(judged, store, limit=declared.bm25_rows)
    arms.append(bm25_arm(judged, live, words, metric=store.metric))
    return arms


def _waiting(store: CollectionStore) -> Generation | None:
    """Return the newest candidate that is newer than live."""
    generations = store.all()
    newest = next((each for each in generations if each.state in ("candidate", "live")), None)
    return newest if newest and newest.state == "candidate" else None
