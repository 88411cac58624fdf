"""Images that a training set names by their sha256: found again in the rows, by row key, as they were when drawn."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vector_assets.errors import SourceError
from vector_assets.records import Pair, TrainingSet
from vector_assets.spec import IMAGE_BYTES, Collection, ImageSpace
from vector_assets.stores.relation import Relation
from vector_assets.stores.row_texts import values_of
from vector_assets.stores.workspace import Workspace

_AT_ONCE = 32  # images in memory together


def name_of(image: bytes) -> str:
    """Return what a training set calls an image."""
    return hashlib.sha256(image).hexdigest()


def still_there(
    workspace: Workspace, collection: Collection, space: str, relation: Relation, pairs: Sequence[Pair]
) -> Iterator[tuple[Pair, bytes]]:
    """Stream those labelled images whose row still has what was drawn, each with its bytes."""
    (field,) = collection.spaces[space].fields
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        found = values_of(workspace.database, relation, [pair.key for pair in some], [field])
        for pair in some:
            (image,) = found.get(pair.key, (None,))
            if isinstance(image, bytes) and len(image) <= IMAGE_BYTES and name_of(image) == pair.document:
                yield pair, image


def with_images(
    workspace: Workspace, collection: Collection, space: str, training_set: TrainingSet, key: str
) -> TrainingSet:
    """Return the training set with its images in a folder; of texts as it is.

    The folder is that of one training ``key``, and is there until ``forget_images``: a run that was killed finds what
    it had, whatever has become of the rows. Raises SourceError where rows do not have them any more.
    """
    if not isinstance(collection.spaces[space], ImageSpace):
        return training_set
    folder = _folder(workspace, key)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [pair for pair in training_set.pairs if not (folder / pair.document).is_file()]
    relation = workspace.raw.relation(collection)
    for pair, image in still_there(workspace, collection, space, relation, missing):
        working = folder / f".{pair.document}"
        working.write_bytes(image)
        working.replace(folder / pair.document)
    lost = [pair for pair in training_set.pairs if not (folder / pair.document).is_file()]
    if lost:
        forget_images(workspace, key)
        raise SourceError(
            f"training_set {collection.name}/{space}: {len(lost)} of its {len(training_set.pairs)} images are not what "
            f"they were when it was drawn, or are gone, the first that of row {lost[0].key}; draw it anew (launch "
            "training_set with refresh: true)"
        )
    return replace(training_set, images=folder)


def forget_images(workspace: Workspace, key: str) -> None:
    """Remove what ``with_images`` has written."""
    shutil.rmtree(_folder(workspace, key), ignore_errors=True)


def _folder(workspace: Workspace, key: str) -> Path:
    return workspace.checkpoint_folder / ".unfinished" / f"{key}.images"
