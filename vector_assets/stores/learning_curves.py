"""Learning curves against the stores: find the one that its key names, or measure it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from psycopg.types.json import Jsonb

from vector_assets.encoder.contract import ContractSettings
from vector_assets.encoder.resolve import resolve_encoder
from vector_assets.errors import NotFound
from vector_assets.spec import Collection
from vector_assets.stores.revisions import space_settings
from vector_assets.stores.run_pages import dataset_inputs, log_inputs, page_tags
from vector_assets.stores.searching import SearchRuns
from vector_assets.stores.training_sets import drawn_training_set, training_of
from vector_assets.stores.workspace import Workspace
from vector_assets.training.curve import Measured, Point, clear, curve_folder, curve_key, draw_curve
from vector_assets.training.history import Progress
from vector_assets.training.run import store_base


@dataclass(frozen=True, slots=True)
class SettledCurve:
    """A curve, measured now or known; ``warnings`` are said for the ``max_gap`` that is declared now."""

    key: str
    found: Measured
    measured_now: bool
    run_id: str
    experiment: str
    warnings: tuple[str, ...]
    picture: Path | None


def settle_curve(
    workspace: Workspace,
    collection: Collection,
    space: str,
    *,
    tags: Mapping[str, str],
    progress: Callable[[Progress], None] | None = None,
) -> SettledCurve:
    """Return the learning curve of a space: known by its key, or measured now. Nothing is kept but numbers.

    A curve that was killed goes on with the points that it has, below the same parent run.
    """
    training = training_of(collection, space)
    declared = collection.spaces[space]
    settings = space_settings(workspace, collection, space)
    if training.curve is None or not isinstance(settings, ContractSettings):
        raise NotFound(f"space {collection.name}/{space} declares no train.curve, so there is no learning curve")
    training_set = drawn_training_set(workspace, collection, space)
    base = resolve_encoder(declared.encoder, folder=collection.folder, models=workspace.tracked_model)
    as_is = training.model_copy(update={"start": "pretrained", "layers": None})
    stored = store_base(training_set, as_is, base, workspace.checkpoint_folder, settings)
    key = curve_key(training_set.digest, training, stored.digest, settings)
    experiment = f"{collection.name}/{space}"
    workspace.tracking.end_lost(experiment)
    known = _known(workspace, key)
    measured_now = known is None
    if known is None:
        work = curve_folder(workspace.checkpoint_folder / ".unfinished", key)
        described = page_tags({**tags, "arm": "curve"}, collection, space, training_set, key)
        runs = SearchRuns(workspace.tracking, experiment, described, work)
        with runs.kept(f"learning curve {training_set.digest[:8]}", tags=described) as run:
            log_inputs(run, dataset_inputs(workspace.database, collection, space, training_set))
            found = draw_curve(
                training_set, training, base, work=work, log=run, open_point=partial(runs.trial, parent=run),
                report_folder=Path(workspace.artifacts) / "reports" / key, settings=settings, progress=progress,
            )  # fmt: skip
        _save(workspace, key, collection.name, space, training_set.digest, run.run_id, run.experiment_id, found)
        clear(work)
        known = _known(workspace, key)
    assert known is not None
    found, run_id, experiment_id = known
    pictures = [Path(path) for path in found.report if path.endswith(".png") and Path(path).is_file()]
    warnings = tuple(found.warnings(training.max_gap))
    return SettledCurve(
        key, found, measured_now, run_id, experiment_id, warnings, pictures[0] if pictures else None
    )  # fmt: skip


def _known(workspace: Workspace, key: str) -> tuple[Measured, str, str] | None:
    with workspace.database.connect() as connection:
        row = connection.execute(
            workspace.database.compose(
                "select result, run_id, experiment from {ops}.learning_curves where curve_key = %s"
            ),
            (key,),
        ).fetchone()
    if row is None:
        return None
    result = cast(dict[str, Any], row[0])
    points = tuple(Point(**one) for one in result["points"])
    found = Measured(
        str(result["metric"]), points, tuple(result["asked"]), int(result["train"]), tuple(result["report"])
    )  # fmt: skip
    return found, str(row[1]), str(row[2])


def _save(
    workspace: Workspace,
    key: str,
    collection: str,
    space: str,
    training_set: str,
    run_id: str,
    experiment: str,
    found: Measured,
) -> None:
    with workspace.database.connect() as connection:
        connection.execute(
            workspace.database.compose(
                "insert into {ops}.learning_curves "
                "(curve_key, collection, space, training_set, run_id, experiment, result) "
                "values (%s, %s, %s, %s, %s, %s, %s) on conflict (curve_key) do nothing"
            ),
            (key, collection, space, training_set, run_id, experiment, Jsonb(asdict(found))),
        )
