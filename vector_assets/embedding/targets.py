"""Which generations a sync has to bring up to date, and when a new one is made."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from vector_assets.embedding.layout import Layout
from vector_assets.embedding.pipeline import SyncTarget
from vector_assets.records import Generation
from vector_assets.spec import Collection


class Generations(Protocol):
    """The generations of one collection; stores/collection.py implements it."""

    def all(self) -> tuple[Generation, ...]:
        """Return all of them, the newest first."""
        ...

    def create(self, layout: Layout, *, run_id: str | None) -> Generation:
        """Make a building generation."""
        ...

    def sync(
        self, generation: Generation, *, reuse: Generation | None, run_id: str | None, whole: bool = False
    ) -> AbstractContextManager[SyncTarget]:
        """Open a sync of one generation."""
        ...


@dataclass(frozen=True, slots=True)
class Targets:
    """Live, which is always kept fresh, and the generation on its way, when there is one."""

    live: Generation | None
    coming: Generation | None
    wanted: bool  # the declaration and its checkpoints ask for a generation that is neither live nor rejected

    @property
    def all(self) -> tuple[Generation, ...]:
        """Live first: it is what people search."""
        return tuple(generation for generation in (self.live, self.coming) if generation)


def find_targets(collection: Collection, layout: Layout, generations: Sequence[Generation]) -> Targets:
    """Decide what to sync. ``generations`` come newest first.

    A generation that the gate or a rollback rejected is not built again from the same checkpoints; where nothing is
    live, the rejected one is still kept fresh, so that a person may promote it.
    """
    live = next((g for g in generations if g.state == "live"), None)
    if live and layout.describes(live, collection):
        return Targets(live, None, wanted=False)
    same = [g for g in generations if layout.describes(g, collection)]
    open_ones = [g for g in same if g.state in ("building", "candidate")]
    rejected = any(g.decision == "keep" and g.state != "failed" for g in same)
    if rejected:
        return Targets(live, None if live else next(iter(open_ones), None), wanted=False)
    return Targets(live, next(iter(open_ones), None), wanted=not open_ones)
