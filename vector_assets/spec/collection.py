"""A collection: the rows of one raw table, and how they are made searchable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, PrivateAttr, model_validator

from vector_assets.spec.any_space import Space
from vector_assets.spec.automation import Automation
from vector_assets.spec.base import RESERVED_COLUMNS, RESERVED_ENDINGS, RESERVED_KEYS, ColumnName, Name, Spec
from vector_assets.spec.drift import Drift
from vector_assets.spec.evaluation import Evaluation
from vector_assets.spec.export import Export
from vector_assets.spec.field import FieldType
from vector_assets.spec.freshness import Duration
from vector_assets.spec.head import LABELLED
from vector_assets.spec.index import Index
from vector_assets.spec.labels import FieldPairs
from vector_assets.spec.lexical import LexicalFields
from vector_assets.spec.partial import PartialIndex, partial_indexes, wrong_partial
from vector_assets.spec.scores import RetrievalTask, Scores, StsTask
from vector_assets.spec.searching import Searching
from vector_assets.spec.source import PYTHON_CODE_FIELDS, FileSource, PythonCodeSource, QueueSource, Source, SqlSource


class Collection(Spec):
    """One declaration, the same in YAML and Python. ``source``, ``fields`` and one space make a working collection."""

    name: Name = Field(description="Names the tables, assets and commands: [a-z][a-z0-9_]{0,39}.")
    description: str = Field(default="", description="Shown in the Dagster UI.")
    owner: str | None = Field(default=None, description="team:name or an e-mail address, shown in the Dagster UI.")
    source: Source
    fields: dict[ColumnName, FieldType] = Field(min_length=1, description="Columns of the source with their types.")
    filters: list[ColumnName] = Field(
        default=[], description="Fields copied beside the vectors, so that an index can use them."
    )
    spaces: dict[Name, Space] = Field(min_length=1, description="The parts of the vector, in this order.")
    lexical: LexicalFields | None = Field(
        default=None, description="BM25 beside the vectors: a list of fields, or these keys."
    )
    index: Index = Index()
    search: Searching = Searching()
    evaluation: Evaluation | None = None
    scores: Scores | None = None
    export: Export | None = None
    freshness: Duration | None = Field(
        default=None, description="How long a row may wait for its vector, such as 15m; a check turns red beyond it."
    )
    drift: Drift | None = Field(
        default=None, description="Checks whether rows and questions still look like those of the training."
    )
    automation: Automation = Automation()
    keep_generations: int = Field(default=2, ge=1, le=20, description="Retired generations kept for rollback.")

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from."""
        return self._folder

    def at(self, folder: Path) -> Collection:
        """Return the same declaration, its relative paths starting from ``folder``."""
        copy = self.model_copy()
        copy._folder = folder
        return copy

    def resolve(self, path: str) -> str:
        """Return a path or URL as readers need it: URLs and absolute paths as they are, others from ``folder``."""
        return path if "://" in path or Path(path).is_absolute() else str(self.folder / path)

    @property
    def read_fields(self) -> tuple[str, ...]:
        """Fields that reach a vector or stand beside it; a change of any other encodes nothing."""
        used = {name for space in self.spaces.values() for name in space.fields} | set(self.filters)
        return tuple(name for name in self.fields if name in used)

    @property
    def partial_indexes(self) -> tuple[PartialIndex, ...]:
        """The values that have an index of their own, in declared order, each in the type of its field."""
        return partial_indexes(self.index.partial, self.fields)

    @model_validator(mode="after")
    def _names_refer(self) -> Collection:
        for wrong in (
            *self._reserved(), *self._unknown_fields(), *self._wrong_for_source(), *self._chunked_twice(),
            *self._misplaced_images(), *self._cannot_retrain(), *self._cannot_score(), *self._wordless(),
            *self._cannot_chunk(), *self._unlabelled(),
            *wrong_partial(self.index.partial, self.fields, self.filters),
        ):  # fmt: skip
            raise ValueError(wrong)
        return self

    def _cannot_retrain(self) -> Iterator[str]:
        if self.drift and self.drift.retrain and not any(space.train for space in self.spaces.values()):
            yield "drift.retrain: no space declares train:, so there is nothing to retrain; expected false"
        elif self.drift and self.drift.retrain and not self.automation.on_change:
            yield "drift.retrain: asks by automation, which is off; expected automation: {on_change: true} beside it"

    def _unlabelled(self) -> Iterator[str]:
        labelled = any(space.train and space.train.objective in LABELLED for space in self.spaces.values())
        if self.evaluation and self.evaluation.label_separator and not labelled:
            yield (
                "evaluation.label_separator: no space learns from labels, so there are none held out; expected "
                f"train.objective {', '.join(LABELLED)}"
            )

    def _wordless(self) -> Iterator[str]:
        if self.search.method in ("bm25", "hybrid") and not self.lexical:
            yield f"search.method: {self.search.method} needs words; expected lexical: [field] beside it"
        seen: set[str] = set()
        for name in self.lexical.fields if self.lexical else ():
            if self.fields.get(name, "text") not in ("text", "category"):
                yield f"lexical.fields: {name} is of type {self.fields[name]}; expected text or category fields"
            if name in seen:
                yield f"lexical.fields: {name} stands twice; expected it once"
            seen.add(name)

    @property
    def scored_space(self) -> str | None:
        """The space whose encoder the tasks of ``scores`` ask: the one that is named, else the first of texts."""
        texts = [name for name, space in self.spaces.items() if space.kind == "text"]
        return (self.scores.space if self.scores else None) or next(iter(texts), None)

    def _cannot_score(self) -> Iterator[str]:
        if self.scores is None:
            return
        space = self.spaces.get(self.scored_space or "")
        if space is None or space.kind != "text":
            texts = ", ".join(name for name, one in self.spaces.items() if one.kind == "text") or "a space of texts"
            yield f"scores.space: {self.scored_space or 'none'} is not a space of texts; expected {texts}"
            return
        for name, task in self.scores.tasks.items():
            labels = None if isinstance(task, RetrievalTask | StsTask) else task.labels
            if labels in space.fields:
                yield f"scores.tasks.{name}.labels: {labels} is also read by the space; expected another field"
            elif labels is not None and self.fields.get(labels, "category") != "category":
                kind = self.fields[labels]
                yield f"scores.tasks.{name}.labels: {labels} is a field of type {kind}; expected a category"
            asked = self.evaluation is not None and self.evaluation.queries is not None
            if isinstance(task, RetrievalTask) and task.queries is None and not asked:
                yield f"scores.tasks.{name}: queries stand neither here nor in evaluation; expected them in one place"

    @property
    def chunked_space(self) -> str | None:
        """The space whose texts are cut into chunks, else the first of texts, which could be."""
        texts = [name for name, space in self.spaces.items() if space.kind == "text"]
        return next((name for name in texts if self.spaces[name].chunk.by != "none"), next(iter(texts), None))

    def _cannot_chunk(self) -> Iterator[str]:
        ways = self.evaluation.chunkings if self.evaluation else {}
        space = self.chunked_space
        if ways and space is None:
            yield "evaluation.chunkings: cut texts, and no space reads text; leave them out"
        elif space and self.spaces[space].encoder.startswith("provider:"):
            for name in (name for name, way in ways.items() if way.by == "tokens"):
                yield f"evaluation.chunkings.{name}.by: the tokens are the provider's; expected another kind"

    def _reserved(self) -> Iterator[str]:
        if self.name.endswith(RESERVED_ENDINGS):
            yield (
                f"name: {self.name} ends as the views and functions of search do ({', '.join(RESERVED_ENDINGS)}); "
                "expected another"
            )
        for name in self.fields:
            if name in RESERVED_COLUMNS:
                yield f"fields.{name}: is the name of a column that Postgres or search adds; expected another"
        if isinstance(self.source, FileSource | SqlSource | QueueSource) and self.source.id in RESERVED_KEYS:
            yield f"source.id: {self.source.id} is the name of a column that Postgres or search adds; expected another"

    def _unknown_fields(self) -> Iterator[str]:
        known = ", ".join(self.fields)
        for where, name in self._mentions():
            if name not in self.fields:
                yield f"{where}: {name} is not a declared field; expected one of {known}"
        for space_name, space in self.spaces.items():
            pairs = space.train.pairs if space.train else None
            if isinstance(pairs, FieldPairs) and pairs.query in space.fields:
                yield (
                    f"spaces.{space_name}.train.pairs.query: {pairs.query} is also read by the space, "
                    "so the answer would contain the question; expected a field that the space does not read"
                )
            labels = space.train.labels if space.train else None
            if isinstance(labels, str) and labels in space.fields:
                yield (
                    f"spaces.{space_name}.train.labels: {labels} is also read by the space, "
                    "so the text would say its own label; expected a field that the space does not read"
                )

            by_time = space.train.split.by_time if space.train and not space.train.from_file else None
            if by_time and self.fields.get(by_time, "datetime") != "datetime":
                kind = self.fields[by_time]
                yield f"spaces.{space_name}.train.split.by_time: {by_time} is declared as {kind}; expected a datetime"

        for name in self.evaluation.slices if self.evaluation else ():
            if self.fields.get(name, "category") != "category":
                yield f"evaluation.slices: {name} is a field of type {self.fields[name]}; expected a category"

    def _mentions(self) -> Iterator[tuple[str, str]]:
        """Every place that names a field, with that name."""
        for space_name, space in self.spaces.items():
            where = f"spaces.{space_name}"
            yield from ((f"{where}.fields", name) for name in space.fields)
            if space.train and isinstance(space.train.pairs, FieldPairs):
                yield f"{where}.train.pairs.query", space.train.pairs.query
            if space.train and isinstance(space.train.labels, str):
                yield f"{where}.train.labels", space.train.labels
            if space.train and space.train.split.by and not space.train.from_file:
                yield f"{where}.train.split.by", space.train.split.by
            if space.train and space.train.split.by_time and not space.train.from_file:
                yield f"{where}.train.split.by_time", space.train.split.by_time
        yield from (("filters", name) for name in self.filters)
        yield from (("lexical.fields", name) for name in (self.lexical.fields if self.lexical else ()))
        for name, task in (self.scores.tasks if self.scores else {}).items():
            if not isinstance(task, RetrievalTask | StsTask) and task.labels:
                yield f"scores.tasks.{name}.labels", task.labels
        yield from (("evaluation.slices", name) for name in (self.evaluation.slices if self.evaluation else ()))

    def _chunked_twice(self) -> Iterator[str]:
        first, *others = [*(name for name, space in self.spaces.items() if space.chunk.by != "none"), ""]
        for name in filter(None, others):
            yield f"spaces.{name}.chunk: {first} is cut into chunks already; expected one such space in a collection"

    def _misplaced_images(self) -> Iterator[str]:
        """An image is read by a space of its kind, and by nothing else."""
        images = {name for name, kind in self.fields.items() if kind == "image"}
        for where, name in self._mentions():
            space = self.spaces.get(where.split(".")[1]) if where.startswith("spaces.") else None
            wants_image = space is not None and space.kind == "image" and where.endswith(".fields")
            if wants_image and name not in images:
                yield f"{where}: {name} is of type {self.fields[name]}; expected one field of type image"
            if not wants_image and name in images:
                what = "a field of another type, or a space of kind image" if space else "a field of another type"
                yield f"{where}: {name} is an image; expected {what}"
        if images and isinstance(self.source, QueueSource):
            yield f"fields.{min(images)}: a message carries no image; expected a source of files, sql or postgres"
        texts = [name for name in ("queries", "calibration") if self.evaluation and getattr(self.evaluation, name)]
        if texts and all(space.kind == "image" for space in self.spaces.values()):
            yield f"evaluation.{texts[0]}: are texts, and no space reads text; leave them out"

    def _wrong_for_source(self) -> Iterator[str]:
        if isinstance(self.source, FileSource | SqlSource | QueueSource) and self.source.id in self.fields:
            yield f"fields.{self.source.id}: is the id of the rows already; expected other columns"
        if isinstance(self.source, QueueSource) and "op" in self.fields:
            yield "fields.op: says what a message does (upsert or delete); expected other columns"
        if isinstance(self.source, PythonCodeSource):
            offered = ", ".join(f"{name}: {kind}" for name, kind in PYTHON_CODE_FIELDS.items())
            for name, kind in self.fields.items():
                if PYTHON_CODE_FIELDS.get(name) != kind:
                    yield f"fields.{name}: python_code has no such field of type {kind}; expected of {offered}"
