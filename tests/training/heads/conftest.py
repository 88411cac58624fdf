"""One pair of processes for all that only needs some: importing torch is what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from vector_assets.training.heads import processes
from vector_assets.training.heads.processes import Workers, workers


@pytest.fixture(scope="session")
def running() -> Iterator[Workers]:
    """Two processes that hold one head after the other."""
    with workers(2) as found:
        yield found


@pytest.fixture
def pair(running: Workers, monkeypatch: pytest.MonkeyPatch) -> Workers:
    """Heads of two processes get these, and leave them running."""

    @contextmanager
    def given(count: int) -> Iterator[Workers]:
        assert count == 2
        yield running

    monkeypatch.setattr(processes, "workers", given)
    return running
