"""One bad row per kind: the others are done, the bad one is named, and only retry or a change takes it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from image_store import CountingImageEncoder, ImageStore
from tiny_vision import photo_bytes

from vector_assets.encoder.image import decode
from vector_assets.records import Vectors
from vector_assets.source.open import open_source
from vector_assets.spec import Collection
from vector_assets.stores import relation
from vector_assets.stores.retry import Retried, retry_failures
from vector_assets.stores.workspace import Workspace

GOOD = 30


class NanEncoder(KeywordEncoder):
    """Gives a vector that is not finite for a text that says so."""

    def _vectors(self, texts: list[str]) -> Vectors:  # type: ignore[override]
        vectors = super()._vectors(texts)
        vectors[["nan" in text for text in texts], 0] = np.nan
        vectors[["infinite" in text for text in texts], 0] = np.inf
        return vectors


def states(execute: Execute, store: FakeStore) -> dict[object, str]:
    return dict(execute(f'select k1, state from embedding."{store.all()[0].table}_rows"'))  # type: ignore[arg-type]


# -- rows that the encoder cannot take ---------------------------------------------------------------------------


@pytest.fixture
def store(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    animals(GOOD)
    return FakeStore(workspace, declare(), NanEncoder())


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("poison", "ValueError: this text cannot be encoded"),
        ("nan", "not finite"),
        ("infinite", "not finite"),
    ],
)
def test_a_row_that_cannot_be_encoded(
    store: FakeStore, execute: Execute, name: str, workspace: Workspace, title: str, reason: str
) -> None:
    encoder = store.chosen["text"]
    execute(f"update {name} set title = %s where id = 7", (title,))
    report = store.embed().latest
    assert (report.encoded, report.failed) == (GOOD - 1, 1)
    assert states(execute, store) == {i: "failed" if i == 7 else "done" for i in range(1, GOOD + 1)}
    (failure,) = workspace.failures.list(name)
    assert (failure.stage, failure.row_key, failure.attempts) == ("embeddings", "[7]", 1)
    assert reason in failure.error

    encoder.encoded.clear()
    calls = encoder.calls
    assert store.embed().latest.unchanged == GOOD
    assert encoder.calls == calls, "a second run does not take it again"
    assert workspace.failures.list(name) == (failure,)

    assert retry_failures(store).rows == 1
    report = store.embed().latest
    assert (report.failed, report.unchanged) == (1, GOOD - 1)
    assert encoder.calls > calls
    (again,) = workspace.failures.list(name)
    assert (again.attempts, again.first_at) == (2, failure.first_at)
    assert again.last_at > failure.last_at
    calls = encoder.calls
    assert store.embed().latest.unchanged == GOOD, "retry holds for one run"
    assert encoder.calls == calls

    execute(f"update {name} set title = 'cat' where id = 7")
    assert store.embed().latest.encoded == 1, "taken again when the row changed"
    assert workspace.failures.list(name) == ()
    assert retry_failures(store) == Retried(0, 0)


def test_a_failed_row_is_taken_again_by_another_encoder(store: FakeStore, execute: Execute, name: str) -> None:
    execute(f"update {name} set title = 'nan' where id = 7")
    store.embed()
    store.swap(store.all()[0], because="a test")
    better = KeywordEncoder(seed="better")
    store.use(better)
    assert store.embed().latest.failed == 0
    assert "nan\nbody 7" in better.encoded


def test_retry_reaches_live_and_the_generation_on_its_way_and_no_retired_one(
    store: FakeStore, execute: Execute, name: str
) -> None:
    execute(f"update {name} set title = 'poison' where id = 7")
    for seed in "abc":
        store.use(NanEncoder(seed=seed))
        store.embed()
        if seed != "c":
            store.swap(next(g for g in store.all() if g.state == "building"), because="a test")
    assert [g.state for g in store.all()] == ["building", "live", "retired"]
    assert retry_failures(store).rows == 1
    marked = [
        execute(f"""select k1 from embedding."{g.table}_rows" where row_digest = ''""") == [(7,)] for g in store.all()
    ]
    assert marked == [True, True, False]


@pytest.mark.parametrize(
    ("column", "value", "state"),
    [
        ("title", None, "done"),  # the other field still has text
        ("title, body", "null", "empty"),
        ("title, body", "''", "empty"),
        ("title, body", "E' \\n\\t '", "empty"),
        ("price", "'nan'", "done"),
        ("price", "'-infinity'", "done"),
    ],
)
def test_null_empty_text_and_nan_in_a_field_are_no_failure(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str,
    column: str, value: str | None, state: str,
) -> None:  # fmt: skip
    animals(GOOD)
    fields = ["price"] if column == "price" else ["title", "body"]
    store = FakeStore(workspace, declare(spaces={"text": {"fields": fields}}, filters=["price"]), KeywordEncoder())
    for each in column.split(", "):
        execute(f"update {name} set {each} = {value or 'null'} where id = 7")
    report = store.embed().latest
    assert (report.failed, report.rows) == (0, GOOD)
    assert states(execute, store) == {i: state if i == 7 else "done" for i in range(1, GOOD + 1)}
    assert workspace.failures.list(name) == ()
    assert store.embed().latest.unchanged == GOOD


def test_ten_megabytes_of_text_are_stored(store: FakeStore, execute: Execute, name: str, workspace: Workspace) -> None:
    execute(f"update {name} set body = repeat('owl and ', 1310720) where id = 7")
    report = store.embed().latest
    assert (report.encoded, report.failed) == (GOOD, 0)
    ((size,),) = execute(f"select octet_length(body) from {name} where id = 7")
    assert size == 10 * 2**20
    assert states(execute, store)[7] == "done"
    assert store.embed().latest.unchanged == GOOD


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (photo_bytes(7)[:1500], "the image is broken"),
        (b"no image at all", "not an image, or its head is broken"),
        (b"", "the image is empty"),
        (bytes(30_000), "more than 20,000 bytes"),
    ],
    ids=["truncated", "no image", "empty", "too large"],
)
def test_a_broken_image(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, images: CountingImageEncoder,
    monkeypatch: pytest.MonkeyPatch, broken: bytes, reason: str,
) -> None:  # fmt: skip
    for module in (decode, relation):
        monkeypatch.setattr(module, "IMAGE_BYTES", 20_000)
    execute(f"create table {name} (id bigint primary key, photo bytea, note text)")
    for i in range(1, GOOD + 1):
        execute(f"insert into {name} values (%s, %s, 'n')", (i, broken if i == 7 else photo_bytes(i)))
    spaces = {"photo": {"kind": "image", "fields": ["photo"], "encoder": "./model"}}
    store = ImageStore(workspace, declare(fields={"photo": "image"}, spaces=spaces), images)

    report = store.embed().latest
    assert (report.encoded, report.failed) == (GOOD - 1, 1)
    assert sorted(images.encoded) == sorted(photo_bytes(i) for i in range(1, GOOD + 1) if i != 7)
    assert states(execute, store) == {i: "failed" if i == 7 else "done" for i in range(1, GOOD + 1)}
    (failure,) = workspace.failures.list(name)
    assert (failure.stage, failure.row_key, failure.attempts) == ("embeddings", "[7]", 1)
    assert reason in failure.error
    ((content,),) = execute("select content from ops.failures where collection = %s", (name,))
    assert f"{min(len(broken), 20_001):,} bytes" in str(content), (
        "no more of it is read than shows that it is too large"
    )

    images.encoded.clear()
    calls = images.calls
    assert store.embed().latest.unchanged == GOOD
    assert images.calls == calls, "a second run does not take it again"

    assert retry_failures(store).rows == 1
    report = store.embed().latest
    assert (report.failed, report.unchanged) == (1, GOOD - 1)
    assert images.calls > calls
    assert images.encoded == []
    assert workspace.failures.list(name)[0].attempts == 2

    execute(f"update {name} set note = 'unread' where id = 7")
    assert store.embed().latest.unchanged == GOOD, "an unread column is no reason"
    execute(f"update {name} set photo = %s where id = 7", (photo_bytes(7),))
    assert store.embed().latest.encoded == 1, "taken again when its bytes changed"
    assert images.encoded == [photo_bytes(7)]
    assert workspace.failures.list(name) == ()


# -- rows that cannot be read ------------------------------------------------------------------------------------


def jsonl(key: str, text: object, number: object = 1.5) -> bytes:
    return json.dumps({"id": key, "title": text, "price": number}).encode()


def csv(key: str, text: str, number: object = 1.5) -> bytes:
    return f"{key},{text},{number}".encode()


FILES = {
    "jsonl": (b"", jsonl),
    "csv": (b"id,title,price\n", csv),
}


@pytest.mark.parametrize(
    ("ending", "line", "reason"),
    [
        ("jsonl", jsonl("bad", "cat", float("nan")), "expected a finite number"),
        ("jsonl", jsonl("bad", "cat", float("inf")), "expected a finite number"),
        ("jsonl", b'{"id": "bad", "title": "ca\xfft"}', "not UTF-8 at byte 26"),
        ("jsonl", b'{"id": "bad", "title": "half \\ud800"}', "half a surrogate pair at position 5"),
        ("jsonl", b'{"id": "bad", "title": "a\\u0000b"}', "a NUL character at position 1"),
        ("jsonl", jsonl("bad", ["cat"]), "expected text, found a list"),
        ("jsonl", b'{"id": "bad", "title": ', "not JSON"),
        ("csv", csv("bad", "cat", "NaN"), "expected a number"),
        ("csv", b"bad,ca\xfft,1", "expected UTF-8"),
        ("csv", b"bad,a\x00b,1", "NUL"),
        ("csv", b"bad,cat", "expected 3 cells, found 2"),
    ],
)
def test_a_row_that_cannot_be_read(
    workspace: Workspace, declare: Declare, name: str, tmp_path: Path, ending: str, line: bytes, reason: str
) -> None:
    header, made = FILES[ending]
    lines = [made(f"r{i}", f"cat {i}") for i in range(GOOD)]
    file = tmp_path / f"rows.{ending}"
    file.write_bytes(header + b"\n".join([*lines[:9], line, *lines[9:]]) + b"\n")
    collection = declare(
        source={"kind": "file", "path": file.name}, fields={"title": "text", "price": "number"},
        spaces={"text": {"fields": ["title"]}},
    ).at(tmp_path)  # fmt: skip

    def run(collection: Collection) -> bool:
        return workspace.raw.sync(collection, open_source(collection)).read

    run(collection)
    store = FakeStore(workspace, collection, KeywordEncoder())
    report = store.embed().latest
    assert (report.encoded, report.failed) == (GOOD, 0)
    (failure,) = workspace.failures.list(name)
    assert (failure.stage, failure.attempts) == ("raw", 1)
    assert failure.row_key.endswith(f"rows.{ending}:{10 + bool(header)}")
    assert reason in failure.error

    assert run(collection) is False, "a second run does not take it again"
    assert workspace.failures.list(name) == (failure,)
    retried = retry_failures(store)
    assert (retried.rows, retried.unreadable) == (0, 1)
    assert run(collection) is True
    assert workspace.failures.list(name)[0].attempts == 2
    assert store.embed().latest.unchanged == GOOD, "the others are not encoded again"

    file.write_bytes(header + b"\n".join([*lines, made("bad", "owl")]) + b"\n")
    run(collection)
    assert workspace.failures.list(name) == ()
    assert store.embed().latest.encoded == 1


def test_ten_megabytes_in_a_file_are_read(workspace: Workspace, declare: Declare, tmp_path: Path, name: str) -> None:
    long = "owl and " * 1_310_720
    for ending, (header, made) in FILES.items():
        file = tmp_path / f"rows.{ending}"
        file.write_bytes(header + made("long", long) + b"\n" + made("short", "cat") + b"\n")
        collection = declare(
            source={"kind": "file", "path": file.name}, fields={"title": "text"}, spaces={"text": {"fields": ["title"]}}
        ).at(tmp_path)
        assert workspace.raw.sync(collection, open_source(collection)).rows == 2
        store = FakeStore(workspace, collection, KeywordEncoder())
        assert store.embed().latest.rows == 2
    assert workspace.failures.list(name) == ()
