"""The stages of a collection as a run takes them, over a store of keyword encoders."""

from __future__ import annotations

from fakes import FakeStore

from vector_assets.index.swap import Swapped, promote, settle
from vector_assets.search.engine import SearchEngine
from vector_assets.search.hits import Hits
from vector_assets.stores.measured import Measured
from vector_assets.stores.measuring import measure_newest

#: Asks for cats and finds fish: worse than the plain encoder on every question.
WRONG = (3, 0, 1, 2, 4)


def measure(store: FakeStore, *, maintenance: bool = False) -> Measured:
    return measure_newest(store, maintenance=maintenance, log=lambda _: None)


def materialize(store: FakeStore) -> tuple[Measured, Swapped]:
    """Embeddings, candidate and index, as a run does."""
    store.embed()
    measured = measure(store)
    return measured, settle(store, store.catch_up)


def begin(store: FakeStore) -> None:
    """A first generation that is worse than words, live on a person's word."""
    store.embed()
    assert measure(store).decision.decision == "keep"
    promote(store, store.catch_up, because="a beginning")


def states(store: FakeStore) -> dict[int, str]:
    return {g.number: g.state for g in store.all()}


def search(store: FakeStore, question: str, k: int = 5) -> Hits:
    engine = SearchEngine(store.workspace.reader(), store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
    return engine.search(question, k=k)
