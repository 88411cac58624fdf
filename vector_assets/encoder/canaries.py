"""Canaries: stored inputs with their vectors. An encoder that no longer gives them is not the one that was stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from vector_assets.encoder.image.samples import from_text
from vector_assets.errors import CanaryMismatch
from vector_assets.records import Canary, Encoder, Input, Vectors

QUERY_BOUND = 0.9999
PER_ROLE = 8

DEFAULT_DOCUMENTS = (
    "Return the indices of the maximum values along an axis.",
    "The committee approved next year's budget after a long debate.",
    "def close(self): self._connection.close(); self._connection = None",
    "Patients treated with the compound showed a reduced inflammatory response compared with the control group.",
    "Blue ceramic mug, 350 ml, dishwasher safe, ships within two working days.",
    "SELECT count(*) FROM orders WHERE shipped_at IS NULL;",
    "Die Katze saß auf dem Dach und sah dem Regen zu.",
    "short",
)
DEFAULT_QUERIES = (
    "where is the largest value of an array",
    "city budget decision",
    "close a database connection",
    "does the drug lower inflammation?",
    "mug for the dishwasher",
    "unshipped orders",
    "cat in the rain",
    "short",
)


class CheckedEncoder(Encoder, Protocol):
    """An encoder that states how true its bulk path is."""

    @property
    def bulk_bound(self) -> float:
        """Least cosine of a document encoded in bulk to its stored vector."""
        ...


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """The least cosine found per role, with its bound and the text it was found at. 1.0 where a role has no canary."""

    encoder: str
    stored: str
    query_cosine: float
    document_cosine: float
    query_bound: float
    document_bound: float
    query_text: str = ""
    document_text: str = ""

    @property
    def passed(self) -> bool:
        """Both roles are within their bounds. False for NaN."""
        return self.query_cosine >= self.query_bound and self.document_cosine >= self.document_bound

    @property
    def sides(self) -> str:
        """Who was compared with whom, and the text at which they are farthest apart."""
        sides = (
            ("document", self.document_cosine - self.document_bound, self.document_text),
            ("query", self.query_cosine - self.query_bound, self.query_text),
        )
        role, _, text = min(sides, key=lambda side: side[1] if side[1] == side[1] else -np.inf)  # NaN is the worst
        return f"encoder {self.encoder[:12]} against checkpoint {self.stored[:12]}, worst at {role} {text[:40]!r}"


def make_canaries(encoder: Encoder, documents: Sequence[str], queries: Sequence[str]) -> tuple[Canary, ...]:
    """Return canaries with the vectors that the encoder gives now; the encoder must be in full precision.

    Inputs are texts, those of an image encoder images as ``data:`` URLs.
    """
    found: list[Canary] = []
    roles: tuple[tuple[Literal["document", "query"], Sequence[str], Vectors], ...] = (
        ("document", documents, encoder.encode_documents(_inputs(encoder, documents)).vectors),
        ("query", queries, encoder.encode_queries(_inputs(encoder, queries))),
    )
    for role, texts, vectors in roles:
        found.extend(Canary(role, text, tuple(map(float, vector))) for text, vector in zip(texts, vectors, strict=True))
    return tuple(found)


def check_canaries(encoder: CheckedEncoder, canaries: Sequence[Canary], *, stored: str = "") -> CanaryReport:
    """Encode the canaries again, documents on the bulk path and queries on the query path, and compare.

    ``stored`` is the digest of the checkpoint that the canaries belong to.
    """
    documents = [canary for canary in canaries if canary.role == "document"]
    queries = [canary for canary in canaries if canary.role == "query"]
    document_cosine, document_text = _least(
        documents, encoder.encode_documents(_inputs(encoder, [c.text for c in documents])).vectors
    )
    query_cosine, query_text = _least(queries, encoder.encode_queries(_inputs(encoder, [c.text for c in queries])))
    return CanaryReport(
        encoder=encoder.digest,
        stored=stored or encoder.digest,
        query_cosine=query_cosine,
        document_cosine=document_cosine,
        query_bound=QUERY_BOUND,
        document_bound=encoder.bulk_bound,
        query_text=query_text,
        document_text=document_text,
    )


def require(report: CanaryReport) -> CanaryReport:
    """Return the report, or raise CanaryMismatch naming both sides and the worst canary."""
    rows = (
        ("document", report.document_cosine, report.document_bound, report.document_text),
        ("query", report.query_cosine, report.query_bound, report.query_text),
    )
    for role, cosine, bound, text in rows:
        if not cosine >= bound:
            raise CanaryMismatch(
                f"the loaded encoder {report.encoder[:12]} does not give the vectors stored with checkpoint "
                f"{report.stored[:12]}: {role} {text[:40]!r} has cosine {cosine:.6f}, expected at least {bound}; a "
                "library computes something else now: put back the versions that the checkpoint was stored with"
            )
    return report


def _inputs(encoder: Encoder, texts: Sequence[str]) -> Sequence[Input]:
    """Return stored inputs as the encoder takes them."""
    return [from_text(text) for text in texts] if getattr(encoder, "reads", "text") == "image" else texts


def _least(canaries: Sequence[Canary], vectors: Vectors) -> tuple[float, str]:
    if not canaries:
        return 1.0, ""
    stored = np.array([canary.vector for canary in canaries], np.float64)
    if stored.shape != vectors.shape:
        return float("nan"), f"{vectors.shape[1]} dims instead of {stored.shape[1]}: {canaries[0].text}"
    norms = np.linalg.norm(stored, axis=1) * np.linalg.norm(vectors.astype(np.float64), axis=1)
    cosines = np.sum(stored * vectors, axis=1) / np.maximum(norms, 1e-12)
    worst = int(np.argmin(cosines))
    return float(cosines[worst]), canaries[worst].text
