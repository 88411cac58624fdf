"""Whatever is changed in a checkpoint's folder, or computed otherwise by a library, the next sync and search refuse."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import LiteralString

import pytest
from moving import move_library
from psycopg import sql
from tiny import set_pooling

from vector_assets.embedding.run import EmbeddingRun, run_embeddings
from vector_assets.encoder import ContractSettings, make_checkpoint
from vector_assets.encoder.files import MANIFEST_FILE, checkpoint_digest, file_digests
from vector_assets.encoder.intact import require_intact
from vector_assets.errors import CanaryMismatch, ContractMismatch, EncoderError
from vector_assets.records import Checkpoint
from vector_assets.search.engine import SearchEngine
from vector_assets.spec import Collection
from vector_assets.stores.checkpoints import StoredEncoder
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.measuring import measure_newest
from vector_assets.stores.workspace import Workspace

SETTINGS = ContractSettings(max_tokens=16, query_prefix="g1 ", document_prefix="g2 ")


@dataclass
class Served:
    """A live collection whose vectors are of a real checkpoint, and an engine that has answered already."""

    workspace: Workspace
    collection: Collection
    checkpoint: Checkpoint
    kept: Path
    loaded: SearchEngine

    @property
    def store(self) -> CollectionStore:
        """As another process opens it: nothing is loaded."""
        return CollectionStore(self.workspace, self.collection)

    def sync(self) -> EmbeddingRun:
        store = self.store
        return run_embeddings(self.collection, store.layout(), store, store.encoders)

    def search(self) -> list[str]:
        return [hit.id for hit in self.workspace.search(self.collection.name).search("b1", k=3).hits]

    def execute(self, statement: LiteralString) -> None:
        with self.workspace.database.connect(autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(table=sql.Identifier(self.collection.name)))

    def fill(self) -> None:
        """Rows as they were in the beginning, and their vectors."""
        self.execute(
            "insert into {table} select i, 'b' || i || ' c' || i % 7 from generate_series(1, 25) i "
            "on conflict (id) do update set title = excluded.title"
        )
        self.sync()

    def state(self) -> tuple[object, ...]:
        """All that a sync could write."""
        store = self.store
        versions = [(g.number, g.state, self.workspace.embeddings.content_version(g)) for g in store.all()]
        return (*versions, self.workspace.failures.list(self.collection.name))

    def restore(self) -> None:
        shutil.rmtree(self.checkpoint.folder)
        shutil.copytree(self.kept, self.checkpoint.folder)


def store_encoder(workspace: Workspace, collection: str, model: Path, settings: ContractSettings) -> Checkpoint:
    """What the encoder asset of an untrained space does, without MLflow."""
    checkpoint = make_checkpoint(model, workspace.checkpoint_folder, settings=settings)
    workspace.checkpoints.save(checkpoint)
    workspace.checkpoints.set_encoder(collection, "text", StoredEncoder(checkpoint.digest, None, None))
    return checkpoint


def serve(workspace: Workspace, tiny_model: Path, name: str, kept: Path) -> Served:
    """25 rows, live, encoded and asked once."""
    collection = Collection.model_validate(
        {
            "name": name,
            "source": {"kind": "postgres", "table": name},
            "fields": {"title": "text"},
            "spaces": {"text": {"fields": ["title"], "encoder": str(tiny_model)}},
        }
    )
    checkpoint = store_encoder(workspace, name, tiny_model, SETTINGS)
    found = Served(workspace, collection, checkpoint, kept, workspace.search(name))
    shutil.copytree(checkpoint.folder, kept)
    found.execute("create table {table} (id bigint primary key, title text)")
    found.fill()
    found.store.swap(found.store.all()[0], because="a test")
    found.loaded.search("b1", k=3)
    return found


@pytest.fixture(scope="module")
def _served(workspace: Workspace, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    return serve(workspace, tiny_model, "contracted", tmp_path_factory.mktemp("contracted") / "kept")


@pytest.fixture
def served(_served: Served) -> Iterator[Served]:
    """The same for each test, put back after it."""
    yield _served
    _served.restore()
    _served.fill()


def edit_json(folder: Path, file: str, **changes: object) -> None:
    path = folder / file
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | changes))


def flip_a_weight(folder: Path) -> None:
    """The last bit of the last number: no vector moves enough for a canary to see."""
    path = folder / "model.safetensors"
    weights = bytearray(path.read_bytes())
    weights[-4] ^= 1
    path.write_bytes(weights)


def flip_a_weight_and_put_the_times_back(folder: Path) -> None:
    before = (folder / "model.safetensors").stat()
    flip_a_weight(folder)
    os.utime(folder / "model.safetensors", ns=(before.st_atime_ns, before.st_mtime_ns))


def flip_a_weight_and_list_it(folder: Path) -> None:
    flip_a_weight(folder)
    (folder / MANIFEST_FILE).write_text(json.dumps(file_digests(folder)))


def swap_two_words(folder: Path) -> None:
    rules = json.loads((folder / "tokenizer.json").read_text())
    words = rules["model"]["vocab"]
    words["b1"], words["b2"] = words["b2"], words["b1"]
    (folder / "tokenizer.json").write_text(json.dumps(rules))


def leave_out_normalisation(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:2]))


Edit = Callable[[Path], object]
CASES: list[tuple[str, Edit, tuple[str, ...]]] = [
    ("the vocabulary", swap_two_words, ("tokenizer.json: expected sha256 ", "the model: tokenizer expected ")),
    ("the tokenizer's rules", lambda f: edit_json(f, "tokenizer.json", normalizer=None), ("the model: tokenizer ",)),
    ("no tokenizer", lambda f: (f / "tokenizer.json").unlink(), ("tokenizer.json: expected sha256 ", "no such file")),
    ("the query prefix", lambda f: edit_json(f, "contract.json", query_prefix="x "),
     ("contract.json: expected sha256 ", "contract.json: query_prefix expected 'g1 ', found 'x '")),
    ("the document prefix", lambda f: edit_json(f, "contract.json", document_prefix=""),
     ("contract.json: document_prefix expected 'g2 ', found ''",)),
    ("sentence-transformers' prefixes",
     lambda f: edit_json(f, "config_sentence_transformers.json", prompts={"query": "y ", "document": "g2 "}),
     ("config_sentence_transformers.json: expected", "the model: query_prefix expected 'g1 ', found 'y '")),
    ("pooling", lambda f: set_pooling(f, "cls"), ("1_Pooling/config.json: ", "pooling expected 'mean', found 'cls'")),
    ("max_tokens", lambda f: edit_json(f, "sentence_bert_config.json", max_seq_length=8),
     ("sentence_bert_config.json: expected", "the model: max_tokens expected 16, found 8")),
    ("max_tokens of the contract", lambda f: edit_json(f, "contract.json", max_tokens=8),
     ("contract.json: max_tokens expected 16, found 8",)),
    ("normalisation", leave_out_normalisation, ("modules.json: expected sha256 ",)),
    ("normalisation of the contract", lambda f: edit_json(f, "contract.json", normalized=False),
     ("contract.json: normalized expected True, found False",)),
    ("lower-casing", lambda f: edit_json(f, "tokenizer_config.json", do_lower_case=False),
     ("tokenizer_config.json: expected", "lowercase expected True, found False")),
    ("one bit of the weights", flip_a_weight, ("model.safetensors: expected sha256 ",)),
    ("a bit, with its times put back", flip_a_weight_and_put_the_times_back, ("model.safetensors: expected sha256 ",)),
    ("a bit, and the list of files too", flip_a_weight_and_list_it, ("which of them is not known",)),
    ("the model's configuration", lambda f: edit_json(f, "config.json", hidden_act="relu"), ("config.json: expected",)),
    ("broken JSON", lambda f: (f / "config.json").write_text("{"), ("config.json: expected sha256 ",)),
    ("another file", lambda f: (f / "extra.json").write_text("{}"), ("extra.json: expected no such file, found sha",)),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_changed_folder_is_refused_by_sync_and_search(served: Served, change: Edit, words: tuple[str, ...]) -> None:
    answer = served.loaded.search("b1", k=3).hits
    before, number = served.state(), served.checkpoint.digest[:12]
    change(served.checkpoint.folder)
    now = checkpoint_digest(served.checkpoint.folder)[:12]
    sides = (f"checkpoint {number} has other files than were stored", f"has digest {now}, expected {number}")

    def refused(action: Callable[[], object]) -> None:
        with pytest.raises(ContractMismatch) as caught:
            action()
        said = str(caught.value)
        assert caught.value.exit_code == 2 and "\n" not in said
        for word in (*sides, *words):
            assert word in said, said

    refused(served.search)
    refused(served.sync)  # nothing is to be encoded, and it is refused all the same
    served.execute("update {table} set title = 'b9' where id = 3")
    served.execute("delete from {table} where id = 4")
    refused(served.sync)
    refused(lambda: served.store.catch_up(served.store.all()[0]))
    assert served.state() == before, "nothing was written"
    assert served.loaded.search("b1", k=3).hits[0].score == answer[0].score, "what is in memory is what was compared"
    served.restore()
    assert served.sync().latest.encoded == 1
    assert served.search()


def test_a_folder_that_is_gone_is_named(served: Served) -> None:
    shutil.rmtree(served.checkpoint.folder)
    try:
        for action in (served.search, served.sync):
            with pytest.raises(
                EncoderError, match=f"checkpoint {served.checkpoint.digest[:12]}: its folder .* is gone"
            ):
                action()
    finally:
        shutil.copytree(served.kept, served.checkpoint.folder)


@pytest.fixture
def moved_library(monkeypatch: pytest.MonkeyPatch) -> None:
    move_library(monkeypatch)


def test_a_library_whose_results_moved_is_refused_by_sync_and_search(served: Served, moved_library: None) -> None:
    before, number = served.state(), served.checkpoint.digest[:12]
    served.execute("update {table} set title = 'b9' where id = 3")
    for action in (served.search, served.sync):
        with pytest.raises(
            CanaryMismatch, match=f"vectors stored with checkpoint {number}.*expected at least"
        ) as caught:
            action()
        assert caught.value.exit_code == 2 and "\n" not in str(caught.value)
    assert served.state() == before


def test_edited_canaries_in_the_folder_do_not_help_a_moved_library(served: Served, moved_library: None) -> None:
    """What is compared are those in the database."""
    from vector_assets.encoder.canary_file import read_canaries, write_canaries

    folder = served.checkpoint.folder
    write_canaries(folder, [replace(c, vector=(*c.vector[1:], c.vector[0])) for c in read_canaries(folder)])
    require_intact(served.checkpoint)
    with pytest.raises(CanaryMismatch):
        served.search()


def test_the_check_of_the_candidate_names_both_sides_and_is_looked_at_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(maintenance: bool = False) -> tuple[bool, str, dict[str, float]]:
        measured = measure_newest(served.store, maintenance=maintenance, log=lambda _: None)
        (found,) = (check for check in measured.checks if check.name == "canaries")
        return found.passed, found.summary, dict(found.numbers)

    assert check()[0]
    number = served.checkpoint.digest[:12]
    with monkeypatch.context() as patch:
        move_library(patch)
        passed, summary, numbers = check(maintenance=True)
        assert not passed and 0.99 < numbers["worst_cosine"] < 0.9990
        assert f"encoder {number} against checkpoint {number}, worst at " in summary
    assert check()[0], "a library that was put back turns it green without a change of content"


def test_a_long_lived_engine_compares_what_a_swap_makes_it_load(
    workspace: Workspace, tiny_model: Path, name: str, tmp_path: Path
) -> None:
    """Another prefix in the declaration is another checkpoint, hence another generation: never a silent mix."""
    served = serve(workspace, tiny_model, name, tmp_path / "kept")
    first = served.checkpoint
    second = store_encoder(workspace, served.collection.name, tiny_model, replace(SETTINGS, query_prefix="h1 "))
    assert second.digest != first.digest
    served.sync()
    new, old = served.store.all()
    assert (old.number, old.state, new.number, new.state) == (1, "live", 2, "building")
    assert old.checkpoints == {"text": first.digest} and new.checkpoints == {"text": second.digest}
    assert served.loaded.search("b1", k=3).generation == 1, "which asks with the prefix that its rows go with"
    served.store.swap(new, because="a test")
    edit_json(second.folder, "contract.json", query_prefix="g1 ")
    with pytest.raises(ContractMismatch, match="query_prefix expected 'h1 ', found 'g1 '"):
        served.loaded.search("b1", k=3)
    shutil.rmtree(second.folder)
    make_checkpoint(tiny_model, workspace.checkpoint_folder, settings=replace(SETTINGS, query_prefix="h1 "))
    assert served.loaded.search("b1", k=3).generation == 2
