"""Going live and back: catch up under the lock, swap in one transaction, tell MLflow after."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from vector_assets.errors import CoverageError, IntegrityError, NotFound
from vector_assets.index.integrity import Checked
from vector_assets.records import Generation

CatchUp = Callable[[Generation], None]


class SwapStore(Protocol):
    """What swapping asks of Postgres; stores/collection.py implements it."""

    def all(self) -> tuple[Generation, ...]:
        """Return all generations, the newest first."""
        ...

    def lock(self) -> AbstractContextManager[None]:
        """Hold the collection's lock: one swap at a time."""
        ...

    def check_coverage(self, generation: Generation) -> Checked:
        """Count source against vectors."""
        ...

    def failed_checks(self, generation: Generation) -> tuple[str, ...]:
        """Return the blocking checks that failed when the generation was measured; all when it was not."""
        ...

    def reason(self, generation: Generation) -> str:
        """Return why the gate decided as it did; empty before it has."""
        ...

    def swap(self, generation: Generation, *, because: str) -> Generation:
        """Make a generation live in one transaction."""
        ...

    def show(self, generation: Generation) -> None:
        """Make the live generation's view and function anew where the declared fields have changed."""
        ...

    def reject(self, generation: Generation, *, because: str) -> None:
        """Record that a generation is not to be built or promoted again by itself."""
        ...

    def drop_retired(self) -> tuple[int, ...]:
        """Drop what is beyond the generations kept."""
        ...


@dataclass(frozen=True, slots=True)
class Swapped:
    """What is live now, and what was before."""

    live: Generation
    before: int | None
    action: Literal["promoted", "kept", "rolled back"]
    dropped: tuple[int, ...] = ()


def settle(store: SwapStore, catch_up: CatchUp, *, clean: bool = False) -> Swapped:
    """Swap in the newest candidate when the gate said promote and integrity holds; else keep live.

    ``clean`` drops what is beyond the generations kept also where nothing goes live: fewer may be declared now, or
    a rollback has retired one more.
    """
    live = _live(store)
    candidate = next((g for g in store.all() if g.state == "candidate"), None)
    if candidate is None or candidate.decision != "promote" or (live and candidate.number < live.number):
        if live is None:
            raise NotFound(f"nothing can go live: {_said(store, candidate)}")
        store.show(live)
        return Swapped(live, live.number, "kept", store.drop_retired() if clean else ())
    return _go_live(store, candidate, catch_up, because="the gate said promote")


def promote(store: SwapStore, catch_up: CatchUp, *, because: str) -> Swapped:
    """Make the newest candidate live on a person's word. Integrity still blocks; NotFound without a candidate."""
    candidate = next((g for g in store.all() if g.state == "candidate"), None)
    if candidate is None:
        raise NotFound("there is no candidate to promote; materialize first")
    return _go_live(store, candidate, catch_up, because=because)


def roll_back(store: SwapStore, target: Generation, catch_up: CatchUp | None, *, because: str) -> Swapped:
    """Make the generation that was live before live again. Brought up to date after, not before: seconds count."""
    before = _live(store)
    with store.lock():
        live = store.swap(target, because=because)
        if before:
            store.reject(before, because=because)
    if catch_up:
        catch_up(live)
    return Swapped(live, before.number if before else None, "rolled back")


def _go_live(store: SwapStore, candidate: Generation, catch_up: CatchUp, *, because: str) -> Swapped:
    failed = store.failed_checks(candidate)
    if failed:
        raise IntegrityError(
            f"generation {candidate.number} may not go live: {', '.join(failed)} did not pass; mend "
            "it and materialize again"
        )
    before = _live(store)
    with store.lock():
        catch_up(candidate)
        coverage = store.check_coverage(candidate)
        if not coverage.passed:
            raise CoverageError(f"generation {candidate.number} may not go live: {coverage.summary}")
        live = store.swap(candidate, because=because)
    dropped = store.drop_retired()
    return Swapped(live, before.number if before else None, "promoted", dropped)


def _said(store: SwapStore, candidate: Generation | None) -> str:
    """Say why a candidate stays out, with the way out of it."""
    way = "use promote --because"
    if candidate is None:
        return f"there is no candidate; materialize it, or {way}"
    why = store.reason(candidate)
    said = f"generation {candidate.number} is {candidate.decision}" + (f" ({why})" if why else "")
    return said if way in why else f"{said}; materialize the candidate, or {way}"


def _live(store: SwapStore) -> Generation | None:
    return next((g for g in store.all() if g.state == "live"), None)
