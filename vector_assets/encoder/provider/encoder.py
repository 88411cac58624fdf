"""ProviderEncoder: texts -> unit vectors, computed elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vector_assets.encoder.contract import Contract, read_contract, read_json
from vector_assets.encoder.files import PROVIDER_FILE, checkpoint_digest
from vector_assets.encoder.provider.endpoint import Endpoint
from vector_assets.errors import EncoderError, ProviderBusy
from vector_assets.records import Encoded, Vectors

_TEXTS, _CHARACTERS = 64, 200_000  # of one request
_KEPT = 8192
_QUERY_TRIES, _QUERY_WAIT = 3, 2.0
Answer = TypeVar("Answer")


class ProviderEncoder:
    """Implements records.Encoder by requests.

    ``encode_documents`` raises ProviderBusy when the provider may be well later, and ValueError for an input that it
    refuses; what it had answered before that is kept, and not asked for again when the texts come a second time.
    """

    def __init__(self, folder: Path, *, endpoint: Endpoint | None = None) -> None:
        """Raises EncoderError when the environment names no provider."""
        self.folder = folder
        self.contract: Contract = read_contract(folder)
        self.model = str(read_json(folder / PROVIDER_FILE)["model"])
        self.digest = checkpoint_digest(folder)  # of the model's name and the contract; canaries tell what it computes
        self.dims = self.contract.dims
        self._endpoint = endpoint or Endpoint.from_environment()
        self._kept: dict[str, NDArray[np.float32]] = {}

    @property
    def bulk_bound(self) -> float:
        """Least cosine that documents must have to their stored vectors: batches move the last digits of a server."""
        return 0.999

    def encode_documents(self, texts: Sequence[str]) -> Encoded:
        """Encode rows, some dozens a request. Whether the provider cut a text is not known, so none counts as cut."""
        vectors, tokens = self._encode(texts, self.contract.document_prefix)
        return Encoded(vectors, np.zeros(len(texts), np.bool_), tokens)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Encode questions; a busy provider is asked again for some seconds, then ProviderBusy is raised."""
        try:
            return patiently(
                lambda: self._encode(texts, self.contract.query_prefix)[0], tries=_QUERY_TRIES, longest=_QUERY_WAIT
            )
        except ValueError as error:
            raise EncoderError(str(error)) from None

    def _encode(self, texts: Sequence[str], prefix: str) -> tuple[Vectors, int]:
        asked = [prefix + text for text in texts]
        tokens = 0
        for text in texts:
            if not text or text.isspace():
                raise EncoderError("an empty text has no vector, leave it out")
        for batch in _batches([text for text in dict.fromkeys(asked) if text not in self._kept]):
            vectors, counted = self._endpoint.embed(self.model, batch)
            tokens += counted
            for text, vector in zip(batch, self._unit(vectors), strict=True):
                self._kept[text] = vector
        found = np.zeros((len(asked), self.dims), np.float32)
        for place, text in enumerate(asked):
            found[place] = self._kept[text]
        for text in asked:
            self._kept.pop(text, None)
        while len(self._kept) > _KEPT:
            self._kept.pop(next(iter(self._kept)))
        return found, tokens

    def _unit(self, vectors: Vectors) -> Vectors:
        if vectors.shape[1] != self.dims:
            raise EncoderError(
                f"provider:{self.model} gives vectors of {vectors.shape[1]} dims, expected the {self.dims} of the "
                "checkpoint: another model is behind the name; materialize the encoder"
            )
        return to_unit(vectors)


def to_unit(vectors: Vectors) -> Vectors:
    """Return vectors of length 1. Raises ValueError when one cannot be: it is its text's fault."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or not np.all(lengths > 0):
        raise ValueError("the provider gives a vector that is not finite or has no length")
    unit: Vectors = (vectors / lengths).astype(np.float32)
    return unit


def patiently(
    ask: Callable[[], Answer], *, tries: int, longest: float, sleep: Callable[[float], None] = time.sleep
) -> Answer:
    """Ask again while the provider is busy, as late as it says, ``longest`` seconds at most; then ProviderBusy."""
    for attempt in range(tries - 1):
        try:
            return ask()
        except ProviderBusy as busy:
            sleep(min(busy.retry_after if busy.retry_after is not None else 0.5 * 2**attempt, longest))
    return ask()


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == _TEXTS or size + len(text) > _CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch
