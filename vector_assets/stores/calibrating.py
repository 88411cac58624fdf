"""Questions with known answers that may be learned from: never those that a generation is judged by."""

from __future__ import annotations

import hashlib

from vector_assets.records import JudgedQuery
from vector_assets.source.judged import read_judged
from vector_assets.source.storage import find_files
from vector_assets.spec import Collection
from vector_assets.stores.held_out import held_out
from vector_assets.stores.relation import Relation
from vector_assets.stores.workspace import Workspace


def calibration_queries(workspace: Workspace, collection: Collection, relation: Relation) -> list[JudgedQuery]:
    """Return the declared calibration queries without those that are evaluated; often none."""
    declared = collection.evaluation.calibration if collection.evaluation else None
    if declared is None:
        return []
    found = read_judged(collection.resolve(declared.queries), collection.resolve(declared.qrels), relation.key)
    ids = {query.id for query in held_out(workspace, collection, relation)}
    return [query for query in found if query.id not in ids]


def calibration_version(workspace: Workspace, collection: Collection) -> str:
    """Return what changes when other questions would be returned, without reading them; "" where there are none."""
    declared = collection.evaluation.calibration if collection.evaluation else None
    if declared is None:
        return ""
    files = [file for url in (declared.queries, declared.qrels) for file in find_files(collection.resolve(url))]
    return hashlib.sha256("\n".join(f"{f.path} {f.size} {f.stamp}" for f in files).encode()).hexdigest()[:16]
