"""What may be declared about a head, and what is refused with which words."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from vector_assets.spec import HEADED, ClassHead, Training


@pytest.mark.parametrize(
    ("declared", "error"),
    [
        ({"objective": "triplet", "labels": "kind", "head": {"sample": 0.1}}, "head: triplet has no head; leave"),
        ({"pairs": "p.jsonl", "head": {"processes": 2}}, "head: contrastive has no head; leave head out, or choose"),
        ({"objective": "arcface", "labels": "kind", "head": {"sample": 0}}, "greater than 0"),
        ({"objective": "arcface", "labels": "kind", "head": {"sample": 1.1}}, "less than or equal to 1"),
        ({"objective": "arcface", "labels": "kind", "head": {"processes": 0}}, "greater than or equal to 1"),
        ({"objective": "arcface", "labels": "kind", "head": {"processes": 65}}, "less than or equal to 64"),
        ({"objective": "arcface", "labels": "kind", "head": {"start": "zero"}}, "'fitted', 'means' or 'random'"),
        ({"objective": "classification", "labels": "kind", "head": {"start": "means"}}, "expected fitted or random"),
        ({"objective": "arcface", "labels": "kind", "head": {"rate": 0.1}}, "Extra inputs"),
    ],
)  # fmt: skip
def test_what_no_head_can_be_is_refused(declared: dict[str, object], error: str) -> None:
    with pytest.raises(ValidationError) as found:
        Training.model_validate(declared)
    assert error in str(found.value)


@pytest.mark.parametrize("objective", HEADED)
def test_processes_and_a_sample_stand_together(objective: str) -> None:
    declared = {"objective": objective, "labels": "kind", "head": {"processes": 2, "sample": 0.1, "start": "random"}}
    assert Training.model_validate(declared).head == ClassHead(processes=2, sample=0.1, start="random")
    assert Training.model_validate({**declared, "head": {}}).head == ClassHead()
    again = Training(pairs="p.jsonl").model_dump()
    assert Training.model_validate(again).head == ClassHead(), "what an objective without a head says of it is nothing"
