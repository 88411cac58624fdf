"""Runs that say they are in progress while nobody executes them: after a kill, or a machine that went down.

Such a run would hold its pool, and keep conditions from asking again, for ever.
"""

import json

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.tags import GRPC_INFO_TAG

from vector_assets.runtime.owner import is_gone, process_mark

PROCESS = "vector_assets/process"


def process_tag() -> dict[str, str]:
    """Return the tag by which a run that is executed in this process is known."""
    return {PROCESS: process_mark()}


def fail_lost_runs(instance: dg.DagsterInstance, *, code_socket: str) -> list[str]:
    """Mark them as failed and return their ids; Dagster starts lost ones again as dagster.yaml says.

    Call while no code server of ours is alive: what one of them was executing has ended with it.
    """
    lost = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(IN_PROGRESS_RUN_STATUSES))):
        run = record.dagster_run
        grpc = run.tags.get(GRPC_INFO_TAG)
        ours = grpc is not None and json.loads(grpc).get("socket") == code_socket
        if ours or is_gone(run.tags.get(PROCESS)):
            instance.report_run_failed(run, "The process that executed this run was ended before it was done.")
            lost.append(run.run_id)
    return lost
