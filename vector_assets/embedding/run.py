"""The embeddings stage: every unretired generation made equal to the source."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vector_assets.embedding.layout import Layout
from vector_assets.embedding.pipeline import Progress, embed
from vector_assets.embedding.targets import Generations, find_targets
from vector_assets.errors import CanaryMismatch
from vector_assets.records import EmbedReport, Encoder, Generation
from vector_assets.spec import Collection

# Seconds between two looks at live while another generation is loaded.
FRESH_EVERY = 60.0

LoadEncoders = Callable[[Generation], Callable[[], Mapping[str, Encoder]]]


@dataclass(frozen=True, slots=True)
class EmbeddingRun:
    """What one run did: a report per generation, live first, and the generation on its way, when there is one.

    ``refused`` says why live was left as it is, where its encoder does not give its canaries; "" where it was synced.
    """

    reports: tuple[EmbedReport, ...]
    live: Generation | None
    coming: Generation | None
    refused: str = ""

    @property
    def latest(self) -> EmbedReport:
        """The report of the generation on its way, else of live."""
        return self.reports[-1]


def run_embeddings(
    collection: Collection,
    layout: Layout,
    generations: Generations,
    encoders: LoadEncoders,
    *,
    run_id: str | None = None,
    progress: Progress | None = None,
    whole: bool = False,
) -> EmbeddingRun:
    """Sync live and what is on its way; make a new generation when the declaration asks for other vectors.

    While a new one is loaded, live is synced again every minute. Where live's encoder does not give its canaries, live
    is left as it is and what is on its way is synced all the same; CanaryMismatch where there is nothing. ``whole``
    compares every row, not only those that are known to have changed: it finds what was written while no capture was
    looking.
    """
    targets = find_targets(collection, layout, generations.all())
    if targets.wanted:
        generations.create(layout, run_id=run_id)
        targets = find_targets(collection, layout, generations.all())
    reports: list[EmbedReport] = []
    refused: list[str] = []
    for generation in targets.all:
        building = generation is targets.coming and generation.state == "building"
        reuse = targets.live if building and targets.live and targets.live.is_as_precise(generation) else None
        shown = progress
        if targets.live and building and not refused:
            shown = _keep_fresh(
                targets.live, generations, encoders, run_id=run_id, progress=progress, refused=refused
            )  # fmt: skip
        try:
            report = sync_one(
                generation, generations, encoders, reuse=reuse, run_id=run_id, progress=shown, whole=whole
            )  # fmt: skip
        except CanaryMismatch as error:
            # What is on its way has another encoder, and is the way out: it must not wait for one that refuses.
            if targets.coming is None or generation is targets.coming:
                raise
            refused.append(str(error))
            continue
        reports.append(report)
    return EmbeddingRun(tuple(reports), targets.live, targets.coming, next(iter(refused), ""))


def _keep_fresh(
    live: Generation,
    generations: Generations,
    encoders: LoadEncoders,
    *,
    run_id: str | None,
    progress: Progress | None,
    refused: list[str],
) -> Progress:
    """Return a progress callback that syncs live between two pages, at most a twentieth of the time.

    Why live's encoder was ``refused``, if it was, is added there; it is not tried again in this run.
    """
    due = time.monotonic() + FRESH_EVERY

    def shown(seen: int, pending: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            try:
                report = sync_one(live, generations, encoders, run_id=run_id)
                due = time.monotonic() + max(FRESH_EVERY, 20 * report.seconds)
            except CanaryMismatch as error:
                refused.append(str(error))
                due = math.inf
        if progress:
            progress(seen, pending)

    return shown


def sync_one(
    generation: Generation,
    generations: Generations,
    encoders: LoadEncoders,
    *,
    reuse: Generation | None = None,
    run_id: str | None = None,
    progress: Progress | None = None,
    whole: bool = False,
) -> EmbedReport:
    """Bring one generation up to date and return the counts."""
    with generations.sync(generation, reuse=reuse, run_id=run_id, whole=whole) as target:
        return embed(target, generation, encoders(generation), progress=progress)
