"""What a run would cost, by what it would encode."""

from __future__ import annotations

import pytest
from fakes import Declare, Execute, KeywordEncoder

from vector_assets.stores import planning
from vector_assets.stores.workspace import Workspace


@pytest.mark.parametrize(("chunk", "chunks"), [({"by": "none"}, 20), ({"by": "paragraph"}, 60)])
def test_chunks_are_counted_before_the_run(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, monkeypatch: pytest.MonkeyPatch,
    chunk: dict[str, str], chunks: int,
) -> None:  # fmt: skip
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    execute(f"insert into {name} select i, 'cat ' || i, E'one\\n\\ntwo', 't', 1 from generate_series(1, 20) i")
    encoder = KeywordEncoder()
    monkeypatch.setattr(planning, "_loader", lambda *_: lambda: encoder)
    spaces = {"text": {"fields": ["title", "body"], "chunk": chunk}}
    found = planning.plan(workspace, declare(spaces=spaces))
    assert (found.rows, found.encode, found.chunks) == (20, 20, chunks)
    assert len(set(encoder.encoded)) == (20 if chunks == 20 else 22)
