"""Images of files, tables and queries reach raw and are encoded; what changed is, alone, and a bad one is one row."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from album import Album
from fakes import Declare, Execute
from image_store import PHOTO, CountingImageEncoder
from PIL import Image
from pyarrow import parquet
from tiny_vision import encoded, photo, photo_bytes

from vector_assets.errors import SourceError
from vector_assets.source.open import open_source
from vector_assets.stores.retry import retry_failures
from vector_assets.stores.workspace import Workspace


@pytest.fixture
def album(
    workspace: Workspace, declare: Declare, tmp_path: Path, images: CountingImageEncoder, execute: Execute
) -> Album:
    collection = declare(
        source={"kind": "file", "path": "rows.jsonl"}, fields={"title": "text", "photo": "image"},
        spaces={"photo": PHOTO},
    ).at(tmp_path)  # fmt: skip
    return Album(workspace, collection, images, tmp_path, execute)


def test_every_kind_of_bad_image_is_one_row_and_every_kind_of_good_one_is_encoded(album: Album) -> None:
    deep = Image.fromarray(np.linspace(0, 65535, 50 * 40).reshape(40, 50).astype(np.uint16))
    good = {
        "rgb": photo_bytes(1),
        "jpeg": encoded(photo(2), "JPEG"),
        "grey": photo_bytes(3, mode="L"),
        "palette": photo_bytes(4, mode="P"),
        "rgba": photo_bytes(5, mode="RGBA"),
        "cmyk": encoded(photo(6).convert("CMYK"), "JPEG"),
        "deep": encoded(deep),
        "gif": encoded(photo(7), "GIF"),
        "webp": encoded(photo(8), "WEBP"),
    }
    broken = {"truncated": photo_bytes(9)[:900], "broken": b"\x89PNG no image", "empty": b""}
    for name, content in {**good, **broken, "large": bytes(20_000_001)}.items():
        album.put(name, content)
    rows = {name: f"pictures/{name}" for name in [*good, *broken, "large", "missing"]}
    album.write(**rows, none=None, folder="pictures")

    sync = album.sync()
    assert (sync.inserted, sync.unreadable) == (len(good) + len(broken) + 1, 3)
    stored = dict(album.execute(f"select id, photo from raw.{album.collection.name}"))
    assert stored == {**good, **broken, "none": None}, "the bytes as they are"

    store = album.store()
    report = store.embed().latest
    assert (report.encoded, report.failed, report.empty) == (len(good), len(broken), 1)
    assert sorted(album.images.encoded) == sorted(good.values())
    lines = [*rows, "none", "folder"]
    named = {
        name: next(
            error for key, error in album.failures().items() if key in (f'["{name}"]', _line(album, lines, name))
        )
        for name in [*broken, "large", "missing", "folder"]
    }
    assert len(album.failures()) == len(named)
    assert "the image is broken" in named["truncated"]
    assert "not an image" in named["broken"] or "the image is broken" in named["broken"]
    assert "the image is empty" in named["empty"]
    assert "photo: pictures/large: the image has 20,000,001 bytes; expected 20,000,000 at most" in named["large"]
    assert "photo: pictures/missing: no such file" in named["missing"]
    assert "is a folder; expected an image" in named["folder"]

    # Nothing changed: nothing is read, nothing is encoded.
    album.images.encoded.clear()
    assert album.sync().read is False
    assert store.embed().latest.unchanged == len(good) + len(broken) + 1
    assert album.images.encoded == []

    # Mended, each is encoded and nothing else is.
    for seed, name in enumerate([*broken, "large", "missing"], start=20):
        album.put(name, photo_bytes(seed))
        assert album.sync().read is True
        assert store.embed().latest.encoded == 1, name
        assert album.images.encoded == [photo_bytes(seed)]
        album.images.encoded.clear()
    assert list(album.failures()) == [_line(album, lines, "folder")]


def _line(album: Album, lines: list[str], name: str) -> str:
    return f"{album.folder / 'rows.jsonl'}:{lines.index(name) + 1}"


def test_an_image_that_changed_beside_an_unchanged_file_is_encoded_alone(album: Album) -> None:
    for seed in range(6):
        album.put(f"{seed}.png", photo_bytes(seed))
    album.write(**{f"r{seed}": f"pictures/{seed}.png" for seed in range(6)})
    album.sync()
    store = album.store()
    assert store.embed().latest.encoded == 6
    before = (album.folder / "rows.jsonl").stat()

    album.images.encoded.clear()
    album.put("3.png", photo_bytes(33))
    assert (album.folder / "rows.jsonl").stat().st_mtime_ns == before.st_mtime_ns
    sync = album.sync()
    assert (sync.read, sync.updated) == (True, 1)
    report = store.embed().latest
    assert (report.encoded, report.unchanged) == (1, 5)
    assert album.images.encoded == [photo_bytes(33)]

    # Written again with the same bytes: read, and nothing differs.
    album.images.encoded.clear()
    os.utime(album.folder / "pictures" / "3.png", (1, 1))
    sync = album.sync()
    assert (sync.read, sync.updated) == (True, 0)
    assert store.embed().latest.unchanged == 6
    assert album.images.encoded == []

    # Gone: the row keeps its last good state, and is named.
    (album.folder / "pictures" / "3.png").unlink()
    assert album.sync().unreadable == 1
    assert store.embed().latest.unchanged == 6
    assert "no such file" in next(iter(album.failures().values()))
    assert retry_failures(store).unreadable == 1
    assert album.sync().read is True

    # A text that no space reads encodes nothing.
    album.put("3.png", photo_bytes(33))
    text = (album.folder / "rows.jsonl").read_text().replace("cat r1", "dog r1")
    (album.folder / "rows.jsonl").write_text(text)
    assert album.sync().updated == 1
    assert store.embed().latest.unchanged == 6
    assert album.images.encoded == []


@pytest.mark.parametrize("where", ["absolute", "url", "above"])
def test_how_a_file_may_name_an_image(album: Album, where: str, name: str) -> None:
    album.put("a.png", photo_bytes(1))
    path = {
        "absolute": str(album.folder / "pictures" / "a.png"),
        "url": f"memory://{name}/a.png",
        "above": f"../{album.folder.name}/pictures/a.png",
    }[where]
    if where == "url":
        with fsspec.open(path, "wb") as stream:
            stream.write(photo_bytes(1))
    album.write(a=path)
    assert album.sync().inserted == 1
    assert album.sync().read is False
    if where == "url":
        with fsspec.open(path, "wb") as stream:
            stream.write(photo_bytes(2))
    else:
        album.put("a.png", photo_bytes(2))
    assert album.sync().updated == 1


def test_a_file_elsewhere_names_no_file_of_this_machine(
    workspace: Workspace, declare: Declare, name: str, tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_bytes(photo_bytes(1))
    for file, content in {"good.png": photo_bytes(2), "rows.jsonl": b""}.items():
        with fsspec.open(f"memory://{name}/{file}", "wb") as stream:
            stream.write(content)
    rows = [{"id": "a", "photo": "good.png"}, {"id": "b", "photo": f"file://{tmp_path}/secret.png"}]
    rows.append({"id": "c", "photo": f"{tmp_path}/secret.png"})
    with fsspec.open(f"memory://{name}/rows.jsonl", "w") as stream:
        stream.write("".join(json.dumps(row) + "\n" for row in rows))
    collection = declare(
        source={"kind": "file", "path": f"memory://{name}/rows.jsonl"},
        fields={"photo": "image"},
        spaces={"p": PHOTO | {}},
    )
    sync = workspace.raw.sync(collection, open_source(collection))
    assert (sync.inserted, sync.unreadable) == (1, 2)
    errors = sorted(failure.error for failure in workspace.failures.list(name))
    assert any("is a file of this machine" in error for error in errors)
    assert any("no such file" in error for error in errors)


@pytest.mark.parametrize("kind", ["bytes", "dataset", "path", "csv"])
def test_images_of_parquet_and_csv(album: Album, declare: Declare, kind: str) -> None:
    album.put("0.png", photo_bytes(0))
    album.put("1.png", photo_bytes(1))
    column: dict[str, list[object]] = {
        "bytes": [photo_bytes(0), photo_bytes(1)],
        "dataset": [{"bytes": photo_bytes(seed), "path": f"{seed}.png"} for seed in range(2)],
        "path": ["pictures/0.png", "pictures/1.png"],
    }
    path = album.folder / f"rows.{'csv' if kind == 'csv' else 'parquet'}"
    if kind == "csv":
        path.write_text("id,photo\na,pictures/0.png\nb,pictures/1.png\nc,\n")
    else:
        parquet.write_table(pa.table({"id": ["a", "b"], "photo": column[kind]}), path)
    collection = declare(
        source={"kind": "file", "path": path.name}, fields={"photo": "image"}, spaces={"photo": PHOTO}
    ).at(album.folder)
    workspace = album.workspace
    workspace.raw.sync(collection, open_source(collection))
    stored = dict(album.execute(f"select id, photo from raw.{collection.name}"))
    assert stored == {"a": photo_bytes(0), "b": photo_bytes(1), **({"c": None} if kind == "csv" else {})}
    album.put("0.png", photo_bytes(9))
    changed = workspace.raw.sync(collection, open_source(collection))
    assert (changed.read, changed.updated) == ((True, 1) if kind in ("path", "csv") else (False, 0))


def test_images_of_a_query(workspace: Workspace, declare: Declare, tmp_path: Path, name: str, execute: Execute,
                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table goods (id integer primary key, photo blob)")
        database.execute("insert into goods values (1, ?), (2, ?), (3, null)", (photo_bytes(1), "pictures/2.png"))
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path / 'shop.db'}")
    collection = declare(
        source={"kind": "sql", "url": "{{ env.SHOP_URL }}", "table": "goods"}, fields={"photo": "image"},
        spaces={"photo": PHOTO},
    )  # fmt: skip
    sync = workspace.raw.sync(collection, open_source(collection))
    assert (sync.inserted, sync.unreadable) == (2, 1)
    assert dict(execute(f"select id, photo from raw.{name}")) == {1: photo_bytes(1), 3: None}
    (failure,) = workspace.failures.list(name)
    assert failure.row_key == "[2]"
    assert "photo: expected the bytes of an image, found the text 'pictures/2.png'" in failure.error


def test_a_column_of_paths_in_a_table_in_place_is_refused(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, photo text)")
    with pytest.raises(SourceError, match="photo is text; an image is a column of type bytea"):
        workspace.raw.relation(declare(fields={"photo": "image"}, spaces={"photo": PHOTO}))
