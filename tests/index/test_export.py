"""Export: bit-equal on any file system, whole or not there, never over somebody else's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from pyarrow import parquet

import vector_assets
from vector_assets.errors import ExportError, NotLive
from vector_assets.index import export as export_module
from vector_assets.index.export import Exported, ExportPlan, write_export
from vector_assets.index.export_parts import ExportBlock
from vector_assets.stores import exporting
from vector_assets.stores.exporting import export_live
from vector_assets.stores.workspace import Workspace


@pytest.fixture(params=["local", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path / "out")
    elif request.param == "s3":
        yield f"{request.getfixturevalue('object_store')}/exports/{name}"
    else:
        yield f"memory://exports/{name}"
        fsspec.filesystem("memory").rm("/exports", recursive=True)


@pytest.fixture
def store(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    """300 animals, live."""
    animals(300)
    store = FakeStore(workspace, declare(), KeywordEncoder())
    store.embed()
    store.swap(store.all()[0], because="a test")
    return store


def stored(execute: Execute, store: FakeStore) -> dict[tuple[object, ...], tuple[object, ...]]:
    live = store.live()
    rows = execute(
        f"select k1, chunk_no, {live.vector_type}_send(vector), chunk_digest, start_offset, stop_offset, present, "
        f'truncated from embedding."{live.table}"'
    )
    return {row[:2]: row[2:] for row in rows}


def sent(block: ExportBlock) -> dict[tuple[object, ...], tuple[object, ...]]:
    """The same as Postgres sends it: two int16 before big-endian floats."""
    kind = ">f4" if block.vectors.dtype == np.float32 else ">f2"
    found = {}
    for i in range(len(block)):
        head = np.array([block.vectors.shape[1], 0], ">i2").tobytes()
        found[*(key[i].item() for key in block.keys), block.chunk_no[i].item()] = (
            head + block.vectors[i].astype(kind).tobytes(), block.digests[i].tobytes(), block.start[i], block.stop[i],
            block.present[i], block.truncated[i],
        )  # fmt: skip
    return found


@pytest.mark.parametrize("format", ["parquet", "npz"])
@pytest.mark.parametrize("partitions", [None, 3])
def test_an_export_is_read_bit_equal_and_says_what_it_is(
    store: FakeStore, execute: Execute, url: str, format: Any, partitions: int | None
) -> None:
    done = export_live(store, url, ExportPlan(format, partitions, rows_per_file=70))
    assert (done.rows, done.written) == (300, True)
    export = vector_assets.read_export(url)
    assert sent(export.read()) == stored(execute, store)
    live = store.live()
    assert export.head["checkpoint_set"] == live.checkpoint_set
    assert (export.head["dims"], export.head["generation"], export.head["metric"]) == (5, live.number, "cosine")
    assert export.head["contracts"] == {store.chosen["text"].digest: {"dims": 5}}
    assert max(file["rows"] for file in export.manifest["files"]) == 70
    names = [file["path"].partition("/")[2] for file in export.manifest["files"]]
    if partitions is None:
        assert sorted(names) == [f"part-{i:05}.{format}" for i in range(5)]
    else:
        assert {name.partition("/")[0] for name in names} == {f"partition={i:05}" for i in range(3)}
    assert sum(len(block) for block in export.blocks()) == len(export) == 300


def test_halfvec_is_read_bit_equal(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, url: str
) -> None:
    animals(20)
    store = FakeStore(workspace, declare(), KeywordEncoder(width=2001))
    store.embed()
    store.swap(store.all()[0], because="a test")
    for format in ("parquet", "npz"):
        export_live(store, f"{url}/{format}", ExportPlan(format))  # type: ignore[arg-type]
        block = vector_assets.read_export(f"{url}/{format}").read()
        assert block.vectors.dtype == np.float16
        assert sent(block) == stored(execute, store)


def test_keys_of_any_type_come_as_postgres_spells_them(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, url: str
) -> None:
    execute(f"create table {name} (part smallint, vector uuid, title text, primary key (part, vector))")
    execute(f"insert into {name} select i, gen_random_uuid(), 'cat' from generate_series(1, 9) i")
    store = FakeStore(
        workspace, declare(fields={"title": "text"}, spaces={"text": {"fields": ["title"]}}), KeywordEncoder()
    )
    store.embed()
    store.swap(store.all()[0], because="a test")
    for format in ("parquet", "npz"):
        export_live(store, f"{url}/{format}", ExportPlan(format, partitions=2))  # type: ignore[arg-type]
        export = vector_assets.read_export(f"{url}/{format}")
        block = export.read()
        found = set(zip(block.keys[0].tolist(), block.keys[1].tolist(), strict=True))
        assert found == set(execute(f"select part, vector::text from {name}"))
        assert export.head["key_types"] == ["smallint", "uuid"]


def test_the_parquet_schema_carries_the_contract_for_other_tools(store: FakeStore, tmp_path: Path) -> None:
    done = export_live(store, str(tmp_path), ExportPlan())
    table = parquet.read_table(tmp_path / done.manifest["files"][0]["path"])
    head = json.loads(table.schema.metadata[b"vector_assets"])
    assert head == done.manifest["head"]
    assert table.schema.names[:2] == ["id", "chunk_no"]
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: float>[5]"


def test_the_same_content_is_not_written_again_and_another_is(
    store: FakeStore, execute: Execute, name: str, url: str
) -> None:
    first = export_live(store, url, ExportPlan())
    again = export_live(store, url, ExportPlan())
    assert (again.written, again.manifest) == (False, first.manifest)
    assert export_live(store, url, ExportPlan(rows_per_file=100)).written, "cut in another way"
    execute(f"update {name} set title = 'fish' where id = 7")
    store.embed()
    second = export_live(store, url, ExportPlan(rows_per_file=100))
    assert second.written
    assert sent(vector_assets.read_export(url).read()) == stored(execute, store)
    folders = [n for n in export_module.Destination(url).names() if n.startswith("data-")]
    assert folders == [second.manifest["files"][0]["path"].partition("/")[0]], "files of the exports before are gone"


def test_a_missing_file_is_written_again(store: FakeStore, url: str) -> None:
    first = export_live(store, url, ExportPlan())
    destination = export_module.Destination(url)
    destination.system.rm(destination.path(first.manifest["files"][0]["path"]))
    assert export_live(store, url, ExportPlan()).written
    assert len(vector_assets.read_export(url).read()) == 300


def blocks_that_end(store: FakeStore, after: int) -> Callable[..., Iterator[ExportBlock]]:
    def blocks(*_: object) -> Iterator[ExportBlock]:
        for number, block in enumerate(original(store, *_[1:])):
            if number == after:
                raise KeyboardInterrupt
            yield block

    original = exporting._blocks
    return blocks


def test_a_half_export_is_no_export_and_the_one_before_still_counts(
    store: FakeStore, execute: Execute, name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_BLOCK", 100)
    with monkeypatch.context() as patch:
        patch.setattr(exporting, "_blocks", blocks_that_end(store, 2))
        with pytest.raises(KeyboardInterrupt):
            export_live(store, url, ExportPlan(rows_per_file=50))
        with pytest.raises(ExportError, match=r"no manifest.json, so no finished export"):
            vector_assets.read_export(url)
        assert export_module.Destination(url).names() == [], "nothing is left of it"
    before = export_live(store, url, ExportPlan())
    execute(f"update {name} set title = 'fish' where id = 7")
    store.embed()
    monkeypatch.setattr(export_module.Destination, "put_manifest", killed)
    with pytest.raises(KeyboardInterrupt):  # all files are written, and the manifest is not
        export_live(store, url, ExportPlan())
    monkeypatch.undo()
    assert vector_assets.read_export(url).manifest == before.manifest
    assert len(vector_assets.read_export(url).read()) == 300
    export_live(store, url, ExportPlan())
    folders = [n for n in export_module.Destination(url).names() if n.startswith("data-")]
    assert len(folders) == 1, "what the killed one left behind is gone"


def killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("format", ["parquet", "npz"])
def test_a_changed_file_or_manifest_is_refused(store: FakeStore, tmp_path: Path, format: Any) -> None:
    done = export_live(store, str(tmp_path), ExportPlan(format))
    file = tmp_path / done.manifest["files"][0]["path"]
    kept = file.read_bytes()
    file.write_bytes(kept[:2000] + bytes([kept[2000] ^ 1]) + kept[2001:])
    with pytest.raises(ExportError, match="is not as it was written; export again"):
        vector_assets.read_export(str(tmp_path)).read()
    file.write_bytes(kept)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"dims": 5', '"dims": 4', 1))
    with pytest.raises(ExportError, match=r"manifest.json is not as it was written"):
        vector_assets.read_export(str(tmp_path))


def block(rows: int, dims: int = 3) -> ExportBlock:
    ints = [np.zeros(rows, np.int32) for _ in range(3)]
    return ExportBlock(
        (np.arange(rows),), *ints, np.zeros((rows, 32), np.uint8), np.ones(rows, np.int64), np.zeros(rows, np.bool_),
        np.random.default_rng(0).normal(size=(rows, dims)).astype(np.float32),
    )  # fmt: skip


def write(
    url: str, collection: str = "papers", *, blocks: Sequence[ExportBlock] = (), replace: bool = False
) -> Exported:
    head = {"collection": collection, "dims": 3, "vector_type": "vector"}
    return write_export(url, head, ["id"], blocks, ExportPlan(), replace=replace)


def test_another_export_is_not_overwritten_without_replace(url: str) -> None:
    write(url, "papers", blocks=[block(4)])
    with pytest.raises(ExportError, match="holds an export of collection papers; choose another URL, or --replace"):
        write(url, "films", blocks=[block(2)])
    assert len(vector_assets.read_export(url)) == 4
    write(url, "films", blocks=[block(2)], replace=True)
    assert len(vector_assets.read_export(url)) == 2


def test_files_of_others_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("the only copy")
    with pytest.raises(ExportError, match=r"is not empty \(thesis.txt\) and holds no export"):
        write(str(tmp_path))
    write(str(tmp_path), replace=True)
    assert (tmp_path / "thesis.txt").read_text() == "the only copy"
    assert len(vector_assets.read_export(str(tmp_path)).read()) == 0
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ExportError, match=r"not of an export of version 1; --replace overwrites it"):
        write(str(tmp_path))


def test_a_place_that_cannot_be_written_is_one_line_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"^nosuch://\*\*\*@host/x: cannot be reached"):
        write("nosuch://me:secret@host/x")
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be"):
        write(str(tmp_path / "file" / "below"), blocks=[block(2)])


def test_partitions_follow_the_hash_of_the_key_that_any_tool_can_compute() -> None:
    import hashlib

    wanted = [int.from_bytes(hashlib.sha256(f"[{i}]".encode()).digest()[:8], "big") % 4 for i in range(50)]
    assert block(50).partition(4).tolist() == wanted


def test_nothing_live_is_one_line(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> None:
    animals(3)
    with pytest.raises(NotLive, match="has no live generation"):
        export_live(FakeStore(workspace, declare(), KeywordEncoder()), "memory://none", ExportPlan())


def test_an_export_holds_a_block_and_not_the_table(tmp_path: Path) -> None:
    """60 MB of vectors pass through; what is alive at once is a few blocks of 1 MB."""
    import tracemalloc

    tracemalloc.start()
    write(str(tmp_path), blocks=(block(4096, dims=64) for _ in range(60)))  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 2**20
    assert len(vector_assets.read_export(str(tmp_path))) == 60 * 4096
