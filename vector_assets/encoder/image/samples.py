"""Small images made by arithmetic: the canaries of every image encoder, and the probe that any encoder takes."""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode, b64encode

import numpy as np
from numpy.typing import NDArray

PREFIX = "data:image/png;base64,"
Pixels = NDArray[np.uint8]  # (height, width, 3)


def png(pixels: Pixels) -> bytes:
    """Write an RGB image of 8 bits as a PNG (ISO/IEC 15948), without a library: the pixels are what counts."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(pixels))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def sample_images() -> tuple[bytes, ...]:
    """Return eight images that differ in colour, edges and shape; sizes that need resizing and cropping."""
    return tuple(png(pixels) for pixels in _patterns())


def probe_image() -> bytes:
    """Return an image that every encoder takes: tells a bad row from a broken encoder."""
    return png(next(iter(_patterns())))


class ImageText(str):
    """An image as a canary stores it, where texts stand; by its type, since a question may say anything."""

    __slots__ = ()


def to_text(image: bytes) -> ImageText:
    """Return an image as a canary stores it."""
    return ImageText(PREFIX + b64encode(image).decode("ascii"))


def from_text(text: str) -> bytes:
    """Return the image of a stored canary."""
    return b64decode(text.removeprefix(PREFIX))


def _patterns() -> tuple[Pixels, ...]:
    def grid(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        y, x = np.mgrid[0:height, 0:width]
        return y.astype(np.int64), x.astype(np.int64)

    def rgb(red: NDArray[np.int64], green: NDArray[np.int64], blue: NDArray[np.int64]) -> Pixels:
        return np.stack([red, green, blue], axis=2).clip(0, 255).astype(np.uint8)

    y, x = grid(48, 64)
    gradient = rgb(4 * x, 5 * y, 255 - 4 * x)
    stripes = rgb(255 * (x // 4 % 2), 0 * x, 255 * (1 - x // 4 % 2))
    y, x = grid(64, 48)
    checks = rgb(*3 * ((230 * ((x // 8 + y // 8) % 2) + 10),))
    noise = rgb(*(((x * 1103 + y * 7919 + 31 * seed) ** 2 // 97) % 256 for seed in (1, 2, 3)))
    y, x = grid(56, 56)
    disc = rgb(*(np.where((x - 28) ** 2 + (y - 24) ** 2 < 300, inside, 240) for inside in (200, 30, 30)))
    rings = rgb(*(((x - 20) ** 2 + (y - 30) ** 2) // step % 256 for step in (3, 5, 7)))
    y, x = grid(96, 24)
    tall = rgb(30 + 0 * x, 2 * y, 200 - 2 * y)
    y, x = grid(24, 96)
    wide = rgb(255 * (x > 48), 200 * (y > 12), 90 + 0 * x)
    return gradient, stripes, checks, noise, disc, rings, tall, wide
