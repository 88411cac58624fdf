"""One collection in Python: search it, materialize it, look at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from vector_assets.errors import UserError
from vector_assets.index.export import Exported, ExportPlan
from vector_assets.index.swap import Swapped, promote, roll_back
from vector_assets.search.ask import Ask, FusionName, Method
from vector_assets.search.context import Context
from vector_assets.search.declared import declared_ask
from vector_assets.search.engine import SearchEngine
from vector_assets.search.filters import Filter
from vector_assets.search.hits import AskedVector, Hits
from vector_assets.search.where import Where, read_where
from vector_assets.source.images import read_question
from vector_assets.spec import Collection, Evaluation, Export, ExportFormat
from vector_assets.spec.project import in_project
from vector_assets.stores.calibrations import live_methods
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.evaluating import Evaluated, evaluate_live
from vector_assets.stores.exporting import export_live
from vector_assets.stores.failures import Failure
from vector_assets.stores.outbox import project_live
from vector_assets.stores.planned_changes import Changes, planned_changes
from vector_assets.stores.planning import Plan, plan
from vector_assets.stores.retry import Retried, retry_failures
from vector_assets.stores.status import Status, collection_status
from vector_assets.stores.workspace import Workspace

Precision: TypeAlias = float | Literal["declared", "none"] | None

if TYPE_CHECKING:
    from vector_assets.assets.launch import Launched
    from vector_assets.assets.progress import Listener


class CollectionClient:
    """One collection: search it, materialize it, look at it."""

    def __init__(self, workspace: Workspace, collection: Collection, project: Path | None = None) -> None:
        """Use ``Client.collection`` instead. ``project`` is its folder where the environment does not name it."""
        self._project = project
        self.workspace = workspace
        self.spec = collection
        self._engine: SearchEngine | None = None

    def search(
        self, question: str | None = None, *, image: str | Path | bytes | None = None, k: int = 10,
        method: Method | None = None, fusion: FusionName | None = None, where: Where = None,
        like: Sequence[str | int] = (), unlike: Sequence[str | int] = (), diverse: float | None = None,
        rerank: bool | None = None, precision: Precision = None,
    ) -> Hits:  # fmt: skip
        """Return the k rows nearest to a question, from the live generation: words, an image (file or bytes), or both.

        With both, rows are near in the spaces of texts and in those of images alike. ``like`` and ``unlike`` are ids
        of rows, with or without a question; they are not found themselves. ``diverse`` (0 to 1) makes repeats give
        way. None is as declared under ``search``. Raises UserError for words where no space reads text, for an image
        where none reads images, and for an id that is no row or has no vector.

        ``where`` is a filter over declared fields and the key, as text or as its tree (docs/filters.md); of several,
        all must hold. It raises UserError that names the place. ``precision``, a share or the declared one, leaves
        out hits below the score from which so many are right; raises UserError where no score is calibrated. None and
        "none" leave out nothing.
        """
        ask = declared_ask(
            self.spec, question, image=_image(image), k=k, method=method, fusion=fusion, like=like,
            unlike=unlike, diverse=diverse, rerank=rerank, filter=self._filter(where), precision=self._share(precision),
        )  # fmt: skip
        return self._answer(ask)

    def context(
        self, question: str, *, tokens: int = 2000, k: int = 10, method: Method | None = None,
        fusion: FusionName | None = None, where: Where = None,
        like: Sequence[str | int] = (), unlike: Sequence[str | int] = (), diverse: float | None = None,
        rerank: bool | None = None, precision: Precision = None,
    ) -> Context:  # fmt: skip
        """Return passages of the k rows that a search finds, word for word, cited, within a budget of tokens.

        Tokens are counted by the encoder's own tokenizer. Nothing is written that does not stand in a row. Where it is
        known what scores mean, the declared precision is asked when none is given; ``"none"`` answers from anything.
        """
        ask = declared_ask(
            self.spec, question, k=k, method=method, fusion=fusion, like=like, unlike=unlike, diverse=diverse,
            rerank=rerank, filter=self._filter(where), precision=self._share(precision),
        )  # fmt: skip
        engine = self._engine_of()
        if precision is None and engine.calibrates(ask):
            ask = replace(ask, precision=self._share("declared"))
        return engine.context(ask, self._answer(ask), tokens=tokens)

    def _filter(self, where: Where) -> Filter | None:
        name = self.spec.name
        return read_where(where, self.spec, lambda: self._engine_of().reader.key_types(name))

    def _share(self, precision: Precision) -> float | None:
        if precision == "none":
            return None
        return (self.spec.evaluation or Evaluation()).answer_precision if precision == "declared" else precision

    def _answer(self, ask: Ask) -> Hits:
        hits = self._engine_of().answer(ask)
        if ask.text and self.spec.evaluation and self.spec.evaluation.shadow:
            self._engine_of().reader.record(self.spec.name, ask.text)
        return hits

    def _engine_of(self) -> SearchEngine:
        if self._engine is None:
            self._engine = self.workspace.search(self.spec.name)
        return self._engine

    def vector(self, question: str) -> AskedVector:
        """Return a question's vector and what encoded it, for the functions of docs/sql.md."""
        return self._engine_of().vector(question)

    def materialize(
        self, *, stages: tuple[str, ...] | None = None, refresh: bool = False, sweep: bool = False,
        listener: Listener | None = None,
    ) -> Launched:  # fmt: skip
        """Run stages (all of them by default) in this process, as a recorded Dagster run.

        ``refresh`` draws training sets anew; ``sweep`` compares every row with its vector, not only known changes.
        """
        from vector_assets.assets.keys import STAGES
        from vector_assets.assets.launch import launch

        with in_project(self._project):
            return launch(
                self.workspace, self.spec, stages=stages or STAGES, refresh=refresh, sweep=sweep, listener=listener
            )

    def status(self) -> Status:
        """Say where the collection stands."""
        return collection_status(self.workspace, self.spec)

    def plan(self) -> Plan:
        """Say what the next run would cost."""
        return plan(self.workspace, self.spec)

    def planned_changes(self) -> Changes:
        """Say how changes of the source will be known, and what is done to a table in place for it."""
        return planned_changes(self.workspace, self.spec)

    def evaluate(
        self,
        *,
        method: Method = "vector",
        methods: Sequence[Method] = (),
        generations: Sequence[int] = (),
        queries: str | None = None,
        qrels: str | None = None,
        synthetic: bool = False,
    ) -> Evaluated:
        """Score the live generation on judged queries, or on ``synthetic`` ones made from words of its rows.

        ``methods`` and ``generations`` that are still kept are scored beside each other, and every pair is tested.
        """
        return evaluate_live(
            self._store, method=method, methods=methods, generations=generations, queries=queries, qrels=qrels,
            synthetic=synthetic,
        )  # fmt: skip

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods that it can be asked by."""
        return live_methods(self._store)

    def export(
        self,
        url: str | None = None,
        *,
        format: ExportFormat | None = None,
        partitions: int | None = None,
        rows_per_file: int | None = None,
        replace: bool = False,
    ) -> Exported:
        """Write the live generation as files to a folder or fsspec URL; what is left out is as declared."""
        declared = self.spec.export or (Export(url=url) if url else None)
        if declared is None:
            raise UserError(f"collection {self.spec.name} declares no export; say where to, as a folder or URL")
        plan = ExportPlan(
            format or declared.format, partitions or declared.partitions, rows_per_file or declared.rows_per_file
        )
        return export_live(self._store, url or self.spec.resolve(declared.url), plan, replace=replace)

    def failures(self, *, limit: int = 100) -> tuple[Failure, ...]:
        """Return the rows that are set aside, the newest first, each with its stage, error, attempts and times."""
        return self.workspace.failures.list(self.spec.name, limit=limit)

    def retry_failures(self) -> Retried:
        """Make the next run take failed rows again, though neither they nor the encoder have changed."""
        return retry_failures(self._store)

    def arms(self) -> tuple[Mapping[str, Any], ...]:
        """Return the gate's table of the live generation as last measured: each arm with its scores; none before."""
        live = self.workspace.generations.live(self.spec.name)
        measures = self.workspace.generations.measures(live) if live else {}
        return tuple(cast(Sequence[Mapping[str, Any]], measures.get("arms") or ()))

    def training_result(self, space: str) -> Mapping[str, Any] | None:
        """Return scores and comparison of the training that made a space's checkpoint; None when untrained."""
        stored = self.workspace.checkpoints.encoder(self.spec.name, space)
        known = self.workspace.checkpoints.training(stored.training_key) if stored and stored.training_key else None
        return known[1] if known else None

    def promote(self, *, because: str) -> Swapped:
        """Make the newest candidate live on a person's word; integrity still blocks. MLflow and Dagster are told."""
        store = self._store
        return self._told(promote(store, store.catch_up, because=_reason(because)), because)

    def rollback(self, *, because: str = "taken back") -> Swapped:
        """Make the generation that was live before live again, then bring it up to date; both are told."""
        store = self._store
        target = self.workspace.generations.rollback_target(self.spec.name)
        return self._told(roll_back(store, target, store.catch_up, because=_reason(because)), because)

    def _told(self, swapped: Swapped, because: str) -> Swapped:
        """Tell who follows of a swap that is done: MLflow, then Dagster, where it is installed.

        This is the only tie: index.swap and the stores know of no Dagster, and a swap stands without it.
        """
        project_live(self.workspace, self.spec.name)
        if find_spec("dagster"):
            from vector_assets.assets.launch import report_swap

            with in_project(self._project):
                report_swap(self.workspace, self.spec, swapped, because=because)
        return swapped

    @property
    def _store(self) -> CollectionStore:
        return CollectionStore(self.workspace, self.spec)


def _reason(because: str) -> str:
    if not because.strip():
        raise UserError("because is empty; expected why, in some words: it is recorded")
    return because


def _image(given: str | Path | bytes | None) -> bytes | None:
    return given if given is None or isinstance(given, bytes) else read_question(str(given))
