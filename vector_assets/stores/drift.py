"""Drift of rows and questions, measured against the stores: what was found, and what follows from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from vector_assets.index.drift import MINIMUM, TwoSample, draw_scores, two_sample
from vector_assets.records import Decision, Generation, Part, Vectors
from vector_assets.spec import Collection, Drift
from vector_assets.spec.freshness import as_timedelta
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.database import Database
from vector_assets.stores.drift_found import NOUN, Found, Kind, keep, recorded
from vector_assets.stores.drift_samples import DriftSamples, Sample
from vector_assets.stores.recent_queries import FileQueries, RecentQueries


def measure_drift(
    store: CollectionStore, kind: Kind, *, recent: RecentQueries | None = None, log: Callable[[str], None]
) -> tuple[Found, ...]:
    """Measure each space of the live generation; what was measured within ``every`` is told again.

    Empty when nothing is live. ``recent`` is the log of searches; a declared file comes before it.
    """
    declared = store.collection.drift or Drift()
    live = store.workspace.generations.live(store.collection.name)
    if live is None:
        return ()
    known = {found.space: found for found in recorded(store.workspace.database, store.collection, kind)}
    results = []
    for part in live.parts:
        last = known.get(part.space)
        if last and (last.generation, last.checkpoint) == (live.number, part.checkpoint) and _young(store, last):
            results.append(last)
            continue
        started = time.perf_counter()
        samples = DriftSamples(store, declared.sample)
        sides: tuple[Sample | None, Vectors, str] = (
            _rows(samples, live, part) if kind == "corpus" else _questions(samples, live, part, _recent(store, recent))
        )
        found = _record(store, live, part, kind, sides, started)
        log(f"{found.summary} ({found.seconds:.1f} s)")
        results.append(found)
    return tuple(results)


@dataclass(frozen=True, slots=True)
class Due:
    """A measurement that tripped, and that no training set was drawn after. ``since`` is when it was taken."""

    since: datetime
    why: str


def retraining_due(database: Database, collection: Collection, space: str, *, now: datetime) -> Due | None:
    """Return why a space is to be trained anew: its drift tripped after the last drawing, which is long enough ago."""
    declared = collection.drift
    if declared is None or not declared.retrain:
        return None
    tripped = [
        found
        for kind in NOUN
        for found in recorded(database, collection, kind)
        if found.space == space and found.tripped
    ]
    if not tripped:
        return None
    with database.connect() as connection:
        row = connection.execute(
            database.compose("select max(drawn_at) from {ops}.training_draws where collection = %s and space = %s"),
            (collection.name, space),
        ).fetchone()
    drawn = cast(datetime | None, row[0]) if row else None
    newest = max(tripped, key=lambda found: found.measured_at)
    if drawn and (newest.measured_at <= drawn or now - drawn < cooldown_of(declared)):
        return None
    return Due(newest.measured_at, newest.summary)


def cooldown_of(declared: Drift) -> timedelta:
    """Return the least time between two requests."""
    return as_timedelta(declared.cooldown)


def withheld(store: CollectionStore, generation: Generation, decision: Decision) -> Decision:
    """Turn "promote" into "needs_evaluation" where a candidate was trained on rows unlike those that it is to serve.

    Held-out queries come from the same training set, so they cannot tell. It withholds what would happen by itself and
    blocks nobody: ``promote --because`` goes on. The first generation goes live, since it takes nothing away, and so
    does a candidate whose vectors mean what live's mean.
    """
    declared = store.collection.drift
    live = store.workspace.generations.live(store.collection.name)
    if declared is None or decision.decision != "promote" or live is None:
        return decision
    if live.checkpoint_set == generation.checkpoint_set:
        return decision
    samples = DriftSamples(store, declared.sample)
    for part in generation.parts:
        if samples.training_set(part) is None or part.checkpoint in live.checkpoints.values():
            continue
        reference, current, compared = _rows(samples, generation, part)
        found = two_sample(reference.vectors, current)
        if found.exceeds(declared.corpus):
            return replace(
                decision,
                decision="needs_evaluation",
                reason=f"space {part.space} was trained on other rows than it is to serve: AUC {found.auc:.3f} "
                f"[{found.low:.3f}, {found.high:.3f}] between {reference.origin} and {compared}, expected at most "
                f"{declared.corpus} (drift.corpus); draw the training set anew, or use promote --because. "
                f"Else: {decision.reason}",
            )
    return decision


def _rows(samples: DriftSamples, generation: Generation, part: Part) -> tuple[Sample, Vectors, str]:
    """Return what rows are compared with, the rows, and what they are called: the new ones where they are enough."""
    reference = samples.corpus(generation, part)
    _, new = samples.rows(generation, part, since=reference.since)
    if len(new) >= MINIMUM:
        return reference, new, f"rows that came or changed since {reference.since:%Y-%m-%d %H:%M} UTC"
    _, others = samples.rows(generation, part, without=reference.keys)
    return reference, others, "rows of the whole collection"


def _questions(
    samples: DriftSamples, generation: Generation, part: Part, recent: RecentQueries | None
) -> tuple[Sample | None, Vectors, str]:
    reference = samples.questions(generation, part)
    texts = recent.recent_queries(samples.collection, samples.count) if recent and reference else []
    return reference, samples.asked(generation, part, texts), "questions asked lately"


def _recent(store: CollectionStore, log: RecentQueries | None) -> RecentQueries | None:
    declared = store.collection.drift
    return FileQueries(store.collection.resolve(declared.recent)) if declared and declared.recent else log


def _young(store: CollectionStore, last: Found) -> bool:
    declared = store.collection.drift or Drift()
    return datetime.now(last.measured_at.tzinfo) - last.measured_at < as_timedelta(declared.every)


def _record(
    store: CollectionStore,
    generation: Generation,
    part: Part,
    kind: Kind,
    sides: tuple[Sample | None, Vectors, str],
    started: float,
) -> Found:
    reference, current, compared = sides
    vectors = reference.vectors if reference else current[:0]
    tested = two_sample(vectors, current)
    origin = reference.origin if reference else ""
    picture = _picture(store, generation, part, kind, tested, (origin, compared)) if tested.enough else None
    interval = (tested.low, tested.high, tested.p) if tested.enough else (None, None, None)
    values = (
        generation.number, part.checkpoint, tested.enough, tested.auc, *interval, tested.reference,
        tested.current, origin, compared, time.perf_counter() - started, picture,
    )  # fmt: skip
    database = store.workspace.database
    keep(database, store.collection.name, kind, part.space, values)
    found = next(each for each in recorded(database, store.collection, kind) if each.space == part.space)
    return replace(found, now=True)


def _picture(
    store: CollectionStore, generation: Generation, part: Part, kind: Kind, tested: TwoSample, names: tuple[str, str]
) -> str:
    path = Path(store.workspace.artifacts) / "drift" / f"{store.collection.name}_{part.space}_{kind}.png"
    title = f"{store.collection.name}/{part.space}, generation {generation.number}: {kind}, AUC {tested.auc:.3f}"
    return str(draw_scores(tested, path, title=title, names=names))
