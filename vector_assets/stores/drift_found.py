"""What a drift check found, as people read it and as it is kept: one measurement for each kind and space."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from vector_assets.index.drift import MINIMUM
from vector_assets.spec import Collection, Drift
from vector_assets.stores.database import Database

Kind = Literal["corpus", "queries"]
NOUN: dict[Kind, str] = {"corpus": "rows", "queries": "questions"}


@dataclass(frozen=True, slots=True)
class Found:
    """One space's measurement. ``enough`` is False where there were too few vectors to say anything."""

    kind: Kind
    space: str
    generation: int
    checkpoint: str
    measured_at: datetime
    enough: bool
    auc: float
    low: float | None
    high: float | None
    p: float | None
    reference: int
    current: int
    origin: str
    compared: str
    seconds: float
    picture: str | None
    bound: float
    now: bool = False  # measured by this very call

    @property
    def tripped(self) -> bool:
        """The whole interval lies above the bound."""
        return self.enough and self.low is not None and self.low > self.bound

    @property
    def summary(self) -> str:
        """One line for people."""
        if not self.origin:
            return f"{self.space}: no questions to compare with; declare evaluation:, or train from pairs"
        if not self.enough:
            return (
                f"{self.space}: too few to say: {self.reference} {self.origin} against {self.current} {self.compared}; "
                f"expected {MINIMUM} different ones each"
            )
        said = "have drifted" if self.tripped else "may have drifted" if self.auc > self.bound else "have not drifted"
        return (
            f"{self.space}: {NOUN[self.kind]} {said}: AUC {self.auc:.3f} [{self.low:.3f}, {self.high:.3f}], bound "
            f"{self.bound}; {self.reference} of {self.origin} against {self.current} {self.compared}"
        )


def recorded(database: Database, collection: Collection, kind: Kind) -> tuple[Found, ...]:
    """Return the last measurement of each space that is still declared."""
    declared = collection.drift or Drift()
    bound = declared.corpus if kind == "corpus" else declared.queries
    with database.connect() as connection:
        rows = connection.execute(
            database.compose(
                "select space, generation, checkpoint, measured_at, enough, auc, low, high, p, reference, current, "
                "origin, compared, seconds, picture from {ops}.drift "
                "where collection = %s and kind = %s and space = any(%s) order by space"
            ),
            (collection.name, kind, list(collection.spaces)),
        ).fetchall()
    values: list[list[Any]] = [[kind, *row, bound] for row in rows]
    return tuple(Found(*each) for each in values)


def keep(database: Database, collection: str, kind: Kind, space: str, values: tuple[object, ...]) -> None:
    """Put a measurement in place of the last one; ``values`` are those of Found from generation on, but the time."""
    with database.connect() as connection:
        connection.execute(
            database.compose(
                "insert into {ops}.drift (collection, kind, space, generation, checkpoint, enough, auc, low, high, p, "
                "reference, current, origin, compared, seconds, picture) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
                "on conflict (collection, kind, space) do update set generation = excluded.generation, "
                "checkpoint = excluded.checkpoint, measured_at = now(), enough = excluded.enough, auc = excluded.auc, "
                "low = excluded.low, high = excluded.high, p = excluded.p, reference = excluded.reference, "
                "current = excluded.current, origin = excluded.origin, compared = excluded.compared, "
                "seconds = excluded.seconds, picture = excluded.picture"
            ),
            (collection, kind, space, *values),
        )
