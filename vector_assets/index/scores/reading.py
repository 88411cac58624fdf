"""Texts through an encoder as rows and questions go through it, each once however many tasks ask for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vector_assets.records import Encoder, Vectors

_BLOCK = 1024


class Reading:
    """Remembers the vectors of documents by their text, for the length of one evaluation."""

    def __init__(self, encoder: Encoder, *, progress: Callable[[int, int], None] | None = None) -> None:
        """``progress`` is told how many of the texts that a task needs anew are encoded."""
        self._encoder = encoder
        self.progress = progress
        self._known: dict[str, Vectors] = {}

    def documents(self, texts: Sequence[str]) -> Vectors:
        """Encode as rows are: (n, dims)."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(new), _BLOCK):
            block = new[start : start + _BLOCK]
            self._known.update(zip(block, self._encoder.encode_documents(block).vectors, strict=True))
            if self.progress:
                self.progress(start + len(block), len(new))
        return np.stack([self._known[text] for text in texts])

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Encode as questions are: (n, dims)."""
        return self._encoder.encode_queries(texts)
