"""The Python face: ``vector_assets.connect(project).collection("papers").search("…", k=10)``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vector_assets.errors import UserError
from vector_assets.index.export import Exported, ExportPlan
from vector_assets.index.swap import Swapped, promote, roll_back
from vector_assets.search.ask import Method
from vector_assets.search.engine import SearchEngine
from vector_assets.search.hits import AskedVector, Hits
from vector_assets.source.images import read_question
from vector_assets.spec import Collection, Export, ExportFormat
from vector_assets.spec.project import Project, find_project
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.evaluating import Evaluated, evaluate_live
from vector_assets.stores.exporting import export_live
from vector_assets.stores.failures import Failure
from vector_assets.stores.outbox import project_live
from vector_assets.stores.planned_changes import Changes, planned_changes
from vector_assets.stores.planning import Plan, plan
from vector_assets.stores.retry import Retried, retry_failures
from vector_assets.stores.status import Status, collection_status
from vector_assets.stores.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from vector_assets.assets.launch import Launched
    from vector_assets.assets.progress import Listener


def connect(project: str | Path | None = None) -> Client:
    """Open a project: the argument, else VECTOR_ASSETS_PROJECT, else the bundled one."""
    return Client(find_project(Path(project) if project else None))


class Client:
    """A project and the workspace that its collections live in."""

    def __init__(self, project: Project) -> None:
        """Use ``connect`` instead."""
        self.project = project

    @cached_property
    def workspace(self) -> Workspace:
        """Database, stores and tracking; no server is started before they are needed."""
        return open_workspace()

    def collection(self, name: str) -> CollectionClient:
        """Return one collection; raises NotFound."""
        declared = self.project.collection(name)
        return CollectionClient(self.workspace, declared)

    def collections(self) -> tuple[CollectionClient, ...]:
        """Return all collections, sorted by name."""
        return tuple(CollectionClient(self.workspace, each) for each in self.project.collections())


class CollectionClient:
    """One collection: search it, materialize it, look at it."""

    def __init__(self, workspace: Workspace, collection: Collection) -> None:
        """Use ``Client.collection`` instead."""
        self.workspace = workspace
        self.spec = collection
        self._engine: SearchEngine | None = None

    def search(
        self, question: str | None = None, *, image: str | Path | bytes | None = None, k: int = 10,
        method: Method = "vector",
    ) -> Hits:  # fmt: skip
        """Return the k rows nearest to a question, from the live generation: words, an image (file or bytes), or both.

        With both, rows are near in the spaces of texts and in those of images alike. Raises UserError for words where
        no space reads text, and for an image where none reads images.
        """
        if self._engine is None:
            self._engine = self.workspace.search(self.spec.name)
        asked = image if image is None or isinstance(image, bytes) else read_question(str(image))
        hits = self._engine.search(question, image=asked, k=k, method=method)
        if question and self.spec.evaluation and self.spec.evaluation.shadow:
            self._engine.reader.record(self.spec.name, question)
        return hits

    def vector(self, question: str) -> AskedVector:
        """Return a question's vector and what encoded it, for the functions of docs/sql.md."""
        if self._engine is None:
            self._engine = self.workspace.search(self.spec.name)
        return self._engine.vector(question)

    def materialize(
        self,
        *,
        stages: tuple[str, ...] | None = None,
        refresh: bool = False,
        sweep: bool = False,
        listener: Listener | None = None,
    ) -> Launched:
        """Run stages (all of them by default) in this process, as a recorded Dagster run.

        ``refresh`` draws training sets anew; ``sweep`` compares every row with its vector, not only known changes.
        """
        from vector_assets.assets.keys import STAGES
        from vector_assets.assets.launch import launch

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
        method: Literal["vector", "exact"] = "vector",
        queries: str | None = None,
        qrels: str | None = None,
        synthetic: bool = False,
    ) -> Evaluated:
        """Score the live generation on judged queries, or on ``synthetic`` ones made from words of its rows."""
        return evaluate_live(self._store, method=method, queries=queries, qrels=qrels, synthetic=synthetic)

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

    def training_result(self, space: str) -> Mapping[str, Any] | None:
        """Return scores and comparison of the training that made a space's checkpoint; None when untrained."""
        stored = self.workspace.checkpoints.encoder(self.spec.name, space)
        known = self.workspace.checkpoints.training(stored.training_key) if stored and stored.training_key else None
        return known[1] if known else None

    def promote(self, *, because: str) -> Swapped:
        """Make the newest candidate live on a person's word; integrity still blocks."""
        store = self._store
        swapped = promote(store, store.catch_up, because=because)
        project_live(self.workspace, self.spec.name)
        return swapped

    def rollback(self, *, because: str = "rolled back by hand") -> Swapped:
        """Make the generation that was live before live again, then bring it up to date."""
        store = self._store
        target = self.workspace.generations.rollback_target(self.spec.name)
        swapped = roll_back(store, target, store.catch_up, because=because)
        project_live(self.workspace, self.spec.name)
        return swapped

    @property
    def _store(self) -> CollectionStore:
        return CollectionStore(self.workspace, self.spec)
