"""A question: what is asked, of which rows, by which method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vector_assets.errors import UserError

Method = Literal["vector", "exact"]
METHODS: tuple[Method, ...] = ("vector", "exact")


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
