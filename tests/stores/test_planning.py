"""What a run would cost, by what it would encode; and what it would do to the user's table."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.records import Encoded, Vectors
from vector_assets.source.open import open_source
from vector_assets.spec import Collection, Lexical
from vector_assets.stores import planned_rows as planned_rows_module
from vector_assets.stores import planning
from vector_assets.stores.estimates import FIRST, TEXTS, time_encoder
from vector_assets.stores.planned_changes import planned_changes
from vector_assets.stores.planned_rows import planned_rows
from vector_assets.stores.workspace import Workspace


@pytest.fixture
def documents(execute: Execute, name: str) -> Callable[[int], None]:
    """Makes a table of rows of one to five paragraphs; every tenth has no text."""

    def fill(count: int) -> None:
        execute(f"create table {name} (id text primary key, title text, body text, topic text, price float8)")
        execute(
            f"insert into {name} select md5(i::text), case when i % 10 > 0 then 'cat ' || i end, "
            "case when i % 10 > 0 then array_to_string(array("
            "select 'part ' || i || ' ' || j from generate_series(1, i % 5) j), "
            f"E'\\n\\n') end, repeat('t', i % 30), 1 from generate_series(1, {count}) i"
        )

    return fill


@pytest.mark.parametrize(("chunk", "chunks"), [({"by": "none"}, 20), ({"by": "paragraph"}, 60)])
def test_chunks_are_counted_before_the_run(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, monkeypatch: pytest.MonkeyPatch,
    chunk: dict[str, str], chunks: int,
) -> None:  # fmt: skip
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    execute(f"insert into {name} select i, 'cat ' || i, E'one\\n\\ntwo', 't', 1 from generate_series(1, 20) i")
    encoder = KeywordEncoder()
    monkeypatch.setattr(planning, "_loader", lambda *_: lambda: encoder)
    spaces = {"text": {"fields": ["title", "body"], "chunk": chunk}}
    found = planning.plan(workspace, declare(spaces=spaces))
    assert (found.rows, found.encode, found.chunks) == (20, 20, chunks)
    assert len(set(encoder.encoded)) == (20 if chunks == 20 else 22)


class Varied(KeywordEncoder):
    """Gives each text a vector of its own: an index holds equal ones once."""

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        drawn = [np.random.default_rng(zlib.crc32(text.encode())).standard_normal(self.dims) for text in texts]
        return np.stack([vector / np.linalg.norm(vector) for vector in drawn]).astype(np.float32)


@pytest.mark.parametrize(
    ("width", "chunk"), [(64, "none"), (384, "paragraph"), (768, "none"), (2304, "none")],
    ids=["narrow", "chunked", "in pieces", "halfvec"],
)  # fmt: skip
def test_what_is_planned_is_what_the_run_makes(
    workspace: Workspace, declare: Declare, documents: Callable[[int], None], monkeypatch: pytest.MonkeyPatch,
    width: int, chunk: str,
) -> None:  # fmt: skip
    documents(1200)
    collection = declare(
        spaces={"text": {"fields": ["title", "body"], "chunk": {"by": chunk}}}, filters=["topic"],
    )  # fmt: skip
    encoder = Varied(width=width)
    monkeypatch.setattr(planning, "_loader", lambda *_: lambda: encoder)
    planned = planning.plan(workspace, collection)
    assert planned.index is not None
    assert f"of {width:,} dimensions" in planned.index and ("halves" in planned.index) == (width == 2304)
    store = FakeStore(workspace, collection, encoder)
    report = store.embed().latest
    generation = store.all()[0]
    store.build(generation)
    table, index = workspace.embeddings.sizes(generation)
    [(vectors,)] = _count(workspace, store)
    assert planned.rows == planned.encode == report.encoded + report.empty == 1200
    assert planned.chunks == pytest.approx(vectors, rel=0.05)
    assert planned.table_bytes == pytest.approx(table, rel=0.25)
    assert planned.index_bytes == pytest.approx(index, rel=0.25)


def _count(workspace: Workspace, store: FakeStore) -> list[tuple[object, ...]]:
    with workspace.database.connect() as connection:
        table = workspace.embeddings.vectors_table(store.all()[0])
        return connection.execute(workspace.database.compose("select count(*) from {t}", t=table)).fetchall()


def test_the_index_of_words_is_in_the_plan(
    workspace: Workspace, declare: Declare, documents: Callable[[int], None], execute: Execute, name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Rows whose words would be cut are counted like rows to encode, and a first sync of words has its seconds."""
    documents(1200)
    store = FakeStore(workspace, declare(lexical=["title", "body"]), KeywordEncoder())
    monkeypatch.setattr(planning, "_loader", lambda *_: lambda: KeywordEncoder())
    planned = planning.plan(workspace, store.collection)
    bare = planning.plan(workspace, declare())
    assert (planned.words, bare.words, bare.words_bytes) == (1200, 0, 0)
    assert planned.seconds is not None and planned.rows_per_second == pytest.approx(
        1200 / (planned.seconds - planned.start_seconds)
    )
    store.embed()
    sizes = "select sum(pg_total_relation_size(oid)) from pg_class where relkind = 'r' and relname like %s"
    [(stored,)] = execute(sizes, (name + r"\_bm25\_%",))
    assert planned.words_bytes == pytest.approx(float(str(stored)), rel=0.25)
    execute(f"update {name} set title = 'dog' where body like 'part 7 %%'")
    execute(f"update {name} set price = 2")
    assert planning.plan(workspace, store.collection).words == 1, "what is not read is nothing"
    other = store.collection.model_copy(update={"lexical": Lexical(fields=["topic"], language="none")})
    assert planning.plan(workspace, other).words == 1200


def test_a_plan_leaves_nothing_behind(
    workspace: Workspace, declare: Declare, documents: Callable[[int], None], execute: Execute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    documents(30)
    monkeypatch.setattr(planning, "_loader", lambda *_: lambda: KeywordEncoder())
    tables = "select count(*) from pg_class where relname like '%planned%' or relname like 'capture%'"
    triggers = "select count(*) from pg_trigger"
    before = execute(tables), execute(triggers)
    for collection in (declare(), declare(lexical=["title"])):
        planning.plan(workspace, collection)
        assert (execute(tables), execute(triggers)) == before
    assert execute("select count(*) from ops.bm25_indexes where collection like '%planned%'") == [(0,)]


class Slow(KeywordEncoder):
    """Takes seconds a text of a clock that it winds itself."""

    def __init__(self, seconds: float, by_length: float = 0.0) -> None:
        super().__init__()
        self.seconds, self.by_length, self.now = seconds, by_length, 0.0

    def encode_documents(self, texts: Sequence[str]) -> Encoded:
        self.now += self.seconds * len(texts) + self.by_length * sum(map(len, texts))
        return super().encode_documents(texts)


@pytest.mark.parametrize(("seconds", "timed"), [(0.0001, TEXTS), (0.03, 128), (2.0, FIRST)])
def test_a_slow_encoder_is_asked_for_less(seconds: float, timed: int) -> None:
    encoder = Slow(seconds)
    found = time_encoder(lambda: encoder, [f"cat {number}" for number in range(2000)], clock=lambda: encoder.now)
    assert found.texts == timed
    assert found.seconds == pytest.approx(seconds)


def test_few_texts_are_as_long_as_all() -> None:
    """By characters: the mean of 1..1000, whatever the order."""
    encoder = Slow(1.0, by_length=0.01)
    texts = ["x" * number for number in range(1, 1001)]
    found = time_encoder(lambda: encoder, texts, clock=lambda: encoder.now)
    assert found.texts == FIRST and found.seconds == pytest.approx(1 + 5.0, rel=0.02)


def test_equal_texts_cost_as_much_as_in_the_run() -> None:
    encoder = Slow(0.001)
    texts = ["cat", "dog"] * 500
    assert time_encoder(lambda: encoder, texts, clock=lambda: encoder.now).seconds == pytest.approx(0.002 / TEXTS)


def test_of_a_source_that_changed_only_the_rows_that_differ_are_counted(
    workspace: Workspace, declare: Declare, tmp_path: Path, execute: Execute, name: str
) -> None:
    def write(titles: Sequence[str]) -> None:
        lines = [json.dumps({"id": f"r{number}", "title": title}) for number, title in enumerate(titles)]
        (tmp_path / "rows.jsonl").write_text("\n".join(lines))

    source = {"kind": "file", "path": str(tmp_path / "rows.jsonl")}
    collection = declare(source=source, fields={"title": "text"}, spaces={"text": {"fields": ["title"]}})
    store = FakeStore(workspace, collection, KeywordEncoder())
    titles = [f"cat {number}" for number in range(40)]
    write(titles)
    assert (planned_rows(store).rows, planned_rows(store).encode) == (40, 40)
    workspace.raw.sync(collection, open_source(collection))
    store.embed()
    assert planned_rows(store).encode == 0
    write(["dog", *titles[1:30], "owl", *titles[31:], "fish"])
    found = planned_rows(store)
    assert (found.rows, found.encode, len(found.sample)) == (41, 3, 41)
    assert execute(f"select count(*) from raw.{name}") == [(40,)], "a plan writes nothing"
    workspace.raw.sync(collection, open_source(collection))
    assert store.embed().latest.encoded == 3


def test_for_another_layout_every_row_is_counted(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], tmp_path: Path, name: str
) -> None:
    animals(20)
    store = FakeStore(workspace, declare(), KeywordEncoder())
    store.embed()
    assert planned_rows(store).encode == 0
    store.use(KeywordEncoder(seed="another checkpoint"))
    assert planned_rows(store).encode == 20
    assert sorted(planned_rows(store).keys) == [(number,) for number in range(1, 21)], "whole numbers stay whole"


def test_messages_that_wait_are_rows_to_encode(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    def send(*ids: str) -> None:
        for one in ids:
            message = json.dumps({"op": "upsert", "id": one, "title": f"cat {one}"})
            execute(f"insert into {name}_inbox (message) values (%s)", (message,))

    execute(f"create table {name}_inbox (position bigint generated always as identity primary key, message jsonb)")
    source = {"kind": "queue", "queue": f"{name}_inbox"}
    collection = declare(source=source, fields={"title": "text"}, spaces={"text": {"fields": ["title"]}})
    store = FakeStore(workspace, collection, KeywordEncoder())
    send("a", "b", "c")
    found = planned_rows(store)
    assert (found.rows, found.encode, found.sample) == (3, 3, []), "to look at a message is to take it"
    workspace.raw.sync(collection, open_source(collection))
    store.embed()
    send("d", "e")
    found = planned_rows(store)
    assert (found.rows, found.encode, len(found.sample)) == (5, 2, 3)


def test_a_sample_is_spread_over_all_rows(
    workspace: Workspace, declare: Declare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rows as they are read, and of rows that are stored; a line that cannot be read is no row."""
    monkeypatch.setattr(planned_rows_module, "SAMPLE", 20)
    lines = [json.dumps({"id": f"{number:03}", "title": f"cat {number}"}) for number in range(200)]
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines, '{"id": ']))
    source = {"kind": "file", "path": str(tmp_path / "rows.jsonl")}
    collection = declare(source=source, fields={"title": "text"}, spaces={"text": {"fields": ["title"]}})
    store = FakeStore(workspace, collection, KeywordEncoder())
    read = planned_rows(store)
    workspace.raw.sync(collection, open_source(collection))
    stored = planned_rows(store)
    for found in (read, stored):
        places = [int(str(key)) for (key,) in found.keys]
        assert (found.rows, len(set(places))) == (200, 20)
        assert [row["title"] for row in found.sample] == [f"cat {place}" for place in places]
        assert 60 < np.mean(places) < 140 and min(places) < 50 < 150 < max(places)


def test_triggers_are_shown_before_they_are_made(
    workspace: Workspace, declare: Declare, documents: Callable[[int], None], execute: Execute, name: str
) -> None:
    documents(3)
    collection = declare()
    found = planned_changes(workspace, collection)
    assert found.capture == "trigger" and "four triggers" in found.said
    assert sum("create trigger" in statement for statement in found.sql) == 4
    made = "select pg_get_triggerdef(oid) from pg_trigger where tgrelid = '{}'::regclass and tgname ~ 'vector_assets'"
    assert not execute(made.format(name))
    with workspace.database.connect() as connection:
        for statement in found.sql:
            connection.execute(statement.encode())  # they run as they are shown
        shown = connection.execute(made.format(name)).fetchall()
        connection.rollback()
    workspace.raw.observe(collection)
    assert len(shown) == 4 and _unnumbered(shown) == _unnumbered(execute(made.format(name)))
    again = planned_changes(workspace, collection)
    assert (again.capture, again.sql) == ("trigger", ()) and "they are there" in again.said
    removed = planned_changes(workspace, declare(source=_source(collection, "scan")))
    assert removed.capture == "scan" and "removed" in removed.said
    assert [statement.split()[:2] for statement in removed.sql] == [["drop", "function"]]


@pytest.mark.parametrize("capture", ["scan", "watermark"])
def test_what_the_other_captures_mean_is_said(
    workspace: Workspace, declare: Declare, documents: Callable[[int], None], execute: Execute, name: str, capture: str
) -> None:
    documents(3)
    execute(f"alter table {name} add column seen_at timestamptz")
    found = planned_changes(workspace, declare(source=_source(declare(), capture)))
    assert (found.capture, found.sql) == (capture, ()) and "nothing is made on the table" in found.said
    assert ("seen_at" in found.said) == (capture == "watermark")


def test_a_table_that_refuses_triggers_is_said_to_be_scanned_and_why(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    columns = "id bigint, title text, body text, topic text, price float8, primary key (id)"
    execute(f"create table {name} ({columns}) partition by hash (id)")
    found = planned_changes(workspace, declare())
    assert (found.capture, found.sql) == ("scan", ()) and "pass its triggers by" in found.said


def _unnumbered(definitions: list[tuple[object, ...]]) -> list[str]:
    return sorted(re.sub(r"capture_\d+", "capture_N", str(definition)) for (definition,) in definitions)


def _source(collection: Collection, capture: str) -> dict[str, str]:
    named = {"watermark": "seen_at"} if capture == "watermark" else {}
    return {"kind": "postgres", "table": collection.name, "capture": capture, **named}
