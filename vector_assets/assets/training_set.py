"""``training_set/<collection>/<space>``: a snapshot of pairs, drawn on purpose and not by every row edit."""

import time
from collections.abc import Mapping

import dagster as dg

from vector_assets.assets.drift import FROM_CONDITION, when_drifted
from vector_assets.assets.keys import key, owners
from vector_assets.assets.metadata import Metadata, numbers, speed, table
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.spec import UNLABELLED, Collection
from vector_assets.stores.training_sets import draw_training_set
from vector_assets.training.clicks import positions_of

CODE_VERSION = "1"


class TrainingSetConfig(dg.Config):
    """How a snapshot is made."""

    refresh: bool = False
    """Draw the pairs anew; otherwise the snapshot of this declaration is kept."""


def build_training_set(collection: Collection, space: str) -> dg.AssetsDefinition:
    """Return the asset of one trained space."""
    declared = collection.spaces[space].train
    labelled = declared is not None and declared.labels is not None
    alone = declared is not None and declared.objective in UNLABELLED
    read = collection.spaces[space].kind

    @dg.asset(
        key=key("training_set", collection, space),
        deps=[key("raw", collection)],
        group_name=collection.name,
        kinds={"postgres"},
        owners=owners(collection),
        code_version=CODE_VERSION,
        automation_condition=when_drifted(collection, space),
        description=(
            f"{f'Labelled {read}s' if labelled else 'Texts' if alone else 'Pairs'} that the encoder of {space} "
            "learns from, with whole groups held out for validation and test. "
            "Kept until it is refreshed: by the retraining schedule, by drift, or by a launch with refresh: true."
        ),
    )
    def training_set(
        context: dg.AssetExecutionContext, config: TrainingSetConfig, workspace: WorkspaceResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        started = time.perf_counter()
        # Conditions carry no configuration; the only one that asks for this asset wants it drawn anew.
        refresh = config.refresh or FROM_CONDITION in context.run.tags
        drawn = draw_training_set(workspace.open(), collection, space, refresh=refresh)
        if drawn.revision:
            context.log.warning(
                f"the encoder of {space} does not give its canaries any more: revision {drawn.revision} follows"
            )
        richer = any(pair.negatives or pair.weight != 1 for pair in drawn.training_set.pairs)
        examples: list[Mapping[str, str | int | float | bool | None]] = [
            {
                "split": pair.split,
                "group": pair.group,
                **({"label": pair.label} if labelled else {"query": pair.query[:120]}),
                "document": pair.document[:200],
                **({"negatives": len(pair.negatives), "weight": round(pair.weight, 3)} if richer else {}),
            }
            for split in ("train", "validation", "test")
            for pair in drawn.training_set.split(split)[:3]
        ]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(drawn.training_set.digest),
            metadata={
                "dagster/row_count": dg.MetadataValue.int(len(drawn.training_set.pairs)),
                **of_report(drawn.training_set.report),
                **speed(0, time.perf_counter() - started),
                **(numbers({"revision": drawn.revision}) if drawn.revision else {}),
                "drawn": dg.MetadataValue.bool(drawn.drawn),
                "digest": dg.MetadataValue.text(drawn.training_set.digest[:12]),
                "examples": table(examples),
            },
        )

    return training_set


def of_report(report: Mapping[str, float]) -> Metadata:
    """Counts as numbers, the cuts in time as times, what the positions of a log of clicks came to as one table."""
    positions = positions_of(report)
    found = numbers({name: n for name, n in report.items() if not name.startswith("position_")})
    found |= {
        name: dg.MetadataValue.timestamp(float(report[name]))
        for name in ("validation_from", "test_from")
        if report.get(name)
    }
    if positions:
        found["propensities"] = table(positions)
    return found
