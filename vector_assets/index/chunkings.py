"""Ways of cutting the same rows, measured on the same questions: what each finds, holds and takes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vector_assets.embedding.encoding import Backoff, Coder, token_spans_of
from vector_assets.embedding.text import row_chunks, row_text
from vector_assets.index.retrieve import Block, exact_rankings
from vector_assets.metrics import paired_bootstrap, score
from vector_assets.records import ChunkRule, Comparison, Encoded, Encoder, JudgedQuery, Key, Part, Value, Vectors
from vector_assets.source.token_chunks import TokenSpans

METRICS = ("ndcg@10", "recall@10", "mrr@10")
#: Texts encoded in one call.
_AT_ONCE = 1024
# Vectors that are remembered for the next way of cutting; of 384 dims some 300 MB.
_KEPT = 200_000

Row = tuple[Key, Sequence[Value]]
#: Told how many rows of a chunking are done, how many there are, and its name.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Way:
    """One chunking: its name, its rule (None: whole rows), of how many best chunks a row's score is the mean."""

    name: str
    rule: ChunkRule | None
    top: int = 1


@dataclass(frozen=True, slots=True)
class WayFound:
    """What a chunking came to. ``intervals`` are 95 %, over queries; ``against`` compares the declared one (as old).

    ``seconds`` are those of encoding its chunks, also of chunks whose vectors another one had made; ``truncated``
    counts chunks that were cut at the encoder's limit, ``failed`` those that it did not take.
    """

    name: str
    chunks: int
    truncated: int
    failed: int
    seconds: float
    scores: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    against: Comparison | None = None

    def record(self) -> dict[str, Any]:
        """As it is kept and read again."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> WayFound:
        """Read a record."""
        against = stored["against"]
        return cls(**{
            **stored,
            "intervals": {name: (low, high) for name, (low, high) in stored["intervals"].items()},
            "against": Comparison(**against) if against else None,
        })  # fmt: skip


def compare_chunkings(
    rows: Sequence[Row], ways: Sequence[Way], judged: Sequence[JudgedQuery], encoder: Encoder, *,
    space: str, metric: str, progress: Progress | None = None,
) -> list[WayFound]:  # fmt: skip
    """Measure each way on the judged queries by exact search; the first is the declared one, which others meet paired.

    A text that several ways cut out is encoded once. Raises EncoderError where a way counts tokens and the encoder
    does not tell its own.
    """
    coder = _Remembering(encoder, space)
    questions = np.ascontiguousarray(encoder.encode_queries([query.text for query in judged]))
    found: list[WayFound] = []
    declared: np.ndarray[Any, np.dtype[np.float64]] | None = None
    for way in ways:
        counts = _Counts()
        rankings = exact_rankings(_blocks(rows, way, coder, counts, progress), questions, judged, top=way.top)
        each = {name: score(rankings, judged, name) for name in dict.fromkeys((*METRICS, metric))}
        against = None if declared is None else paired_bootstrap(declared, each[metric], metric=metric)
        declared = each[metric] if declared is None else declared
        found.append(WayFound(
            way.name, counts.chunks, counts.truncated, counts.failed, counts.seconds,
            scores={name: float(values.mean()) for name, values in each.items()},
            intervals={name: _interval(values, name) for name, values in each.items()},
            against=against,
        ))  # fmt: skip
    return found


def _interval(values: np.ndarray[Any, np.dtype[np.float64]], metric: str) -> tuple[float, float]:
    """95 % of the means of resampled queries: the difference to a system that finds nothing."""
    found = paired_bootstrap(np.zeros_like(values), values, metric=metric)
    return found.low, found.high


@dataclass(slots=True)
class _Counts:
    chunks: int = 0
    truncated: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Made:
    vector: Vectors
    truncated: bool
    seconds: float


@dataclass(slots=True)
class _Remembering:
    """Encodes texts, and remembers vectors by the digest of their text, with the time that each took."""

    encoder: Encoder
    space: str
    known: dict[bytes, _Made] = field(default_factory=dict)

    def token_spans(self, rule: ChunkRule | None) -> TokenSpans | None:
        """Where the encoder's tokens stand, for a rule that counts them."""
        return token_spans_of(self.encoder, self.space) if rule and rule.by == "tokens" else None

    def encode(self, texts: Sequence[str]) -> list[_Made | None]:
        """Return what each text became; None where the encoder does not take it."""
        digests = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        fresh = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self.known}
        made: dict[bytes, _Made] = {}
        names = list(fresh)
        started = time.perf_counter()

        def store(start: int, encoded: Encoded) -> None:
            nonlocal started
            now = time.perf_counter()
            each = (now - started) / max(len(encoded.vectors), 1)
            for place, name in enumerate(names[start : start + len(encoded.vectors)]):
                made[name] = _Made(encoded.vectors[place], bool(encoded.truncated[place]), each)
            started = now

        if fresh:
            part = Part(self.space, 0, self.encoder.dims, self.encoder.digest, ())
            Coder(lambda: {self.space: self.encoder}, Backoff()).encode(part, list(fresh.values()), store)
        found = [made.get(digest) or self.known.get(digest) for digest in digests]
        self.known |= dict(list(made.items())[: max(0, _KEPT - len(self.known))])
        return found


def _blocks(
    rows: Sequence[Row], way: Way, coder: _Remembering, counts: _Counts, progress: Progress | None
) -> Iterator[Block]:
    tokens = coder.token_spans(way.rule)
    keys: list[Key] = []
    texts: list[str] = []
    for number, (key, values) in enumerate(rows, start=1):
        cut = _texts(values, way.rule, tokens)
        keys += [key] * len(cut)
        texts += cut
        if len(texts) >= _AT_ONCE or number == len(rows):
            yield from _encoded(keys, texts, coder, counts)
            keys, texts = [], []
            if progress:
                progress(number, len(rows), way.name)


def _texts(values: Sequence[Value], rule: ChunkRule | None, tokens: TokenSpans | None) -> list[str]:
    if rule is None:
        return [text] if (text := row_text(values)).strip() else []
    text, cut = row_chunks(values, rule, tokens)
    return [text[start:stop] for start, stop in cut.spans]


def _encoded(keys: Sequence[Key], texts: Sequence[str], coder: _Remembering, counts: _Counts) -> Iterator[Block]:
    made = coder.encode(texts)
    there = [(key, one) for key, one in zip(keys, made, strict=True) if one is not None]
    counts.chunks += len(texts)
    counts.failed += len(texts) - len(there)
    counts.truncated += sum(one.truncated for _, one in there)
    counts.seconds += sum(one.seconds for _, one in there)
    if there:
        yield [key for key, _ in there], np.stack([one.vector for _, one in there])
