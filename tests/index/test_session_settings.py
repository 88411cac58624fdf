"""Policies that ask current_setting() who is reading: the setting comes from connect(), or from --set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import Project, refused
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets import connect
from vector_assets.errors import UserError
from vector_assets.stores.database import READER
from vector_assets.stores.session_settings import checked_settings, read_settings
from vector_assets.stores.workspace import Workspace

CAT = np.array([1, 0, 0, 0, 0], np.float32)
DECLARATION = """type: vector_assets.CollectionComponent
attributes:
  name: {name}
  source: {{kind: postgres, table: {name}}}
  fields: {{title: text, body: text, topic: category, price: number}}
  spaces:
    text: {{fields: [title, body]}}
"""


@pytest.fixture
def project(
    in_workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str,
    tmp_path: Path, session_home: Path, capsys: pytest.CaptureFixture[str],
) -> Iterator[Project]:  # fmt: skip
    """Forty animals, live; a topic's rows are seen by whom app.tenant names."""
    animals(40)
    execute(f"alter table {name} enable row level security")
    execute(f"create policy tenant on {name} for select using (topic = current_setting('app.tenant', true))")
    execute(f"grant select on {name} to {READER}")
    store = FakeStore(in_workspace, declare(), KeywordEncoder())
    store.embed()
    store.build(store.all()[0])
    store.swap(store.all()[0], because="test")
    made = Project(tmp_path, name, session_home, capsys)
    made.write(DECLARATION, rows=None)
    yield made
    execute(f"revoke select on {name} from {READER}")


def test_a_reader_finds_the_rows_of_whom_its_setting_names(project: Project, execute: Execute) -> None:
    for topic in ("t0", "t1", "it's"):
        client = connect(project.root, settings={"app.tenant": topic}).collection(project.name)
        own = {str(row[0]) for row in execute(f"select id from {project.name} where topic = %s", (topic,))}
        reader = client.workspace.reader()
        hits = reader.search(reader.live(project.name), CAT, k=100, exact=False)
        assert {hit.id for hit in hits} == own
        assert bool(own) == (topic != "it's")
        reader._connect().close()
        again = reader.search(reader.live(project.name), CAT, k=100, exact=False)
        assert {hit.id for hit in again} == own, "a connection that was opened anew has it too"
        reader.close()
    nobody = connect(project.root).collection(project.name).workspace.reader()
    assert nobody.search(nobody.live(project.name), CAT, k=100, exact=False) == ()
    nobody.close()


def test_the_command_line_sets_it(project: Project) -> None:
    done = project.command("search", project.name, "--like", "4", "-k", "100", "--set", "app.tenant=t1", "--json")
    assert done.returncode == 0, done.stderr
    assert {hit["row"]["topic"] for hit in json.loads(done.stdout)["hits"]} == {"t1"}
    refused(project.command("search", project.name, "--like", "4", "--set", "app.tenant=t0"), "has no such row")
    refused(project.command("search", project.name, "--like", "4"), "has no such row")
    for given, said in (
        ("app.tenant", "--set app.tenant: expected NAME=VALUE, such as app.tenant=acme"),
        ("role=postgres", "--set 'role': expected a name with a dot"),
        ("hnsw.ef_search=1", "--set hnsw.ef_search: is a setting of search itself"),
    ):
        refused(project.command("search", project.name, "--like", "4", "--set", given), said)


@pytest.mark.parametrize(
    "name", ["role", "row_security", "search_path", "", "a", "a.", ".a", "a b.c", "a.b;c", "a.b'", "a." + "b" * 70, 3]
)
def test_only_names_with_a_dot_are_settings(name: str) -> None:
    with pytest.raises(UserError, match=r"expected a name with a dot that your policies read, such as app\.tenant"):
        checked_settings({name: "x"})


@pytest.mark.parametrize("name", ["hnsw.ef_search", "IVFFLAT.probes", "vector_assets.x", "plpgsql.extra_errors"])
def test_our_own_settings_are_nobody_elses(name: str) -> None:
    with pytest.raises(UserError, match="is a setting of search itself"):
        checked_settings({name: "1"})


def test_values_are_texts_and_each_name_stands_once() -> None:
    assert read_settings(["app.tenant=a=b", "app.user="]) == {"app.tenant": "a=b", "app.user": ""}
    with pytest.raises(UserError, match=r"--set app\.tenant: is set twice"):
        read_settings(["app.tenant=a", "app.tenant=b"])
    for value in (3, None, "a\0"):
        with pytest.raises(UserError, match="expected a text without NUL"):
            checked_settings({"app.tenant": value})  # type: ignore[dict-item]
