"""A question: what is asked, of which rows, by which method."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Literal

from vector_assets.errors import UserError
from vector_assets.search.diverse import CANDIDATES_PER_HIT
from vector_assets.search.examples import Examples
from vector_assets.search.filters import Filter
from vector_assets.search.rerank import Reranking
from vector_assets.search.svm import C

Method = Literal["vector", "exact", "bm25", "hybrid", "svm"]
METHODS: tuple[Method, ...] = ("vector", "exact", "bm25", "hybrid", "svm")
FusionName = Literal["rrf", "calibrated"]
FUSIONS: tuple[FusionName, ...] = ("rrf", "calibrated")
#: How many hits can be asked for: Postgres counts them, and those that later stages choose from, in four bytes.
MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. ``text`` and ``image`` may both be asked: rows are then near in either kind of space.

    ``fusion`` is how method hybrid joins its parts; calibrated is rrf where no weights were learned.
    Only rows that ``filter`` lets through are found.
    ``like`` and ``unlike`` are ids of rows, as hits show them. ``diverse`` is 0 to 1, ``c`` a setting of method svm.
    ``examples`` are what the engine reads of the rows that are named.
    With ``precision``, hits are left out below the score from which that share of answers is right.
    """

    text: str | None = None
    image: bytes | None = None
    k: int = 10
    method: Method = "vector"
    fusion: FusionName = "calibrated"
    filter: Filter | None = None
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    diverse: float = 0.0
    c: float = C
    rerank: Reranking | None = None
    examples: Examples | None = None
    precision: float | None = None

    def __post_init__(self) -> None:
        """Refuse a question that asks nothing, or by a method there is none of."""
        if not isinstance(self.k, Integral) or not 1 <= self.k <= MOST:
            raise UserError(f"k {self.k}: expected how many hits are wanted, from 1 to {MOST}")
        object.__setattr__(self, "k", int(self.k))  # numpy's would reach SQL as another type
        if self.text is None and self.image is None and not self.like and not self.unlike:
            raise UserError("nothing is asked; expected a question, an image, or rows that are liked")
        if self.rerank and self.text is None:
            raise UserError("rerank reads the question, and none is asked; expected some words, or no rerank")
        if not 0 <= self.diverse <= 1:
            raise UserError(f"diverse {self.diverse:g}: expected 0 to 1")
        if self.precision is not None and not 0 < self.precision < 1:
            raise UserError(f"precision {self.precision:g}: expected a share between 0 and 1, such as 0.9")
        if self.method not in METHODS:
            raise UserError(f"method {self.method}: expected {' or '.join(METHODS)}")
        if self.fusion not in FUSIONS:
            raise UserError(f"fusion {self.fusion}: expected {' or '.join(FUSIONS)}")
        if self.method in ("bm25", "hybrid") and (self.text is None or self.image is not None):
            raise UserError(f"method {self.method} looks for words; expected a question in words, and no image")
        if self.method == "bm25" and (self.like or self.unlike):
            raise UserError("method bm25 knows no vectors, which like and unlike compare; expected another method")

    @property
    def candidates(self) -> int:
        """How many rows later stages choose the k from: what diversity needs, and a model is to read."""
        wide = CANDIDATES_PER_HIT * self.k if self.diverse else self.k
        return max(wide, self.rerank.top) if self.rerank else wide

    @property
    def pool(self) -> int:
        """How many rows are found first. Rows that are named are left out of these."""
        return self.candidates + len(self.like) + len(self.unlike)
