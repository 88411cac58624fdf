"""Rows with vectors that a test knows: each row's text names the axes of its vector."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fakes import Declare, FakeStore, KeywordEncoder

from vector_assets.search.engine import SearchEngine
from vector_assets.stores.workspace import Workspace


@pytest.fixture
def store(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    """40 animals, live: row i names animal i mod 4 of cat, dog, owl, fish."""
    animals(40)
    return live(FakeStore(workspace, declare(), KeywordEncoder()))


def live(store: FakeStore) -> FakeStore:
    store.embed()
    newest = store.all()[0]
    store.build(newest)
    store.swap(newest, because="test")
    return store


@pytest.fixture
def engine(store: FakeStore) -> SearchEngine:
    return engine_of(store)


def engine_of(store: FakeStore) -> SearchEngine:
    return SearchEngine(store.workspace.reader(), store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
