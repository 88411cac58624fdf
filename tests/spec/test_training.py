"""What may be declared about learning, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from vector_assets.errors import SpecError
from vector_assets.spec import LABELLED, Collection, TextSpace, Training
from vector_assets.spec.load import load_text

REFUSED = [
    ({}, "pairs: is missing; contrastive learns from pairs"),
    ({"labels": "kind"}, "labels: contrastive learns from pairs; leave labels out"),
    ({"pairs": "p.jsonl", "labels": "kind"}, "labels: contrastive learns from pairs"),
    ({"objective": "triplet"}, "labels: is missing; triplet learns from labels; expected a field, or a mapping"),
    ({"objective": "arcface", "pairs": "p.jsonl"}, "pairs: arcface learns from labels; leave pairs out"),
    ({"objective": "tripelt", "labels": "kind"}, "Input should be 'contrastive', 'triplet', 'classification', 'arc"),
    ({"pairs": "p.jsonl", "trainable": "head"}, "trainable: contrastive has no head to learn alone"),
    ({"objective": "arcface", "labels": "kind", "trainable": "head"}, "trainable: arcface has no head to learn alone"),
    ({"pairs": "p.jsonl", "trainable": "last"}, "must be all, last_<k> such as last_2, lora, head, mix or none"),
    ({"objective": "triplet", "labels": "kind", "batch_size": 3}, "batch_size: found 3; a triplet needs two labels"),
    ({"pairs": "p.jsonl", "lora_rank": 0}, "greater than or equal to 1"),
    ({"objective": "triplet", "labels": {"path": "x"}}, "Extra inputs"),
    ({"objective": "triplet", "labels": "kind", "negatives": {"mined": 2}}, "negatives: triplet has no use for them"),
    ({"pairs": "p.jsonl", "negatives": {"mined": 0}}, "greater than or equal to 1"),
    ({"objective": "arcface", "labels": "kind", "matryoshka": [8]}, "matryoshka: arcface learns no vectors that stand"),
    ({"pairs": "p.jsonl", "matryoshka": [8, 8]}, "matryoshka: found [8, 8]; expected each width once"),
    ({"pairs": "p.jsonl", "matryoshka": []}, "at least 1 item"),
    ({"objective": "dropout_pairs", "pairs": "p.jsonl"}, "pairs: dropout_pairs learns from the rows' texts alone"),
    ({"objective": "denoising", "labels": "kind"}, "labels: denoising learns from the rows' texts alone"),
    ({"objective": "denoising", "trainable": "head"}, "trainable: denoising has no head to learn alone"),
    ({"objective": "denoising", "trainable": "lora"}, "trainable: denoising ties the decoder to whole layers"),
    ({"objective": "dropout_pairs", "pretrain": {"objective": "denoising"}}, "pretrain: dropout_pairs learns from"),
    (
        {"pairs": "p.jsonl", "pretrain": {"objective": "masking"}},
        "Input should be 'dropout_pairs', 'denoising' or 'views'",
    ),
    (
        {"objective": "classification", "labels": "k", "trainable": "head", "pretrain": {"objective": "denoising"}},
        "pretrain: the encoder does not learn with trainable: head",
    ),
    (
        {"objective": "distillation", "teacher": "minilm", "search": {"batch_size": [8, 16]}},
        "search: distillation learns from a teacher in one run of its own; leave search out",
    ),
    (
        {"pairs": "p.jsonl", "pretrain": {"objective": "denoising"}, "search": {"trainable": ["last_1", "lora"]}},
        "trainable: denoising ties the decoder to whole layers",
    ),
    (
        {
            "objective": "classification",
            "labels": "k",
            "pretrain": {"objective": "dropout_pairs"},
            "search": {"trainable": ["head", "all"]},
        },
        "pretrain: the encoder does not learn with trainable: head",
    ),
    (
        {"pairs": "p", "pretrain": {"objective": "dropout_pairs"}, "trainable": "none", "search": {"layer": [1, 2]}},
        "pretrain: the encoder does not learn with trainable: none",
    ),
    (
        {
            "objective": "classification",
            "labels": "k",
            "head": {"processes": 2},
            "trainable": "none",
            "search": {"layer": [1, 2]},
        },
        "head: nothing learns with trainable: none; leave head out",
    ),
    ({"objective": "distillation"}, "teacher: is missing; distillation needs the encoder to imitate"),
    ({"pairs": "p.jsonl", "teacher": "minilm"}, "teacher: contrastive has none; expected objective: distillation"),
    ({"pairs": "p.jsonl", "layers": 3}, "layers: contrastive keeps the encoder's own"),
    ({"pairs": "p.jsonl", "start": "scratch"}, "trainable: found last_2; with start: scratch no layer knows anything"),
    (
        {"pairs": "p.jsonl", "start": "scratch", "trainable": "all", "search": {"batch_size": [8, 16]}},
        "search: tries settings on the pretrained encoder",
    ),
    ({"pairs": "p.jsonl", "start": "blank"}, "'pretrained' or 'scratch'"),
    ({"pairs": "p.jsonl", "curve": {"rows": [10, 10]}}, "must rise, each number once"),
    ({"pairs": "p.jsonl", "curve": {"rows": [2, 10]}}, "greater than or equal to 4"),
    ({"pairs": "p.jsonl", "curve": {"starts": ["scratch", "scratch"]}}, "must name each start once"),
    ({"pairs": "p.jsonl", "curve": {"learning_rates": {"other": 0.1}}}, "'pretrained' or 'scratch'"),
    ({"objective": "distillation", "teacher": "minilm", "curve": {}}, "curve: distillation learns the teacher's"),
    ({"pairs": "p.jsonl", "trainable": "none", "search": {"layer": [1, 2]}, "curve": {}}, "curve: nothing learns with"),
    ({"pairs": "p.jsonl", "triplets": "t.jsonl"}, "triplets: stands beside pairs; expected one of them"),
    ({"objective": "pca", "trainable": "last_2"}, "trainable: found last_2; pca changes no layer; leave trainable out"),
    ({"objective": "pca", "trainable": "head"}, "trainable: found head; pca changes no layer; leave trainable out"),
    ({"objective": "pca", "start": "scratch", "trainable": "none"}, "start: pca reduces what the encoder knows"),
    (
        {"objective": "pca", "patience": 3},
        "patience: pca is computed in one pass, not learned by steps; leave patience",
    ),
    ({"objective": "pca", "search": {"layer": [1, 2]}}, "search: pca is computed in one pass, not learned by steps"),
    ({"objective": "pca", "curve": {}}, "curve: pca is computed in one pass, not learned by steps; leave curve out"),
    ({"objective": "pca", "matryoshka": [8]}, "matryoshka: pca learns no vectors that stand alone"),
    ({"objective": "pca", "pairs": "p.jsonl"}, "pairs: pca learns from the rows' texts alone; leave pairs out"),
    ({"objective": "pca", "pretrain": {"objective": "denoising"}}, "pretrain: pca learns from texts alone already"),
    ({"objective": "triplet", "triplets": "t.jsonl"}, "triplets: triplet learns from labels; leave triplets out"),
    ({"clicks": {"file": "l.csv", "table": "l"}}, "file, table and query: expected exactly one of them"),
    ({"clicks": {"file": "l.csv", "url": "{{ env.X }}"}}, "url: has a meaning only with table or query"),
    ({"clicks": {"table": "l", "url": "postgresql://u:p@h/d"}}, "secrets never stand in a declaration"),
    ({"clicks": {"file": "l.csv", "propensities": [1, 0]}}, "greater than 0"),
    ({"clicks": {"file": "l.csv"}, "split": {"by": "kind"}}, "split.by: clicks are split by query; leave by out"),
    (
        {"clicks": {"file": "l.csv"}, "split": {"by_time": "at"}},
        "split.by_time: found at; the times of clicks are in time",
    ),
    ({"relevance": {"queries": "q.jsonl"}}, "Field required"),
    (
        {"pairs": "p.jsonl", "split": {"by": "g", "by_time": "time", "validation": ["a"], "test": ["b"]}},
        "by_time: goes with shares, not with names of groups",
    ),
    (
        {"objective": "triplet", "labels": "kind", "split": {"documents": "shared"}},
        "split.documents: labelled texts have no queries to keep apart",
    ),
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


@pytest.mark.parametrize(
    ("train", "error"),
    [
        ({"pairs": {"query": "kind"}, "split": {"by_time": "nothing"}}, "by_time: nothing is not a declared field"),
        ({"pairs": {"query": "kind"}, "split": {"by_time": "group"}}, "by_time: group is declared as category"),
        (
            {"relevance": {"queries": "q", "qrels": "r"}, "split": {"by_time": "time"}},
            "by_time: time is not a declared",
        ),
        ({"relevance": {"queries": "q", "qrels": "r"}, "split": {"by_time": "at"}}, ""),
        ({"triplets": "t.jsonl", "split": {"by": "anything", "by_time": "time"}}, ""),
    ],
)
def test_times_are_fields_or_those_of_the_file(train: dict[str, object], error: str) -> None:
    declared = {
        "name": "c", "source": {"kind": "file", "path": "x.jsonl"},
        "fields": {"text": "text", "kind": "text", "group": "category", "at": "datetime"},
        "spaces": {"t": {"fields": ["text"], "train": train}},
    }  # fmt: skip
    if not error:
        assert Collection.model_validate(declared)
        return
    with pytest.raises(ValidationError) as found:
        Collection.model_validate(declared)
    assert error in str(found.value)


def test_the_address_of_a_log_is_kept_as_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_URL", "postgresql://user:secret@host/database")
    text = """type: vector_assets.CollectionComponent
attributes:
  name: c
  source: {kind: file, path: x.jsonl}
  fields: {text: text}
  spaces:
    t:
      fields: [text]
      train: {clicks: {query: select * from log, url: "{{ env.LOG_URL }}"}}
"""
    train = load_text(text, "c", Path()).spaces["t"].train
    assert train and train.clicks and train.clicks.url == "{{ env.LOG_URL }}"


@pytest.mark.parametrize(
    ("space", "error"),
    [
        ({"layer": "mix", "train": {"objective": "denoising"}}, "layer: denoising rebuilds texts from one layer"),
        (
            {"train": {"pairs": "p", "pretrain": {"objective": "denoising"}, "search": {"layer": [2, "mix"]}}},
            "layer: denoising rebuilds texts from one layer",
        ),
        (
            {"layer": 2, "train": {"objective": "distillation", "teacher": "minilm", "layers": 3}},
            "layer: train.layers says already how many layers the student has",
        ),
        ({"train": {"pairs": "p", "trainable": "mix"}}, "train.trainable: mix learns the weights of layers"),
        ({"layer": "mix", "dims": 64, "train": {"pairs": "p", "trainable": "mix"}}, ""),
        (
            {"layer": 3, "train": {"pairs": "p", "pretrain": {"objective": "denoising"}, "search": {"patience": [2]}}},
            "",
        ),
    ],
)
def test_layers_fit_what_is_learned(space: dict[str, object], error: str) -> None:
    if not error:
        assert TextSpace.model_validate({"fields": ["text"], **space})
        return
    with pytest.raises(ValidationError) as found:
        TextSpace.model_validate({"fields": ["text"], **space})
    assert error in str(found.value)


def test_layers_are_searched_as_they_are_unless_something_is_declared_to_learn() -> None:
    search = {"layer": [1, 2]}
    assert Training.model_validate({"pairs": "p", "search": search}).trainable == "none"
    pretrained = {"pairs": "p", "search": search, "pretrain": {"objective": "dropout_pairs"}}
    assert Training.model_validate(pretrained).trainable == "last_2"


def test_a_reduction_says_how_many_dims_are_left_and_what_it_reads() -> None:
    declared = Training.model_validate({"objective": "pca"})
    assert (declared.trainable, declared.max_pairs) == ("none", 20_000)
    assert Training.model_validate(declared.model_dump()) == declared
    assert Training.model_validate({"objective": "pca", "max_pairs": None}).max_pairs is None, "all that there are"
    assert TextSpace.model_validate({"fields": ["text"], "dims": 64, "train": {"objective": "pca"}}).dims == 64
    with pytest.raises(ValidationError, match=r"dims: is missing; train\.objective: pca makes fewer"):
        TextSpace.model_validate({"fields": ["text"], "train": {"objective": "pca"}})
    text = """
type: vector_assets.CollectionComponent
attributes:
  name: c
  source: {kind: file, path: rows.jsonl}
  fields: {text: text}
  spaces:
    t:
      fields: [text]
      train: {objective: pca}
"""
    with pytest.raises(
        SpecError, match=r"^c:8: spaces\.t: dims: is missing; train\.objective: pca makes fewer of the enc"
    ):
        load_text(text, "c", Path())
