"""A question: what is asked, of which rows, by which method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vector_assets.errors import UserError

Method = Literal["vector", "exact", "bm25"]
METHODS: tuple[Method, ...] = ("vector", "exact", "bm25")


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. ``text`` and ``image`` may both be asked: rows are then near in either kind of space."""

    text: str | None = None
    image: bytes | None = None
    k: int = 10
    method: Method = "vector"

    def __post_init__(self) -> None:
        """Refuse a question that asks nothing, or by a method there is none of."""
        if self.text is None and self.image is None:
            raise UserError("nothing is asked; expected a question or an image")
        if self.method not in METHODS:
            raise UserError(f"method {self.method}: expected {' or '.join(METHODS)}")
        if self.method == "bm25" and (self.text is None or self.image is not None):
            raise UserError("method bm25 looks for words; expected a question in words, and no image")
