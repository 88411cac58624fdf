"""Collections that are live, and engines that ask them."""

from __future__ import annotations

from fakes import FakeStore

from vector_assets.search.engine import SearchEngine


def live(store: FakeStore) -> FakeStore:
    store.embed()
    newest = store.all()[0]
    store.build(newest)
    store.swap(newest, because="test")
    return store


def engine_of(store: FakeStore) -> SearchEngine:
    return SearchEngine(store.workspace.reader(), store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
