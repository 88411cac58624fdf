"""Row-level security of a table in place: a reader finds, counts and reads only what the policies show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import psycopg
import pytest
from fakes import ANIMALS, Declare, Execute, FakeStore, KeywordEncoder
from psycopg import sql

from vector_assets.errors import DatabaseError, NotLive, SourceError
from vector_assets.records import Vectors
from vector_assets.stores.connections import PINNED
from vector_assets.stores.database import READER
from vector_assets.stores.in_place import table_in_place
from vector_assets.stores.reader import Reader
from vector_assets.stores.workspace import Workspace

CAT = np.array([1, 0, 0, 0, 0], np.float32)
CHUNKS = {"text": {"fields": ["title", "body"], "chunk": {"by": "paragraph"}}}


@pytest.fixture
def as_role(workspace: Workspace, execute: Execute, name: str) -> Iterator[Callable[[str], Reader]]:
    """Readers of roles of their own, members of the reader role, that own nothing."""
    made: list[str] = []

    def reader(suffix: str) -> Reader:
        role = f"{name}_{suffix}"
        if role not in made:
            execute(sql.SQL("create role {} login in role {}").format(sql.Identifier(role), sql.Identifier(READER)))
            execute(sql.SQL("grant select on {} to {}").format(sql.Identifier(name), sql.Identifier(role)))
            made.append(role)
        return Reader(workspace.addresses.database.user(role), workspace.database.names, become=False)

    yield reader
    for role in made:
        execute(sql.SQL("drop owned by {0}").format(sql.Identifier(role)))
        execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def secure(execute: Execute, name: str) -> None:
    """Rows of a topic are seen by the role that is called after it: <name>_t0, <name>_t1, <name>_t2."""
    execute(f"alter table {name} enable row level security")
    execute(f"create policy own on {name} for select using ('{name}_' || topic = current_user)")


def live(workspace: Workspace, declare: Declare, **changes: object) -> FakeStore:
    store = FakeStore(workspace, declare(**changes), KeywordEncoder())
    store.embed()
    store.build(store.all()[0])
    store.swap(store.all()[0], because="test")
    return store


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("spaces", [None, CHUNKS])
def test_each_role_finds_counts_and_reads_its_own_rows(
    workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str,
    as_role: Callable[[str], Reader], exact: bool, spaces: object,
) -> None:  # fmt: skip
    animals(60)
    secure(execute, name)
    store = live(workspace, declare, **({"spaces": spaces} if spaces else {}))
    for topic in range(3):
        own = {i for i in range(1, 61) if i % 3 == topic}
        reader = as_role(f"t{topic}")
        hits = reader.search(store.live(), CAT, k=10, exact=exact)
        assert {int(hit.id) for hit in hits} <= own
        assert len(hits) == 10, "the others' rows, just as near, do not take the places of its own"
        assert [round(hit.score) for hit in hits[:5]] == [1] * 5, "its five cats come first"
        everything = reader.search(store.live(), CAT, k=1000, exact=exact)
        assert {int(hit.id) for hit in everything} == own
        connection = reader._connect()
        for table in (f"search.{name}_rows", f"embedding.{name}_g1", f"embedding.{name}_g1_rows"):
            counted = connection.execute(f"select count(distinct {'id' if 'search' in table else 'k1'}) from {table}")  # type: ignore[arg-type]
            assert counted.fetchone() == (20,), table
        reader.close()


def test_a_role_without_policies_of_its_own_sees_nothing(
    workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str,
    as_role: Callable[[str], Reader],
) -> None:  # fmt: skip
    animals(12)
    secure(execute, name)
    store = live(workspace, declare)
    reader = as_role("stranger")
    assert reader.search(store.live(), CAT, k=10, exact=False) == ()
    with pytest.raises(DatabaseError, match=f"may not search here: permission denied for table {name}"):
        workspace.reader().search(store.live(), CAT, k=10, exact=False)
    reader.close()


def test_policies_that_come_later_close_search_until_the_next_run(
    workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str,
    as_role: Callable[[str], Reader],
) -> None:  # fmt: skip
    animals(12)
    store = live(workspace, declare)
    reader = as_role("t1")
    assert len(reader.search(store.live(), CAT, k=100, exact=False)) == 12
    secure(execute, name)
    with pytest.raises(NotLive, match="row-level security since search was last made"):
        reader.search(store.live(), CAT, k=100, exact=False)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        reader._connect().execute(f"select count(*) from search.{name}_rows")  # type: ignore[arg-type]
    again = FakeStore(workspace, declare(), KeywordEncoder())
    again.show(again.live())
    assert {int(hit.id) % 3 for hit in reader.search(store.live(), CAT, k=100, exact=False)} == {1}
    execute(f"alter table {name} disable row level security")
    open_again = FakeStore(workspace, declare(), KeywordEncoder())
    open_again.show(open_again.live())
    assert len(reader.search(store.live(), CAT, k=100, exact=False)) == 12
    reader.close()


def test_a_writer_under_policies_is_refused(
    workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str
) -> None:
    """It would take hidden rows for deleted ones; even past our check, Postgres refuses the read."""
    animals(12)
    secure(execute, name)
    execute(f"create role {name}_writer login")
    execute(f"grant select on {name} to {name}_writer")
    url = workspace.addresses.database.user(f"{name}_writer").libpq
    try:
        with psycopg.connect(url, options=PINNED) as connection:
            collection = declare()
            with pytest.raises(SourceError, match=f"has policies that apply to {name}_writer") as caught:
                table_in_place(connection, collection, collection.source)  # type: ignore[arg-type]
            assert "\n" not in str(caught.value)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select count(*) from {name}")  # type: ignore[arg-type]
    finally:
        execute(f"drop owned by {name}_writer")
        execute(f"drop role {name}_writer")


def test_columns_of_a_secured_table_are_not_copied(
    workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str
) -> None:
    animals(4)
    secure(execute, name)
    with pytest.raises(SourceError, match="none of its columns is copied beside the vectors; leave out filters"):
        workspace.raw.relation(declare(filters=["topic"]))
    assert workspace.raw.relation(declare()).secured


def test_the_sync_goes_on_and_a_new_generation_is_guarded_too(
    workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str,
    as_role: Callable[[str], Reader],
) -> None:  # fmt: skip
    animals(12)
    secure(execute, name)
    store = live(workspace, declare)
    execute(f"insert into {name} values (100, 'cat new', 'b', 't1', 1, 'n')")
    execute(f"update {name} set topic = 't2' where id = 4")
    store.embed()
    reader = as_role("t1")
    assert {int(hit.id) for hit in reader.search(store.live(), CAT, k=100, exact=False)} == {1, 7, 10, 100}
    store.use(KeywordEncoder(list(ANIMALS), seed="other"))
    store.embed()
    new = store.all()[0]
    assert new.number == 2
    store.build(new)
    store.swap(new, because="test")
    assert {int(hit.id) for hit in reader.search(store.live(), CAT, k=100, exact=False)} == {1, 7, 10, 100}
    assert reader.search(store.live(), CAT, k=100, exact=False)[0].row["topic"] == "t1"
    reader.close()


MANY, SHOWN = 3000, 12  # enough rows that the planner asks the index; the last of them are what a policy shows


class AngleEncoder(KeywordEncoder):
    """The number in the text is an angle: the larger it is, the further from the question ``CAT``."""

    def _vectors(self, texts: object) -> Vectors:
        numbers = [int("".join(filter(str.isdigit, str(text)))) for text in texts]  # type: ignore[attr-defined]
        angles = np.array(numbers, np.float32) / MANY
        vectors = np.zeros((len(angles), 5), np.float32)
        vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
        return vectors


@pytest.mark.parametrize("most", [None, 1], ids=["to the end", "gives up"])
@pytest.mark.parametrize("chunks", [False, True], ids=["rows", "chunks"])
def test_the_index_is_asked_and_what_it_hides_is_found_by_a_scan(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, as_role: Callable[[str], Reader],
    chunks: bool, most: int | None,
) -> None:  # fmt: skip
    """All that is near is hidden: the index, allowed to look at next to nothing, hands out no row that may be seen."""
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    execute(
        f"insert into {name} select i, '', 'number ' || i, case when i > {MANY - SHOWN} then 't1' else 't0' end, 0 "
        f"from generate_series(1, {MANY}) i"
    )
    secure(execute, name)
    cut = {"chunk": {"by": "paragraph"}} if chunks else {}
    store = FakeStore(
        workspace, declare(spaces={"text": {"fields": ["body"], **cut}}), AngleEncoder(["1 cat"], width=5), page=1000
    )
    store.embed()
    store.build(store.all()[0])
    store.swap(store.all()[0], because="test")
    as_role("t1").close()
    with psycopg.connect(workspace.addresses.database.user(f"{name}_t1").libpq) as connection:
        connection.execute("select '[1]'::vector <=> '[1]'::vector")
        if most:
            connection.execute(f"set hnsw.max_scan_tuples = {most}".encode())
        rows = connection.execute(f"select id, score from search.{name}('[1,0,0,0,0]', 5)".encode()).fetchall()
        scans = connection.execute(
            f"select pg_stat_get_xact_numscans('embedding.{store.live().table}_hnsw'::regclass)".encode()
        ).fetchone()
    assert scans is not None
    assert scans[0] >= 1, "the planner asked the index, or this test would say nothing"
    nearest = [MANY - SHOWN + place for place in range(1, 6)]
    assert [row[0] for row in rows] == nearest
    np.testing.assert_allclose([row[1] for row in rows], np.cos(np.array(nearest) / MANY), atol=1e-5)
