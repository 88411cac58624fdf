"""Texts -> token ids, cut at the contract's limit, with an exact record of what was cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class TokenIds:
    """Ids of some texts with special tokens; ``truncated`` where the text had more than the limit."""

    ids: list[list[int]]
    truncated: NDArray[np.bool_]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text after cutting."""
        return [len(one) for one in self.ids]


class TextTokens:
    """Splits texts with the Rust tokenizer itself: all cores, no padding, no Python object per token."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, *, special: bool = True) -> None:
        """``special``: with the tokens that the model wants around each text; a text may have none without them."""
        self._tokenizer, self._special = tokenizer, special
        self._whole: Tokenizer | None = None
        tokenizer.no_padding()
        side = (tokenizer.truncation or {}).get("direction", "right")
        tokenizer.enable_truncation(max_tokens, direction=side.lower())

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where each token stands in the text as it is, in characters: no limit, no special tokens."""
        if self._whole is None:  # a copy, since the limit is a setting of the whole tokenizer
            self._whole = type(self._tokenizer).from_str(self._tokenizer.to_str())
            self._whole.no_truncation()
        return self._whole.encode(text, add_special_tokens=False).offsets

    def __call__(self, texts: Sequence[str], prefix: str = "") -> TokenIds:
        """Return the ids of prefix + text. What overflows the limit is what the tokenizer had to leave out."""
        stripped = [(prefix + text).strip() for text in texts]
        encodings = self._tokenizer.encode_batch_fast(stripped, add_special_tokens=self._special)
        return TokenIds(
            ids=[encoding.ids for encoding in encodings],
            truncated=np.array([bool(encoding.overflowing) for encoding in encodings], dtype=np.bool_),
        )
