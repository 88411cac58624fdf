"""Declared evaluation against kept and fresh training sets: its questions are left out, and no row is drawn anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import Declare, Execute

from vector_assets.errors import SpecError
from vector_assets.spec import Collection
from vector_assets.stores.evaluated import evaluated_questions
from vector_assets.stores.training_sets import Drawn, declaration_of, draw_training_set, drawn_training_set
from vector_assets.stores.workspace import Workspace

ROWS = 60
Draw = Callable[..., Drawn]
BOTH = {"queries": "queries.jsonl", "qrels": "test.tsv"}


@pytest.fixture
def collection_of(declare: Declare, execute: Execute, name: str, tmp_path: Path) -> Callable[..., Collection]:
    """Row n says a<n> b<n>; query n is judged to be answered by row n, those above 40 in test.tsv."""
    execute(f"create table {name} (id bigint primary key, title text)")
    execute(f"insert into {name} select i, 'a' || i || ' b' || i from generate_series(1, {ROWS}) i")
    lines = [json.dumps({"_id": f"q{n}", "text": f"asks{n} for{n} it"}) for n in range(1, ROWS + 1)]
    (tmp_path / "queries.jsonl").write_text("\n".join(lines))
    (tmp_path / "train.tsv").write_text("".join(f"q{n}\t{n}\t1\n" for n in range(1, ROWS + 1)))
    judge(tmp_path, range(41, 61))

    def make(**more: object) -> Collection:
        train = {
            "relevance": {"queries": "queries.jsonl", "qrels": "train.tsv"},
            "split": {"validation": 0.2, "test": 0.2},
        }
        space = {"fields": ["title"], "train": train | more.pop("train", {})}  # type: ignore[operator]
        return declare(fields={"title": "text"}, spaces={"text": space}, **more).at(tmp_path)

    return make


def judge(folder: Path, numbers: range) -> None:
    (folder / "test.tsv").write_text("".join(f"q{n}\t{n}\t1\n" for n in numbers))


def asked(drawn: Drawn, *splits: str) -> set[int]:
    """The numbers of the questions that some splits ask; of train and validation when none is named."""
    pairs = [pair for split in splits or ("train", "validation") for pair in drawn.training_set.split(split)]  # type: ignore[arg-type]
    return {int(pair.query.split()[0][4:]) for pair in pairs}


def test_the_questions_of_evaluation_and_of_scores_are_left_out(
    collection_of: Callable[..., Collection], workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "other.tsv").write_text("q1\t1\t1\nq2\t2\t0\n")
    tasks = {
        "Own": {"kind": "retrieval", "queries": "queries.jsonl", "qrels": "other.tsv"},
        "Same": {"kind": "retrieval"},
    }
    collection = collection_of(evaluation=BOTH, scores={"tasks": tasks})
    assert evaluated_questions(collection, "text") == sorted(f"asks{n} for{n} it" for n in (1, *range(41, 61)))
    found = draw_training_set(workspace, collection, "text", refresh=False)
    report = found.training_set.report
    assert asked(found) <= set(range(2, 41)) and len(asked(found)) == report["train"] + report["validation"]
    everything = draw_training_set(workspace, collection_of(), "text", refresh=True)
    held = asked(everything) & {1, *range(41, 61)}
    assert report["evaluated"] == len(held) > 10 and asked(found) == asked(everything) - held
    assert asked(found, "test") == asked(everything, "test")


def test_a_file_that_is_all_evaluated_is_one_clear_error(
    collection_of: Callable[..., Collection], workspace: Workspace, tmp_path: Path
) -> None:
    judge(tmp_path, range(1, 61))
    with pytest.raises(SpecError, match="ask what evaluation: or scores: ask, which no training may see"):
        draw_training_set(workspace, collection_of(evaluation=BOTH), "text", refresh=False)


def test_what_was_drawn_before_is_kept_without_what_is_evaluated_now(
    collection_of: Callable[..., Collection], workspace: Workspace, execute: Execute, name: str, tmp_path: Path
) -> None:
    plain, judged = collection_of(), collection_of(evaluation=BOTH)
    assert declaration_of(plain, "text") == declaration_of(judged, "text")
    before = draw_training_set(workspace, plain, "text", refresh=False)
    execute("update ops.training_draws set drawn_at = now() - interval '3 days' where collection = %s", (name,))
    execute(f"update {name} set title = 'edited ' || id where id <= 3")
    execute(f"delete from {name} where id = 40")

    judge(tmp_path, range(101, 102))
    (tmp_path / "queries.jsonl").open("a").write('\n{"_id": "q101", "text": "nobody learned this"}')
    same = draw_training_set(workspace, judged, "text", refresh=False)
    assert not same.drawn and same.training_set == before.training_set, "what nobody learned retrains nobody"

    judge(tmp_path, range(41, 61))
    kept = drawn_training_set(workspace, judged, "text")
    assert draw_training_set(workspace, judged, "text", refresh=False) == Drawn(kept, drawn=False)
    gone = asked(before) & set(range(41, 61))
    assert gone and kept.report["evaluated"] == len(gone) and kept.digest != before.training_set.digest
    assert asked(Drawn(kept, drawn=False)) == asked(before) - gone
    assert {pair.document for pair in kept.pairs} <= {pair.document for pair in before.training_set.pairs}
    (age,) = execute(
        "select count(*) from ops.training_draws where collection = %s and drawn_at < now() - interval '2 days'",
        (name,),
    )
    assert age == (1,), "its rows are as old as they were"

    assert draw_training_set(workspace, plain, "text", refresh=False).training_set == kept
    anew = draw_training_set(workspace, judged, "text", refresh=True)
    assert anew.drawn and anew.training_set.report["unknown_row"] == 1
    assert {"edited 1", "edited 2", "edited 3"} <= {pair.document for pair in anew.training_set.pairs}
    assert not asked(anew) & set(range(41, 61))
