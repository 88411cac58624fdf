"""The training set of a space against the stores: which one is kept, and when another is drawn."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from vector_assets.errors import NotFound
from vector_assets.records import TrainingSet
from vector_assets.spec import UNLABELLED, Collection, Split, Training
from vector_assets.stores.mining import with_mined
from vector_assets.stores.revisions import revise_moved
from vector_assets.stores.training_rows import TrainingRows
from vector_assets.stores.workspace import Workspace
from vector_assets.training.pairs import pairs_from_rows
from vector_assets.training.unlabelled import with_unlabelled


@dataclass(frozen=True, slots=True)
class Drawn:
    """A training set, and whether it was drawn now or kept. ``revision`` is that which the space was given with it."""

    training_set: TrainingSet
    drawn: bool
    revision: int | None = None


def draw_training_set(workspace: Workspace, collection: Collection, space: str, *, refresh: bool) -> Drawn:
    """Return the snapshot of this declaration; draw it where there is none, or when asked to.

    Drawn anew while the space's checkpoint does not give its canaries, it is for another one: the revision is raised.
    """
    training = training_of(collection, space)
    declared = declaration_of(collection, space)
    known = workspace.checkpoints.latest_training_set(collection.name, space, declared)
    if known and not refresh:
        return Drawn(workspace.checkpoints.training_set(known), drawn=False)
    revision = revise_moved(workspace, collection, space) if known else None
    rows = TrainingRows(workspace, collection, space, training)
    training_set = pairs_from_rows(rows.read(), training, rows.report)
    training_set = with_mined(workspace, collection, space, training_set, rows.texts())
    if training.pretrain:
        training_set = with_unlabelled(training_set, rows.texts(), training)
    workspace.checkpoints.save_training_set(collection.name, space, declared, training_set)
    return Drawn(training_set, drawn=True, revision=revision)


def drawn_training_set(workspace: Workspace, collection: Collection, space: str) -> TrainingSet:
    """Return the newest snapshot of this declaration; raises NotFound where none was drawn."""
    digest = workspace.checkpoints.latest_training_set(collection.name, space, declaration_of(collection, space))
    if digest is None:
        raise NotFound(
            f"training_set {collection.name}/{space} is not drawn yet; "
            f"run vector-assets materialize {collection.name} --stage training_set"
        )
    return workspace.checkpoints.training_set(digest)


def declaration_of(collection: Collection, space: str) -> str:
    """Digest of what decides which pairs are drawn; how they are learned from is not part of it."""
    training = training_of(collection, space)
    deciding = {"pairs", "split", "max_pairs", "max_validation", "max_test", "seed"}
    # What came later is part of it only where it is used, so that what was drawn before stays known.
    given = {
        name
        for name in ("labels", "triplets", "relevance", "clicks", "negatives", "pretrain")
        if getattr(training, name) is not None
    }
    drawn = training.model_dump(mode="json", include=deciding | given)
    for name in given:
        if isinstance(drawn[name], dict):
            drawn[name] = {key: value for key, value in drawn[name].items() if value is not None}
    for name in ("by_time", "documents"):
        if drawn["split"][name] == Split.model_fields[name].default:
            del drawn["split"][name]
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
