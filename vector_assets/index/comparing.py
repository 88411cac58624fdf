"""What a generation is held against: live, BM25, hybrid of both, slices of the questions, recent searches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, Protocol

import numpy as np

from vector_assets.index.fusion import fused_rankings
from vector_assets.index.lexical import bm25_rankings
from vector_assets.index.retrieve import Block, exact_rankings
from vector_assets.index.shadow import Shadow, compare_shadow
from vector_assets.index.slices import SliceFound, compare_slices
from vector_assets.metrics import Rankings, evaluate, paired_bootstrap, score
from vector_assets.records import Comparison, Generation, JudgedQuery, Vectors
from vector_assets.spec import Evaluation

ArmName = Literal["live", "candidate", "bm25", "hybrid"]
_RECENT = "\0"  # begins the ids of recent questions; no id in a file has it


class Compares(Protocol):
    """What comparing asks of Postgres; stores/collection.py implements it."""

    def blocks(self, generation: Generation) -> Iterator[Block]:
        """Stream all vectors with their keys."""
        ...

    def texts(self) -> Iterator[tuple[str, str]] | None:
        """Stream the JSON row key of each row and the text that its spaces read; None where they read none."""
        ...

    def word_rankings(self, judged: Sequence[JudgedQuery]) -> Rankings | None:
        """Ask the collection's own index of words, as people do; None where there is none."""
        ...


class Asks(Protocol):
    """Encodes questions with a generation's checkpoints."""

    def questions(self, generation: Generation, texts: Sequence[str]) -> Vectors:
        """Encode questions: (n, dims)."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: judged questions, or synthetic ones where there are none, their slices, recent searches.

    ``slices`` names parts of ``judged`` by places in it. ``of_rows``: nobody asked them, they are texts of the rows, or
    words of these, and favour what counts words.
    """

    judged: tuple[JudgedQuery, ...] = ()
    synthetic: bool = False
    slices: Mapping[str, Sequence[int]] = field(default_factory=dict)
    recent: tuple[str, ...] = ()
    of_rows: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    """One line of the table: mean scores, and how the arm that is judged differs from it (arm as old, judged as new).

    ``scores`` is empty where ``note`` says why the arm was left out.
    """

    arm: ArmName
    scores: Mapping[str, float]
    against: Comparison | None = None
    note: str = ""

    def record(self) -> dict[str, object]:
        """As it is kept in Postgres and shown in tables."""
        return {
            "arm": self.arm,
            "scores": dict(self.scores),
            "against": asdict(self.against) if self.against else None,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """All that a generation was held against. ``comparison`` is live against it, None where it is live itself.

    ``hybrid`` is BM25 (old) against the fusion of both (new), None where no ``lexical`` is declared. ``of_rows`` tells
    that the questions favour words (see ``Asked``): what BM25 finds then decides nothing.
    """

    arms: tuple[Arm, ...] = ()
    comparison: Comparison | None = None
    slices: tuple[SliceFound, ...] = ()
    shadow: Shadow | None = None
    synthetic: bool = False
    hybrid: Comparison | None = None
    of_rows: bool = False

    @property
    def evaluation(self) -> Mapping[str, float]:
        """The generation's own scores on judged questions; empty where there are none."""
        own = [each for each in self.arms if each.arm in ("live", "candidate")]  # live stands before a candidate
        return {} if self.synthetic or not own else own[-1].scores

    @property
    def lexical(self) -> Comparison | None:
        """BM25 against the generation, where it was measured."""
        return next((each.against for each in self.arms if each.arm == "bm25"), None)


def compare(
    generation: Generation,
    live: Generation | None,
    asked: Asked,
    store: Compares,
    encoders: Asks,
    *,
    metric: str,
    declared: Evaluation,
    lexical: bool = True,
    hybrid: bool = False,
) -> Compared:
    """Ask everything of the generation, of live and of BM25, by exact scans: one over each table of vectors.

    ``hybrid`` says whether the generation's ranking is also fused with that of BM25, by places: the fusion that is
    asked where none is learned.
    """
    other = live if live and live.number != generation.number else None
    if not asked.judged and not (other and asked.recent):
        return Compared(synthetic=asked.synthetic)
    new = _rankings(generation, asked if other else Asked(asked.judged), store, encoders)
    old = _rankings(other, asked, store, encoders) if other else None
    recent = [_RECENT + str(number) for number in range(len(asked.recent))]
    shadow = compare_shadow(old, new, recent) if old is not None else None
    judged = asked.judged
    if not judged:
        return Compared(shadow=shadow, synthetic=asked.synthetic)
    scored = score(new, judged, metric)
    arms: list[Arm] = []
    comparison: Comparison | None = None
    slices: tuple[SliceFound, ...] = ()
    if old is not None:
        before = score(old, judged, metric)
        comparison = paired_bootstrap(before, scored, metric=metric)
        arms.append(Arm("live", evaluate(old, judged), comparison))
        slices = compare_slices(
            asked.slices, before, scored, metric=metric, drop=declared.slice_drop, least=declared.slice_queries
        )
    arms.append(Arm("candidate" if other or live is None else "live", evaluate(new, judged)))
    fused: Comparison | None = None
    if lexical:
        words = rank_words(judged, store, limit=declared.bm25_rows)
        arms.append(bm25_arm(judged, new, words, metric=metric))
        if hybrid and not isinstance(words, str):
            both = fused_rankings(new, words)
            together, alone = score(both, judged, metric), score(words, judged, metric)
            fused = paired_bootstrap(alone, together, metric=metric)
            arms.append(Arm("hybrid", evaluate(both, judged), paired_bootstrap(together, scored, metric=metric)))
    return Compared(tuple(arms), comparison, slices, shadow, asked.synthetic, fused, asked.of_rows)


def rank_words(judged: Sequence[JudgedQuery], store: Compares, *, limit: int) -> Rankings | str:
    """Rank by BM25: by the collection's own index of words, else in memory. A text says why it was left out."""
    if not limit:
        return "left out: evaluation.bm25_rows is 0"
    found = store.word_rankings(judged)
    texts = store.texts() if found is None else None
    if found is None and texts is None:
        return "left out: the spaces read no text"
    if texts is not None:
        found = bm25_rankings(texts, judged, limit=limit)
    return found if found is not None else f"left out: there are more than {limit:,} rows, see evaluation.bm25_rows"


def bm25_arm(judged: Sequence[JudgedQuery], new: Rankings, words: Rankings | str, *, metric: str) -> Arm:
    """Score what ``rank_words`` found on the same questions, and how ``new`` differs from it."""
    if isinstance(words, str):
        return Arm("bm25", {}, note=words)
    against = paired_bootstrap(score(words, judged, metric), score(new, judged, metric), metric=metric)
    return Arm("bm25", evaluate(words, judged), against)


def _rankings(generation: Generation, asked: Asked, store: Compares, encoders: Asks) -> Rankings:
    """Ask judged and recent questions in one scan."""
    recent = [JudgedQuery(f"{_RECENT}{number}", text, {}) for number, text in enumerate(asked.recent)]
    all_of_them = [*asked.judged, *recent]
    questions = encoders.questions(generation, [query.text for query in all_of_them])
    return exact_rankings(store.blocks(generation), np.ascontiguousarray(questions), all_of_them, top=generation.top)
