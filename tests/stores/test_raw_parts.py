"""Files: only those that changed are opened again, and rows leave with the file they were in."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder, ListReader
from pyarrow import parquet

from vector_assets.errors import SourceError
from vector_assets.records import RawRow
from vector_assets.source import files as files_module
from vector_assets.source.open import open_source
from vector_assets.spec import Collection
from vector_assets.stores.raw_write import RawSync
from vector_assets.stores.retry import retry_failures
from vector_assets.stores.workspace import Workspace


@dataclass
class Folder:
    """JSONL files somewhere, copied to raw."""

    workspace: Workspace
    declare: Declare
    execute: Execute
    name: str
    root: str
    opened: list[str]
    path: str = "*.jsonl"

    def write(self, name: str, *rows: object) -> None:
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        with fsspec.open(f"{self.root}/{name}", "w", auto_mkdir=True) as stream:
            stream.write("".join(f"{line}\n" for line in lines))

    def titles(self, name: str, **titles: str) -> None:
        self.write(name, *({"id": key, "title": title, "price": 1} for key, title in titles.items()))

    def remove(self, name: str) -> None:
        system, path = fsspec.url_to_fs(f"{self.root}/{name}")
        system.rm(path)

    def collection(self, **source: object) -> Collection:
        return self.declare(
            source={"kind": "file", "path": f"{self.root}/{self.path}", **source},
            fields={"title": "text", "price": "number"},
            spaces={"text": {"fields": ["title"]}},
        )

    def sync(self, *, partitions: Sequence[str] | None = None, **source: object) -> RawSync:
        self.opened.clear()
        collection = self.collection(**source)
        return self.workspace.raw.sync(collection, open_source(collection), partitions=partitions)

    def stored(self) -> dict[object, tuple[object, ...]]:
        rows = self.execute(f"select id, title, xmin::text from raw.{self.name} order by id")
        return {row[0]: row[1:] for row in rows}

    def rows(self) -> dict[object, object]:
        return {key: values[0] for key, values in self.stored().items()}

    def failures(self) -> dict[str, str]:
        prefix = fsspec.url_to_fs(self.root)[1] if "://" in self.root else self.root
        found = self.workspace.failures.list(self.name)
        keys = {f.row_key: re.sub(r"^(memory|s3)://", "", f.row_key).removeprefix(f"{prefix}/") for f in found}
        return {keys[f.row_key]: f.error for f in found}


@pytest.fixture(params=["local", "memory", "s3"])
def folder(
    request: pytest.FixtureRequest,
    workspace: Workspace,
    declare: Declare,
    execute: Execute,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Folder:
    opened: list[str] = []
    plain = files_module.open_bytes

    def counted(file: files_module.SourceFile):  # type: ignore[no-untyped-def]
        opened.append(file.name.rpartition("/")[2])
        return plain(file)

    monkeypatch.setattr(files_module, "open_bytes", counted)
    roots = {"local": lambda: str(tmp_path), "memory": lambda: f"memory://{name}"}
    roots["s3"] = lambda: f"{request.getfixturevalue('object_store')}/{name}"
    root = roots[request.param]()
    return Folder(workspace, declare, execute, name, root, opened)


def counts(sync: RawSync) -> tuple[int, int, int, int]:
    return sync.rows, sync.inserted, sync.updated, sync.deleted


def test_only_files_that_changed_are_opened_and_only_rows_that_differ_are_written(folder: Folder) -> None:
    folder.titles("a.jsonl", a1="cat", a2="dog")
    folder.titles("b.jsonl", b1="cat", b2="dog")
    assert counts(folder.sync()) == (4, 4, 0, 0)
    before = folder.stored()
    again = folder.sync()
    assert (counts(again), again.read, folder.opened) == ((4, 0, 0, 0), False, [])
    folder.titles("b.jsonl", b1="cat", b2="owl", b3="fish")
    folder.titles("c.jsonl", c1="cat")
    third = folder.sync()
    assert (counts(third), folder.opened) == ((6, 2, 1, 0), ["b.jsonl", "c.jsonl"])
    after = folder.stored()
    assert {key: after[key] for key in ("a1", "a2", "b1")} == {key: before[key] for key in ("a1", "a2", "b1")}
    assert third.version != again.version


def test_rows_leave_with_their_file_and_with_their_line(folder: Folder) -> None:
    folder.titles("a.jsonl", a1="cat", a2="dog")
    folder.titles("b.jsonl", b1="cat", b2="dog")
    folder.sync()
    folder.remove("a.jsonl")
    folder.titles("b.jsonl", b1="cat")
    assert counts(folder.sync()) == (1, 0, 0, 3)
    assert folder.rows() == {"b1": "cat"}


def test_an_id_that_moves_between_files_stays_one_row(folder: Folder) -> None:
    folder.titles("a.jsonl", a1="cat", x="dog")
    folder.titles("b.jsonl", b1="cat")
    folder.sync()
    folder.titles("a.jsonl", a1="cat")
    folder.titles("b.jsonl", b1="cat", x="dog")
    assert counts(folder.sync()) == (3, 0, 1, 0)
    folder.titles("b.jsonl", b1="cat")
    folder.titles("c.jsonl", x="owl")
    assert counts(folder.sync()) == (3, 0, 1, 0)
    folder.remove("c.jsonl")
    assert counts(folder.sync()) == (2, 0, 0, 1)
    assert folder.rows() == {"a1": "cat", "b1": "cat"}


def test_an_id_that_stands_in_an_unchanged_file_as_well_is_refused(folder: Folder) -> None:
    folder.titles("a.jsonl", a1="cat")
    folder.titles("b.jsonl", b1="cat")
    folder.sync()
    before = folder.stored()
    folder.titles("c.jsonl", a1="dog", c1="dog")
    with pytest.raises(SourceError, match=r"c\.jsonl: \"id\" 'a1' stands in .*a\.jsonl as well; expected each id once"):
        folder.sync()
    assert folder.stored() == before


def test_a_file_or_a_glob_that_is_suddenly_empty_is_refused_unless_meant(folder: Folder) -> None:
    folder.titles("a.jsonl", a1="cat")
    folder.titles("b.jsonl", b1="cat")
    folder.sync()
    before = folder.stored()
    folder.write("b.jsonl")
    with pytest.raises(SourceError, match=r"b\.jsonl has no row, where there were 1 rows; .*allow_empty: true"):
        folder.sync()
    folder.remove("b.jsonl")
    folder.remove("a.jsonl")
    with pytest.raises(SourceError, match=r"no file matches.*declare allow_empty: true in source"):
        folder.sync()
    assert folder.stored() == before
    assert counts(folder.sync(allow_empty=True)) == (0, 0, 0, 2)
    folder.titles("a.jsonl", a1="cat")
    assert counts(folder.sync()) == (1, 1, 0, 0)


def test_peers_trap_a_row_that_becomes_unreadable_keeps_its_last_good_state(folder: Folder) -> None:
    """Its vector goes on answering, and ``failures`` names it; a broken line shields what is missing from its file."""
    folder.titles("a.jsonl", a1="cat", a2="dog", a3="owl")
    folder.titles("b.jsonl", b1="cat", b2="dog")
    folder.sync()
    folder.write(
        "a.jsonl", {"id": "a1", "title": "fish", "price": 1}, {"id": "a2", "title": 7}, {"id": "a4", "title": "new"}
    )
    done = folder.sync()
    assert (counts(done), done.unreadable) == ((5, 1, 1, 1), 1), "a3 left, for every line of the file has a name"
    assert folder.rows() == {"a1": "fish", "a2": "dog", "a4": "new", "b1": "cat", "b2": "dog"}
    assert folder.failures() == {"a.jsonl:2": "title: expected text, found the number 7"}
    folder.write("b.jsonl", '{"id": "b1", "tit', {"id": "b3", "title": "new", "price": 1})
    assert (counts(folder.sync()), set(folder.rows())) == ((6, 1, 0, 0), {"a1", "a2", "a4", "b1", "b2", "b3"})
    assert set(folder.failures()) == {"a.jsonl:2", "b.jsonl:1"}, "of files that were not read as well"
    folder.titles("a.jsonl", a1="fish", a2="mended")
    folder.titles("b.jsonl", b3="new")
    assert counts(folder.sync()) == (3, 0, 1, 3)
    assert folder.failures() == {}


def test_a_file_that_is_read_no_more_takes_its_failures_along(folder: Folder) -> None:
    folder.titles("a.jsonl", a1="cat")
    folder.write("b.jsonl", {"id": "b1", "title": "cat"}, "{broken")
    assert folder.sync().unreadable == 1
    folder.remove("b.jsonl")
    assert folder.sync().unreadable == 0


def test_retry_opens_the_files_with_unreadable_rows_and_no_other(folder: Folder) -> None:
    folder.titles("a.jsonl", a1="cat")
    folder.write("b.jsonl", {"id": "b1", "title": "cat"}, {"id": "b2", "title": 7})
    assert folder.sync().unreadable == 1
    assert (folder.sync().read, folder.opened) == (False, [])
    retry_failures(FakeStore(folder.workspace, folder.collection(), KeywordEncoder()))
    again = folder.sync()
    assert (counts(again), again.unreadable, folder.opened) == ((2, 0, 0, 0), 1, ["b.jsonl"])
    assert (folder.sync().read, folder.opened) == (False, []), "once, until it is asked for again"


def test_a_renamed_file_is_read_and_encodes_nothing(folder: Folder) -> None:
    folder.titles("a.jsonl", a1="cat", a2="dog")
    folder.titles("b.jsonl", b1="cat")
    folder.sync()
    encoder = KeywordEncoder()
    store = FakeStore(folder.workspace, folder.collection(), encoder)
    store.embed()
    encoder.encoded.clear()
    folder.remove("a.jsonl")
    folder.titles("moved.jsonl", a1="cat", a2="dog")
    done = folder.sync()
    assert (done.rows, done.inserted, done.deleted, folder.opened) == (3, 0, 0, ["moved.jsonl"])
    report = store.embed().latest
    assert (encoder.encoded, report.unchanged, report.removed) == ([], 3, 0)
    folder.remove("moved.jsonl")
    assert counts(folder.sync()) == (1, 0, 0, 2), "they are the rows of the renamed file now"


def test_insert_100_update_50_delete_20_is_exactly_150_encodes(folder: Folder) -> None:
    encoder = KeywordEncoder()

    def embed() -> int:
        before = len(encoder.encoded)
        FakeStore(folder.workspace, folder.collection(), encoder).embed()
        return len(encoder.encoded) - before

    folder.titles("a.jsonl", **{f"a{i}": f"cat {i}" for i in range(100)})
    folder.titles("b.jsonl", **{f"b{i}": f"dog {i}" for i in range(100)})
    folder.sync()
    assert embed() == 200
    folder.titles("b.jsonl", **{f"b{i}": f"{'owl' if i < 50 else 'dog'} {i}" for i in range(80)})
    folder.titles("c.jsonl", **{f"c{i}": f"cat {i}" for i in range(100)})
    assert counts(folder.sync()) == (280, 100, 50, 20)
    assert embed() == 150


def test_other_fields_or_a_dropped_table_read_every_file_again(folder: Folder) -> None:
    folder.titles("a.jsonl", a1="cat")
    folder.titles("b.jsonl", b1="cat")
    folder.sync()
    wider = folder.declare(
        source={"kind": "file", "path": f"{folder.root}/*.jsonl"},
        fields={"title": "text", "price": "category"},
        spaces={"text": {"fields": ["title"]}},
    )
    folder.opened.clear()
    done = folder.workspace.raw.sync(wider, open_source(wider))
    assert (counts(done), len(folder.opened)) == ((2, 0, 2, 0), 2)
    folder.sync()
    folder.execute(f"drop table raw.{folder.name}")
    assert counts(folder.sync()) == (2, 2, 0, 0)


def days(folder: Folder, *numbers: int, title: str = "cat") -> None:
    for day in numbers:
        for part in "xy":
            folder.titles(f"day=2026-01-{day:02}/{part}.jsonl", **{f"d{day}{part}": f"{title} {day}"})


PARTITIONED = {"partition": "day", "since": "2026-01-01"}


def test_a_backfill_of_seven_days_opens_and_touches_only_those(folder: Folder) -> None:
    """Row A2."""
    folder.path = "day={date}/*.jsonl"
    days(folder, *range(1, 15))
    first = folder.sync(**PARTITIONED)
    assert counts(first) == (28, 28, 0, 0)
    assert sorted(first.partitions) == [f"2026-01-{day:02}" for day in range(1, 15)]
    before = folder.stored()
    days(folder, *range(1, 15), title="dog")
    week = [f"2026-01-{day:02}" for day in range(3, 10)]
    done = folder.sync(partitions=week, **PARTITIONED)
    assert counts(done) == (28, 0, 14, 0)
    assert len(folder.opened) == 14
    assert sorted(done.partitions) == week
    assert all(done.partitions[day] != first.partitions[day] for day in week)
    after = folder.stored()
    assert sum(after[key] != before[key] for key in before) == 14
    assert counts(folder.sync(partitions=week, **PARTITIONED)) == (28, 0, 0, 0), "read again, nothing differs"
    assert len(folder.opened) == 14, "a backfill asks for a reading, whether or not files changed"
    rest = folder.sync(**PARTITIONED)
    assert (counts(rest), len(folder.opened)) == ((28, 0, 14, 0), 14), "the others were not taken for read"
    assert folder.sync(**PARTITIONED).read is False


def test_a_partition_can_be_the_first_and_lose_its_files(folder: Folder) -> None:
    folder.path = "{date:%Y/%m/%d}.jsonl"
    folder.titles("2026/01/01.jsonl", a="cat")
    folder.titles("2026/01/02.jsonl", b="cat")
    folder.titles("2025/12/31.jsonl", old="cat")
    assert counts(folder.sync(partitions=["2026-01-02"], **PARTITIONED)) == (1, 1, 0, 0)
    assert counts(folder.sync(**PARTITIONED)) == (2, 1, 0, 0), "and files before the first partition are left out"
    folder.remove("2026/01/02.jsonl")
    with pytest.raises(SourceError, match="no file matches, where there were 1 rows"):
        folder.sync(partitions=["2026-01-02"], **PARTITIONED)
    done = folder.sync(**PARTITIONED)
    assert (counts(done), done.partitions) == ((1, 0, 0, 1), {"2026-01-02": "0"})


def test_a_path_without_a_time_is_refused(folder: Folder) -> None:
    folder.path = "day={date}/*.jsonl"
    folder.titles("day=2026-13-01/a.jsonl", a="cat")
    with pytest.raises(SourceError, match="its path has no time such as %Y-%m-%d; expected"):
        folder.sync(**PARTITIONED)


def test_parquet_keys_are_held_against_the_first_file(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, tmp_path: Path
) -> None:
    folder = Folder(workspace, declare, execute, name, str(tmp_path), [], "*.parquet")
    parquet.write_table(pa.table({"id": [1, 2], "title": ["cat", "dog"], "price": [1.0, 2.0]}), tmp_path / "a.parquet")
    assert counts(folder.sync()) == (2, 2, 0, 0)
    parquet.write_table(pa.table({"id": ["x"], "title": ["cat"], "price": [1.0]}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"id is bigint in .*a\.parquet and text in .*b\.parquet; expected one"):
        folder.sync()
    parquet.write_table(pa.table({"id": [3], "title": ["cat"], "price": [1.0]}), tmp_path / "b.parquet")
    assert counts(folder.sync()) == (3, 1, 0, 0)
    assert set(folder.rows()) == {1, 2, 3}


def test_a_partition_read_alone_leaves_rows_from_before_there_were_parts(folder: Folder) -> None:
    """Rows of an earlier source have no part: only a reading of every part knows that they are nowhere."""
    old = [RawRow(("old",), ("cat", 1.0)), RawRow(("a2",), ("owl", 1.0))]
    folder.workspace.raw.sync(folder.collection(), ListReader(old))
    folder.path = "day={date}/*.jsonl"
    for day in (1, 2):
        folder.titles(f"day=2026-01-0{day}/rows.jsonl", **{f"a{day}": "dog"})
    folder.sync(partitions=["2026-01-02"], **PARTITIONED)
    assert folder.rows() == {"a2": "dog", "old": "cat"}
    folder.sync(**PARTITIONED)
    assert folder.rows() == {"a1": "dog", "a2": "dog"}
