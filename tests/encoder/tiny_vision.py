"""Tiny random vision models as folders of transformers, and images in every kind that Pillow writes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

#: 32 x 32 after a centre crop, as ResNet's ConvNext processor does it below 384.
CONVNEXT = {
    "image_processor_type": "ConvNextImageProcessor",
    "size": {"shortest_edge": 32},
    "crop_pct": 0.875,
    "resample": 3,
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
VIT = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "resample": 2}
CLIP = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 32},
    "crop_size": {"height": 32, "width": 32},
}
BIT = {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 36}, "crop_size": 32}
SIGLIP = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 32, "width": 32}}
#: The processor that each kind of model comes with, and the width of its vectors by its usual pooling.
KINDS = {
    "resnet": (CONVNEXT, 24),
    "convnext": (CONVNEXT, 24),
    "vit": (VIT, 16),
    "deit": (VIT, 16),
    "dinov2": (BIT, 16),
    "clip": (CLIP, 12),
    "siglip": (SIGLIP, 16),
}


def make_tiny_vision(folder: Path, kind: str = "resnet", *, seed: int = 0, **changes: object) -> Path:
    """Write random weights of a kind of model, its config and its processor's."""
    import torch
    import transformers as t

    torch.manual_seed(seed)
    wide = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    seen = {"image_size": 32, "patch_size": 8}
    if kind == "resnet":
        model = t.ResNetModel(
            t.ResNetConfig(embedding_size=8, hidden_sizes=[12, 24], depths=[1, 1], layer_type="basic")
        )
    elif kind == "convnext":
        model = t.ConvNextModel(t.ConvNextConfig(num_stages=2, hidden_sizes=[12, 24], depths=[1, 1]))
    elif kind in ("vit", "deit"):
        name = {"vit": "ViT", "deit": "DeiT"}[kind]
        model = getattr(t, f"{name}Model")(getattr(t, f"{name}Config")(**wide, **seen, initializer_range=0.3))
    elif kind == "dinov2":
        model = t.Dinov2Model(
            t.Dinov2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, **seen, initializer_range=0.3)
        )
    elif kind == "clip":
        text = {**wide, "vocab_size": 40, "max_position_embeddings": 8}
        model = t.CLIPModel(
            t.CLIPConfig(text_config=text, vision_config={**wide, **seen}, projection_dim=12, initializer_factor=20.0)
        )
    else:
        text = {**wide, "vocab_size": 40, "max_position_embeddings": 8}
        model = t.SiglipModel(t.SiglipConfig(text_config=text, vision_config={**wide, **seen}))
    model.eval().save_pretrained(folder)
    set_processor(folder, **{**KINDS[kind][0], **changes})
    return folder


def set_processor(folder: Path, **config: object) -> None:
    """Write preprocessor_config.json."""
    (folder / "preprocessor_config.json").write_text(json.dumps(config), encoding="utf-8")


def photo(seed: int, *, size: tuple[int, int] = (60, 44), mode: str = "RGB") -> Image.Image:
    """A picture that no other seed gives: coloured blocks with noise over them. ``size`` is width and height."""
    draw = np.random.default_rng(seed)
    blocks = draw.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    large = np.asarray(Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)).astype(np.int64)
    noisy = (large + draw.integers(-40, 40, large.shape)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(noisy).convert(mode)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The bytes of an image as a file."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def photo_bytes(seed: int, **options: object) -> bytes:
    """A photo as a PNG."""
    return encoded(photo(seed, **options))  # type: ignore[arg-type]
