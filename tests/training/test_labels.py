"""Objectives over labels: their losses by hand, their batches, and what is learned."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runlog import MemoryLog

from vector_assets.encoder import load_encoder
from vector_assets.records import Pair, SplitName, TrainingSet
from vector_assets.spec import ClassHead, Training
from vector_assets.training import Trained, pairs_digest, train
from vector_assets.training.objectives import ArcFace, Classification, Seen, Triplet
from vector_assets.training.objectives.arcface import margin_scores
from vector_assets.training.objectives.batching import alike_together, shuffled
from vector_assets.training.objectives.classification import fit_probe
from vector_assets.training.objectives.triplet import squared_distances
from vector_assets.training.retrieval import judge, pool_of


def _unit(rows: int, dims: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dims)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_triplet_loss_by_hand() -> None:
    """Points on a circle, so that every distance is known; one positive pair, three kinds of negatives."""
    import torch

    def on_circle(*degrees: float) -> torch.Tensor:
        return torch.tensor([[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees])

    def distance(degrees: float) -> float:
        return 2 - 2 * math.cos(math.radians(degrees))

    def loss(points: torch.Tensor, classes: list[int]) -> float:
        return float(Triplet().loss(Seen(points, classes=torch.tensor(classes))))

    # anchor 0, positive 40, negative 42: semi-hard, farther than the positive by less than the margin
    wanted_0 = distance(40) - distance(42) + 0.2
    # anchor 40: no negative is farther than 40 degrees, so the farthest of them counts, 2 degrees away
    wanted_40 = distance(40) - distance(2) + 0.2
    assert loss(on_circle(0, 40, 42), [0, 0, 1]) == pytest.approx((wanted_0 + wanted_40) / 2, abs=1e-6)
    # anchor 0 with negatives at -20 (nearer than the positive) and -45: the semi-hard one is taken, not the hardest
    wanted_0 = distance(40) - distance(45) + 0.2
    wanted_40 = 0.0  # distance(40) - distance(60) + 0.2 < 0
    assert wanted_0 > 0 > distance(40) - distance(60) + 0.2
    assert loss(on_circle(0, 40, -20, -45), [0, 0, 1, 2]) == pytest.approx((wanted_0 + wanted_40) / 2, abs=1e-6)
    assert loss(on_circle(0, 1, 180), [0, 0, 1]) == 0.0  # easy


def _facenet(points: np.ndarray, classes: list[int]) -> float:
    """FaceNet's rule written out, over all anchors and positives."""
    squared = ((points[:, None] - points[None]) ** 2).sum(-1)
    total = 0.0
    for anchor in range(len(points)):
        for positive in range(len(points)):
            if anchor == positive or classes[anchor] != classes[positive]:
                continue
            others = [squared[anchor, n] for n in range(len(points)) if classes[n] != classes[anchor]]
            outside = [d for d in others if d > squared[anchor, positive]]
            total += max(squared[anchor, positive] - (min(outside) if outside else max(others)) + 0.2, 0.0)
    return total


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 3), min_size=4, max_size=12))
def test_the_triplet_loss_is_facenets_on_any_batch(seed: int, classes: list[int]) -> None:
    import torch

    if len(set(classes)) < 2 or len(set(classes)) == len(classes):
        return
    points = _unit(len(classes), 5, seed).astype(np.float64)
    found = float(Triplet().loss(Seen(torch.from_numpy(points), classes=torch.tensor(classes))))
    pairs = sum(count * (count - 1) for count in Counter(classes).values())
    assert found == pytest.approx(_facenet(points, classes) / pairs, abs=1e-6)
    assert torch.allclose(
        squared_distances(torch.from_numpy(points)), torch.cdist(*[torch.from_numpy(points)] * 2) ** 2, atol=1e-6
    )


def test_arcface_scores_are_the_published_formula() -> None:
    import torch

    cosines = torch.linspace(-1, 1, 401, dtype=torch.float64).repeat(3, 1).T.contiguous()
    classes = torch.arange(401) % 3
    found = margin_scores(cosines, classes)
    for row in range(401):
        for column in range(3):
            cosine = float(cosines[row, column])
            theta = math.acos(cosine)
            own = math.cos(theta + 0.5) if theta + 0.5 < math.pi else cosine - 0.5 * math.sin(0.5)
            wanted = 64 * (own if column == int(classes[row]) else cosine)
            assert float(found[row, column]) == pytest.approx(wanted, abs=1e-5)
    own = found[torch.arange(401), classes][classes == 0]
    assert bool((own.diff() > 0).all()), "the own score falls with the angle everywhere, beyond pi as well"
    past = margin_scores(torch.tensor([[1.0000001, 0.0]]), torch.tensor([0]))
    assert bool(torch.isfinite(past).all())


def test_arcfaces_gradient_goes_straight_through_the_margin() -> None:
    import torch

    cosines = torch.tensor([[0.9, 0.1, -0.3], [1.0, 0.2, 0.1]], requires_grad=True)
    classes = torch.tensor([0, 0])
    scores = margin_scores(cosines, classes)
    torch.nn.functional.cross_entropy(scores, classes, reduction="sum").backward()
    share = torch.softmax(scores.detach(), dim=1)
    assert cosines.grad is not None
    assert torch.allclose(cosines.grad, 64 * (share - torch.eye(3)[classes]), atol=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_arcface_starts_at_the_directions_of_a_logistic_regression(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(classes)
    own = np.arange(60) % classes
    vectors = (generator.standard_normal((60, 5)) + 2 * np.eye(classes, 5)[own] + 3).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)  # a share in common, as vectors of sentences have
    objective = ArcFace()
    objective.start(vectors, own, (vectors[:0], own[:0]))
    assert objective.head is not None
    weight = objective.head.weight.detach().numpy()
    assert np.linalg.norm(weight, axis=1) == pytest.approx(np.ones(classes), abs=1e-6)
    wanted = LogisticRegression(C=10.0, max_iter=1000).fit(vectors, own).coef_
    wanted = np.concatenate([-wanted, wanted]) if classes == 2 else wanted
    assert (weight * wanted).sum(1) / np.linalg.norm(wanted, axis=1) == pytest.approx(np.ones(classes), abs=1e-4)
    means = ArcFace(ClassHead(start="means"))
    means.start(vectors, own, (vectors[:0], own[:0]))
    assert means.head is not None
    near = means.head.weight.detach().numpy()
    assert (near @ near.T).min() > 0.5 > (weight @ weight.T).min()  # the means are alike, and these are not


def test_arcface_starts_from_the_means_and_looks_at_directions_only() -> None:
    import torch

    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    objective = ArcFace(ClassHead(start="means"))
    objective.start(vectors, np.array([0, 0, 1]), (vectors[:0], np.array([], np.int64)))
    assert objective.head is not None
    mean = np.array([1.8, 0.6]) / np.hypot(1.8, 0.6)
    assert objective.head.weight.detach().numpy() == pytest.approx(np.array([mean, [0, 1]]), abs=1e-6)
    seen = Seen(torch.from_numpy(vectors), classes=torch.tensor([0, 0, 1]))
    before, said = float(objective.loss(seen).detach()), objective.head.predict(vectors).tolist()
    objective.head.restore({"weight": objective.head.weight.detach() * torch.tensor([[9.0], [0.1]])})
    assert float(objective.loss(seen).detach()) == pytest.approx(before) and said == [0, 0, 1]
    assert objective.head.predict(vectors).tolist() == said


@pytest.mark.parametrize("classes", [2, 4])
def test_classification_starts_as_the_logistic_regression(classes: int) -> None:
    import torch
    from sklearn.linear_model import LogisticRegression

    vectors = _unit(60, 6)
    truth = np.argmax(vectors[:, :classes], axis=1)
    check = (_unit(40, 6, 1), np.argmax(_unit(40, 6, 1)[:, :classes], axis=1))
    objective = Classification()
    objective.start(vectors, truth, check)
    assert objective.head is not None
    probe = LogisticRegression(C=objective.strength, max_iter=1000).fit(vectors, truth)
    assert objective.head.predict(check[0]).tolist() == probe.predict(check[0]).tolist()
    found = float(objective.loss(Seen(torch.from_numpy(check[0]), classes=torch.from_numpy(check[1]))).detach())
    wanted = -np.log(probe.predict_proba(check[0])[np.arange(40), check[1]]).mean()
    assert found == pytest.approx(wanted, abs=1e-4)
    accuracies = [np.mean(fit_probe(vectors, truth, c).predict(check[0]) == check[1]) for c in (1.0, 10.0, 100.0)]
    assert np.mean(objective.head.predict(check[0]) == check[1]) == max(accuracies), "validation chose the penalty"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=80), st.integers(4, 12), st.integers(0, 9))
def test_batches_of_labels(labels: list[str], size: int, seed: int) -> None:
    together = min(4, size // 2)
    batches = alike_together(labels, size=size, together=together, generator=np.random.default_rng(seed))
    used = [place for batch in batches for place in batch]
    assert len(used) == len(set(used))
    for batch in batches:
        counts = Counter(labels[place] for place in batch)
        assert len(batch) <= size and 1 < len(counts) < len(batch), "a positive and a negative"
    whole = shuffled([1] * len(labels), size=size, generator=np.random.default_rng(seed))
    assert sorted(place for batch in whole for place in batch) == list(range(len(labels)))


def test_a_text_finds_those_of_its_label_and_never_itself() -> None:
    texts = [
        Pair("", text, "g", "test", label=label) for text, label in [("p", "x"), ("q", "x"), ("r", "y"), ("s", "x")]
    ]
    pool = pool_of(texts)
    assert [query.text for query in pool.queries] == ["p", "q", "s"] and pool.own == (0, 1, 3)
    assert dict(pool.queries[0].relevant) == {"00000001": 1.0, "00000003": 1.0}
    vectors = np.array([[1, 0], [0.6, 0.8], [0.8, 0.6], [0, 1]], np.float32)
    found = judge(pool, vectors[list(pool.own)], vectors)
    assert found.metric == "map"
    # r stands before q and s for p; before s and p for q; q is first and p last for s.
    assert found.each.tolist() == pytest.approx([(1 / 2 + 2 / 3) / 2, (1 / 2 + 2 / 3) / 2, (1 + 2 / 3) / 2])


def test_all_texts_of_a_large_label_count() -> None:
    labels = ["x"] * 130 + ["y"] * 2
    pool = pool_of([Pair("", f"text {n}", "g", "test", label=label) for n, label in enumerate(labels)])
    vectors = np.array([[1, 0] if label == "x" else [0, 1] for label in labels], np.float32)
    assert judge(pool, vectors, vectors).each.tolist() == pytest.approx([1.0] * 132), "129 of 129, not the first 100"


@pytest.fixture(scope="module")
def kinds() -> TrainingSet:
    """Twelve labels, each told by one of two words among fillers: a base does not see what the two have in common."""
    texts: list[Pair] = []
    splits: tuple[SplitName, ...] = ("train", "validation", "test")
    rng = np.random.default_rng(0)
    for split in splits:
        for label in range(12):
            for copy in range(44 if split == "train" else 8):
                word = f"{'ab'[copy % 2]}{label}"
                fill = " ".join(f"c{n}" for n in rng.integers(0, 30, 2))
                texts.append(Pair("", f"{fill} {word}", f"{split}{label}", split, f"[{len(texts)}]", f"kind {label}"))
    return TrainingSet(pairs_digest(texts), tuple(texts), {"train": 12 * 44})


def _trained(objective: str, kinds: TrainingSet, base: Path, folder: Path, log: MemoryLog, **more: object) -> Trained:
    training = Training.model_validate(
        {
            "objective": objective, "labels": "kind", "trainable": "last_2", "learning_rate": 3e-3, "batch_size": 24,
            "evaluations_per_epoch": 1, "patience": 3, "max_epochs": 7, "max_validation": 96,
        }
        | more
    )  # fmt: skip
    return train(kinds, training, base, destination=folder, log=log, base_log=MemoryLog())


@pytest.mark.parametrize("objective", ["triplet", "classification", "arcface"])
def test_each_objective_beats_its_base_on_unseen_texts(
    objective: str, kinds: TrainingSet, base: Path, tmp_path: Path
) -> None:
    log = MemoryLog()
    found = _trained(objective, kinds, base, tmp_path, log)
    assert found.improved and found.comparison.low > 0, found.comparison
    assert found.comparison.new == pytest.approx(found.test["map"])
    losses = [value for _, value in log.series("train/loss")]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert log.logged_params["objective_objective"] == objective
    pool = pool_of(kinds.split("test"))
    encoder = load_encoder(found.checkpoint.folder)
    vectors = encoder.encode_documents(pool.documents).vectors
    again = judge(pool, vectors[list(pool.own)], vectors).metrics
    assert again["mrr@10"] == pytest.approx(found.test["mrr@10"], abs=1e-3)
    assert (found.head is not None) == (objective != "triplet")
    if found.head is not None:
        _check_head(found, objective, kinds, vectors)


def _check_head(found: Trained, objective: str, kinds: TrainingSet, vectors: np.ndarray) -> None:
    """The stored head says of the stored encoder's vectors what the report says; the checkpoint does not hold it."""
    from safetensors import safe_open
    from sklearn.metrics import f1_score

    assert found.head is not None and found.classified is not None
    with safe_open(found.head, framework="np") as file:
        labels = json.loads(file.metadata()["labels"])
        weight = file.get_tensor("weight")
        bias = file.get_tensor("bias") if "bias" in file.keys() else None  # noqa: SIM118 - not a mapping
    assert (bias is None) == (objective == "arcface") and labels == sorted({one.label for one in kinds.pairs})
    if bias is None:
        weight, bias = weight / np.linalg.norm(weight, axis=1, keepdims=True), 0.0
    said = [labels[place] for place in np.argmax(vectors @ weight.T + bias, axis=1)]
    truth = [one.label for one in kinds.split("test")]
    assert np.mean([a == b for a, b in zip(said, truth, strict=True)]) == pytest.approx(
        found.test["accuracy"], abs=0.03
    )
    assert found.test["f1_macro"] == pytest.approx(f1_score(truth, said, average="macro"), abs=0.05)
    assert found.classified.new == pytest.approx(found.test["accuracy"])
    assert {path.name for path in found.report} == {
        "curves.png", "confusion.png", "vectors.png", "classes.csv", "confusions.csv", "report.json",
    }  # fmt: skip
    assert not [path for path in found.checkpoint.folder.rglob("*") if "head" in path.name]
    metric = "accuracy" if objective == "classification" else "map"
    assert found.history.metric == metric


def test_a_head_alone_leaves_the_encoder_as_it_is(kinds: TrainingSet, base: Path, tmp_path: Path) -> None:
    log = MemoryLog()
    found = _trained("classification", kinds, base, tmp_path, log, trainable="head", max_epochs=2, learning_rate=0.01)
    assert found.checkpoint == found.base and not found.improved and found.comparison.difference == 0
    assert log.logged_params["frozen_layers"] == log.logged_params["layers"] == 3
    assert found.head is not None and found.head.is_file() and 0.0 < found.test["accuracy"] <= 1.0
    assert found.test["accuracy"] >= found.base_test["accuracy"] - 0.1


def test_labels_held_out_whole_have_no_accuracy_but_are_found(kinds: TrainingSet, base: Path, tmp_path: Path) -> None:
    held = {"kind 0": "validation", "kind 1": "validation", "kind 2": "test", "kind 3": "test"}
    pairs = tuple(
        Pair("", one.document, one.label, held.get(one.label, "train"), one.key, one.label)  # type: ignore[arg-type]
        for one in kinds.pairs
        if one.split == "train"
    )
    unseen = TrainingSet(pairs_digest(pairs), pairs, {})
    found = _trained("classification", unseen, base, tmp_path, MemoryLog(), max_epochs=1)
    assert "accuracy" not in found.test and found.classified is None and found.history.metric == "map"
    assert {path.name for path in found.report} == {"curves.png", "vectors.png", "report.json"}
