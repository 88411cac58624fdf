"""What encoders are scored on beside the rows: labelled texts, and pairs of texts with how alike they are."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass

from vector_assets.errors import SourceError
from vector_assets.source.columns import read_columns, text_of
from vector_assets.source.storage import find_files
from vector_assets.source.values import found, plain


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts with their labels, in their order."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Pairs of texts, and how alike people found the two, in any range."""

    left: tuple[str, ...]
    right: tuple[str, ...]
    scores: tuple[float, ...]


def read_labelled_texts(url: str, *, text: str = "text", label: str = "label") -> Labelled:
    """Read a file or glob by the names of its columns. Raises SourceError at an empty text or label, or at no line."""
    texts, labels = [], []
    for file in find_files(url):
        with closing(read_columns(file, (text, label))) as lines:
            for where, values in lines:
                texts.append(_filled(text, values[text], where))
                labels.append(_filled(label, values[label], where))
    if not texts:
        raise SourceError(f"{url}: has no line; expected {text} and {label}")
    return Labelled(tuple(texts), tuple(labels))


def read_scored_pairs(url: str) -> ScoredPairs:
    """Read sentence1, sentence2 and score. Raises SourceError at a line that is none, or where all score the same."""
    left, right, scores = [], [], []
    for file in find_files(url):
        with closing(read_columns(file, ("sentence1", "sentence2", "score"))) as lines:
            for where, values in lines:
                left.append(_filled("sentence1", values["sentence1"], where))
                right.append(_filled("sentence2", values["sentence2"], where))
                scores.append(_number(values["score"], where))
    if len(set(scores)) < 2:
        raise SourceError(f"{url}: {len(scores)} pairs with {len(set(scores))} different scores; expected at least 2")
    return ScoredPairs(tuple(left), tuple(right), tuple(scores))


def _filled(name: str, value: object, where: str) -> str:
    text = text_of(name, value, where)
    if not text.strip():
        raise SourceError(f"{where}: {name} is empty; expected text")
    return text


def _number(value: object, where: str) -> float:
    value = plain(value)
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SourceError(f"{where}: score is {found(value)}; expected a number")
    return number
