"""What may be declared about learning, and what is refused with which words."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from vector_assets.spec import LABELLED, Collection, Training

REFUSED = [
    ({}, "pairs: is missing; contrastive learns from pairs"),
    ({"labels": "kind"}, "labels: contrastive learns from pairs; leave labels out"),
    ({"pairs": "p.jsonl", "labels": "kind"}, "labels: contrastive learns from pairs"),
    ({"objective": "triplet"}, "labels: is missing; triplet learns from labels; expected a field, or a mapping"),
    ({"objective": "arcface", "pairs": "p.jsonl"}, "pairs: arcface learns from labels; leave pairs out"),
    ({"objective": "tripelt", "labels": "kind"}, "Input should be 'contrastive', 'triplet', 'classification' or"),
    ({"pairs": "p.jsonl", "trainable": "head"}, "trainable: contrastive has no head to learn alone"),
    ({"objective": "arcface", "labels": "kind", "trainable": "head"}, "trainable: arcface has no head to learn alone"),
    ({"pairs": "p.jsonl", "trainable": "last"}, "must be all, last_<k> such as last_2, lora, head, mix or none"),
    ({"objective": "triplet", "labels": "kind", "batch_size": 3}, "batch_size: found 3; a triplet needs two labels"),
    ({"pairs": "p.jsonl", "lora_rank": 0}, "greater than or equal to 1"),
    ({"objective": "triplet", "labels": {"path": "x"}}, "Extra inputs"),
]


@pytest.mark.parametrize(("declared", "error"), REFUSED)
def test_what_cannot_be_learned_from_is_refused(declared: dict[str, object], error: str) -> None:
    with pytest.raises(ValidationError) as found:
        Training.model_validate(declared)
    assert error in str(found.value)


@pytest.mark.parametrize("objective", LABELLED)
@pytest.mark.parametrize("labels", ["kind", {"file": "labels.jsonl"}])
def test_objectives_over_labels_take_a_field_or_a_file(objective: str, labels: object) -> None:
    assert Training.model_validate({"objective": objective, "labels": labels}).pairs is None


@pytest.mark.parametrize(
    ("labels", "by", "error"),
    [
        ("nothing", "group", "train.labels: nothing is not a declared field"),
        ("text", "group", "train.labels: text is also read by the space"),
        ("kind", "nothing", "train.split.by: nothing is not a declared field"),
        ({"file": "l.jsonl"}, "nothing", "train.split.by: nothing is not a declared field"),
    ],
)
def test_labels_and_groups_are_fields(labels: object, by: str, error: str) -> None:
    declared = {
        "name": "c", "source": {"kind": "file", "path": "x.jsonl"},
        "fields": {"text": "text", "kind": "category", "group": "category"},
        "spaces": {"t": {"fields": ["text"], "train": {"objective": "triplet", "labels": labels, "split": {"by": by}}}},
    }  # fmt: skip
    with pytest.raises(ValidationError) as found:
        Collection.model_validate(declared)
    assert error in str(found.value)
