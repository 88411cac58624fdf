"""Images of files, tables and queries become vectors; what changed is encoded, and a bad one is one row."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from fakes import Declare, Execute, KeywordEncoder
from image_store import CountingImageEncoder, ImageStore
from PIL import Image
from pyarrow import parquet
from tiny_vision import encoded, photo, photo_bytes

from vector_assets.errors import SourceError, UserError
from vector_assets.search.engine import Hits, SearchEngine
from vector_assets.source.images import read_question
from vector_assets.source.open import open_source
from vector_assets.spec import Collection
from vector_assets.stores import planning
from vector_assets.stores import sync as sync_module
from vector_assets.stores.raw_record import RawSync
from vector_assets.stores.retry import retry_failures
from vector_assets.stores.workspace import Workspace

PHOTO = {"kind": "image", "fields": ["photo"], "encoder": "./model"}


@dataclass
class Album:
    """A JSONL file of rows with images beside it, copied to raw and embedded."""

    workspace: Workspace
    collection: Collection
    images: CountingImageEncoder
    folder: Path
    execute: Execute

    def write(self, **rows: str | None) -> None:
        """Write the rows: id to path."""
        lines = [json.dumps({"id": key, "title": f"cat {key}", "photo": path}) for key, path in rows.items()]
        (self.folder / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines))

    def put(self, name: str, content: bytes) -> None:
        (self.folder / "pictures").mkdir(exist_ok=True)
        (self.folder / "pictures" / name).write_bytes(content)

    def sync(self) -> RawSync:
        return self.workspace.raw.sync(self.collection, open_source(self.collection))

    def store(self) -> ImageStore:
        return ImageStore(self.workspace, self.collection, self.images)

    def failures(self) -> dict[str, str]:
        return {failure.row_key: failure.error for failure in self.workspace.failures.list(self.collection.name)}


@pytest.fixture
def album(
    workspace: Workspace, declare: Declare, tmp_path: Path, images: CountingImageEncoder, execute: Execute
) -> Album:
    collection = declare(
        source={"kind": "file", "path": "rows.jsonl"}, fields={"title": "text", "photo": "image"},
        spaces={"photo": PHOTO},
    ).at(tmp_path)  # fmt: skip
    return Album(workspace, collection, images, tmp_path, execute)


def search(store: ImageStore, question: str | None = None, **asked: object) -> Hits:
    engine = SearchEngine(store.workspace.reader(), store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
    return engine.search(question, **asked)  # type: ignore[arg-type]


def live(store: ImageStore) -> ImageStore:
    store.embed()
    store.swap(store.all()[0], because="a test")
    return store


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


@pytest.fixture
def shelf(execute: Execute, name: str) -> Callable[[int], None]:
    """A table in place with photos 1..n; row i names animal i mod 4."""

    def fill(count: int) -> None:
        execute(f"create table {name} (id bigint primary key, title text, photo bytea)")
        for i in range(1, count + 1):
            title = ("cat", "dog", "owl", "fish")[i % 4]
            execute(f"insert into {name} values (%s, %s, %s)", (i, title, photo_bytes(i)))

    return fill


def test_search_by_an_image_finds_that_image_first(
    workspace: Workspace, declare: Declare, shelf: Callable[[int], None], images: CountingImageEncoder, tmp_path: Path
) -> None:
    shelf(20)
    store = live(
        ImageStore(workspace, declare(fields={"title": "text", "photo": "image"}, spaces={"photo": PHOTO}), images)
    )
    for i in (1, 12, 20):
        hits = search(store, image=photo_bytes(i), k=3).hits
        assert hits[0].id == str(i)
        assert hits[0].score > 0.9999 > hits[1].score
        assert not hits[0].stale
        assert hits[0].row["photo"] == "sha256:" + hashlib.sha256(photo_bytes(i)).hexdigest()
    # The same picture as a JPEG is still nearest.
    (tmp_path / "asked.jpg").write_bytes(encoded(photo(12), "JPEG", quality=95))
    assert search(store, image=read_question(str(tmp_path / "asked.jpg"))).hits[0].id == "12"
    with pytest.raises(UserError, match=r"cannot be asked with words: its spaces read images only; .*--image FILE"):
        search(store, "a cat")
    with pytest.raises(UserError, match="the image is broken"):
        search(store, image=photo_bytes(1)[:300])
    with pytest.raises(UserError, match="nothing is asked"):
        search(store)
    with pytest.raises(SourceError, match=r"nowhere\.png: no such file"):
        read_question("nowhere.png")


def test_texts_and_images_of_one_collection(
    workspace: Workspace, declare: Declare, shelf: Callable[[int], None], execute: Execute, name: str,
    images: CountingImageEncoder,
) -> None:  # fmt: skip
    shelf(12)
    execute(f"insert into {name} values (13, 'owl', null), (14, null, %s), (15, null, null)", (photo_bytes(14),))
    texts = KeywordEncoder()
    spaces = {"text": {"fields": ["title"]}, "photo": PHOTO}
    store = live(
        ImageStore(workspace, declare(fields={"title": "text", "photo": "image"}, spaces=spaces), texts, images)
    )
    states = dict(execute(f'select k1, state from embedding."{store.all()[0].table}_rows"'))
    assert states == {i: "empty" if i == 15 else "done" for i in range(1, 16)}
    assert len(images.encoded) == 13
    vectors = execute(f'select k1, present from embedding."{store.all()[0].table}" order by 1')
    assert dict(vectors) == {**dict.fromkeys(range(1, 13), 3), 13: 1, 14: 2}

    words = search(store, "owl", k=4)
    assert {hit.row["title"] for hit in words.hits} == {"owl"}
    assert search(store, image=photo_bytes(14), k=1).hits[0].id == "14"
    both = search(store, "dog", image=photo_bytes(5), k=3).hits
    assert both[0].id == "5", "a dog, and that picture of it"
    assert both[0].score > 0.999

    # An edit of the text encodes no image, and the other way round.
    images.encoded.clear()
    texts.encoded.clear()
    execute(f"update {name} set title = 'fish' where id = 1")
    assert store.embed().latest.encoded == 1
    assert (texts.encoded, images.encoded) == (["fish"], [])
    texts.encoded.clear()
    execute(f"update {name} set photo = %s where id = 1", (photo_bytes(50),))
    assert store.embed().latest.encoded == 1
    assert (texts.encoded, images.encoded) == ([], [photo_bytes(50)])
    with_both = [hit.id for hit in search(store, image=photo_bytes(50), k=20).hits if hit.id not in ("13", "14")]
    assert with_both[0] == "1", "row 14 has nothing but its image, so all of its vector answers"

    only_texts = declare(fields={"title": "text"}, spaces={"text": {"fields": ["title"]}})
    other = ImageStore(workspace, only_texts.model_copy(update={"name": f"{name}_texts"}), texts)
    with pytest.raises(UserError, match="cannot be asked with an image: its spaces read texts only"):
        search(live(other), image=photo_bytes(1))


def test_a_page_holds_only_so_many_bytes_of_images(
    workspace: Workspace, declare: Declare, shelf: Callable[[int], None], images: CountingImageEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    shelf(10)
    monkeypatch.setattr(sync_module, "IMAGES_AT_ONCE", 3 * len(photo_bytes(1)) + 200)
    store = ImageStore(workspace, declare(fields={"photo": "image"}, spaces={"photo": PHOTO}), images)
    generation = store.create(store.layout(), run_id=None)
    with store.sync(generation, reuse=None, run_id=None) as target:
        sizes = [len(page) for page in target.pages()]
    assert sum(sizes) == 10
    assert max(sizes) in (2, 3)
    monkeypatch.setattr(sync_module, "IMAGES_AT_ONCE", 1)
    assert store.embed().latest.encoded == 10, "at least one, however large"


def test_what_a_run_would_cost_is_measured_on_images_broken_ones_left_out(
    workspace: Workspace, declare: Declare, shelf: Callable[[int], None], execute: Execute, name: str,
    images: CountingImageEncoder, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    shelf(20)
    execute(f"update {name} set photo = 'broken' where id = 3")
    monkeypatch.setattr(planning, "_loader", lambda *_: lambda: images)
    found = planning.plan(workspace, declare(fields={"photo": "image"}, spaces={"photo": PHOTO}))
    assert (found.rows, found.encode, found.trains) == (20, 20, ())
    assert found.table_bytes > 0
    assert len(set(images.encoded)) == 19


def test_images_do_not_pass_through_json(
    workspace: Workspace, declare: Declare, shelf: Callable[[int], None], execute: Execute,
    images: CountingImageEncoder,
) -> None:  # fmt: skip
    """The digest of a row covers the content of its image by sha256; hexadecimal digits of it would be megabytes."""
    shelf(3)
    store = ImageStore(workspace, declare(fields={"photo": "image"}, spaces={"photo": PHOTO}), images)
    store.embed()
    for key, digest in execute(f'select k1, d1 from embedding."{store.all()[0].table}_rows"'):
        shown = json.dumps([hashlib.sha256(photo_bytes(int(str(key)))).hexdigest()])
        assert digest == hashlib.sha256(shown.encode()).digest()
