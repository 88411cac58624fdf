"""Questions with known answers that no training has seen: the declared ones, else the test split of training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vector_assets.encoder.image.samples import to_text
from vector_assets.records import JudgedQuery, Pair, SplitName
from vector_assets.source.judged import read_judged
from vector_assets.source.storage import find_files
from vector_assets.spec import Collection
from vector_assets.stores.pictures import still_there
from vector_assets.stores.relation import Relation
from vector_assets.stores.workspace import Workspace


def held_out(workspace: Workspace, collection: Collection, relation: Relation) -> list[JudgedQuery]:
    """Return the declared queries, else those of the test splits that the encoders were trained beside.

    A question that is an image has it as its text, as a canary is stored.
    """
    evaluation = collection.evaluation
    if evaluation and evaluation.queries and evaluation.qrels:
        return read_judged(collection.resolve(evaluation.queries), collection.resolve(evaluation.qrels), relation.key)
    return queries_of(workspace, collection, relation, "test")


def queries_of(workspace: Workspace, collection: Collection, relation: Relation, split: SplitName) -> list[JudgedQuery]:
    """Return the questions of one split that the encoders were trained beside; none where nothing was trained."""
    found: list[JudgedQuery] = []
    for space, pairs in split_pairs(workspace, collection, relation, split):
        found += of_test_split(space, pairs)
    return found


def split_pairs(
    workspace: Workspace, collection: Collection, relation: Relation, split: SplitName
) -> Iterator[tuple[str, tuple[Pair, ...]]]:
    """Yield each space whose encoder was trained, with the pairs of one split; an image stands in place of its name."""
    for space in collection.spaces:
        stored = workspace.checkpoints.encoder(collection.name, space)
        if stored and stored.training_set:
            pairs = workspace.training_sets.get(stored.training_set).split(split)
            if collection.spaces[space].kind == "image":
                there = still_there(workspace, collection, space, relation, pairs)
                pairs = tuple(replace(pair, document=to_text(image)) for pair, image in there)
            yield space, pairs


def questions_version(workspace: Workspace, collection: Collection) -> str:
    """Return what changes when other questions are asked, without reading them: files as they were written, or sets."""
    evaluation = collection.evaluation
    if evaluation and evaluation.queries and evaluation.qrels:
        files = [file for url in (evaluation.queries, evaluation.qrels) for file in find_files(collection.resolve(url))]
        known = [f"{file.path} {file.size} {file.stamp}" for file in files]
    else:
        stored = [workspace.checkpoints.encoder(collection.name, space) for space in collection.spaces]
        known = [each.training_set or "" if each else "" for each in stored]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]


def of_test_split(space: str, pairs: Sequence[Pair]) -> Iterator[JudgedQuery]:
    """Yield the queries of held-out pairs, asked of all rows, or of held-out labelled texts.

    A query that several rows answer is one question.
    A labelled text asks for the others of its label, among the held-out texts only: of the rest, training has seen
    which belong together. A text that is alone with its label asks nothing, but may be found.
    """
    alike: dict[str, dict[str, float]] = {}
    for pair in pairs:
        if pair.key and pair.label:
            alike.setdefault(pair.label, {})[pair.key] = 1.0
    among = frozenset(key for rows in alike.values() for key in rows)
    answers: dict[str, dict[str, float]] = {}
    for pair in pairs:
        if pair.key and pair.query:
            answers.setdefault(pair.query, {})[pair.key] = 1.0
    for number, pair in enumerate(pairs):
        if pair.key and pair.query:
            if pair.query in answers:
                yield JudgedQuery(f"{space}-{number}", pair.query, answers.pop(pair.query))
        elif pair.key and pair.label and len(alike[pair.label]) > 1:
            others = {key: gain for key, gain in alike[pair.label].items() if key != pair.key}
            yield JudgedQuery(f"{space}-{number}", pair.document, others, among=among, own=pair.key)
