"""Image checkpoints: what is stored, what is refused, and that their vectors are the model's own (row P3)."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tiny_vision import CONVNEXT, KINDS, VIT, encoded, make_tiny_vision, photo, photo_bytes, set_processor

from vector_assets.encoder.canaries import check_canaries, require
from vector_assets.encoder.checkpoint import read_checkpoint
from vector_assets.encoder.image.checkpoint import ImageSettings, make_image_checkpoint
from vector_assets.encoder.image.encoder import ImageEncoder
from vector_assets.encoder.open import open_encoder, store_untrained
from vector_assets.errors import CanaryMismatch, ContractMismatch, EncoderError, NotEncodable
from vector_assets.records import Canary, Checkpoint
from vector_assets.stores.workspace import checked_encoder


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as it comes from elsewhere."""
    return make_tiny_vision(tmp_path_factory.mktemp("vision") / "resnet")


@pytest.fixture(scope="module")
def stored(resnet: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return make_image_checkpoint(resnet, tmp_path_factory.mktemp("stored"))


@pytest.fixture
def copy(stored: Checkpoint, tmp_path: Path) -> Path:
    """The stored checkpoint, to damage."""
    return Path(shutil.copytree(stored.folder, tmp_path / stored.digest))


def test_all_that_is_done_to_an_image_is_in_the_contract(stored: Checkpoint) -> None:
    contract = json.loads((stored.folder / "contract.json").read_text())
    assert contract | {"revision": 0} == dict(stored.contract), "which is written only where it was raised"
    assert contract == {
        "format": 1, "kind": "image", "model": "resnet", "pooling": "pooler", "normalized": True, "dims": 24,
        "decoding": "RGB, EXIF turned, first frame, on white", "resize": 36, "resample": "bicubic", "crop": [32, 32],
        "channels": "RGB", "rescale": 1 / 255, "mean": CONVNEXT["image_mean"], "std": CONVNEXT["image_std"],
    }  # fmt: skip
    assert read_checkpoint(stored.folder) == stored
    assert [canary.role for canary in stored.canaries] == ["document"] * 8 + ["query"] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_the_models_own(kind: str, tmp_path: Path) -> None:
    """Encoded here in one call, and by transformers' own classes one by one, from the folder as it came."""
    import torch
    import transformers

    source = make_tiny_vision(tmp_path / "model", kind)
    checkpoint = make_image_checkpoint(source, tmp_path / "stored")
    encoder = ImageEncoder(checkpoint.folder)
    assert encoder.dims == KINDS[kind][1]
    images = [photo_bytes(seed, size=(50 + seed, 40)) for seed in range(20)]
    found = encoder.encode_documents(images)
    assert found.vectors.shape == (20, encoder.dims)
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)
    assert not found.truncated.any()
    assert (encoder.encode_queries(images) == found.vectors).all()
    gram = found.vectors @ found.vectors.T
    assert gram[~np.eye(20, dtype=bool)].min() < 0.999, "different images have different vectors"

    model = transformers.AutoModel.from_pretrained(source)
    processor = transformers.AutoImageProcessor.from_pretrained(source, backend="pil")
    for place in (0, 7):
        image = photo(place, size=(50 + place, 40))
        pixels = torch.from_numpy(np.asarray(processor(image, return_tensors="np")["pixel_values"]))
        with torch.inference_mode():
            if kind in ("clip", "siglip"):
                said = model.get_image_features(pixel_values=pixels)
                vector = getattr(said, "pooler_output", said)
            else:
                said = model(pixel_values=pixels)
                vector = said.last_hidden_state[:, 0] if checkpoint.contract["pooling"] == "cls" else said.pooler_output
        expected = vector.flatten().numpy()
        assert np.abs(found.vectors[place] - expected / np.linalg.norm(expected)).max() < 1e-5


def test_pooling_can_be_declared_and_is_another_checkpoint(tmp_path: Path) -> None:
    source = make_tiny_vision(tmp_path / "model", "clip")
    made = {
        pooling: make_image_checkpoint(source, tmp_path / "stored", settings=ImageSettings(pooling))
        for pooling in (None, "projection", "cls", "mean", "pooler")
    }
    assert made[None] == made["projection"]
    assert len({one.digest for one in made.values()}) == 4
    assert [made[name].contract["dims"] for name in ("projection", "cls", "mean", "pooler")] == [12, 16, 16, 16]
    again = make_image_checkpoint(made["mean"].folder, tmp_path / "stored")
    assert again == made["mean"], "a checkpoint keeps its pooling"
    image = [photo_bytes(1)]
    vectors = [ImageEncoder(made[name].folder).encode_queries(image)[0] for name in ("cls", "mean", "pooler")]
    assert all(abs(float(a @ b)) < 0.9999 for a, b in pairwise(vectors))


def test_nearest_instead_of_bicubic_moves_the_vectors_and_is_refused(copy: Path, resnet: Path, tmp_path: Path) -> None:
    images = [photo_bytes(seed, size=(160, 120)) for seed in range(8)]
    bicubic = ImageEncoder(copy).encode_documents(images).vectors
    changed = Path(shutil.copytree(resnet, tmp_path / "nearest"))
    set_processor(changed, **CONVNEXT | {"resample": 0})
    other = make_image_checkpoint(changed, tmp_path / "stored")
    nearest = ImageEncoder(other.folder).encode_documents(images).vectors
    cosines = np.sum(bicubic * nearest, axis=1)
    print(f"cosine of nearest to bicubic: mean {cosines.mean():.4f}, least {cosines.min():.4f}")  # noqa: T201
    assert cosines.max() < 0.9999, "the shift is larger than any bound that canaries have"

    set_processor(copy, **CONVNEXT | {"resample": 0})
    with pytest.raises(EncoderError) as refused:
        ImageEncoder(copy)
    for words in ("contract.json", "preprocessor_config.json", "resample: 'bicubic' != 'nearest'"):
        assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": {"shortest_edge": 40}}, "resize: 36 != 45 (and 1 more)"),
        ({"crop_pct": 1.0}, "resize: 36 != 32"),
        ({"image_mean": [0.5, 0.5, 0.5]}, "mean: "),
        ({"image_std": [0.5, 0.5, 0.5]}, "std: "),
        ({"rescale_factor": 1 / 127.5}, "rescale: "),
        ({"do_rescale": False}, "rescale: "),
        ({"do_normalize": False}, "mean: "),
        ({"do_resize": False}, "resize: 36 != None"),
        ({"do_flip_channel_order": True}, "channels: 'RGB' != 'BGR'"),
    ],
)
def test_serving_with_another_preprocessing_is_refused(copy: Path, change: dict[str, object], said: str) -> None:
    set_processor(copy, **CONVNEXT | change)
    with pytest.raises(EncoderError) as refused:
        open_encoder(copy)
    assert said in str(refused.value)


def test_the_same_preprocessing_in_other_words_is_served_but_is_not_the_same_checkpoint(
    copy: Path, stored: Checkpoint
) -> None:
    set_processor(copy, **CONVNEXT | {"do_center_crop": False})
    encoder = open_encoder(copy)
    assert encoder.digest != stored.digest
    with pytest.raises(ContractMismatch, match="has other files than were stored"):
        checked_encoder(Checkpoint(stored.digest, copy, stored.contract, stored.canaries))


def test_a_contract_that_was_changed_too_is_refused_with_both_sides(copy: Path, stored: Checkpoint) -> None:
    set_processor(copy, **CONVNEXT | {"resample": 0})
    contract = json.loads((copy / "contract.json").read_text()) | {"resample": "nearest"}
    (copy / "contract.json").write_text(json.dumps(contract))
    with pytest.raises(ContractMismatch, match=r"resample expected 'bicubic', found 'nearest'"):
        checked_encoder(Checkpoint(stored.digest, copy, stored.contract, stored.canaries))


def test_canaries_are_images_and_tell_when_a_library_computes_otherwise(
    stored: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = checked_encoder(stored)
    assert require(check_canaries(encoder, stored.canaries)).document_cosine > 0.99999
    resized = type(encoder.contract)._resized  # type: ignore[attr-defined]

    def rotten(self: object, image: object) -> object:
        return resized(self, image).rotate(90)  # type: ignore[attr-defined]

    monkeypatch.setattr(type(encoder.contract), "_resized", rotten)  # type: ignore[attr-defined]
    with pytest.raises(CanaryMismatch, match="cosine"):
        checked_encoder(stored)


def test_canaries_of_other_images_are_not_given(stored: Checkpoint) -> None:
    first, second, *rest = stored.canaries
    swapped = (Canary("document", second.text, first.vector), *rest)
    with pytest.raises(CanaryMismatch):
        require(check_canaries(open_encoder(stored.folder), swapped))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("preprocessor_config.json", "preprocessor_config.json is missing"),
        ("config.json", "config.json is missing"),
        ("model.safetensors", "no weights; expected model.safetensors"),
    ],
)
def test_a_folder_that_lacks_something_is_refused(resnet: Path, tmp_path: Path, name: str, said: str) -> None:
    folder = Path(shutil.copytree(resnet, tmp_path / "model"))
    (folder / name).unlink()
    with pytest.raises(EncoderError, match=said):
        store_untrained("./model", tmp_path / "stored", folder=tmp_path, settings=ImageSettings())
    assert list(tmp_path.glob("stored/*")) == []


def test_code_pickles_and_other_models_are_refused(resnet: Path, tmp_path: Path) -> None:
    def made(**config: object) -> Path:
        folder = Path(shutil.copytree(resnet, tmp_path / f"model{len(list(tmp_path.iterdir()))}"))
        (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | config))
        return folder

    with pytest.raises(EncoderError, match="code of its own"):
        make_image_checkpoint(made(auto_map={"AutoModel": "x.Y"}), tmp_path / "stored")
    with pytest.raises(EncoderError, match="model_type bert; expected a vision model, one of vit"):
        make_image_checkpoint(made(model_type="bert"), tmp_path / "stored")
    pickled = made()
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="pickle"):
        make_image_checkpoint(pickled, tmp_path / "stored")
    with pytest.raises(EncoderError, match="resnet has no pooling cls; expected one of pooler, mean"):
        make_image_checkpoint(resnet, tmp_path / "stored", settings=ImageSettings("cls"))


def test_weights_that_the_pooling_needs_must_be_there(tmp_path: Path) -> None:
    """A classifier's folder has no pooler; loaded as it is, the pooler would be random."""
    import transformers

    source = make_tiny_vision(tmp_path / "model", "vit")
    config = transformers.ViTConfig.from_pretrained(source)
    transformers.ViTForImageClassification(config).save_pretrained(source)
    assert make_image_checkpoint(source, tmp_path / "stored").contract["pooling"] == "cls"
    with pytest.raises(EncoderError, match=r"the weights have no pooler\.dense\.bias and others"):
        make_image_checkpoint(source, tmp_path / "stored", settings=ImageSettings("pooler"))


def test_a_processor_that_does_not_fit_the_model_is_refused(tmp_path: Path) -> None:
    source = make_tiny_vision(tmp_path / "model", "vit", **VIT | {"size": {"height": 40, "width": 40}})
    with pytest.raises(EncoderError, match="does not take the 3 x 40 x 40 that its processor gives"):
        make_image_checkpoint(source, tmp_path / "stored")


def test_images_of_their_own_sizes_are_encoded_together(tmp_path: Path) -> None:
    source = make_tiny_vision(tmp_path / "model", **VIT | {"do_resize": False})
    encoder = ImageEncoder(make_image_checkpoint(source, tmp_path / "stored").folder)
    images = [photo_bytes(seed, size=(40 + seed % 3, 40)) for seed in range(6)]
    together = encoder.encode_documents(images).vectors
    alone = np.concatenate([encoder.encode_documents([image]).vectors for image in images])
    assert np.abs(together - alone).max() < 1e-5


def test_a_broken_image_says_so(stored: Checkpoint) -> None:
    encoder = open_encoder(stored.folder)
    with pytest.raises(NotEncodable, match="broken"):
        encoder.encode_documents([photo_bytes(1), encoded(photo(2))[:200]])
