"""What may be learned from: declared questions or the validation split, never what is evaluated or was trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from fakes import Declare, FakeStore, KeywordEncoder

from vector_assets.records import Pair, TrainingSet
from vector_assets.stores.calibrating import calibration_queries, calibration_version
from vector_assets.stores.checkpoints import StoredEncoder
from vector_assets.stores.fusing import learnable
from vector_assets.stores.workspace import Workspace


def written(folder: Path) -> dict[str, object]:
    """Six questions; the first three are evaluated, the others are to be learned from, one of them in other letters."""
    texts = ["a cat", "a dog", "an owl", "A  Cat", "a fish", "an eel"]
    lines = [json.dumps({"_id": f"q{number}", "text": text}) for number, text in enumerate(texts)]
    (folder / "queries.jsonl").write_text("\n".join(lines))
    (folder / "test.tsv").write_text("\n".join(f"q{number}\t{number + 1}\t1" for number in range(3)))
    (folder / "train.tsv").write_text("\n".join(f"q{number}\t{number + 1}\t1" for number in (2, 3, 4, 5)))
    queries = str(folder / "queries.jsonl")
    calibration = {"queries": queries, "qrels": str(folder / "train.tsv")}
    return {"queries": queries, "qrels": str(folder / "test.tsv"), "calibration": calibration}


def test_declared_questions_without_those_that_are_evaluated(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], tmp_path: Path
) -> None:
    animals(8)
    collection = declare(evaluation=written(tmp_path))
    relation = workspace.raw.relation(collection)
    found = calibration_queries(workspace, collection, relation)
    assert [(query.id, query.text) for query in found] == [("q4", "a fish"), ("q5", "an eel")], "by id, and by text"
    assert dict(found[0].relevant) == {"[5]": 1.0}
    before = calibration_version(workspace, collection)
    assert before == calibration_version(workspace, collection) != ""
    (tmp_path / "train.tsv").write_text("q4\t5\t1\nq5\t6\t1\nq3\t1\t1\n")
    assert calibration_version(workspace, collection) != before


def test_the_validation_split_else_nothing_and_not_what_was_trained_on(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], tmp_path: Path
) -> None:
    animals(8)
    store = FakeStore(workspace, declare(), encoder := KeywordEncoder())
    assert calibration_queries(workspace, store.collection, store.relation) == []
    assert calibration_version(workspace, store.collection) == ""
    pairs = (
        Pair("a fish", "fish 3", "g1", "train", "[3]"),
        Pair("a dog", "dog 1", "g2", "validation", "[1]"),
        Pair("an owl", "owl 2", "g3", "test", "[2]"),
        Pair("An owl", "owl 6", "g4", "validation", "[6]"),
    )
    name = store.collection.name
    trained = TrainingSet(hashlib.sha256(name.encode()).hexdigest(), pairs, {})
    workspace.training_sets.save(name, "text", "d", trained)
    workspace.checkpoints.set_encoder(name, "text", StoredEncoder(encoder.digest, None, trained.digest))
    found = calibration_queries(workspace, store.collection, store.relation)
    assert [query.text for query in found] == ["a dog"], "the other validation question is asked by the test split"
    assert calibration_version(workspace, store.collection) != ""
    store.questions_learned = calibration_queries(workspace, declare(evaluation=written(tmp_path)), store.relation)
    assert [query.text for query in store.questions_learned] == ["a fish", "an eel"]
    assert [query.text for query in learnable(store)] == ["an eel"], "an encoder has learned the other"
