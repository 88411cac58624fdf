"""Kill -9 in the middle of a load: what was written stays, the next run encodes the rest only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.stores.workspace import Workspace

_LOAD = """
import sys, time
from fakes import FakeStore, KeywordEncoder
from vector_assets.spec import Collection
from vector_assets.stores.workspace import open_workspace

encoder = KeywordEncoder()

def during(texts):
    if len(encoder.encoded) >= 128:
        print("waiting", flush=True)
        time.sleep(60)

encoder.during = during
FakeStore(open_workspace(), Collection.model_validate_json(sys.argv[1]), encoder, page=32).embed()
"""


@pytest.mark.parametrize("state", ["first load", "update"])
def test_a_killed_run_is_resumed_with_the_rest_only(
    in_workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str, state: str
) -> None:
    animals(200)
    collection = declare()
    encoder = KeywordEncoder()
    store = FakeStore(in_workspace, collection, encoder, page=32)
    if state == "update":
        store.embed()
        execute(f"update {name} set title = 'cat new ' || id where id > 0")
    helpers = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    process = subprocess.Popen(
        [sys.executable, "-c", _LOAD, collection.model_dump_json()],
        env={**os.environ, "PYTHONPATH": helpers},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.3)  # the page before is written behind
    process.send_signal(signal.SIGKILL)
    process.wait(10)

    encoder.encoded.clear()
    report = store.embed().latest
    assert report.rows == 200
    assert len(encoder.encoded) == report.encoded == 72, "128 rows were written before the kill"
    assert [g.number for g in store.all()] == [1]
    assert store.check_coverage(store.all()[0]).passed
    assert store.embed().latest.unchanged == 200
