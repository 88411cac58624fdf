"""Tables of animals, captured and embedded, or not yet."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from captured import Connect
from fakes import Declare, FakeStore, KeywordEncoder

from vector_assets.stores.workspace import Workspace


@pytest.fixture
def connect(workspace: Workspace) -> Connect:
    """Opens a connection of an application that knows nothing of us."""
    return lambda: psycopg.connect(workspace.addresses.database.libpq)


@pytest.fixture
def captured(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    """300 animals, captured and embedded."""
    animals(300)
    store = FakeStore(workspace, declare(), KeywordEncoder())
    assert workspace.raw.observe(store.collection).capture == "trigger"
    store.embed()
    store.chosen["text"].encoded.clear()
    return store


@pytest.fixture
def store(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    """300 animals, not embedded yet."""
    animals(300)
    return FakeStore(workspace, declare(), KeywordEncoder())


@pytest.fixture
def encoder(store: FakeStore) -> KeywordEncoder:
    return store.chosen["text"]
