"""Margin and scale as declared: in the loss, in the key where they differ, and refused where they say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vector_assets.encoder import ContractSettings
from vector_assets.spec import Training
from vector_assets.training import training_key
from vector_assets.training.heads import SplitHead
from vector_assets.training.objectives import ArcFace, Seen, make_objective
from vector_assets.training.search.space import applied, space_of

TRIPLET = {"objective": "triplet", "labels": "kind"}
ARCFACE = {"objective": "arcface", "labels": "kind"}
PAIRS = {"pairs": "pairs.jsonl"}


def declared(*parts: dict[str, Any], **more: Any) -> Training:
    return Training.model_validate({name: value for part in (*parts, more) for name, value in part.items()})


def key(*parts: dict[str, Any], **more: Any) -> str:
    return training_key("set", declared(*parts, **more), "base")


def test_what_is_declared_is_in_the_loss() -> None:
    import torch

    circle = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])  # squared distances 2, 2 and 4
    alike = Seen(circle, classes=torch.tensor([0, 0, 1]))
    for margin in (0.1, 1.5):
        # From 0 the other one is at 2 and the wrong one at 4; from the other one they are equally far.
        wanted = (max(0.0, 2 - 4 + margin) + margin) / 2
        found = make_objective(declared(TRIPLET, margin=margin))
        assert float(found.loss(alike)) == pytest.approx(wanted, abs=1e-6) and found.settings()["margin"] == margin
    for scale in (1.0, 5.0):
        found = make_objective(declared(PAIRS, scale=scale))
        wanted = float(np.log(1 + np.exp(-scale)))  # cosines of 1 and 0
        assert float(found.loss(Seen(circle[:2], circle[:2]))) == pytest.approx(wanted, rel=1e-4)
        weighed = Seen(circle[:2], circle[:2], weights=torch.tensor([1.0, 3.0]))
        assert float(found.loss(weighed)) == pytest.approx(wanted, rel=1e-4) and found.settings()["scale"] == scale


@pytest.mark.parametrize("processes", [1, 2])
def test_arcfaces_are_known_to_every_process_that_holds_a_part_of_its_head(processes: int) -> None:
    import torch

    vectors = np.eye(4, dtype=np.float32)
    classes = np.array([0, 1, 2, 3])
    for margin, scale in ((0.5, 64.0), (0.3, 4.0)):
        objective = make_objective(
            declared(ARCFACE, margin=margin, scale=scale, head={"processes": processes, "start": "means"})
        )
        assert isinstance(objective, ArcFace)
        objective.start(vectors, classes, (vectors[:0], classes[:0]))
        assert objective.head is not None and isinstance(objective.head, SplitHead) == (processes > 1)
        with objective.head.learning():
            loss = float(objective.loss(Seen(torch.from_numpy(vectors), classes=torch.from_numpy(classes))))
        own = scale * np.cos(margin)  # each vector is its centre, and at right angles to the others
        assert loss == pytest.approx(np.log(np.exp(own) + 3) - own, rel=1e-3, abs=1e-6)
        assert (objective.settings()["margin"], objective.settings()["scale"]) == (margin, scale)


def test_a_key_changes_with_them_and_not_with_their_defaults() -> None:
    for same in ((TRIPLET, {"margin": 0.2}), (ARCFACE, {"margin": 0.5, "scale": 64}), (PAIRS, {"scale": 20})):
        assert key(*same) == key(same[0])
    keys = [key(TRIPLET), key(TRIPLET, margin=0.5), key(TRIPLET, margin=0.1)]
    keys += [key(ARCFACE), key(ARCFACE, margin=0.2), key(ARCFACE, scale=20), key(ARCFACE, margin=0.2, scale=20)]
    keys += [key(PAIRS), key(PAIRS, scale=64)]
    keys += [key(PAIRS, search=search) for search in ({"scale": [10, 20]}, {"scale": [10, 30]}, {"patience": [1]})]
    assert len(set(keys)) == len(keys)


def test_keys_from_before_they_could_be_declared_are_what_they_were() -> None:
    """Computed before: those of the objectives themselves, and that of a search, whose settings are in its key."""
    assert key(TRIPLET) == "16b41612f4f53dc9161d2ce51577903eff8b6d9265d1ee3af3dba360d1441a91"
    assert key(ARCFACE) == "b46e7faefacfacbb8c7d86683c03a2fe3b01f3f3f5f809232a097584d6450e02"
    searched = key(PAIRS, search={"batch_size": [8, 16], "layer": [1, "mix"]}, trainable="last_1")
    assert searched == "89b454d2b6459b09b55ee3861eaa201050e1d62e4b0a09c58184154463c16f73"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((PAIRS, {"margin": 0.1}), "margin: contrastive has none; leave margin out, or choose triplet or arcface"),
        ((TRIPLET, {"scale": 3}), "scale: triplet has none; leave scale out, or choose contrastive or arcface"),
        (({"objective": "classification", "labels": "kind", "scale": 2},), "scale: classification has none"),
        (({"objective": "dropout_pairs", "scale": 2},), "scale: dropout_pairs has none"),
        ((ARCFACE, {"margin": 3.5}), "margin: found 3.5; of arcface expected less than 3.14"),
        ((PAIRS, {"search": {"margin": [0.1]}}), "search.margin: contrastive has none"),
        ((ARCFACE, {"search": {"margin": [0.1, 3.2]}}), "search.margin: found 3.2"),
        ((TRIPLET, {"margin": 0}), "greater than 0"),
        ((TRIPLET, {"margin": 4}), "less than 4"),
        ((TRIPLET, {"search": {"margin": [0.1, 0.1]}}), "must hold each value once"),
    ],
)
def test_where_they_say_nothing_they_are_refused(parts: tuple[dict[str, Any], ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        declared(*parts)


def test_a_search_tries_them_beside_the_objectives_own() -> None:
    asked = declared(TRIPLET, search={"margin": [0.1, 0.2, 0.4]})
    space = space_of(asked, ContractSettings(), Path())
    assert space.declared == {"margin": 0.2} and space.choices == {"margin": (0.1, 0.2, 0.4)}
    assert space.all(9) == [{"margin": 0.1}, {"margin": 0.4}], "its own is trial 0"
    trial, _ = applied(asked, ContractSettings(), {"margin": 0.4}, space)
    assert trial.loss_setting("margin") == 0.4 and trial.search is None
    first, _ = applied(asked, ContractSettings(), space.declared, space)
    assert training_key("set", first, "base") == key(TRIPLET), "a checkpoint of before is found by trial 0"
