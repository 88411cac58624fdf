"""Answers or none: hits with the probability that they are right, and the floor below which they are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace

from vector_assets.errors import UserError
from vector_assets.records.calibration import PLACES, Calibrated, Floor
from vector_assets.search.ask import Ask
from vector_assets.search.hits import Hit

#: Parts of a question that leave its scores what they are; a filter leaves fewer rows (docs/evaluation.md). Anything
#: else that is asked (an image, rows that are liked, another stage) gives scores that nobody calibrated.
_PLAIN = frozenset(("text", "k", "method", "fusion", "precision", "filter", "c"))


@dataclass(frozen=True, slots=True)
class Answers:
    """Hits that are left, each with its probability, and the floor; None where no precision was asked."""

    hits: tuple[Hit, ...]
    floor: Floor | None

    @property
    def answered(self) -> bool:
        """Whether any is left."""
        return bool(self.hits)


def scoring(ask: Ask) -> str | None:
    """Return the name under which the scores of a question are calibrated, None for those that never are.

    An exact scan gives the scores of the index; each fusion gives its own.
    """
    if ask.text is None:
        return None
    for field in fields(ask):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if field.name not in _PLAIN and getattr(ask, field.name) != default:
            return None
    fusion = getattr(ask, "fusion", None)
    name = "vector" if ask.method == "exact" else str(ask.method)
    return f"{name}/{fusion}" if name == "hybrid" and fusion else name


def with_probabilities(hits: Sequence[Hit], calibrated: Calibrated) -> tuple[Hit, ...]:
    """Return the hits, each of the first ``calibrated.depth`` with the probability that it is right."""
    return tuple(
        replace(hit, probability=calibrated.probability(hit.score)) if place < calibrated.depth else hit
        for place, hit in enumerate(hits)
    )


def answerable(hits: Sequence[Hit], calibrated: Calibrated, precision: float) -> Answers:
    """Leave out hits below the score from which ``precision`` of answers are right; often all of them.

    Hits come best first. Those beyond the ones that calibration looked at are left out as well: nothing is known of
    them. Pure: no database, no model.
    """
    score = calibrated.threshold(precision)
    known = with_probabilities(hits, calibrated)[: calibrated.depth]
    left = tuple(hit for hit in known if score is not None and round(hit.score, PLACES) >= score)
    return Answers(left, Floor(precision, score, hits[0].score if hits else None))


def calibration_of(ask: Ask, known: Mapping[str, Calibrated], *, collection: str) -> Calibrated | None:
    """Return the calibration of a question's scores. Raises UserError where a precision is asked without one."""
    name = scoring(ask)
    found = known.get(name) if name else None
    if found is None and ask.precision is not None:
        why = (
            f"method {name} has none; declare evaluation.calibration, or train a space, and materialize it"
            if name
            else "only questions in words have one, without an image, rows that are liked, or another stage "
            "(--no-rerank and --diverse 0 leave out declared ones)"
        )
        raise UserError(f"collection {collection}: --precision needs a calibration, and {why}")
    return found


def answers(ask: Ask, hits: Sequence[Hit], known: Mapping[str, Calibrated], *, collection: str) -> Answers:
    """Give hits their probabilities, and leave out what is below the floor where a precision is asked."""
    calibrated = calibration_of(ask, known, collection=collection)
    if calibrated is None:
        return Answers(tuple(hits), None)
    if ask.precision is None:
        return Answers(with_probabilities(hits, calibrated), None)
    return answerable(hits, calibrated, ask.precision)
