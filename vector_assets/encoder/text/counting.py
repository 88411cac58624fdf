"""How many tokens a text has, by a model's own tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_FILE = "tokenizer.json"


def token_counter(folder: Path) -> tuple[Callable[[str], int], str]:
    """Return what counts the tokens of a text, and what to call it: nothing is cut, no special tokens are added.

    A model without a fast tokenizer here (one of a provider) is counted in bytes of UTF-8: no tokenizer makes more
    tokens than that of a text, so a budget holds all the same, at some four times the price.
    """
    path = folder / _FILE
    if not path.is_file():
        return _bytes, "bytes"
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids), "tokens of the encoder"


def _bytes(text: str) -> int:
    return len(text.encode())
