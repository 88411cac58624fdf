"""Questions made from the rows themselves, where nobody has judged any: a stand-in that never promotes.

A person who looks for something known remembers some of its words (Azzopardi, de Rijke and Balog, "Building simulated
queries for known-item topics", SIGIR 2007). Here they are words of one sentence, as in the inverse cloze task (Lee,
Chang and Toutanova, 2019), half of them lost, so that no row contains its question. Made of words that the row has,
they favour whatever counts words: BM25 is reported beside them, not held against a candidate.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from random import Random

from vector_assets.source.sentences import sentences

MIN_WORDS, MAX_WORDS = 4, 40  # of the sentence that a question is made of
_READ = 20_000  # characters of a row that are looked at


def known_item(key: str, text: str, seed: int) -> str | None:
    """Return the question for one row, which depends on nothing but the row; None where no sentence is long enough."""
    text = text[:_READ]
    spans = [words for start, stop in sentences(text) if len(words := text[start:stop].split()) >= MIN_WORDS]
    if not spans:
        return None
    random = Random(f"{seed} {key}")  # noqa: S311 - the same question every time, not a secret
    words = random.choice(spans)
    begin = random.randrange(max(1, len(words) - MAX_WORDS + 1))
    words = words[begin : begin + MAX_WORDS]
    kept = sorted(random.sample(range(len(words)), min(10, max(3, len(words) // 2))))
    return " ".join(words[place] for place in kept)


def drawn_keys(keys: Iterable[str], count: int, seed: int) -> list[str]:
    """Return ``count`` keys by the order of their hashes: a row that comes or goes changes at most one of them."""
    return heapq.nsmallest(count, keys, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
