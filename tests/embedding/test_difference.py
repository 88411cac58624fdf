"""The difference rule: only rows whose inputs changed are encoded; what left the source leaves the vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import psycopg
import pytest
from captured import vectors
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.embedding.encoding import PROBE
from vector_assets.errors import EncoderError
from vector_assets.stores.workspace import Workspace


def test_first_load_encodes_every_row_once(store: FakeStore, encoder: KeywordEncoder, execute: Execute) -> None:
    report = store.embed().latest
    assert (report.rows, report.encoded, report.removed, report.failed, report.superseded) == (300, 300, 0, 0, 0)
    assert len(encoder.encoded) == len(set(encoder.encoded)) == 300
    assert encoder.encoded[0] == "dog 1\nbody 1"
    generation = store.all()[0]
    assert (generation.state, generation.dims, generation.vector_type) == ("building", 5, "vector")
    (row,) = execute(f'select vector::text, checkpoint_set, present from embedding."{generation.table}" where k1 = 4')
    assert row == ("[1,0,0,0,0]", generation.checkpoint_set, 1)


def test_nothing_changed_encodes_and_writes_nothing(
    store: FakeStore, encoder: KeywordEncoder, execute: Execute
) -> None:
    store.embed()
    before = vectors(execute, store.all()[0])
    report = store.embed().latest
    assert (report.rows, report.unchanged, report.encoded, report.removed) == (300, 300, 0, 0)
    assert encoder.calls == 10  # 300 rows in pages of 64, each encoded in halves
    assert vectors(execute, store.all()[0]) == before


def test_insert_update_delete_encode_exactly_what_changed(
    store: FakeStore, encoder: KeywordEncoder, execute: Execute, name: str
) -> None:
    store.embed()
    before = vectors(execute, store.all()[0])
    encoder.encoded.clear()
    execute(f"insert into {name} (id, title) select i, 'owl ' || i from generate_series(1001, 1100) i")
    execute(f"update {name} set body = 'new body' where id between 1 and 50")
    execute(f"delete from {name} where id between 281 and 300")
    report = store.embed().latest
    assert len(encoder.encoded) == 150
    assert (report.encoded, report.removed, report.unchanged, report.rows) == (150, 20, 230, 380)
    after = vectors(execute, store.all()[0])
    assert set(after) == {*range(1, 281), *range(1001, 1101)}
    assert {key: after[key] for key in range(51, 281)} == {key: before[key] for key in range(51, 281)}
    assert len(execute(f'select 1 from embedding."{store.all()[0].table}_rows"')) == 380


def test_an_unread_column_encodes_nothing_and_writes_nothing(
    store: FakeStore, encoder: KeywordEncoder, execute: Execute, name: str
) -> None:
    store.embed()
    before = vectors(execute, store.all()[0])
    encoder.encoded.clear()
    execute(f"update {name} set price = price + 1, note = 'other', topic = 'else'")
    assert store.embed().latest.unchanged == 300
    assert encoder.encoded == []
    assert vectors(execute, store.all()[0]) == before


def test_a_filter_column_is_copied_again_but_nothing_is_encoded(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str
) -> None:
    animals(40)
    encoder = KeywordEncoder()
    store = FakeStore(workspace, declare(filters=["topic", "price"]), encoder)
    store.embed()
    before = vectors(execute, store.all()[0])
    encoder.encoded.clear()
    execute(f"update {name} set topic = 'new', price = null where id <= 10")
    report = store.embed().latest
    assert encoder.encoded == []
    assert (report.encoded, report.reused, report.unchanged) == (0, 10, 30)
    rows = execute(f'select k1, f_topic, f_price from embedding."{store.all()[0].table}" order by k1')
    assert rows[:11] == [*((key, "new", None) for key in range(1, 11)), (11, "t2", 11.0)]
    after = vectors(execute, store.all()[0])
    assert {key: row[0] for key, row in after.items()} == {key: row[0] for key, row in before.items()}


def while_it_encodes(encoder: KeywordEncoder, execute: Execute, statement: str) -> None:
    """Run a statement once, before the next batch has its vectors."""

    def run(texts: Sequence[str]) -> None:
        encoder.during = None
        execute(statement)

    encoder.during = run


def test_a_row_updated_while_it_is_encoded_is_stored_by_the_next_sync(
    store: FakeStore, encoder: KeywordEncoder, execute: Execute, name: str
) -> None:
    while_it_encodes(encoder, execute, f"update {name} set title = 'fish now' where id = 1")
    report = store.embed().latest
    assert (report.superseded, report.rows) == (1, 299)
    assert 1 not in vectors(execute, store.all()[0])
    encoder.encoded.clear()
    assert store.embed().latest.rows == 300
    assert encoder.encoded == ["fish now\nbody 1"]
    (row,) = execute(f'select vector::text from embedding."{store.all()[0].table}" where k1 = 1')
    assert row == ("[0,0,0,1,0]",)


def test_a_known_row_updated_while_it_is_encoded_keeps_its_old_vector_until_the_next_sync(
    store: FakeStore, encoder: KeywordEncoder, execute: Execute, name: str
) -> None:
    store.embed()
    before = vectors(execute, store.all()[0])
    execute(f"update {name} set title = 'first change' where id = 1")

    while_it_encodes(encoder, execute, f"update {name} set title = 'second change' where id = 1")
    assert store.embed().latest.superseded == 1
    assert vectors(execute, store.all()[0]) == before
    assert store.embed().latest.encoded == 1


def test_a_row_deleted_while_it_is_encoded_is_never_resurrected(
    store: FakeStore, encoder: KeywordEncoder, execute: Execute, name: str
) -> None:
    while_it_encodes(encoder, execute, f"delete from {name} where id = 2")
    report = store.embed().latest
    assert (report.superseded, report.rows) == (1, 299)
    assert 2 not in vectors(execute, store.all()[0])
    assert execute(f'select 1 from embedding."{store.all()[0].table}_rows" where k1 = 2') == []
    assert store.embed().latest.unchanged == 299


def test_a_poison_row_is_one_row(
    store: FakeStore, encoder: KeywordEncoder, execute: Execute, name: str, workspace: Workspace
) -> None:
    execute(f"update {name} set title = 'poison' where id = 7")
    report = store.embed().latest
    assert (report.encoded, report.failed) == (299, 1)
    assert len([text for text in encoder.encoded if text != PROBE]) == 299
    (failure,) = workspace.failures.list(name)
    assert (failure.stage, failure.row_key, failure.attempts) == ("embeddings", "[7]", 1)
    assert failure.error == "ValueError: this text cannot be encoded"
    assert workspace.embeddings.coverage(store.all()[0], store.relation).failed == 1

    encoder.calls = 0
    assert store.embed().latest.unchanged == 300
    assert encoder.calls == 0, "it is not tried again until it changes"

    execute(f"update {name} set title = 'cat again' where id = 7")
    report = store.embed().latest
    assert (report.encoded, report.failed) == (1, 0)
    assert workspace.failures.list(name) == ()


def test_a_failed_row_that_is_deleted_is_no_failure_any_more(
    store: FakeStore, execute: Execute, name: str, workspace: Workspace
) -> None:
    execute(f"update {name} set title = 'poison' where id = 7")
    store.embed()
    execute(f"delete from {name} where id = 7")
    assert store.embed().latest.removed == 1
    assert workspace.failures.list(name) == ()


def test_a_row_that_turns_bad_loses_its_old_vector(store: FakeStore, execute: Execute, name: str) -> None:
    store.embed()
    execute(f"update {name} set title = 'poison' where id = 7")
    assert store.embed().latest.failed == 1
    assert 7 not in vectors(execute, store.all()[0])
    assert execute(f'select state, chunk_count from embedding."{store.all()[0].table}_rows" where k1 = 7') == [
        ("failed", 0)
    ]


def test_an_encoder_that_cannot_be_loaded_ends_the_run_and_fails_no_row(
    store: FakeStore, execute: Execute, workspace: Workspace, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(digest: str) -> KeywordEncoder:
        raise RuntimeError("weights have another size")

    monkeypatch.setattr(store, "_encoder", broken)
    with pytest.raises(RuntimeError, match="another size"):
        store.embed()
    assert workspace.failures.list(name) == ()
    assert execute(f'select 1 from embedding."{store.all()[0].table}_rows"') == []


def test_an_encoder_that_fails_on_everything_ends_the_run(
    store: FakeStore, encoder: KeywordEncoder, execute: Execute, workspace: Workspace, name: str
) -> None:
    def broken(texts: Sequence[str]) -> None:
        raise RuntimeError("device lost")

    encoder.during = broken
    with pytest.raises(EncoderError, match=r"does not even take a plain sentence .*device lost"):
        store.embed()
    assert workspace.failures.list(name) == ()
    encoder.during = None
    assert store.embed().latest.encoded == 300


def test_a_row_without_text_is_empty_and_not_tried_again(
    store: FakeStore, encoder: KeywordEncoder, execute: Execute, name: str
) -> None:
    execute(f"update {name} set title = null, body = '   ' where id = 3")
    report = store.embed().latest
    assert (report.empty, report.encoded, report.failed) == (1, 299, 0)
    assert 3 not in vectors(execute, store.all()[0])
    assert store.embed().latest.unchanged == 300
    execute(f"update {name} set title = 'cat' where id = 3")
    assert store.embed().latest.encoded == 1
    execute(f"update {name} set title = '', body = null where id = 3")
    assert store.embed().latest.empty == 1
    assert 3 not in vectors(execute, store.all()[0]), "a vector of what is not there any more"


def test_truncation_is_kept_with_the_vector(store: FakeStore, execute: Execute, name: str) -> None:
    execute(f"update {name} set title = 'long cat' where id = 3")
    assert store.embed().latest.truncated == 1
    assert execute(f'select k1 from embedding."{store.all()[0].table}" where truncated') == [(3,)]


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ("checkpoint_set = 'another'", psycopg.errors.CheckViolation),
        ("checkpoint_set = null", psycopg.errors.NotNullViolation),
        ("chunk_digest = null", psycopg.errors.NotNullViolation),
        ("truncated = null", psycopg.errors.NotNullViolation),
        ("vector = '[1,0]'", psycopg.errors.DataException),
        ("present = 0", psycopg.errors.CheckViolation),
    ],
)
def test_constraints_refuse_a_vector_without_its_stamp(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute,
    change: str, refused: type[Exception],
) -> None:  # fmt: skip
    animals(2)
    store = FakeStore(workspace, declare(), KeywordEncoder())
    store.embed()
    with pytest.raises(refused):
        execute(f'update embedding."{store.all()[0].table}" set {change}')


def test_more_than_2000_dimensions_are_stored_as_halves(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str
) -> None:
    animals(30)
    encoder = KeywordEncoder(width=2100)
    store = FakeStore(workspace, declare(filters=["topic"]), encoder)
    store.embed()
    generation = store.all()[0]
    assert (generation.vector_type, generation.dims) == ("halfvec", 2100)
    assert store.worst_norm(generation) < 1e-3
    store.build(generation)
    live = store.swap(generation, because="test")
    encoder.encoded.clear()
    execute(f"update {name} set topic = 'new' where id = 4")
    assert store.embed().latest.reused == 1
    assert encoder.encoded == []
    query = np.zeros(2100, np.float32)
    query[0] = 1
    hits = workspace.reader().search(live, query, k=7, exact=True)
    assert [hit.id for hit in hits] == ["4", "8", "12", "16", "20", "24", "28"]
    assert hits[0].score == pytest.approx(1, abs=1e-3)
