"""The training set of a space against the stores: which rows and files it is drawn from, and which one is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from psycopg import sql

from vector_assets.embedding.text import row_text
from vector_assets.errors import NotFound, SourceError
from vector_assets.records import Key, TrainingSet, Value
from vector_assets.source.keys import row_key
from vector_assets.source.pairs_file import read_labels, read_pairs
from vector_assets.spec import UNLABELLED, Collection, FieldPairs, LabelsFile, Training
from vector_assets.stores.mining import with_mined
from vector_assets.stores.relation import columns
from vector_assets.stores.workspace import Workspace
from vector_assets.training.pairs import PairRow, pairs_from_rows
from vector_assets.training.unlabelled import asked_by_own_words, with_unlabelled


@dataclass(frozen=True, slots=True)
class Drawn:
    """A training set, and whether it was drawn now or kept."""

    training_set: TrainingSet
    drawn: bool


def draw_training_set(workspace: Workspace, collection: Collection, space: str, *, refresh: bool) -> Drawn:
    """Return the snapshot of this declaration; draw it where there is none, or when asked to."""
    training = training_of(collection, space)
    declared = declaration_of(collection, space)
    known = workspace.checkpoints.latest_training_set(collection.name, space, declared)
    if known and not refresh:
        return Drawn(workspace.checkpoints.training_set(known), drawn=False)
    training_set = pairs_from_rows(_rows(workspace, collection, space), training)
    training_set = with_mined(workspace, collection, space, training_set)
    if training.pretrain:
        training_set = with_unlabelled(training_set, _text_rows(workspace, collection, space), training)
    workspace.checkpoints.save_training_set(collection.name, space, declared, training_set)
    return Drawn(training_set, drawn=True)


def declaration_of(collection: Collection, space: str) -> str:
    """Digest of what decides which pairs are drawn; how they are learned from is not part of it."""
    training = training_of(collection, space)
    deciding = {"pairs", "split", "max_pairs", "max_validation", "max_test", "seed"}
    deciding |= {name for name in ("labels", "negatives", "pretrain") if getattr(training, name)}
    drawn = training.model_dump(mode="json", include=deciding)
    if training.pretrain:
        drawn["pretrain"] = training.pretrain.texts
    if training.objective in UNLABELLED:
        drawn["from"] = "texts"
    text = json.dumps([drawn, list(collection.spaces[space].fields)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def training_of(collection: Collection, space: str) -> Training:
    """Return what a space declares of learning; raises NotFound when it is nothing."""
    training = collection.spaces[space].train
    if training is None:
        raise NotFound(f"space {collection.name}/{space} declares no train:, so there is no training set")
    return training


def _rows(workspace: Workspace, collection: Collection, space: str) -> Iterator[PairRow]:
    training = training_of(collection, space)
    if training.objective in UNLABELLED:
        return asked_by_own_words(_text_rows(workspace, collection, space), seed=training.seed)
    if training.labels is not None:
        return _labelled_rows(workspace, collection, space)
    if isinstance(training.pairs, FieldPairs):
        return _field_pairs(workspace, collection, space)
    assert training.pairs is not None
    return _file_pairs(collection.resolve(training.pairs))


def _text_rows(workspace: Workspace, collection: Collection, space: str) -> Iterator[PairRow]:
    """Stream the text of every row, with its group where rows have one of the split's kind."""
    training = training_of(collection, space)
    by = [training.split.by] if training.split.by and not isinstance(training.pairs, str) else []
    for key, values in _read(workspace, collection, space, by):
        yield PairRow(key, "", row_text(values[len(by) :]), str(values[0] or "") if by else "")


def _labelled_rows(workspace: Workspace, collection: Collection, space: str) -> Iterator[PairRow]:
    """Stream the rows that have a label: of a field, or of a file that names rows by their ids."""
    training = training_of(collection, space)
    by = [training.split.by] if training.split.by else []
    if isinstance(training.labels, LabelsFile):
        url = collection.resolve(training.labels.file)
        labels = read_labels(url, workspace.raw.relation(collection).key)
        for key, values in _read(workspace, collection, space, by):
            label = labels.pop(key, "")
            yield PairRow(key, "", row_text(values[len(by) :]), str(values[0] or "") if by else "", label)
        if labels:
            raise SourceError(
                f"{url}: row {next(iter(labels))} is not in {collection.name}, nor are {len(labels) - 1} others"
            )
        return
    assert training.labels is not None
    for key, (value, *values) in _read(workspace, collection, space, [training.labels, *by]):
        said = "" if value is None else str(value)
        yield PairRow(key, "", row_text(values[len(by) :]), str(values[0] or "") if by else "", said)


def _field_pairs(workspace: Workspace, collection: Collection, space: str) -> Iterator[PairRow]:
    """Stream pairs of the collection's own rows: one field asks, the space's text answers."""
    training = training_of(collection, space)
    assert isinstance(training.pairs, FieldPairs)
    by = [training.split.by] if training.split.by else []
    for key, (query, *values) in _read(workspace, collection, space, [training.pairs.query, *by]):
        group = str(values[0] or "") if by else ""
        yield PairRow(key, str(query or ""), row_text(values[len(by) :]), group)


def _read(
    workspace: Workspace, collection: Collection, space: str, fields: Sequence[str]
) -> Iterator[tuple[str, list[Value]]]:
    """Stream JSON row key, the values of some fields, and then those of the fields that the space reads."""
    relation = workspace.raw.relation(collection)
    query = sql.SQL("select {}, {} from {} r order by {}").format(
        relation.source_key("r"), columns([*fields, *collection.spaces[space].fields], "r"), relation.table,
        relation.source_key("r"),
    )  # fmt: skip
    size = len(relation.key)
    with workspace.database.connect() as connection, connection.cursor(name="pairs") as cursor:
        cursor.itersize = 5000
        for row in cursor.execute(query):
            yield row_key(cast(Key, row[:size])), cast(list[Value], list(row[size:]))


def _file_pairs(path: str) -> Iterator[PairRow]:
    for pair in read_pairs(path):
        yield PairRow("", pair.query, pair.document, pair.group or "")
