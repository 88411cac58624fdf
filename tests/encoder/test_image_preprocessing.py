"""Preprocessing is that of transformers' own Pillow processors, and another configuration is another meaning."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_vision import BIT, CLIP, CONVNEXT, SIGLIP, VIT, photo, set_processor

from vector_assets.encoder.image.preprocessing import PROCESSORS, read_preprocessing
from vector_assets.errors import EncoderError, NotEncodable

MODULES = {"ViT": "vit", "DeiT": "deit", "CLIP": "clip", "Siglip": "siglip", "Bit": "bit", "ConvNext": "convnext"}
SIZES = [(60, 44), (44, 60), (33, 33), (17, 90), (9, 12), (200, 31)]


def theirs(name: str, **config: Any) -> Any:
    kind = name.removesuffix("ImageProcessor")
    module = importlib.import_module(f"transformers.models.{MODULES[kind]}.image_processing_pil_{MODULES[kind]}")
    return getattr(module, f"{name}Pil")(**{key: value for key, value in config.items() if not key.endswith("_type")})


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    "config",
    [
        VIT,
        VIT | {"size": 40, "resample": 0},
        VIT | {"do_rescale": False},
        VIT | {"do_normalize": False, "resample": 1},
        VIT | {"rescale_factor": 1 / 127.5, "image_mean": 0.3, "image_std": [0.2, 0.3, 0.4]},
        {"image_processor_type": "DeiTImageProcessor", "size": {"height": 40, "width": 36}, "crop_size": 33},
        CLIP,
        CLIP | {"do_resize": False},
        CLIP | {"do_center_crop": False, "size": 31},
        CLIP | {"size": {"shortest_edge": 20}, "resample": 5},
        BIT,
        SIGLIP | {"resample": 4},
        CONVNEXT,
        CONVNEXT | {"crop_pct": 0.5},
        CONVNEXT | {"size": {"shortest_edge": 384}},
    ],
    ids=lambda config: config["image_processor_type"].removesuffix("ImageProcessor"),
)
def test_pixels_are_those_of_transformers(tmp_path: Path, config: dict[str, Any], size: tuple[int, int]) -> None:
    set_processor(tmp_path, **config)
    image = photo(3, size=size)
    ours = read_preprocessing(tmp_path)(image)
    expected = theirs(config["image_processor_type"], **config)(image, return_tensors="np")["pixel_values"][0]
    assert ours.shape == expected.shape
    assert ours.dtype == np.float32
    assert np.abs(ours - expected).max() <= 1e-5


@pytest.mark.parametrize("name", PROCESSORS)
def test_what_a_configuration_leaves_out_is_as_transformers_has_it(tmp_path: Path, name: str) -> None:
    set_processor(tmp_path, image_processor_type=name + "Fast")
    image = photo(4, size=(500, 420))
    expected = theirs(name)(image, return_tensors="np")["pixel_values"][0]
    ours = read_preprocessing(tmp_path)(image)
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= 1e-5


def test_the_order_of_channels_can_be_turned(tmp_path: Path) -> None:
    set_processor(tmp_path, **VIT, do_normalize=False)
    plain = read_preprocessing(tmp_path)(photo(1))
    set_processor(tmp_path, **VIT, do_normalize=False, do_flip_channel_order=True)
    assert (read_preprocessing(tmp_path)(photo(1)) == plain[::-1]).all()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "image_processor_type is missing; expected one of ViTImageProcessor"),
        ({"image_processor_type": "DonutImageProcessor"}, "is DonutImageProcessor; expected one of"),
        (VIT | {"do_pad": True}, "do_pad is set, which is not supported"),
        (VIT | {"size": {"longest_edge": 32}}, "size has longest_edge; expected height and width, or shortest_edge"),
        (VIT | {"resample": 9}, "not as ViTImageProcessor is configured"),
        (VIT | {"image_mean": [0.5]}, "not as ViTImageProcessor is configured"),
        (CONVNEXT | {"do_center_crop": True, "crop_size": 8}, "crops twice"),
    ],
)
def test_a_configuration_that_we_do_not_do_is_refused(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    set_processor(tmp_path, **config)
    with pytest.raises(EncoderError) as refused:
        read_preprocessing(tmp_path)
    assert reason in str(refused.value)
    assert "preprocessor_config.json" in str(refused.value)


def test_an_image_that_is_too_narrow_is_its_own_fault(tmp_path: Path) -> None:
    set_processor(tmp_path, **CLIP | {"size": {"shortest_edge": 224}})
    with pytest.raises(NotEncodable, match="too narrow to be resized"):
        read_preprocessing(tmp_path)(photo(1, size=(1, 2000)))
