"""The SQL in docs/sql.md and docs/filters.md runs as it stands, through psql, as the reader role."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from fakes import FakeStore, KeywordEncoder
from real_servers import RealServer

from vector_assets.runtime.pg_binaries import installed_binaries
from vector_assets.search.engine import SearchEngine
from vector_assets.spec import Collection
from vector_assets.stores.database import READER
from vector_assets.stores.workspace import open_workspace

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCKS = [
    (page.stem, block)
    for page in sorted(DOCS.glob("*.md"))
    for block in re.findall(r"```sql\n(.*?)```", page.read_text(), flags=re.S)
    if "search." in block
]
PAPERS = {
    "name": "papers",
    "source": {"kind": "postgres", "table": "papers"},
    "fields": {"title": "text", "topic": "category", "price": "number"},
    "spaces": {"text": {"fields": ["title"]}},
    "lexical": ["title"],
}


@pytest.fixture(scope="module")
def papers(server: RealServer, session_home: Path) -> Iterator[FakeStore]:
    """Forty papers about animals, live, in a database of their own: other tests have papers too."""
    name = "sql_docs"
    server.run(f"create database {name}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VECTOR_ASSETS_HOME", str(session_home))
        patch.setenv("VECTOR_ASSETS_DATABASE_URL", server.url(name))
        workspace = open_workspace()
        with psycopg.connect(workspace.database.url.libpq, autocommit=True) as connection:
            connection.execute("create table papers (id bigint primary key, title text, topic text, price float8)")
            connection.execute(
                "insert into papers select i, (array['cat','dog','owl','fish'])[1 + i % 4] || ' ' || i, "
                "'t' || i % 3, i from generate_series(1, 40) i"
            )
        store = FakeStore(workspace, Collection.model_validate(PAPERS), KeywordEncoder())
        store.embed()
        store.build(store.all()[0])
        store.swap(store.all()[0], because="test")
        yield store
    server.run(f"drop database {name} with (force)")


def psql(store: FakeStore, block: str, checkpoint: str | None = None) -> subprocess.CompletedProcess[str]:
    url = store.workspace.addresses.database.user(READER).libpq
    engine = SearchEngine(store.workspace.reader(), "papers", store.reader_encoder)  # type: ignore[arg-type]
    asked = engine.vector("cat")
    settings = [
        "-v",
        "ON_ERROR_STOP=1",
        "-v",
        f"q={list(asked.values)}",
        "-v",
        f"checkpoint={checkpoint or asked.checkpoint}",
    ]
    return subprocess.run(
        [str(installed_binaries().program("psql")), "-X", "-At", *settings, url],
        input=block, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_every_face_is_shown() -> None:
    shown = "\n".join(block for _, block in BLOCKS)
    assert [
        ending for ending in ("(", "_rows", "_bm25(", "_hybrid(", "_vectors(") if f"search.papers{ending}" not in shown
    ] == []


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_a_block_runs_and_finds_something(papers: FakeStore, page: str, block: str) -> None:
    done = psql(papers, block)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() or "calibrations" in block, "it answers something"


def test_the_named_checkpoint_guards(papers: FakeStore) -> None:
    block = next(block for _, block in BLOCKS if "checkpoint => :'checkpoint'" in block)
    done = psql(papers, "\\set VERBOSITY verbose\n" + block, "0" * 64)
    assert done.returncode == 3
    assert "55000: checkpoint" in done.stderr
    assert "is not live for collection papers" in done.stderr
