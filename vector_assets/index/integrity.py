"""What must hold before a generation may go live. Quality is decided elsewhere; this blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CheckName = Literal["coverage", "dims_and_norm", "canaries", "recall"]
CHECKS: tuple[CheckName, ...] = ("coverage", "dims_and_norm", "canaries", "recall")
# float16 keeps three digits; a unit vector of 4,000 halves may be off by this much.
NORM_TOLERANCE = {"vector": 1e-4, "halfvec": 5e-3}


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of one blocking check, in a sentence and in numbers."""

    name: CheckName
    passed: bool
    summary: str
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class WordCoverage:
    """Source against the declared index of words, both ways."""

    pending: int  # rows whose words are not in it as they stand
    overdue: int  # those of them that its last sync should have seen
    orphans: int  # rows it holds that the source no longer has


def check_coverage(
    *, source: int, accounted: int, failed: int, pending: int, overdue: int, orphans: int, gaps: int,
    words: WordCoverage | None = None,
) -> Checked:  # fmt: skip
    """Every row is embedded, empty or set aside by name; no vector without a row; no row with chunks missing.

    ``accounted`` counts embedded and empty rows. Rows set aside are reported, they do not block: a bad row is one row.
    Nor do ``pending`` rows that changed since the last sync, but those that it passed over: the ``overdue`` ones.
    ``words`` must hold every row in the same way: hybrid search and BM25 are asked of what goes live.
    """
    passed = accounted + failed + pending == source and not overdue and not orphans and not gaps
    if words is not None:
        passed = passed and not words.overdue and not words.orphans
    return Checked(
        "coverage",
        passed,
        f"{accounted} of {source} rows, {failed} set aside, {pending} pending ({overdue} overdue), "
        f"{orphans} without a source row, {gaps} with chunks missing"
        + (
            f"; index of words: {words.pending} pending ({words.overdue} overdue), {words.orphans} without a source row"
            if words is not None
            else ""
        ),
        {
            "source": source,
            "accounted": accounted,
            "failed": failed,
            "pending": pending,
            "overdue": overdue,
            "orphans": orphans,
            "gaps": gaps,
        }
        | (
            {"words_pending": words.pending, "words_overdue": words.overdue, "words_orphans": words.orphans}
            if words is not None
            else {}
        ),
    )


def check_norms(worst: float, *, dims: int, vector_type: str) -> Checked:
    """Vectors have length 1. Their width is a constraint of the table, so it is reported, not measured."""
    limit = NORM_TOLERANCE[vector_type]
    return Checked(
        "dims_and_norm",
        worst <= limit,
        f"{dims} dimensions; the farthest length is {worst:.2e} from 1, expected {limit:.0e} at most",
        {"dims": dims, "worst_norm_error": worst},
    )


def check_recall(
    mean: float, worst: float, *, declared: float, declared_worst: float | None, ef_search: int,
    said: str | None = None,
) -> Checked:  # fmt: skip
    """The index reaches the recall that was declared, as a mean and, where declared, for the worst query."""
    passed = mean >= declared and (declared_worst is None or worst >= declared_worst)
    missed = "" if passed else "; no search of this index is wide enough: declare less, or index: {type: exact}"
    return Checked(
        "recall",
        passed,
        f"recall@10 {mean:.4f}, worst query {worst:.2f}, {said or f'at ef_search {ef_search}'}; declared {declared}"
        + (f", worst {declared_worst}" if declared_worst is not None else "")
        + missed,
        {"mean": mean, "worst": worst, "ef_search": ef_search},
    )


def check_canaries_found(
    query: float, document: float, *, query_bound: float, document_bound: float, passed: bool, sides: str = ""
) -> Checked:
    """The encoder still gives the vectors it gave, on the query path and on the bulk path; ``sides`` names both."""
    return Checked(
        "canaries",
        passed,
        f"least cosine {query:.6f} for queries (bound {query_bound}), {document:.6f} in bulk (bound {document_bound})"
        + (f"; {sides}" if sides else ""),
        {"query_cosine": query, "document_cosine": document, "worst_cosine": min(query, document)},
    )
