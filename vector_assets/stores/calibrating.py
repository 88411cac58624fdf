"""Questions with known answers that may be learned from: never those that a generation is judged by."""

from __future__ import annotations

import hashlib

from vector_assets.records import JudgedQuery
from vector_assets.source.judged import read_judged
from vector_assets.source.storage import find_files
from vector_assets.spec import Collection
from vector_assets.stores.held_out import held_out, queries_of
from vector_assets.stores.relation import Relation
from vector_assets.stores.workspace import Workspace


def calibration_queries(workspace: Workspace, collection: Collection, relation: Relation) -> list[JudgedQuery]:
    """Return the declared calibration queries, else those of the validation split of training; often none.

    A question that the collection is evaluated on, by its id or by its text, is left out wherever it came from.
    """
    declared = collection.evaluation.calibration if collection.evaluation else None
    if declared:
        found = read_judged(collection.resolve(declared.queries), collection.resolve(declared.qrels), relation.key)
    else:
        found = queries_of(workspace, collection, relation, "validation")
    if not found:
        return []
    judged = held_out(workspace, collection, relation)
    # Only files name questions; the numbers of a split's questions begin anew in each.
    ids = {query.id for query in judged} if declared else set()
    texts = {_plain(query.text) for query in judged}
    return [query for query in found if query.id not in ids and _plain(query.text) not in texts]


def calibration_version(workspace: Workspace, collection: Collection) -> str:
    """Return what changes when other questions would be returned, without reading them; "" where there are none."""
    declared = collection.evaluation.calibration if collection.evaluation else None
    if declared:
        files = [file for url in (declared.queries, declared.qrels) for file in find_files(collection.resolve(url))]
        known = [f"{file.path} {file.size} {file.stamp}" for file in files]
    else:
        stored = [workspace.checkpoints.encoder(collection.name, space) for space in collection.spaces]
        known = [each.training_set for each in stored if each and each.training_set]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16] if known else ""


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
