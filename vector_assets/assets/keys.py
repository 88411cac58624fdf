"""Asset keys, groups and tags: the same in every environment."""

import dagster as dg

from vector_assets.spec import Collection

#: In the order of the flow; the CLI's --stage takes these words.
STAGES = ("raw", "training_set", "encoder", "embeddings", "candidate", "index", "map", "export", "scores")

#: Stages that run only when they are named: in no schedule, by no condition, not with all the others.
ON_REQUEST = ("learning_curve", "chunkings")


def key(stage: str, collection: Collection, space: str | None = None) -> dg.AssetKey:
    """``embeddings/papers``, ``encoder/papers/text``."""
    return dg.AssetKey([stage, collection.name, *([space] if space else [])])


def stage_keys(collection: Collection, stage: str) -> list[dg.AssetKey]:
    """Return the keys of one stage of a collection; empty when it has none."""
    if stage == "training_set":
        return [key(stage, collection, name) for name, space in collection.spaces.items() if space.train]
    if stage == "learning_curve":
        curved = [name for name, space in collection.spaces.items() if space.train and space.train.curve]
        return [key(stage, collection, name) for name in curved]
    if stage == "encoder":
        return [key(stage, collection, name) for name in collection.spaces]
    if stage == "chunkings" and not (collection.evaluation and collection.evaluation.chunkings):
        return []
    if stage == "export" and collection.export is None:
        return []
    if stage == "scores" and collection.scores is None:
        return []
    return [key(stage, collection)]


def op_name(asset_key: dg.AssetKey) -> str:
    """Return the name under which run configuration addresses an asset."""
    return "__".join(asset_key.path)


def owners(collection: Collection) -> list[str]:
    """Return the declared owner as Dagster wants it."""
    return [collection.owner] if collection.owner else []
