"""Spaces of images over a table in place: search by an image and by words, pages, costs, and digests of rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import Declare, Execute, KeywordEncoder
from image_store import PHOTO, CountingImageEncoder, ImageStore
from tiny_vision import encoded, photo, photo_bytes

from vector_assets.errors import SourceError, UserError
from vector_assets.search.engine import SearchEngine
from vector_assets.search.hits import Hits
from vector_assets.source.images import read_question
from vector_assets.stores import planning, sync_pages
from vector_assets.stores.workspace import Workspace


@pytest.fixture
def shelf(execute: Execute, name: str) -> Callable[[int], None]:
    """A table in place with photos 1..n; row i names animal i mod 4."""

    def fill(count: int) -> None:
        execute(f"create table {name} (id bigint primary key, title text, photo bytea)")
        for i in range(1, count + 1):
            title = ("cat", "dog", "owl", "fish")[i % 4]
            execute(f"insert into {name} values (%s, %s, %s)", (i, title, photo_bytes(i)))

    return fill


def search(store: ImageStore, question: str | None = None, **asked: object) -> Hits:
    engine = SearchEngine(store.workspace.reader(), store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
    return engine.search(question, **asked)  # type: ignore[arg-type]


def live(store: ImageStore) -> ImageStore:
    store.embed()
    store.swap(store.all()[0], because="a test")
    return store


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
    monkeypatch.setattr(sync_pages, "IMAGES_AT_ONCE", 3 * len(photo_bytes(1)) + 200)
    store = ImageStore(workspace, declare(fields={"photo": "image"}, spaces={"photo": PHOTO}), images)
    generation = store.create(store.layout(), run_id=None)
    with store.sync(generation, reuse=None, run_id=None) as target:
        sizes = [len(page) for page in target.pages()]
    assert sum(sizes) == 10
    assert max(sizes) in (2, 3)
    monkeypatch.setattr(sync_pages, "IMAGES_AT_ONCE", 1)
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
