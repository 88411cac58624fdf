"""Runs whose process has gone are failed; those that somebody executes are left alone."""

from __future__ import annotations

import json
import subprocess
import sys

import dagster as dg
import psutil
from dagster._core.storage.tags import GRPC_INFO_TAG

from vector_assets.assets.lost_runs import PROCESS, fail_lost_runs, process_tag

OURS = "/home/run/code.sock"


@dg.job
def nothing():
    return


def test_lost_runs_are_failed_and_others_left() -> None:
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host, _, _ = json.loads(process_tag()[PROCESS])
    gone = json.dumps([host, ended.pid, psutil.Process(ended.pid).create_time()])
    ended.kill()
    ended.wait()
    tags = {
        "of our code server": {GRPC_INFO_TAG: json.dumps({"socket": OURS})},
        "of an ended process": {PROCESS: gone},
        "of this process": process_tag(),
        "of another machine": {PROCESS: json.dumps(["elsewhere", ended.pid, 1.0])},
        "of another code server": {GRPC_INFO_TAG: json.dumps({"socket": "/other.sock"})},
        "of nobody known": {},
    }
    with dg.DagsterInstance.ephemeral() as instance:
        runs = {
            name: instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED, tags=each).run_id
            for name, each in tags.items()
        }
        lost = fail_lost_runs(instance, code_socket=OURS)
        assert set(lost) == {runs["of our code server"], runs["of an ended process"]}
        states = {name: instance.get_run_by_id(run_id) for name, run_id in runs.items()}
    failed = {name for name, run in states.items() if run and run.status == dg.DagsterRunStatus.FAILURE}
    assert failed == {"of our code server", "of an ended process"}
