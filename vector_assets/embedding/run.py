"""The embeddings stage: every unretired generation made equal to the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vector_assets.embedding.layout import Layout
from vector_assets.embedding.pipeline import Progress, embed
from vector_assets.embedding.targets import Generations, find_targets
from vector_assets.records import EmbedReport, Encoder, Generation
from vector_assets.spec import Collection

LoadEncoders = Callable[[Generation], Callable[[], Mapping[str, Encoder]]]


@dataclass(frozen=True, slots=True)
class EmbeddingRun:
    """What one run did: a report per generation, live first, and the generation on its way, when there is one."""

    reports: tuple[EmbedReport, ...]
    live: Generation | None
    coming: Generation | None

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
) -> EmbeddingRun:
    """Sync live and what is on its way; make a new generation when the declaration asks for other vectors.

    A long first load is followed by a catch-up, so that rows that changed meanwhile are right as well.
    """
    targets = find_targets(collection, layout, generations.all())
    if targets.wanted:
        generations.create(layout, run_id=run_id)
        targets = find_targets(collection, layout, generations.all())
    reports = []
    for generation in targets.all:
        reuse = targets.live if generation is targets.coming and generation.state == "building" else None
        report = sync_one(generation, generations, encoders, reuse=reuse, run_id=run_id, progress=progress)
        reports.append(report)
    return EmbeddingRun(tuple(reports), targets.live, targets.coming)


def sync_one(
    generation: Generation,
    generations: Generations,
    encoders: LoadEncoders,
    *,
    reuse: Generation | None = None,
    run_id: str | None = None,
    progress: Progress | None = None,
) -> EmbedReport:
    """Bring one generation up to date and return the counts."""
    with generations.sync(generation, reuse=reuse, run_id=run_id) as target:
        return embed(target, generation, encoders(generation), progress=progress)
