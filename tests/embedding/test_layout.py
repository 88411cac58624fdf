"""The layout's digest says what a vector means: it moves with chunk settings, and never for those without."""

from __future__ import annotations

from dataclasses import asdict

from fakes import Declare

from vector_assets.embedding.layout import Layout, SpaceEncoder, plan_layout
from vector_assets.records import ChunkRule, Part

# As computed before there were chunks: generations that are live somewhere carry it.
BEFORE = "23272570fc493c4fed1b2b5027868c7bb738d90158897469ef75db05be3dbce0"


def layout(declare: Declare, chunk: dict[str, object] | None = None) -> Layout:
    spaces = {
        "text": {"fields": ["title", "body"]} | ({"chunk": chunk} if chunk else {}),
        "head": {"fields": ["title"]},
    }
    return plan_layout(declare(spaces=spaces), {"text": SpaceEncoder("c1", 384), "head": SpaceEncoder("c2", 5)})


def test_a_declaration_without_chunks_means_what_it_meant(declare: Declare) -> None:
    assert layout(declare).checkpoint_set == BEFORE
    assert layout(declare, {"by": "none"}).checkpoint_set == BEFORE


def test_every_chunk_setting_is_part_of_the_meaning(declare: Declare) -> None:
    settings: list[dict[str, object]] = [
        {"by": "sentence"},
        {"by": "paragraph"},
        {"by": "sentence", "size": 300},
        {"by": "sentence", "overlap": 20},
    ]
    digests = {layout(declare, chunk).checkpoint_set for chunk in settings}
    assert len(digests | {BEFORE}) == 5
    same = layout(declare, {"by": "sentence", "size": 200, "overlap": 0})
    assert same.checkpoint_set == layout(declare, {"by": "sentence"}).checkpoint_set, (
        "a default written out is no change"
    )


def test_a_part_is_read_as_it_was_stored(declare: Declare) -> None:
    chunked, plain = layout(declare, {"by": "paragraph", "overlap": 7}).parts
    assert chunked.chunk == ChunkRule("paragraph", 1000, 7)
    assert Part.of(asdict(chunked)) == chunked
    stored = asdict(plain)
    del stored["chunk"]  # as generations made earlier have it
    assert Part.of(stored) == plain
