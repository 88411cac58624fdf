"""One collection's side of the stores: what the embedding, index and swap stages ask for, under one roof."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import cast

from vector_assets.embedding.layout import Layout
from vector_assets.embedding.run import sync_one
from vector_assets.index.comparing import Asked
from vector_assets.index.integrity import CHECKS, Checked, WordCoverage, check_coverage
from vector_assets.index.recall import Found
from vector_assets.index.retrieve import Block
from vector_assets.metrics import Rankings
from vector_assets.records import Comparison, Decision, Generation, JudgedQuery, Vectors
from vector_assets.spec import LABELLED, Collection
from vector_assets.stores.asking import gather
from vector_assets.stores.calibrating import calibration_queries, calibration_version
from vector_assets.stores.collection_encoders import CollectionEncoders
from vector_assets.stores.embeddings import Coverage
from vector_assets.stores.held_out import held_out, questions_version
from vector_assets.stores.indexes import Built
from vector_assets.stores.lexical.coverage import word_coverage
from vector_assets.stores.lexical.rankings import word_rankings
from vector_assets.stores.lexical.sync import LexicalReport
from vector_assets.stores.partial_indexes import PartialIndexStore
from vector_assets.stores.relation import Relation
from vector_assets.stores.row_texts import row_texts, text_fields
from vector_assets.stores.sync import GenerationSync
from vector_assets.stores.syncs import SyncTimes
from vector_assets.stores.workspace import Workspace


class CollectionStore(CollectionEncoders):
    """Implements the Protocols of embedding/targets.py, index/candidate.py and index/swap.py."""

    page = 1024  # rows read, encoded and written at once

    def __init__(self, workspace: Workspace, collection: Collection) -> None:
        """Keep both; everything else is opened when it is needed."""
        super().__init__(workspace, collection)
        self.words_report: LexicalReport | None = None  # what all syncs of the words did
        self._caught_up: dict[int, str] = {}  # by generation: what its last catch-up saw

    @cached_property
    def relation(self) -> Relation:
        """Where the rows are."""
        return self.workspace.raw.relation(self.collection)

    # -- generations

    def all(self) -> tuple[Generation, ...]:
        """Return all generations, the newest first."""
        return self.workspace.generations.list(self.collection.name)

    def create(self, layout: Layout, *, run_id: str | None) -> Generation:
        """Make a building generation."""
        return self.workspace.generations.create(self.collection, layout, self.relation, run_id=run_id)

    def sync(
        self, generation: Generation, *, reuse: Generation | None, run_id: str | None, whole: bool = False
    ) -> AbstractContextManager[GenerationSync]:
        """Open a sync of one generation; when it ends well, from when on rows may be pending is known anew."""
        sync = self.workspace.embeddings.sync(
            generation, self.relation, reuse=reuse, run_id=run_id, page=self.page, whole=whole
        )
        return self._with_words(SyncTimes(self.workspace.database).kept(generation, sync), whole=whole)

    @contextmanager
    def _with_words(self, sync: AbstractContextManager[GenerationSync], *, whole: bool) -> Iterator[GenerationSync]:
        """Sync the index of words right after the vectors, so that both are of the same rows."""
        with sync as target:
            yield target
        self.sync_words(whole=whole)

    def sync_words(self, *, whole: bool = False) -> LexicalReport | None:
        """Make the index of words equal to the rows; None where the collection declares no ``lexical``.

        What it served before serves on until a new one is complete; then the function is made anew over it.
        """
        name, declared, store = self.collection.name, self.collection.lexical, self.workspace.lexical
        report = store.sync(name, declared, self.relation, whole=whole) if declared else None
        if report.completed if report else store.there(name):
            live = next((each for each in self.all() if each.state == "live"), None)
            if live:
                self.show(live)
            store.drop_others(name, declared)
        if report is not None:
            self.words_report = report if self.words_report is None else self.words_report.then(report)
        return report

    # -- index and measurements

    def build(self, generation: Generation, *, log: Callable[[str], None] | None = None) -> Built:
        """Build the index where it is missing."""
        return self.workspace.indexes.build(generation, log=log)

    def build_larger(self, generation: Generation, *, log: Callable[[str], None] | None = None) -> Built:
        """Build the index anew with more links, beside the one in use."""
        return self.workspace.indexes.rebuild(generation, larger=True, log=log)

    def partial(self, generation: Generation) -> PartialIndexStore:
        """Return the declared partial indexes of a generation."""
        known = self.workspace.generations.measures(generation).get("partial") or []
        return PartialIndexStore(
            self.workspace.database, self.collection, self.relation, generation,
            cast(list[Mapping[str, object]], known),
        )  # fmt: skip

    def check_coverage(self, generation: Generation) -> Checked:
        """Count source against vectors, both ways."""
        counted, words = self._counted(generation), self._counted_words(generation)
        for _ in range(2):
            if not counted.orphans and not (words and words.orphans):
                break
            self.catch_up(generation)  # rows were deleted since, as happens while an index is built
            counted, words = self._counted(generation), self._counted_words(generation)
        return check_coverage(
            source=counted.source, accounted=counted.embedded + counted.empty, failed=counted.failed,
            pending=counted.pending, overdue=counted.overdue, orphans=counted.orphans,
            gaps=self.workspace.embeddings.chunk_gaps(generation, self.relation), words=words,
        )  # fmt: skip

    def _counted(self, generation: Generation) -> Coverage:
        seen = self._caught_up.get(generation.number)
        return self.workspace.embeddings.coverage(generation, self.relation, since=seen)

    def _counted_words(self, generation: Generation) -> WordCoverage | None:
        if (declared := self.collection.lexical) is None:
            return None
        since = self._caught_up.get(generation.number)
        return word_coverage(self.workspace.database, self.collection.name, declared, self.relation, since=since)

    def worst_norm(self, generation: Generation) -> float:
        """Return how far the farthest vector's length is from 1."""
        return self.workspace.indexes.worst_norm(generation)

    def sample(self, generation: Generation, count: int) -> Vectors:
        """Return some vectors of the table, the same ones every time."""
        return self.workspace.indexes.sample(generation, self.relation, count)

    def neighbours(self, generation: Generation, queries: Vectors, *, k: int, ef_search: int | None) -> Found:
        """Return distances of the k nearest, and times; an exact scan when ``ef_search`` is None."""
        return self.workspace.indexes.neighbours(generation, self.relation, queries, k=k, ef_search=ef_search)

    def blocks(self, generation: Generation) -> Iterator[Block]:
        """Stream all vectors with their keys."""
        return self.workspace.embeddings.blocks(generation, self.relation)

    def judged(self) -> list[JudgedQuery]:
        """Return held-out queries: the declared ones, else the test split that the encoders were trained beside."""
        return held_out(self.workspace, self.collection, self.relation)

    def questions_version(self) -> str:
        """What changes when ``judged`` would return others."""
        return questions_version(self.workspace, self.collection)

    def calibration_queries(self) -> list[JudgedQuery]:
        """Return judged queries that may be learned from, none of which is evaluated."""
        return calibration_queries(self.workspace, self.collection, self.relation)

    def calibration_version(self) -> str:
        """What changes when ``calibration_queries`` would return others; "" where there are none."""
        return calibration_version(self.workspace, self.collection)

    def asked(self, judged: Sequence[JudgedQuery], *, deciding: bool) -> Asked:
        """Return all that a generation is asked: the judged queries, or synthetic ones, and recent searches."""
        return gather(self.workspace, self.collection, self.relation, judged, deciding=deciding)

    def texts(self) -> Iterator[tuple[str, str]] | None:
        """Stream the JSON row key of each row and the text that its spaces read; None where they read none."""
        fields = text_fields(self.collection)
        return row_texts(self.workspace.database, self.relation, fields) if fields else None

    def maintain_words(self) -> None:
        """Fold what was appended to the index of words, where there is one."""
        if self.collection.lexical:
            self.workspace.lexical.maintain(self.collection.name, self.collection.lexical)

    def word_rankings(self, judged: Sequence[JudgedQuery]) -> Rankings | None:
        """Ask the index of words; None where ``lexical`` is not declared, or its index is not there yet."""
        return word_rankings(self.workspace.database, self.collection, self.relation, judged)

    @property
    def metric(self) -> str:
        """What the gate compares."""
        declared = self.collection.evaluation
        if declared and declared.metric:
            return declared.metric
        if declared and declared.queries:
            return "ndcg@10"
        trained = [space.train for space in self.collection.spaces.values() if space.train]
        return "map" if any(each.objective in LABELLED for each in trained) else "mrr@10"

    def trained(self) -> Comparison | None:
        """Return how the first trained space compares with its untrained base on held-out queries."""
        for space in self.collection.spaces:
            stored = self.workspace.checkpoints.encoder(self.collection.name, space)
            known = self.workspace.checkpoints.training(stored.training_key) if stored and stored.training_key else None
            if known and known[1].get("comparison"):
                return Comparison(**cast(dict[str, float], known[1]["comparison"]))  # type: ignore[arg-type]
        return None

    # -- swap

    def catch_up(self, generation: Generation) -> None:
        """Sync one generation, so that what changed while it was built is right as well."""
        before = self.workspace.embeddings.now()
        sync_one(generation, self, self.encoders)
        self._caught_up[generation.number] = before

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the collection's swap lock for the length of the block."""
        with self.workspace.database.connect(autocommit=True) as connection:
            connection.execute("select pg_advisory_lock(hashtextextended(%s, 4))", (f"swap/{self.collection.name}",))
            yield

    def failed_checks(self, generation: Generation) -> tuple[str, ...]:
        """Return the blocking checks that did not pass when the generation was measured; all when it was not."""
        checks = cast(dict[str, dict[str, object]], self.workspace.generations.measures(generation).get("checks", {}))
        return tuple(name for name in CHECKS if not checks.get(name, {}).get("passed"))

    def reason(self, generation: Generation) -> str:
        """Return why the gate decided as it did; empty before it has."""
        return str(self.workspace.generations.decided(generation).get("reason") or "")

    def swap(self, generation: Generation, *, because: str) -> Generation:
        """Make a generation live in one transaction."""
        return self.workspace.generations.swap(self.collection, generation, self.relation, because=because)

    def show(self, generation: Generation) -> None:
        """Make the live generation's view and functions anew where they are not as declared any more."""
        generation = self.workspace.generations.get(generation.collection, generation.number)
        generation = self.workspace.generations.roll_up(self.collection, generation)
        if self.workspace.generations.views.outdated(self.collection, generation, self.relation):
            self.workspace.generations.refresh_views(self.collection, generation, self.relation)

    def reject(self, generation: Generation, *, because: str) -> None:
        """Record that a generation is not to be built or promoted again by itself."""
        self.workspace.generations.decide(generation, Decision("keep", because))

    def drop_retired(self) -> tuple[int, ...]:
        """Drop what is beyond the generations kept."""
        return self.workspace.generations.drop_retired(self.collection.name, keep=self.collection.keep_generations)
