"""Inputs to vectors, whatever goes wrong: a bad one is one row, memory and providers are nobody's fault."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from vector_assets.encoder.image.samples import probe_image
from vector_assets.errors import EncoderError, ProviderBusy
from vector_assets.records import Encoded, Encoder, Generation, Input, Part, Tokenizes
from vector_assets.source.token_chunks import TokenSpans

# What an encoder raises for an input it cannot take; anything else is a fault of ours and ends the run.
ROW_FAULTS = (ValueError, TypeError, RuntimeError, IndexError, OverflowError)
# A text that every encoder takes: tells a bad row from a broken encoder.
PROBE = "one plain sentence"
# What an encoder is given in one call. Bounds the memory of tokenizing; how much is computed at once is its own affair.
TEXTS_AT_ONCE, CHARACTERS_AT_ONCE = 1024, 4_000_000
# An image weighs as much as its pixels do once they are decoded and resized, however short its file is.
_IMAGES_AT_ONCE = 64
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")

Answer = TypeVar("Answer")
Store = Callable[[int, Encoded], None]  # the place of the first text, and the vectors from there on


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait for a busy provider, in seconds: doubling, with jitter, until patience ends."""

    first: float = 5.0
    longest: float = 300.0
    patience: float = 1800.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def wait(self, attempt: int, asked: float | None) -> float:
        """Return the pause before attempt 1, 2, …: never shorter than the provider asks for, up to a quarter longer."""
        pause = min(self.first * 2.0 ** min(attempt - 1, 60), self.longest)
        return max(pause, asked or 0.0) * (1 + self.jitter() / 4)


class Coder:
    """Encodes the inputs of one sync. What fits into memory is learned once and remembered."""

    def __init__(self, load: Callable[[], Mapping[str, Encoder]], backoff: Backoff) -> None:
        """``load`` is called at the first input, so that a sync with nothing to encode loads no model."""
        self.backoff = backoff
        self.limit = TEXTS_AT_ONCE
        self._load = load
        self._encoders: Mapping[str, Encoder] | None = None

    def encode(self, part: Part, texts: Sequence[Input], store: Store) -> dict[int, str]:
        """Hand the vectors of ``texts`` (or images) to ``store``, some at a time; return the error of each without.

        A fault halves the texts down to the one that causes it. It is that text's fault only when the encoder still
        takes a plain one; else the error ends the run, and no row is blamed for a lost device. Raises EncoderError
        when one text alone does not fit into memory, ProviderBusy when patience ends.
        """
        encoder = self._encoder(part)
        errors: dict[int, str] = {}
        todo, halved = [(0, len(texts))], False
        while todo:
            start, end = todo.pop()
            if start >= end:
                continue
            stop = self._batch_end(texts, start, end)
            fits = True
            try:
                store(start, self._ask(texts[start:stop], part, encoder))
            except (MemoryError, *ROW_FAULTS) as error:
                if is_memory_fault(error):
                    fits = False
                elif stop - start == 1:
                    errors[start] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                else:
                    if not halved:  # before a thousand texts are asked one by one
                        self._probe(part, encoder)
                        halved = True
                    middle = (start + stop) // 2
                    todo += [(stop, end), (middle, stop), (start, middle)]
                    continue
            if fits:
                todo.append((stop, end))
            else:  # outside of the handler, which holds on to what the failed call had in memory
                self._make_smaller(part, texts[start:stop])
                todo.append((start, end))
        if errors:
            self._probe(part, encoder)
        return errors

    def token_spans(self, generation: Generation) -> TokenSpans | None:
        """Where the tokens of the chunked space's encoder stand, when its chunks are counted in them: loads it."""
        part = None if generation.chunked is None else generation.parts[generation.chunked]
        if part is None or part.chunk is None or part.chunk.by != "tokens":
            return None
        return token_spans_of(self._encoder(part), part.space)

    def _encoder(self, part: Part) -> Encoder:
        if self._encoders is None:  # loading asks a provider for the canaries
            self._encoders = self._patiently(self._load, part)
        return self._encoders[part.space]

    def _probe(self, part: Part, encoder: Encoder) -> None:
        plain, called = (probe_image(), "image") if part.kind == "image" else (PROBE, "sentence")
        try:
            self._ask([plain], part, encoder)
        except ROW_FAULTS as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise EncoderError(
                f"space {part.space}: the encoder does not even take a plain {called} ({reason}); mend the encoder, "
                "no row is to blame"
            ) from error

    def _batch_end(self, texts: Sequence[Input], start: int, end: int) -> int:
        stop, characters = start + 1, _weight(texts[start])
        while stop < min(end, start + self.limit) and characters + _weight(texts[stop]) <= CHARACTERS_AT_ONCE:
            characters += _weight(texts[stop])
            stop += 1
        return stop

    def _make_smaller(self, part: Part, texts: Sequence[Input]) -> None:
        if len(texts) == 1 and isinstance(texts[0], bytes):
            raise EncoderError(
                f"space {part.space}: one image of {len(texts[0]):,} bytes does not fit into memory by itself; use a "
                "machine with more memory"
            )
        if len(texts) == 1:
            raise EncoderError(
                f"space {part.space}: one text of {len(texts[0]):,} characters does not fit into memory by itself; "
                "declare a smaller max_tokens or chunk:, or use a machine with more memory"
            )
        self.limit = len(texts) // 2

    def _ask(self, texts: Sequence[Input], part: Part, encoder: Encoder) -> Encoded:
        return self._patiently(lambda: _checked(encoder.encode_documents(texts), texts, part), part)

    def _patiently(self, call: Callable[[], Answer], part: Part) -> Answer:
        attempt, waited = 0, 0.0
        while True:
            try:
                return call()
            except ProviderBusy as busy:
                attempt, reason, asked = attempt + 1, str(busy), busy.retry_after
            pause = self.backoff.wait(attempt, asked)
            if waited + pause > self.backoff.patience:
                raise ProviderBusy(
                    f"space {part.space}: {reason}; refused {attempt} times over {waited:.0f} s, and would be waited "
                    f"for until {self.backoff.patience:.0f} s; what is done is kept, run it again later",
                    retry_after=asked,
                )
            self.backoff.sleep(pause)
            waited += pause


def token_spans_of(encoder: Encoder, space: str) -> TokenSpans:
    """Return where an encoder's tokens stand in a text. Raises EncoderError for one that does not tell."""
    if not isinstance(encoder, Tokenizes):
        raise EncoderError(
            f"space {space}: its encoder does not tell its tokens; expected another chunk.by than tokens"
        )
    return encoder.token_spans


def is_memory_fault(error: BaseException) -> bool:
    """Tell whether memory ran out, here or on a device, by names and words: torch is not imported for it."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & {"MemoryError", "OutOfMemoryError"}:
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY)


def _weight(text: Input) -> int:
    return len(text) if isinstance(text, str) else CHARACTERS_AT_ONCE // _IMAGES_AT_ONCE


def _checked(encoded: Encoded, texts: Sequence[Input], part: Part) -> Encoded:
    if encoded.vectors.shape != (len(texts), part.dims):
        raise AssertionError(
            f"space {part.space}: encoder gave {encoded.vectors.shape}, expected {(len(texts), part.dims)}"
        )
    norms = np.linalg.norm(encoded.vectors, axis=1)
    if not np.all(np.isfinite(norms)) or np.any(np.abs(norms - 1) > 1e-3):
        raise ValueError(f"space {part.space}: the vector is not finite and of length 1")
    return encoded
