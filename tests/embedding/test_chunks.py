"""Documents in chunks: an edit encodes its own chunks and no others, and a faulty chunk is its row's fault only."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.embedding import drafts
from vector_assets.embedding.encoding import PROBE
from vector_assets.records import Generation
from vector_assets.spec import Collection
from vector_assets.stores.workspace import Workspace

BODY = {"text": {"fields": ["body"], "chunk": {"by": "paragraph"}}}


def document(count: int = 40, mark: str = "") -> list[str]:
    return [f"Paragraph {number}{mark} is about the {'cat' if number % 2 else 'dog'}." for number in range(count)]


@pytest.fixture
def fill(execute: Execute, name: str) -> Callable[..., None]:
    """Makes the table, its rows numbered from 1, with these titles and bodies."""

    def make(*rows: tuple[str | None, str | None]) -> None:
        execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
        for number, row in enumerate(rows, start=1):
            execute(f"insert into {name} values (%s, %s, %s, 't', 1)", (number, *row))

    return make


def write(execute: Execute, name: str, number: int, paragraphs: list[str]) -> None:
    execute(f"update {name} set body = %s where id = %s", ("\n\n".join(paragraphs), number))


def chunks(execute: Execute, generation: Generation, number: int = 1) -> list[tuple[object, ...]]:
    return execute(
        "select chunk_no, start_offset, stop_offset, chunk_digest, vector_send(vector) "
        f'from embedding."{generation.table}" where k1 = %s order by chunk_no',
        (number,),
    )


def sound(store: FakeStore) -> None:
    """Rows with all chunks embedded: both counts agree, and no chunk number is missing or left over."""
    generation = store.all()[0]
    coverage = store.workspace.embeddings.coverage(generation, store.relation)
    assert coverage.embedded + coverage.empty + coverage.failed == coverage.source
    assert store.workspace.embeddings.chunk_gaps(generation, store.relation) == 0


@pytest.fixture
def store(workspace: Workspace, declare: Declare, fill: Callable[..., None]) -> FakeStore:
    """One document of 40 paragraphs and one of 3, embedded."""
    fill(("One", "\n\n".join(document())), ("Two", "\n\n".join(document(3, " of the second"))))
    store = FakeStore(workspace, declare(spaces=BODY), KeywordEncoder())
    report = store.embed().latest
    assert (report.rows, report.encoded, report.chunks_encoded, report.chunks_reused) == (2, 2, 43, 0)
    sound(store)
    store.chosen["text"].encoded.clear()
    return store


def test_editing_one_paragraph_encodes_one_chunk(store: FakeStore, execute: Execute, name: str) -> None:
    before = chunks(execute, store.all()[0])
    paragraphs = document()
    paragraphs[17] = "This one is about an owl now, and longer than it was."
    write(execute, name, 1, paragraphs)
    report = store.embed().latest
    assert store.chosen["text"].encoded == [paragraphs[17]]
    assert (report.encoded, report.chunks_encoded, report.chunks_reused, report.unchanged) == (1, 1, 39, 1)
    after = chunks(execute, store.all()[0])
    assert [row[4] for row in after[:17] + after[18:]] == [row[4] for row in before[:17] + before[18:]]
    text = "\n\n".join(paragraphs)
    assert [text[row[1] : row[2]] for row in after] == paragraphs, "offsets of all that follow have moved"  # type: ignore[misc]
    sound(store)


def test_chunks_that_are_what_they_were_are_not_written_again(store: FakeStore, execute: Execute, name: str) -> None:
    """Each writing of a vector leaves a dead entry in the index."""
    table = store.all()[0].table
    written = f'select chunk_no, xmin::text from embedding."{table}" where k1 = 1 order by 1'
    before = execute(written)
    paragraphs = document()
    paragraphs[39] = paragraphs[39].replace("cat", "owl")
    write(execute, name, 1, paragraphs)
    assert store.embed().latest.chunks_encoded == 1
    after = execute(written)
    assert after[:39] == before[:39]
    assert after[39] != before[39]


def test_moved_inserted_and_removed_paragraphs(store: FakeStore, execute: Execute, name: str) -> None:
    paragraphs = document()
    moved = ["A fish comes first.", *reversed(paragraphs[5:])]
    write(execute, name, 1, moved)
    report = store.embed().latest
    assert store.chosen["text"].encoded == ["A fish comes first."]
    assert (report.chunks_encoded, report.chunks_reused) == (1, 35)
    assert len(chunks(execute, store.all()[0])) == 36
    sound(store)
    write(execute, name, 1, ["All is gone but this."])
    assert store.embed().latest.chunks_encoded == 1
    assert len(chunks(execute, store.all()[0])) == 1
    sound(store)
    write(execute, name, 1, [])
    assert store.embed().latest.empty == 1
    assert chunks(execute, store.all()[0]) == []
    sound(store)


def test_the_same_text_is_encoded_once(workspace: Workspace, declare: Declare, fill: Callable[..., None]) -> None:
    same = "\n\n".join(["A cat."] * 3 + ["A dog."])
    fill(("One", same), ("Two", same), ("Three", "A dog."))
    store = FakeStore(workspace, declare(spaces=BODY), KeywordEncoder())
    report = store.embed().latest
    assert store.chosen["text"].encoded == ["A cat.", "A dog."]
    assert (report.encoded, report.chunks_encoded) == (3, 9), "counted by chunk that had no vector before"


def test_an_unread_column_encodes_nothing(store: FakeStore, execute: Execute, name: str) -> None:
    execute(f"update {name} set price = 5, title = 'Other'")
    assert store.embed().latest.unchanged == 2


def test_other_spaces_are_encoded_once_per_row_and_stand_on_every_chunk(
    workspace: Workspace, declare: Declare, fill: Callable[..., None], execute: Execute, name: str
) -> None:
    fill(("owl", "\n\n".join(document(10))), ("fish", None), (None, "A cat."))
    text, title = KeywordEncoder(), KeywordEncoder(["owl", "fish", "cow"])
    store = FakeStore(workspace, declare(spaces={**BODY, "title": {"fields": ["title"]}}), text, title)
    report = store.embed().latest
    assert (len(text.encoded), title.encoded) == (11, ["owl", "fish"])
    assert (report.encoded, report.chunks_encoded) == (3, 12)
    generation = store.all()[0]
    rows = execute(
        "select k1, count(*), count(distinct subvector(vector, 6, 4)), min(present), max(present), min(stop_offset) "
        f'from embedding."{generation.table}" group by k1 order by k1'
    )
    assert [row[:5] for row in rows] == [(1, 10, 1, 3, 3), (2, 1, 1, 2, 2), (3, 1, 1, 1, 1)]
    assert rows[1][5] == 0, "a row with nothing but a title has one vector, of no text"
    sound(store)

    text.encoded.clear()
    title.encoded.clear()
    execute(f"update {name} set title = 'cow' where id = 1")
    report = store.embed().latest
    assert (text.encoded, title.encoded) == ([], ["cow"])
    assert (report.encoded, report.reused, report.chunks_encoded, report.chunks_reused) == (1, 0, 0, 10)

    title.encoded.clear()
    write(execute, name, 1, ["New about a dog.", *document(9)])
    report = store.embed().latest
    assert (text.encoded, title.encoded) == (["New about a dog."], [])
    ((vector,),) = execute(f'select vector::text from embedding."{generation.table}" where k1 = 1 and chunk_no = 0')
    expected = np.array([0, 1, 0, 0, 0, 0, 0, 1, 0]) / np.sqrt(2)
    np.testing.assert_allclose(json.loads(str(vector)), expected, atol=1e-6)


def test_a_poison_chunk_fails_its_row_only(store: FakeStore, execute: Execute, name: str, workspace: Workspace) -> None:
    paragraphs = document()
    paragraphs[3] = "This one is poison."
    paragraphs[4] = "And this is new."
    write(execute, name, 1, paragraphs)
    write(execute, name, 2, ["An owl is new."])
    report = store.embed().latest
    assert (report.encoded, report.failed, report.chunks_encoded) == (1, 1, 1)
    assert chunks(execute, store.all()[0]) == []
    (failure,) = workspace.failures.list(name)
    assert failure.row_key == "[1]"
    assert store.chosen["text"].encoded.count(PROBE) == 2, "before texts are halved, and after one was blamed"
    sound(store)


def test_other_chunk_settings_make_a_generation_that_takes_over_equal_chunks(
    store: FakeStore, execute: Execute, name: str, workspace: Workspace
) -> None:
    first = store.all()[0]
    store.swap(first, because="test")
    encoder = store.chosen["text"]
    long = " ".join(f"Sentence {number} of a paragraph that is cut." for number in range(9))
    write(execute, name, 2, [*document(3, " of the second"), long])
    store.embed()
    encoder.encoded.clear()
    other = {"text": {"fields": ["body"], "chunk": {"by": "paragraph", "size": 100}}}
    changed = Collection.model_validate(store.collection.model_dump() | {"spaces": other})
    cut = FakeStore(workspace, changed, encoder)
    run = cut.embed()
    assert run.coming is not None
    assert run.coming.number == 2
    assert run.latest.chunks_reused == 43
    assert run.latest.chunks_encoded == len(encoder.encoded) > 3
    assert all("cut" in text for text in encoder.encoded)


@pytest.mark.parametrize("before", [None, {"by": "paragraph"}], ids=["into chunks", "out of chunks"])
def test_a_vector_of_a_whole_row_is_never_taken_for_one_of_a_chunk(
    workspace: Workspace, declare: Declare, fill: Callable[..., None], execute: Execute, before: dict[str, str] | None
) -> None:
    """Neither way: the row's inputs are the same, what the vector is of is not."""
    fill(("One", "A cat.\n\nA dog."))
    encoder = KeywordEncoder()
    settings: list[dict[str, str]] = [before or {"by": "none"}, {"by": "none"} if before else {"by": "paragraph"}]
    spaces = [{"text": {"fields": ["body"], "chunk": each}} for each in settings]
    store = FakeStore(workspace, declare(spaces=spaces[0]), encoder)
    store.embed()
    store.swap(store.all()[0], because="test")
    encoder.encoded.clear()
    store = FakeStore(workspace, declare(spaces=spaces[1]), encoder)
    store.embed()
    assert encoder.encoded == (["A cat.\n\nA dog."] if before else ["A cat.", "A dog."])


def test_a_long_document_is_encoded_in_calls_of_bounded_size(
    workspace: Workspace, declare: Declare, fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "CHUNKS_AT_ONCE", 50)
    sizes: list[int] = []
    encoder = KeywordEncoder(during=lambda texts: sizes.append(len(texts)))
    fill(("Long", "\n\n".join(document(3000))), *((f"{n}", "\n\n".join(document(20, f" of {n}"))) for n in range(9)))
    store = FakeStore(workspace, declare(spaces=BODY), encoder)
    report = store.embed().latest
    assert (report.rows, report.chunks_encoded) == (10, 3180)
    assert max(sizes) == 1024
    assert sizes[3:] == [40, 40, 40, 40, 20], "rows are put together only up to the vectors held at once"
    sound(store)


def test_truncation_is_told_of_the_chunk(store: FakeStore, execute: Execute, name: str) -> None:
    paragraphs = document()
    paragraphs[2] = "A long one, cut by the encoder."
    write(execute, name, 1, paragraphs)
    assert store.embed().latest.truncated == 1
    write(execute, name, 1, [*paragraphs, "One more."])
    assert store.embed().latest.truncated == 1, "it is as cut as it was"
    flags = execute(f'select chunk_no from embedding."{store.all()[0].table}" where truncated')
    assert flags == [(2,)]
