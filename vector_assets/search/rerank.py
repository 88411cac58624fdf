"""The last stage of a search: a cross-encoder reads the question with each of the best rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from vector_assets.embedding.text import row_text
from vector_assets.errors import UserError
from vector_assets.records import Generation

if TYPE_CHECKING:
    from vector_assets.search.hits import Hit


@dataclass(frozen=True, slots=True)
class Reranking:
    """Which model, as a folder, reads how many of the best rows."""

    folder: Path
    top: int = 50
    max_tokens: int | None = None


class PairScorer(Protocol):
    """Scores pairs of question and text; encoder/text/cross.py implements it."""

    @property
    def digest(self) -> str:
        """sha256 over the model's files."""
        ...

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return a score per text, higher is better."""
        ...


LoadScorer = Callable[[Reranking], PairScorer]


def reranked(
    scorer: PairScorer, generation: Generation, question: str, hits: Sequence[Hit], *, top: int
) -> tuple[Hit, ...]:
    """Return the first ``top`` hits by falling score of the model, equal ones by key; the others are left out.

    What is read of a row is what its vector was made of: its passage where rows are cut into chunks, else the text of
    its fields. The score that it was found by stands in ``parts`` as ``found``, that of the model as ``rerank``.
    """
    read = list(hits[:top])
    scores = scorer.scores(question, [read_text(generation, hit) for hit in read])
    scored = [
        replace(hit, score=float(score), parts={**hit.parts, "found": hit.score, "rerank": float(score)})
        for hit, score in zip(read, scores, strict=True)
    ]
    return tuple(sorted(scored, key=lambda hit: (-hit.score, hit.key)))


def read_text(generation: Generation, hit: Hit) -> str:
    """Return what the collection's spaces of text read of a row, or the passage that it was found by."""
    if hit.chunk is not None:
        return hit.chunk.text
    return row_text([hit.row[name] for name in text_fields(generation)])


def text_fields(generation: Generation) -> list[str]:
    """Return the fields that spaces of text read, each once; raises UserError where there is no such space."""
    names = list(dict.fromkeys(name for part in generation.parts if part.kind == "text" for name in part.fields))
    if not names:
        raise UserError(f"collection {generation.collection} has no space of texts, so there is no text to read")
    return names
