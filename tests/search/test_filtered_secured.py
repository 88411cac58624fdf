"""Filters over a table with policies: a role finds rows that match among those it may see, and as many as there are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import psycopg
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from psycopg import sql

from vector_assets.stores.database import READER
from vector_assets.stores.reader import Reader
from vector_assets.stores.workspace import Workspace

CAT = np.array([1, 0, 0, 0, 0], np.float32)


@pytest.mark.parametrize("most", [None, 1])
def test_a_filter_shows_nothing_that_policies_hide(
    workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str,
    most: int | None,
) -> None:  # fmt: skip
    animals(300)
    role = f"{name}_t1"
    execute(sql.SQL("create role {} login in role {}").format(sql.Identifier(role), sql.Identifier(READER)))
    execute(sql.SQL("grant select on {} to {}").format(sql.Identifier(name), sql.Identifier(role)))
    execute(f"alter table {name} enable row level security")
    execute(f"create policy own on {name} for select using ('{name}_' || topic = current_user)")
    store = FakeStore(workspace, declare(), KeywordEncoder())
    store.embed()
    store.build(store.all()[0])
    store.swap(store.all()[0], because="test")
    reader = Reader(workspace.addresses.database.user(role), workspace.database.names, become=False)
    try:
        if most:
            reader._connect().execute("select '[1]'::vector <=> '[1]'::vector")
            reader._connect().execute(f"set hnsw.max_scan_tuples = {most}".encode())
        for tree, own in (
            ({"field": "price", "op": "<=", "value": 60}, {i for i in range(1, 61) if i % 3 == 1}),
            ({"field": "price", "op": ">", "value": 0}, {i for i in range(1, 301) if i % 3 == 1}),
            ({"field": "topic", "op": "!=", "value": "t1"}, set()),
            ({"field": "topic", "op": "is", "value": None}, set()),
        ):
            for k in (5, 1000):
                hits = reader.search(store.live(), CAT, k=k, exact=False, filter=tree)
                assert len(hits) == min(k, len(own))
                assert {int(hit.id) for hit in hits} <= own
                cats = sum(i % 4 == 0 for i in own)
                assert [round(hit.score) for hit in hits[:cats]] == [1] * min(cats, len(hits)), "the nearest come first"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            workspace.reader()._connect().execute(
                f"select * from search.{name}_filtered('[1,0,0,0,0]', 5, false, '{{\"and\": []}}')".encode()
            )
    finally:
        reader.close()
        execute(sql.SQL("drop owned by {0}").format(sql.Identifier(role)))
        execute(sql.SQL("drop role {}").format(sql.Identifier(role)))
