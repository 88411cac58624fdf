"""TextEncoder: texts -> unit vectors, from a checkpoint folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from vector_assets.encoder.canary_file import read_canaries
from vector_assets.encoder.contract import Contract, is_static, read_contract
from vector_assets.encoder.files import check_folder, checkpoint_digest
from vector_assets.encoder.text.batching import token_batches
from vector_assets.encoder.text.engine import Engine
from vector_assets.encoder.text.packed import PackedEngine, is_packable
from vector_assets.encoder.text.plain import PlainEngine, load_sentence_transformer, rust_tokenizer
from vector_assets.encoder.text.precision import MIN_COSINE, SAMPLE_TEXTS, PrecisionReport, has_bfloat16, measure
from vector_assets.encoder.text.static import load_static
from vector_assets.encoder.text.tokens import TextTokens, TokenIds
from vector_assets.errors import EncoderError, NotFinite
from vector_assets.records import Canary, Encoded, Vectors

EXACT_BOUND = 0.9999  # least cosine between two computations of one vector in full precision
_SAME = 0.99999  # least cosine at which the packed engine counts as the plain one

EngineName = Literal["auto", "plain", "packed"]


class TextEncoder:
    """Implements records.Encoder on a stored checkpoint. Queries are always encoded in full precision.

    ``precision`` of documents is measured on first use ("auto"), or set to "full" or "fast". The packed engine is
    used where it fits the model and gives the stored canaries, or else the plain engine's vectors, again.
    """

    def __init__(
        self, folder: Path, *, precision: Literal["auto", "full", "fast"] = "auto", engine: EngineName = "auto"
    ) -> None:
        check_folder(folder)
        self.folder = folder
        self.contract: Contract = read_contract(folder)
        self.digest = checkpoint_digest(folder)
        self.dims = self.contract.dims
        self._precision = precision
        self._report: PrecisionReport | None = None
        self._engine, self._tokens = self._load(engine)

    @property
    def engine(self) -> str:
        """Name of the engine in use: plain, packed or static."""
        return self._engine.name

    @property
    def bulk_bound(self) -> float:
        """Least cosine that documents encoded in bulk must have to their stored vectors."""
        return MIN_COSINE if self._is_fast() else EXACT_BOUND

    @property
    def precision_report(self) -> PrecisionReport | None:
        """What was measured when the precision was chosen; None when it was set or is not yet known."""
        return self._report

    def encode_documents(self, texts: Sequence[str]) -> Encoded:
        """Encode rows in bulk: like lengths together, in fast precision where this machine gains by it."""
        if not texts:
            return Encoded(np.zeros((0, self.dims), np.float32), np.zeros(0, np.bool_), 0)
        found = self._split(texts, self.contract.document_prefix)
        return Encoded(self._run(found, fast=self._is_fast()), found.truncated, sum(found.lengths))

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Encode questions in full precision."""
        if not texts:
            return np.zeros((0, self.dims), np.float32)
        return self._run(self._split(texts, self.contract.query_prefix), fast=False)

    def tokenize(self, texts: Sequence[str], *, role: Literal["query", "document"]) -> TokenIds:
        """Return the token ids as they reach the model, prefix and cut included."""
        return self._split(texts, self.contract.query_prefix if role == "query" else self.contract.document_prefix)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Return [start, stop) of each of a text's own tokens, in characters, however many there are."""
        return self._tokens.spans(text)

    def _split(self, texts: Sequence[str], prefix: str) -> TokenIds:
        for place, text in enumerate(texts):
            if not text or text.isspace():
                raise EncoderError(f"text {place} of {len(texts)} is empty: an empty text has no vector, leave it out")
        found = self._tokens(texts, prefix)
        if not all(found.ids):
            place = next(place for place, ids in enumerate(found.ids) if not ids)
            raise EncoderError(f"text {place} of {len(texts)} has no token of the table, so it has no vector")
        return found

    def _run(self, tokens: TokenIds, *, fast: bool) -> Vectors:
        vectors = np.empty((len(tokens.ids), self.dims), np.float32)
        for batch in token_batches(tokens.lengths):
            vectors[batch] = self._compute(self._engine, [tokens.ids[place] for place in batch], fast=fast)
        if not np.isfinite(vectors).all():
            # Of one text it is that text's fault; who asks finds out by asking for a plain one.
            raise NotFinite(f"{self.folder}: the model gives vectors that are not finite; its weights may be damaged")
        return vectors

    def _compute(self, engine: Engine, ids: Sequence[Sequence[int]], *, fast: bool) -> Vectors:
        try:
            return cut(engine.run(ids, fast=fast), self.contract.dims)
        except IndexError:
            raise EncoderError(f"{self.folder}: the tokenizer has tokens that the model has no vector for") from None

    def _is_fast(self) -> bool:
        if self._engine.name == "static":
            return False  # there is one precision
        if self._precision == "auto":
            if self._report is None and not has_bfloat16():
                self._report = PrecisionReport("full", speedup=0.0, mean_cosine=1.0, min_cosine=1.0)
            if self._report is None:
                sample = self._tokens(SAMPLE_TEXTS, self.contract.document_prefix)
                try:
                    self._report = measure(lambda: self._run(sample, fast=False), lambda: self._run(sample, fast=True))
                except RuntimeError:  # torch has no bfloat16 kernel for this model on this CPU
                    self._report = PrecisionReport("full", speedup=0.0, mean_cosine=0.0, min_cosine=0.0)
            return self._report.precision == "fast"
        return self._precision == "fast"

    def _load(self, engine: EngineName) -> tuple[Engine, TextTokens]:
        if engine != "packed" and is_static(self.folder):
            return load_static(self.folder, self.contract.max_tokens)
        if engine != "plain" and is_packable(self.folder):
            found = self._load_packed()
            if engine == "packed" or self._is_same(*found):
                return found
        elif engine == "packed":
            raise EncoderError(f"{self.folder}: not a standard BERT, which the packed engine needs; use engine auto")
        return self._load_plain()

    def _load_packed(self) -> tuple[Engine, TextTokens]:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        return PackedEngine.load(self.folder), TextTokens(tokenizer, self.contract.max_tokens)

    def _load_plain(self) -> tuple[Engine, TextTokens]:
        model = load_sentence_transformer(self.folder)
        return PlainEngine(model), TextTokens(rust_tokenizer(model, self.folder), self.contract.max_tokens)

    def _is_same(self, engine: Engine, tokens: TextTokens) -> bool:
        """Tell whether the engine gives the vectors that the plain one gave for the canaries, or now gives."""
        canaries = read_canaries(self.folder)
        if canaries:
            wanted = np.array([canary.vector for canary in canaries], np.float32)
            ids = [tokens([canary.text], self._prefix(canary)).ids[0] for canary in canaries]
        else:
            plain, plain_tokens = self._load_plain()
            prefix = self.contract.document_prefix
            ids = tokens(SAMPLE_TEXTS, prefix).ids
            if ids != plain_tokens(SAMPLE_TEXTS, prefix).ids:
                return False
            wanted = self._compute(plain, ids, fast=False)
        found = self._compute(engine, ids, fast=False)
        return found.shape == wanted.shape and bool((np.sum(found * wanted, axis=1) >= _SAME).all())

    def _prefix(self, canary: Canary) -> str:
        return self.contract.query_prefix if canary.role == "query" else self.contract.document_prefix


def cut(vectors: Vectors, dims: int) -> Vectors:
    """Return the first dims of each vector, of unit length; the same vectors where there are no more.

    What vectors of Matryoshka training are for (Kusupati et al. 2022), and a loss of quality with all others.
    """
    if vectors.shape[1] <= dims:
        return vectors
    first = vectors[:, :dims]
    unit: Vectors = first / np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)
    return unit


def load_encoder(folder: Path, *, precision: Literal["auto", "full", "fast"] = "auto") -> TextEncoder:
    """Load the encoder of a checkpoint folder."""
    return TextEncoder(folder, precision=precision)
