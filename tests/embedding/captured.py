"""What the tests of syncs share: what the next one would do, what a generation holds, and whether it is true."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.records import Generation
from vector_assets.stores.difference import Difference
from vector_assets.stores.workspace import Workspace

Connect = Callable[[], psycopg.Connection]


def embedded(workspace: Workspace, declare: Declare, *, seen: str = "trigger", **source: str) -> FakeStore:
    """Return a table of titles whose writes are seen in the way that ``seen`` names, embedded as it is."""
    own = {"source": {"kind": "postgres", "table": declare().name, **source}} if source else {}
    collection = declare(fields={"title": "text"}, spaces={"text": {"fields": ["title"]}}, **own)
    store = FakeStore(workspace, collection, KeywordEncoder())
    assert seen in workspace.raw.observe(collection).capture
    store.embed()
    return store


def listed(store: FakeStore, generation: Generation | None = None) -> Difference:
    """What the next sync would do; its cursor stays where it was."""
    generation = generation or store.all()[0]
    try:
        with store.sync(generation, reuse=None, run_id=None) as sync:
            raise _Seen(sync.difference)
    except _Seen as seen:
        return seen.difference


class _Seen(Exception):
    def __init__(self, difference: Difference) -> None:
        super().__init__()
        self.difference = difference


def texts(execute: Execute, store: FakeStore) -> bool:
    """Tell whether the generation holds exactly the rows of the table, each with the vector of its text."""
    counted = store._counted(store.all()[0])
    return (counted.pending, counted.orphans, counted.stale) == (0, 0, 0)


def vectors(execute: Execute, generation: Generation) -> dict[object, tuple[object, ...]]:
    """Stored bytes of each vector by key."""
    rows = execute(
        f'select k1, vector_send(vector), chunk_digest, xmin::text from embedding."{generation.table}" order by k1'
    )
    return {row[0]: row[1:] for row in rows}
