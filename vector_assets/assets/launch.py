"""What the command line and Python tell Dagster: runs that they launch, and swaps that they make without a run.

Runs are recorded in the persistent instance and executed in this process.

The run carries the origin that the web server gives to runs of its own, so that it opens under the code location and
can be executed again there. Dagster offers that to its own servers only; the private names below are pinned by
dagster<1.14 and covered by tests/assets.
"""

from collections.abc import Collection as Several
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from vector_assets.assets.code_server import LOCATION, MODULE
from vector_assets.assets.index import live_version, swap_metadata
from vector_assets.assets.instance import get_instance
from vector_assets.assets.keys import STAGES, key, op_name, stage_keys
from vector_assets.assets.lost_runs import process_tag
from vector_assets.assets.metadata import numbers
from vector_assets.assets.progress import Listener, listening
from vector_assets.errors import NotFound, UserError, VectorAssetsError
from vector_assets.index.swap import Swapped
from vector_assets.spec import Collection
from vector_assets.stores.workspace import Workspace

ATTRIBUTE = "defs"
# Whoever started a run here may have ended it on purpose: the daemon of a running `up` does not start it again.
_NO_RETRY = {"dagster/max_retries": "0"}


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """One asset of a run: whether it was materialized, how long it took, what it reported."""

    stage: str
    seconds: float
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Launched:
    """A finished run. ``failed_checks`` names blocking checks that did not pass."""

    run_id: str
    success: bool
    stages: tuple[StageOutcome, ...]
    failed_checks: tuple[str, ...]
    error: str
    user_fault: bool = False


def launch(
    workspace: Workspace,
    collection: Collection,
    *,
    stages: Sequence[str] = STAGES,
    refresh: bool = False,
    sweep: bool = False,
    listener: Listener | None = None,
) -> Launched:
    """Materialize stages of a collection by a recorded run.

    ``refresh`` draws training sets anew; ``sweep`` compares every row with its vector.
    """
    instance = get_instance(workspace)
    keys = [key for stage in stages for key in stage_keys(collection, stage)]
    if not keys:
        raise NotFound(f"collection {collection.name} has no stage {', '.join(stages)}; it has {', '.join(STAGES)}")
    repository = ReconstructableRepository(ModuleCodePointer(MODULE, ATTRIBUTE, str(Path.cwd())))
    definition = repository.get_definition()
    job = definition.get_implicit_job_def_for_assets(keys)
    if job is None:
        raise NotFound(f"collection {collection.name} is not in the project that this code location loads")
    recon = repository.get_reconstructable_job(job.name)
    # Dagster keeps the last job of a process: a declaration that was edited since would run as it was before.
    ReconstructableJob.get_definition.cache_clear()
    ReconstructableJob.get_repository_definition.cache_clear()
    origin = ManagedGrpcPythonEnvCodeLocationOrigin(
        LoadableTargetOrigin(module_name=MODULE, attribute=ATTRIBUTE), location_name=LOCATION
    )
    run = instance.create_run_for_job(
        job_def=job.get_subset(asset_selection=set(keys)),
        run_config=_config(collection, keys, refresh=refresh, sweep=sweep),
        tags={
            "vector_assets/collection": collection.name,
            "vector_assets/launched_by": "cli",
            **process_tag(),
            **_NO_RETRY,
        },
        asset_selection=set(keys),
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(origin, definition.name), job.name),
        job_code_origin=recon.get_python_origin(),
    )
    with listening(listener or _nobody):
        events = execute_run_iterator(recon, run, instance)
        return _collect(run.run_id, events, listener or _nobody, {op_name(key) for key in keys})


def report_swap(workspace: Workspace, collection: Collection, swapped: Swapped, *, because: str) -> None:
    """Record a swap that a person made: a materialization of ``index/<collection>`` outside of any run.

    Its data version is that of its content, so what follows the index (map, export, scores) asks to be run where
    ``automation.on_change`` is declared. It names no inputs, for no run read any: the next tick asks for the index as
    well, whose run does what else belongs to it (calibrates, tells MLflow what it has not taken) and changes nothing.
    """
    get_instance(workspace).report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=key("index", collection),
            description=f"{swapped.action} by hand: {because}",
            metadata={
                **swap_metadata(swapped),
                "because": dg.MetadataValue.text(because),
                **(numbers({"was": swapped.before}) if swapped.before else {}),
            },
            tags={"dagster/data_version": live_version(workspace, swapped)},
        )
    )


def _config(collection: Collection, keys: Sequence[dg.AssetKey], *, refresh: bool, sweep: bool) -> dict[str, Any]:
    drawn = [key for key in stage_keys(collection, "training_set") if key in keys] if refresh else []
    swept = [key for key in stage_keys(collection, "embeddings") if key in keys] if sweep else []
    return {
        "ops": {
            **{op_name(key): {"config": {"refresh": True}} for key in drawn},
            **{op_name(key): {"config": {"sweep": True}} for key in swept},
        },
        # The command line shows progress of its own; everything is in the recorded run.
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }


def _collect(run_id: str, events: Iterable[dg.DagsterEvent], listener: Listener, assets: Several[str]) -> Launched:
    """Follow a run to its end. Steps that are no asset are checks of their own: they tell of no stage."""
    outcomes: list[StageOutcome] = []
    metadata: dict[str, Mapping[str, Any]] = {}
    failed: list[str] = []
    error, user_fault, success = "", False, False
    for event in events:
        step = event.step_key or ""
        if event.is_step_start and step in assets:
            listener(step.partition("__")[0], 0, 0, "")
        elif event.is_step_materialization:
            values = event.step_materialization_data.materialization.metadata
            metadata[step] = {name: value.value for name, value in values.items()}
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            if check.blocking and not check.passed:
                failed.append(f"{check.check_name}: {check.description or 'failed'}")
        elif event.is_step_success and step in assets:
            seconds = event.step_success_data.duration_ms / 1000
            outcomes.append(StageOutcome(step.partition("__")[0], seconds, metadata.get(step, {})))
        elif event.is_step_failure:
            error, user_fault = (error, user_fault) if error else _said(event)
        elif event.is_job_success:
            success = True
    return Launched(run_id, success, tuple(outcomes), tuple(failed), error, user_fault)


def _said(event: dg.DagsterEvent) -> tuple[str, bool]:
    """Return the innermost message of a failed step, and whether it is a fault that a person can mend."""
    found = event.step_failure_data.error
    while found is not None and found.cause is not None:
        found = found.cause
    if found is None:
        return "the step failed", False
    message = " ".join(found.message.split())
    name, _, rest = message.partition(": ")
    ours = {cls.__module__ + "." + cls.__qualname__: cls for cls in _all_errors(VectorAssetsError)}
    return (rest, issubclass(ours[name], UserError)) if name in ours else (message, False)


def _all_errors(cls: type[VectorAssetsError]) -> list[type[VectorAssetsError]]:
    return [cls, *(each for sub in cls.__subclasses__() for each in _all_errors(sub))]


def _nobody(stage: str, done: int, total: int, note: str) -> None:
    return
