"""Which declaration a kept training set belongs to."""

from __future__ import annotations

from vector_assets.spec import Collection
from vector_assets.stores.training_sets import declaration_of


def _collection(**train: object) -> Collection:
    split = {"by": "group", "validation": ["a"], "test": ["b"]}
    first = {"pairs": {"query": "ask"}, "split": split, "max_pairs": 100}
    return Collection.model_validate(
        {
            "name": "c", "source": {"kind": "file", "path": "x.jsonl"},
            "fields": {"ask": "text", "text": "text", "group": "category", "kind": "category"},
            "spaces": {
                "text": {"fields": ["text"], "train": first},
                "other": {"fields": ["text"], "train": {"pairs": "p.jsonl"}},
                "kinds": {"fields": ["text"], "train": {"objective": "triplet", "labels": "kind", **train}},
            },
        }
    )  # fmt: skip


def test_training_sets_of_earlier_declarations_stay_theirs() -> None:
    """Computed before there were labels: else every kept training set would be drawn again."""
    found = _collection()
    assert declaration_of(found, "text") == "f8e786f7db2bc46f336ac0893ad75f787ddd1b1219012a3f68e271cc4d397c1e"
    assert declaration_of(found, "other") == "277b08b27a4eb4660aa5113dfb79ec18adf177ad7ee32a5f8b741068ce9a81c2"


def test_what_is_mined_or_read_first_decides_and_how_it_is_learned_does_not() -> None:
    def drawn(**train: object) -> str:
        return declaration_of(
            _collection(objective="contrastive", labels=None, pairs={"query": "ask"}, **train), "kinds"
        )

    plain, mined = drawn(), drawn(negatives={"mined": 2})
    first = drawn(pretrain={"objective": "denoising"})
    assert len({plain, mined, drawn(negatives={"mined": 3}), first}) == 4
    assert drawn(pretrain={"objective": "dropout_pairs", "epochs": 4}) == first
    assert drawn(pretrain={"objective": "denoising", "texts": 9}) != first
    assert drawn(matryoshka=[8]) == plain
    alone = [
        declaration_of(_collection(objective=name, labels=None), "kinds") for name in ("denoising", "dropout_pairs")
    ]
    assert alone[0] == alone[1] and alone[0] not in (plain, mined, first)


def test_training_sets_of_labels_before_tables_and_times_stay_theirs() -> None:
    assert declaration_of(_collection(), "kinds") == "c96947e60249c05fd1c9ea390fb73a286bfbf60c8b63da9254d46f36a2e3143b"
    found = declaration_of(_collection(labels={"file": "l.jsonl"}), "kinds")
    assert found == "128126a3d012977208fb1a108056b746aeb8a3e97d566769610b228f0b29c92d"


def test_labels_decide_what_is_drawn_and_how_they_are_learned_does_not() -> None:
    first = declaration_of(_collection(), "kinds")
    assert declaration_of(_collection(objective="arcface", trainable="lora", max_gap=0.5), "kinds") == first
    assert declaration_of(_collection(labels={"file": "l.jsonl"}), "kinds") != first
    assert declaration_of(_collection(labels="group"), "kinds") != first


def test_how_a_split_is_made_decides_what_is_drawn() -> None:
    splits: list[dict[str, object]] = [
        {}, {"documents": "shared"}, {"by_time": "time"}, {"by_time": "time", "documents": "shared"}
    ]  # fmt: skip
    kinds: list[dict[str, object]] = [
        {"triplets": "t.jsonl"}, {"clicks": {"file": "l.csv"}}, {"clicks": {"file": "l.csv", "max_weight": 5}}
    ]  # fmt: skip
    declared = [
        {"objective": "contrastive", "labels": None, "split": split, **kind} for split in splits for kind in kinds
    ]
    assert len({declaration_of(_collection(**train), "kinds") for train in declared}) == len(declared)
