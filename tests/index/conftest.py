"""A collection whose questions have known answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fakes import ANIMALS, Declare, FakeStore, KeywordEncoder

from vector_assets.records import JudgedQuery
from vector_assets.stores.workspace import Workspace


@pytest.fixture
def store(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    """40 animals; four questions, each with its ten animals as the answer."""
    animals(40)
    store = FakeStore(workspace, declare(), KeywordEncoder())
    store.questions_asked = [
        JudgedQuery(word, f"a {word}", {f"[{i}]": 1.0 for i in range(1, 41) if i % 4 == place})
        for place, word in enumerate(ANIMALS)
    ]
    return store
