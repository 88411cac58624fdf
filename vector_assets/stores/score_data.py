"""The data of declared tasks: files that stand beside the rows, and the rows themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from vector_assets.errors import SourceError, SpecError
from vector_assets.index.scores import Classification, Clustering, Retrieval, Sts, TaskData
from vector_assets.source.judged import read_judged
from vector_assets.source.scored import Labelled, read_labelled_texts, read_scored_pairs
from vector_assets.spec import ClassificationTask, ClusteringTask, Evaluation, RetrievalTask, Scores, Task
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.row_texts import row_texts

Rows = list[tuple[str, str]]


class ScoreData:
    """Reads the tasks of one collection; its rows once."""

    def __init__(self, store: CollectionStore, declared: Scores, space: str) -> None:
        """``space`` is the one whose texts the rows are."""
        self._store, self._declared, self._space = store, declared, space
        self._rows: Rows | None = None

    def read(self, name: str, task: Task) -> TaskData:
        """Return the data of one task. Raises SourceError or SpecError naming what is wrong with it."""
        if isinstance(task, RetrievalTask):
            return self._retrieval(task)
        if isinstance(task, ClassificationTask):
            return self._classification(name, task)
        if isinstance(task, ClusteringTask):
            return self._clustering(name, task)
        return Sts(read_scored_pairs(self._resolve(task.pairs)))

    def _retrieval(self, task: RetrievalTask) -> Retrieval:
        evaluation = self._store.collection.evaluation or Evaluation()
        queries, qrels = task.queries or evaluation.queries, task.qrels or evaluation.qrels
        assert queries and qrels, "the declaration was checked"
        judged = read_judged(self._resolve(queries), self._resolve(qrels), self._store.relation.key)
        rows = [(key, text) for key, text in self._texts() if text]
        there = {key for key, _ in rows}
        judged = [query for query in judged if there & set(query.relevant)]  # of the others nothing can be found
        if not judged:
            raise SourceError(f"{qrels}: no judged row is a row with text of {self._store.collection.name}")
        taken = self._at_most(rows, first={key for query in judged for key in query.relevant})
        keys = tuple(tuple(json.loads(key)) for key, _ in taken)
        return Retrieval(tuple(judged), keys, tuple(text for _, text in taken), len(rows))

    def _classification(self, name: str, task: ClassificationTask) -> Classification:
        if task.train and task.test:
            train, test = (
                read_labelled_texts(self._resolve(url), text=task.text, label=task.label)
                for url in (task.train, task.test)
            )
        else:
            train, test = self._split(task)
        if len(set(train.labels)) < 2 or not test.texts:
            raise SpecError(
                f"scores.tasks.{name}: {len(train.texts)} texts of {len(set(train.labels))} labels to learn from, "
                f"{len(test.texts)} to ask; expected at least 2 labels, and texts on both sides"
            )
        return Classification(train, test, shots=task.shots, draws=task.draws, seed=self._declared.seed)

    def _clustering(self, name: str, task: ClusteringTask) -> Clustering:
        data = (
            read_labelled_texts(self._resolve(task.file), text=task.text, label=task.label)
            if task.file
            else _as_labelled(self._labelled(task.labels or ""))
        )
        if not 2 <= len(set(data.labels)) < len(data.texts):
            raise SpecError(
                f"scores.tasks.{name}: {len(data.texts)} texts of {len(set(data.labels))} labels; expected at least 2 "
                "labels, and more texts than labels"
            )
        return Clustering(data, draws=task.draws, seed=self._declared.seed)

    def _split(self, task: ClassificationTask) -> tuple[Labelled, Labelled]:
        """Split labelled rows as the space's training did, so that no text is asked that the encoder learned from."""
        rows = self._labelled(task.labels or "")
        splits = self._splits()
        if any(splits.get(key) == "test" for key, _, _ in rows):
            learned = [row for row in rows if splits.get(row[0]) == "train"]
            return _as_labelled(learned), _as_labelled(row for row in rows if splits.get(row[0]) == "test")
        seed = self._declared.seed
        asked = {key for key, _, _ in rows if _drawn(key, seed) < task.share and key not in splits}
        return (
            _as_labelled(row for row in rows if row[0] not in asked),
            _as_labelled(row for row in rows if row[0] in asked),
        )

    def _splits(self) -> dict[str, str]:
        """Return the split of each row that the space's training knows by its key."""
        stored = self._store.workspace.checkpoints.encoder(self._store.collection.name, self._space)
        if stored is None or stored.training_set is None:
            return {}
        pairs = self._store.workspace.training_sets.get(stored.training_set).pairs
        return {pair.key: pair.split for pair in pairs if pair.key}

    def _labelled(self, field: str) -> list[tuple[str, str, str]]:
        """Return key, text and label of the rows that have both, in key order."""
        labels = dict(row_texts(self._store.workspace.database, self._store.relation, [field]))
        rows = [(key, text) for key, text in self._texts() if text and labels.get(key)]
        return [(key, text, labels[key]) for key, text in self._at_most(rows, first=frozenset())]

    def _texts(self) -> Rows:
        """Return key and text of all rows, as the space's encoder reads them."""
        if self._rows is None:
            fields = list(self._store.collection.spaces[self._space].fields)
            self._rows = list(row_texts(self._store.workspace.database, self._store.relation, fields))
        return self._rows

    def _at_most(self, rows: Rows, *, first: frozenset[str] | set[str]) -> Rows:
        """Return the declared number of rows: ``first`` and others by draw, in their order."""
        if len(rows) <= self._declared.rows:
            return rows
        seed = self._declared.seed
        drawn = sorted(rows, key=lambda row: (row[0] not in first, _drawn(row[0], seed)))
        kept = {key for key, _ in drawn[: max(self._declared.rows, len(first))]}
        return [row for row in rows if row[0] in kept]

    def _resolve(self, url: str) -> str:
        return self._store.collection.resolve(url)


def _as_labelled(rows: Iterable[tuple[str, str, str]]) -> Labelled:
    found: Sequence[tuple[str, str, str]] = list(rows)
    return Labelled(tuple(text for _, text, _ in found), tuple(label for _, _, label in found))


def _drawn(key: str, seed: int) -> float:
    """Return a number from 0 to 1 that is a row's own, whatever other rows there are."""
    return int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:6], "big") / 2**48
