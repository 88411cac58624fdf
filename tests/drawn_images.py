"""Made drawings: a few strokes for each label, at another place and with other noise in each copy."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from vector_assets.records import Pair, SplitName, TrainingSet
from vector_assets.training import pairs_digest


def drawing(label: int, copy: int, *, side: int = 24) -> bytes:
    """A PNG of black strokes on white; the label says which, the copy moves them."""
    strokes = np.random.default_rng([label, 5]).integers(4, side - 4, (4, 2, 2))
    moved = np.random.default_rng([label, copy, 6])
    pixels = np.full((side, side), 255, np.uint8)
    for (y, x), (v, u) in strokes + moved.integers(-1, 2, (1, 1, 2)):
        for share in np.linspace(0, 1, side):
            down, across = round(y + share * (v - y)), round(x + share * (u - x))
            pixels[down : down + 2, across : across + 2] = 0
    noisy = np.where(moved.random(pixels.shape) < 0.02, 255 - pixels, pixels).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noisy).save(stream, "PNG")
    return stream.getvalue()


def put(image: bytes, folder: Path) -> str:
    """Write an image under its sha256 and return that."""
    name = hashlib.sha256(image).hexdigest()
    (folder / name).write_bytes(image)
    return name


def drawings(folder: Path, *, labels: int = 12, copies: int = 8) -> TrainingSet:
    """A training set of drawings, the same labels in each split, with its images in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    splits: tuple[SplitName, ...] = ("train", "validation", "test")
    pairs = [
        Pair("", put(drawing(label, copy + 100 * number), folder), f"{split}{label}", split, f"[{label}]", f"d{label}")
        for number, split in enumerate(splits)
        for label in range(labels)
        for copy in range(copies if split == "train" else 2)
    ]
    return TrainingSet(pairs_digest(pairs), tuple(pairs), {}, folder)


def soft_picture(number: int, *, side: int = 140) -> Image.Image:
    """Large soft spots of all colours, other ones for each number: what a photograph is to a perceptual hash."""
    spots = np.random.default_rng([number, 7]).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    return Image.fromarray(spots).resize((side, side), Image.Resampling.BICUBIC)
