"""What a score has to be is never declared: it is calibrated, for a stated precision."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel, ValidationError

from vector_assets.spec import Collection, Evaluation
from vector_assets.spec.shape import inner_models


def _keys(model: type[BaseModel]) -> set[str]:
    found = set(model.model_fields)
    for field in model.model_fields.values():
        for inner in inner_models(field.annotation):
            found |= _keys(inner)
    return found


def test_no_key_of_a_declaration_takes_a_raw_score() -> None:
    raw = re.compile(r"threshold|cosine|similarity|min_score|score_above|cutoff")
    assert {"answer_precision", "calibration", "recall", "margin"} <= _keys(Collection)
    assert [key for key in _keys(Collection) if raw.search(key)] == []


@pytest.mark.parametrize("key", ["threshold", "min_score", "cosine"])
def test_a_raw_threshold_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Evaluation.model_validate({key: 0.7})


def test_calibration_asks_other_judgements_than_the_evaluation() -> None:
    asked = {"queries": "queries.jsonl", "qrels": "test.tsv"}
    with pytest.raises(ValidationError, match="those of the evaluation"):
        Evaluation.model_validate({**asked, "calibration": asked})
    declared = Evaluation.model_validate({**asked, "calibration": {**asked, "qrels": "train.tsv"}})
    assert declared.calibration and declared.calibration.qrels == "train.tsv"
    assert declared.answer_precision == 0.9
    for wrong in (0, 1, 1.5):
        with pytest.raises(ValidationError):
            Evaluation.model_validate({"answer_precision": wrong})
