"""The training set of a space against the stores: which one is kept, and when another is drawn."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from vector_assets.errors import NotFound
from vector_assets.records import TrainingSet
from vector_assets.spec import UNLABELLED, Collection, Split, Training
from vector_assets.stores.evaluated import evaluated_questions, version_of
from vector_assets.stores.mining import with_mined
from vector_assets.stores.revisions import revise_moved
from vector_assets.stores.training_rows import TrainingRows
from vector_assets.stores.workspace import Workspace
from vector_assets.training.evaluated import without_evaluated
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

    What asks a question that the collection is judged by is left out. Where other questions are declared than when a
    snapshot was drawn, it is kept without what asks those: no row is drawn anew for it. Drawn anew while the space's
    checkpoint does not give its canaries, it is for another one: the revision is raised.
    """
    kept = None if refresh else _kept(workspace, collection, space)
    if kept:
        return Drawn(kept, drawn=False)
    training, declared = training_of(collection, space), declaration_of(collection, space)
    known = workspace.training_sets.latest(collection.name, space, declared)
    revision = revise_moved(workspace, collection, space) if known else None
    questions = evaluated_questions(collection, space)
    rows = TrainingRows(workspace, collection, space, training)
    training_set = pairs_from_rows(rows.read(), training, rows.report, evaluated=questions)
    training_set = with_mined(workspace, collection, space, training_set, rows.texts(), evaluated=questions)
    if training.pretrain:
        training_set = with_unlabelled(training_set, rows.texts(), training, evaluated=questions)
    version = version_of(questions)
    workspace.training_sets.save(collection.name, space, declared, training_set, questions=version)
    return Drawn(training_set, drawn=True, revision=revision)


def drawn_training_set(workspace: Workspace, collection: Collection, space: str) -> TrainingSet:
    """Return the newest snapshot of this declaration, as ``draw_training_set`` keeps it.

    Raises NotFound where none was drawn.
    """
    kept = _kept(workspace, collection, space)
    if kept is None:
        raise NotFound(
            f"training_set {collection.name}/{space} is not drawn yet; "
            f"run vector-assets materialize {collection.name} --stage training_set"
        )
    return kept


def _kept(workspace: Workspace, collection: Collection, space: str) -> TrainingSet | None:
    """Return the newest snapshot, without what asks the questions that are declared by now; None without any."""
    sets, declared = workspace.training_sets, declaration_of(collection, space)
    known = sets.latest(collection.name, space, declared)
    if known is None:
        return None
    digest, left_out = known
    kept = sets.get(digest)
    questions = evaluated_questions(collection, space)
    if version_of(questions) != left_out:
        kept = without_evaluated(kept, questions, training_of(collection, space))
        version = version_of(questions)
        sets.save(collection.name, space, declared, kept, questions=version, anew=False)
    return kept


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
    for name in ("by_time", "documents", "image_bits"):
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
