"""What an image looks like in 64 bits: saved or shrunk again it is the same, and other pictures are not."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from drawn_images import soft_picture
from PIL import Image
from sklearn.datasets import load_sample_image

from vector_assets.encoder.image.decode import decode
from vector_assets.encoder.image.perceptual import perceptual_hash
from vector_assets.spec import Split
from vector_assets.training.duplicates import looking_alike

BITS = Split().image_bits


def _photos() -> list[Image.Image]:
    """Two photographs and twelve other pictures."""
    photos = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    return [*photos, *(soft_picture(number) for number in range(12))]


def _saved(image: Image.Image, kind: str = "JPEG", **how: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return decode(stream.getvalue())


@pytest.mark.parametrize(
    "again",
    [
        lambda image: _saved(image, quality=95),
        lambda image: _saved(image, quality=30),
        lambda image: _saved(image, "WEBP", quality=50),
        lambda image: image.resize((image.width // 2, image.height // 2)),
        lambda image: _saved(image.resize((96, 96)), quality=60),
        lambda image: image.convert("L").convert("RGB"),
    ],
    ids=["jpeg 95", "jpeg 30", "webp 50", "half as large", "square and small", "grey"],
)
def test_an_image_saved_again_is_near_itself_and_far_from_others(again: Callable[[Image.Image], Image.Image]) -> None:
    photos = _photos()
    first, second = [perceptual_hash(one) for one in photos], [perceptual_hash(again(one)) for one in photos]
    for place, own in enumerate(second):
        assert looking_alike([own], [first[place]], BITS).tolist() == [True]
        assert looking_alike([own], first[:place] + first[place + 1 :], BITS).tolist() == [False]


def test_what_is_near_is_known_whichever_way_an_image_is_stored_upright() -> None:
    photo = _photos()[0]
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    photo.rotate(90, expand=True).save(stream, "JPEG", exif=exif, quality=90)
    assert looking_alike([perceptual_hash(decode(stream.getvalue()))], [perceptual_hash(photo)], BITS).all()
    assert not looking_alike([perceptual_hash(photo.rotate(90, expand=True))], [perceptual_hash(photo)], BITS).any()


def test_one_colour_is_one_picture() -> None:
    plain = [perceptual_hash(Image.new("RGB", (60, 40), colour)) for colour in ("white", "black", "#336699")]
    assert plain == [0, 0, 0]


def test_bits_are_counted_exactly_and_in_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [0, 2**64 - 1]
    hashes = [0b111, 0b1111, 2**64 - 1 - 0b11, 2**40 + 2**63, 0b10101010101]
    assert looking_alike(hashes, others, 3).tolist() == [True, False, True, True, False]
    assert looking_alike(hashes, [], 3).tolist() == [False] * 5
    monkeypatch.setattr("vector_assets.training.duplicates._CELLS", 4)
    many = np.random.default_rng(0).integers(0, 2**63, 50).tolist()
    wanted = [min((one ^ two).bit_count() for two in many[25:]) <= 22 for one in many]
    assert looking_alike(many, many[25:], 22).tolist() == wanted and 0 < sum(wanted[:25]) < 25
