"""A sync of words that is killed loses at most its page; the next one ends as if nobody had killed it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from fakes import Declare, Execute

from vector_assets.stores.lexical.sync import LexicalStore
from vector_assets.stores.workspace import Workspace

_WORKER = """
import sys
from vector_assets.spec import Collection
from vector_assets.stores.lexical.sync import LexicalStore
from vector_assets.stores.workspace import open_workspace
LexicalStore.page = 20
collection = Collection.model_validate_json(sys.argv[1])
workspace = open_workspace()
relation = workspace.raw.relation(collection)
print("ready", flush=True)
workspace.lexical.sync(collection.name, collection.lexical, relation)
"""


def sums(execute: Execute, table: str) -> list[object]:
    """What postings, rows and totals say of rows and words: each must say the same."""
    ((postings,),) = execute(f"select coalesce(sum(n), 0) from embedding.{table}")
    ((rows, words, pairs),) = execute(
        f"select count(*), coalesce(sum(length), 0), coalesce(sum(cardinality(terms)), 0) from embedding.{table}_rows"
    )
    totals = execute(
        "select coalesce(sum(documents), 0), coalesce(sum(words), 0) from ops.bm25_deltas "
        "where collection || '_bm25_' || analyser = %s",
        (table,),
    )
    assert (postings, totals) == (pairs, [(rows, words)])
    return [rows, words, pairs]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_run_after_a_kill_goes_on_with_what_still_differs(
    workspace: Workspace, environment: dict[str, str], declare: Declare, execute: Execute, name: str, seed: int
) -> None:
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    execute(f"insert into {name} select i, 'cat ' || i % 9, repeat('dog ', i % 5) from generate_series(1, 2000) i")
    collection = declare(lexical=["title", "body"])
    lexical = collection.lexical
    assert lexical
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER, collection.model_dump_json()],
        env={**os.environ, **environment}, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    rows = "select count(*) from pg_class where relname like %s"
    while not execute(rows, (name + r"\_bm25\_%\_rows",))[0][0]:
        time.sleep(0.01)
    time.sleep(random.Random(seed).random() * 0.6)
    process.send_signal(signal.SIGKILL)
    process.wait()
    execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like %s and pid <> pg_backend_pid()",
        (f"%{name}\\_bm25\\_%",),
    )
    ((table,),) = execute("select relname from pg_class where relname ~ %s", (f"^{name}_bm25_[0-9a-f]{{8}}$",))
    before = sums(execute, str(table))
    assert int(str(before[0])) % 20 == 0  # whole pages
    report = LexicalStore(workspace.database).sync(name, lexical, workspace.raw.relation(collection))
    assert (report.rows, report.added) == (2000, 2000 - int(str(before[0])))
    assert sums(execute, str(table))[0] == 2000
