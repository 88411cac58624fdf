"""A vision model while it learns: what moves, what stays, and what a run draws at random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_images import drawing, put
from tiny_vision import make_tiny_vision

from vector_assets.encoder.image.checkpoint import make_image_checkpoint
from vector_assets.encoder.image.contract import read_image_contract
from vector_assets.encoder.image.encoder import ImageEncoder
from vector_assets.errors import NotEncodable, NotFound
from vector_assets.records import TrainingSet
from vector_assets.spec import Augment, Training
from vector_assets.training.image import ImageNetwork, Pictures, open_network, with_rotations
from vector_assets.training.image.augmenting import moved
from vector_assets.training.image.pictures import read_from


def network(
    folder: Path, images: Path, trainable: str, augment: Augment | None = None
) -> tuple[ImageNetwork, Pictures]:
    pictures = Pictures(read_from(images), read_image_contract(folder), 1 << 20)
    return ImageNetwork(folder, pictures, trainable=trainable, augment=augment), pictures


def step(net: ImageNetwork, ids: list[list[int]]) -> None:
    """Move what learns by its gradient."""
    import torch

    (net.embed(ids)[:, 0].sum() - net.embed(ids)[::2, 1].sum()).backward()
    with torch.no_grad():
        for parameter in net.parameters():
            assert parameter.grad is not None
            parameter -= 0.1 * parameter.grad


def test_an_untrained_network_gives_what_is_served(stored: Path, drawn: TrainingSet) -> None:
    assert drawn.images is not None
    names = [pair.document for pair in drawn.pairs[:9]]
    net, pictures = network(stored, drawn.images, "all")
    served = ImageEncoder(stored).encode_documents([(drawn.images / name).read_bytes() for name in names]).vectors
    found = net.encode(pictures.tokenize(names))
    assert np.abs(found - served).max() < 1e-6
    net.prepare(pictures.tokenize(names))
    assert (net.encode(pictures.tokenize(names)) == found).all()


@pytest.mark.parametrize(("trainable", "frozen"), [("last_1", 1), ("all", 0), ("head", 2)])
def test_what_is_frozen_stays_bit_equal_with_its_statistics(
    stored: Path, drawn: TrainingSet, trainable: str, frozen: int
) -> None:
    assert drawn.images is not None
    net, pictures = network(stored, drawn.images, trainable)
    assert net.layers == (frozen, 2)
    before = {name: tensor.clone() for name, tensor in net.model.state_dict().items()}
    ids = pictures.tokenize([pair.document for pair in drawn.pairs[:8]])
    if trainable != "head":
        step(net, ids)
    changed = {name for name, tensor in net.model.state_dict().items() if not tensor.equal(before[name])}
    learning = {"last_1": ("encoder.stages.1.",), "all": ("",), "head": ("\0",)}[trainable]
    assert changed == {name for name in before if name.startswith(learning)} == set(net.weights())
    assert any("running_mean" in name for name in changed) == (trainable != "head")
    frozen_vectors = net.encode(ids)
    net.restore({name: before[name] for name in net.weights()})
    assert all(tensor.equal(before[name]) for name, tensor in net.model.state_dict().items())
    assert (np.abs(net.encode(ids) - frozen_vectors).max() > 1e-6) == (trainable != "head")


def test_looking_moves_no_statistics_and_draws_nothing(stored: Path, drawn: TrainingSet) -> None:
    import torch

    assert drawn.images is not None
    net, pictures = network(stored, drawn.images, "all", Augment(tilt=20))
    ids = pictures.tokenize([pair.document for pair in drawn.pairs[:8]])
    before, random = net.weights(), torch.get_rng_state()
    assert (net.encode(ids) == net.encode(ids)).all()
    assert torch.get_rng_state().equal(random)
    assert all(tensor.equal(before[name]) for name, tensor in net.weights().items())
    net.embed(ids)
    assert not torch.get_rng_state().equal(random)


@pytest.mark.parametrize("kind", ["vit", "convnext", "clip"])
def test_what_other_architectures_learn_is_stored(kind: str, drawn: TrainingSet, tmp_path: Path) -> None:
    assert drawn.images is not None
    base = make_image_checkpoint(make_tiny_vision(tmp_path / "model", kind), tmp_path / "stored")
    net, pictures = network(base.folder, drawn.images, "last_1")
    ids = pictures.tokenize([pair.document for pair in drawn.pairs[:8]])
    before = net.encode(ids)
    step(net, ids)
    learned = make_image_checkpoint(base.folder, tmp_path / "stored", weights=net.learned())
    assert learned.digest != base.digest
    images = [(drawn.images / pair.document).read_bytes() for pair in drawn.pairs[:8]]
    served = ImageEncoder(learned.folder).encode_documents(images).vectors
    assert np.abs(served - net.encode(ids)).max() < 1e-5 < np.abs(served - before).max()


def test_moves_are_those_of_an_affine_map() -> None:
    import torch

    image = torch.zeros(1, 1, 21, 31)
    image[0, 0, 10, 20] = 1.0  # 5 to the right of the middle
    torch.manual_seed(0)
    assert moved(image, Augment(rotations=True)).sub(image).abs().max() < 1e-5
    found = [moved(image, Augment(tilt=180))[0, 0] for _ in range(40)]
    away = []
    for one in found:
        place = np.unravel_index(int(one.argmax()), one.shape)
        away.append(np.hypot(place[0] - 10, place[1] - 15))
    assert np.abs(np.array(away) - 5).max() < 1.5  # turned about the middle, in pixels and not in shares of the sides
    assert len({round(float(one.argmax())) for one in found}) > 10
    shifted = [int(moved(image, Augment(shift=0.2))[0, 0].argmax()) for _ in range(40)]
    columns = np.array(shifted) % 31 - 20
    assert -7 <= columns.min() < -2 and 2 < columns.max() <= 7  # a fifth of 31


def test_rotations_are_labels_of_their_own(stored: Path, drawn: TrainingSet) -> None:
    assert drawn.images is not None
    train = drawn.split("train")
    turned = with_rotations(train)
    assert len(turned) == 4 * len(train) == len({pair.document for pair in turned})
    assert len({pair.label for pair in turned}) == 4 * len({pair.label for pair in train})
    _, pictures = network(stored, drawn.images, "all")
    names = [pair.document for pair in turned[:: len(train)]]
    flat, *others = pictures.pixels(pictures.tokenize(names))
    for turns, one in enumerate(others, start=1):
        assert (one == np.rot90(flat, turns, axes=(1, 2))).all()


def test_pictures_are_read_once_and_named_when_they_are_broken(stored: Path, tmp_path: Path) -> None:
    image = drawing(1, 1)
    name, broken = put(image, tmp_path), put(image[:90], tmp_path)
    read: list[str] = []

    def counting(wanted: str) -> bytes:
        read.append(wanted)
        return (tmp_path / wanted).read_bytes()

    pictures = Pictures(counting, read_image_contract(stored), 1)
    other = put(drawing(2, 1), tmp_path)
    ids = pictures.tokenize([name, other, name])
    assert ids[0] == ids[2] != ids[1]
    pictures.keep(ids)  # there is room for less than one: the first is kept, the second is not
    pictures.pixels(ids)
    assert read == [name, other]
    pictures.forget()
    pictures.pixels(ids[:1])
    assert read == [name, other, name]
    with pytest.raises(NotEncodable, match=f"image {broken[:12]} of the training set: "):
        pictures.pixels(pictures.tokenize([broken]))


def test_a_training_set_without_its_images_is_refused(stored: Path, drawn: TrainingSet, tmp_path: Path) -> None:
    training = Training(objective="triplet", labels="label", trainable="all")
    with pytest.raises(NotFound, match="comes without its images"):
        open_network(stored, replace(drawn, images=None), training)
    net, pictures = open_network(stored, replace(drawn, images=tmp_path), training)
    with pytest.raises(NotFound, match="has no image"):
        net.encode(pictures.tokenize([drawn.pairs[0].document]))
