"""A library that computes something else for good: what refuses, and how search comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import Execute
from moving import move_library

from vector_assets.embedding.run import EmbeddingRun, run_embeddings
from vector_assets.encoder import check_canaries, load_encoder
from vector_assets.encoder.files import file_digests
from vector_assets.errors import CanaryMismatch
from vector_assets.index.swap import promote, settle
from vector_assets.records import Checkpoint
from vector_assets.spec import Collection
from vector_assets.stores.canary_findings import moved
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.measuring import measure_newest
from vector_assets.stores.revisions import revise_moved, revision_of
from vector_assets.stores.training import settle_encoder
from vector_assets.stores.workspace import Workspace


def declared(name: str, model: Path, **space: object) -> Collection:
    return Collection.model_validate(
        {
            "name": name,
            "source": {"kind": "postgres", "table": name},
            "fields": {"title": "text"},
            "spaces": {"text": {"fields": ["title"], "encoder": str(model), **space}},
        }
    )


def encoder_of(workspace: Workspace, collection: Collection) -> Checkpoint:
    return settle_encoder(workspace, collection, "text", tags={}).checkpoint


def sync(store: CollectionStore) -> EmbeddingRun:
    return run_embeddings(store.collection, store.layout(), store, store.encoders)


def serve(workspace: Workspace, collection: Collection, execute: Execute) -> Checkpoint:
    execute(f"create table {collection.name} (id bigint primary key, title text)")
    execute(f"insert into {collection.name} select i, 'b' || i || ' c' || i % 7 from generate_series(1, 25) i")
    checkpoint = encoder_of(workspace, collection)
    store = CollectionStore(workspace, collection)
    sync(store)
    store.swap(store.all()[0], because="a test")
    return checkpoint


def test_a_revision_leads_past_a_library_that_moved_for_good(
    workspace: Workspace, tiny_model: Path, execute: Execute, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = serve(workspace, declared(name, tiny_model), execute)
    database = workspace.database
    with monkeypatch.context() as patch:
        move_library(patch)
        store = CollectionStore(workspace, declared(name, tiny_model))
        (red,) = (
            check
            for check in measure_newest(store, maintenance=True, log=lambda _: None).checks
            if check.name == "canaries"
        )
        found = moved(database, name, "text")
        assert not red.passed and found and found.checkpoint == first.digest and "canaries have moved" in found.said
        execute(f"update {name} set title = 'b9' where id = 3")
        with pytest.raises(CanaryMismatch):
            sync(CollectionStore(workspace, declared(name, tiny_model)))
        assert encoder_of(workspace, declared(name, tiny_model)).digest == first.digest, "by itself it stays the same"

        collection = declared(name, tiny_model, revision=1)
        second = encoder_of(workspace, collection)
        before, after = file_digests(first.folder), file_digests(second.folder)
        assert {path for path in after if after[path] != before.get(path)} == {"contract.json"}, "the same weights"
        assert check_canaries(load_encoder(second.folder), second.canaries).passed, "and canaries of today"
        assert moved(database, name, "text") is None, "the space uses another checkpoint now"

        store = CollectionStore(workspace, collection)
        live = store.all()[0]
        content = workspace.embeddings.content_version(live)
        run = sync(store)
        assert f"stored with checkpoint {first.digest[:12]}" in run.refused
        assert run.coming and (run.coming.number, run.latest.encoded) == (2, 25)
        assert workspace.embeddings.content_version(live) == content, "live waits as it is"
        measured = measure_newest(store, maintenance=False, log=lambda _: None)
        assert measured.sound and measured.decision.decision == "needs_evaluation"
        assert "live cannot be asked, so nothing can be compared with it: the loaded" in measured.decision.reason
        assert settle(store, store.catch_up).action == "kept"
        with pytest.raises(CanaryMismatch):
            workspace.search(name).search("b1", k=3)
        swapped = promote(store, store.catch_up, because="the library has moved for good")
        assert swapped.live.checkpoints == {"text": second.digest}
        hits = workspace.search(name).search("b9", k=1)
        assert (hits.generation, hits.hits[0].id) == (2, "3")
    with pytest.raises(CanaryMismatch, match=f"stored with checkpoint {second.digest[:12]}"):
        workspace.search(name).search("b9", k=1)  # where the library was put back, or another machine never had it


def test_live_that_is_refused_with_nothing_on_its_way_stops_the_sync(
    workspace: Workspace, tiny_model: Path, execute: Execute, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = serve(workspace, declared(name, tiny_model), execute)
    execute(f"update {name} set title = 'b9' where id = 3")
    with monkeypatch.context() as patch:
        move_library(patch)
        store = CollectionStore(workspace, declared(name, tiny_model))
        with pytest.raises(CanaryMismatch):
            sync(store)
        found = moved(workspace.database, name, "text")
        assert found and f"stored with checkpoint {first.digest[:12]}" in found.said, "kept, whichever stage met it"
        assert (
            revise_moved(workspace, store.collection, "text") == 1 == revision_of(workspace, store.collection, "text")
        )
        assert revise_moved(workspace, declared(name, tiny_model, revision=4), "text") == 5
    assert sync(CollectionStore(workspace, declared(name, tiny_model))).latest.encoded == 1
    assert moved(workspace.database, name, "text") is None, "a library that was put back"
    assert revise_moved(workspace, declared(name, tiny_model), "text") is None


def test_a_finding_of_before_does_not_raise_the_revision_of_a_library_that_was_put_back(
    workspace: Workspace, tiny_model: Path, execute: Execute, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = declared(name, tiny_model)
    serve(workspace, collection, execute)
    with monkeypatch.context() as patch:
        move_library(patch)
        store = CollectionStore(workspace, collection)
        assert store.refusal(store.all()[0])
    assert moved(workspace.database, name, "text")
    assert revise_moved(workspace, collection, "text") is None and revision_of(workspace, collection, "text") == 0
    assert moved(workspace.database, name, "text") is None
