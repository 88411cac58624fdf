"""Drift of rows and questions, measured against the stores: what was found, and what follows from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from vector_assets.errors import CanaryMismatch
from vector_assets.index.drift import MINIMUM, TwoSample, draw_scores, two_sample
from vector_assets.records import Decision, Generation, Part, Vectors
from vector_assets.spec import Collection, Drift
from vector_assets.spec.freshness import as_timedelta
from vector_assets.stores.canary_findings import moved
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.database import Database
from vector_assets.stores.drift_found import NOUN, Found, Kind, keep, recorded
from vector_assets.stores.drift_samples import DriftSamples, Sample
from vector_assets.stores.recent_queries import FileQueries, RecentQueries

#: Vectors of a side at most, before a promotion, where ``drift`` is not declared.
UNDECLARED = 500


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
        sides: tuple[Sample | None, Vectors, str]
        try:
            asked = _recent(store, recent)
            sides = _rows(samples, live, part) if kind == "corpus" else _questions(samples, live, part, asked)
        except CanaryMismatch as error:  # another check says so, and blocks; of drift nothing can be said
            log(f"{part.space}: not measured: {error}")
            results += [last] if last else []
            continue
        found = _record(store, live, part, kind, sides, started)
        log(f"{found.summary} ({found.seconds:.1f} s)")
        results.append(found)
    return tuple(results)


@dataclass(frozen=True, slots=True)
class Due:
    """What tripped, and that no training set was drawn after: a drift, or canaries. ``since`` is when it was seen."""

    since: datetime
    why: str


def retraining_due(database: Database, collection: Collection, space: str, *, now: datetime) -> Due | None:
    """Return why a space is to be trained anew, the newest reason: a drift that tripped, or canaries that moved.

    None where a training set was drawn after it, or within the cooldown.
    """
    declared = collection.drift
    if declared is None or not declared.retrain:
        return None
    tripped = [
        Due(found.measured_at, found.summary)
        for kind in NOUN
        for found in recorded(database, collection, kind)
        if found.space == space and found.tripped
    ]
    canaries = moved(database, collection.name, space)
    if canaries:
        tripped.append(Due(canaries.found_at, canaries.said))
    if not tripped:
        return None
    with database.connect() as connection:
        row = connection.execute(
            database.compose("select max(drawn_at) from {ops}.training_draws where collection = %s and space = %s"),
            (collection.name, space),
        ).fetchone()
    drawn = cast(datetime | None, row[0]) if row else None
    newest = max(tripped, key=lambda due: due.since)
    if drawn and (newest.since <= drawn or now - drawn < cooldown_of(declared)):
        return None
    return newest


def cooldown_of(declared: Drift) -> timedelta:
    """Return the least time between two requests."""
    return as_timedelta(declared.cooldown)


def withheld(store: CollectionStore, generation: Generation, decision: Decision) -> Decision:
    """Turn "promote" into "needs_evaluation" where a candidate was trained on rows unlike those that it is to serve.

    Held-out queries come from the same training set, so they cannot tell. It withholds what would happen by itself and
    blocks nobody: ``promote --because`` goes on. The first generation goes live, since it takes nothing away, and so
    does a candidate whose vectors mean what live's mean. ``drift: {withhold: false}`` turns it off.
    """
    declared = store.collection.drift or Drift(sample=UNDECLARED)
    live = store.workspace.generations.live(store.collection.name)
    if not declared.withhold or decision.decision != "promote" or live is None:
        return decision
    if live.checkpoint_set == generation.checkpoint_set:
        return decision
    samples = DriftSamples(store, declared.sample)
    for part in generation.parts:
        if samples.training_set(part) is None or part.checkpoint in live.checkpoints.values():
            continue
        # All that it is to serve, what it was trained on included: whole topics may have been held out for its test.
        reference, (_, current) = samples.corpus(generation, part), samples.rows(generation, part)
        found = two_sample(reference.vectors, current)
        if found.exceeds(declared.corpus):
            return replace(
                decision,
                decision="needs_evaluation",
                reason=f"space {part.space} was trained on other rows than it is to serve: AUC {found.auc:.3f} "
                f"[{found.low:.3f}, {found.high:.3f}] between {reference.origin} and the collection's rows, expected "
                f"at most {declared.corpus} (drift.corpus); draw the training set anew, or use promote --because. "
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
