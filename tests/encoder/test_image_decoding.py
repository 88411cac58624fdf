"""Images of every kind become RGB of 8 bits, and what is wrong with one is said in a line."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tiny_vision import encoded, photo

from vector_assets.encoder.image import decode as module
from vector_assets.encoder.image.decode import decode
from vector_assets.encoder.image.samples import from_text, png, sample_images, to_text
from vector_assets.errors import EncoderError, NotEncodable
from vector_assets.spec import IMAGE_BYTES


def pixels(content: bytes) -> np.ndarray:
    image = decode(content)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def test_an_rgb_image_is_itself() -> None:
    assert (pixels(encoded(photo(1))) == np.asarray(photo(1))).all()


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_other_modes_are_what_they_show(mode: str) -> None:
    image = photo(1).convert(mode)
    form = "TIFF" if mode == "CMYK" else "PNG"
    assert (pixels(encoded(image, form)) == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_cut(form: str) -> None:
    deep = np.linspace(0, 65535, 40 * 30).reshape(30, 40).astype(np.uint16)
    found = pixels(encoded(Image.fromarray(deep), form))
    assert (found == (deep // 257)[:, :, None]).all()
    assert (found.min(), found.max()) == (0, 255)
    assert (found == 255).mean() < 0.01, "cut off, nearly all would be white"


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = photo(1).convert(mode)
    clear = np.asarray(image).copy()
    clear[:10, :, -1] = 0
    clear[10:, :, -1] = 255
    found = pixels(encoded(Image.fromarray(clear, mode)))
    assert (found[:10] == 255).all()
    assert (found[10:] == np.asarray(image.convert("RGB"))[10:]).all()


def test_a_transparent_colour_of_a_palette_is_white() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 0, 200, 10, 20])
    image.putpixel((1, 1), 1)
    found = pixels(encoded(image, transparency=0))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[1, 1].tolist() == [200, 10, 20]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_exif_says(orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(photo(1), exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert (pixels(content) == np.asarray(upright)).all()


def test_broken_exif_is_no_broken_image() -> None:
    content = encoded(photo(1), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert pixels(content).shape == (44, 60, 3)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [photo(seed).convert("P") for seed in (1, 2)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (pixels(content) == np.asarray(frames[0].convert("RGB"))).all()


def cut(form: str, keep: float) -> bytes:
    whole = encoded(photo(1, size=(200, 160)), form)
    return whole[: int(len(whole) * keep)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the image is empty"),
        (b"no image at all", "not an image, or its head is broken; expected one of PNG, JPEG"),
        (b"\x89PNG\r\n\x1a\n", "broken"),
        (cut("PNG", 0.6), "broken"),
        (cut("JPEG", 0.6), "broken"),
        (cut("WEBP", 0.6), "broken"),
        (cut("TIFF", 0.6), "broken"),
        (cut("BMP", 0.6), "broken"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
    ids=["empty", "text", "head", "png", "jpeg", "webp", "tiff", "bmp", "postscript"],
)
def test_a_broken_image_is_refused_in_one_line(content: bytes, reason: str) -> None:
    with pytest.raises(NotEncodable) as refused:
        decode(content)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, EncoderError)
    assert isinstance(refused.value, ValueError), "so that it is one row's fault"


def test_damage_inside_is_a_broken_image() -> None:
    content = bytearray(encoded(photo(1)))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(NotEncodable):
        decode(bytes(content))


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIXELS", 60 * 44 - 1)
    with pytest.raises(NotEncodable, match=r"60 x 44 pixels; expected 2,639 at most"):
        decode(encoded(photo(1)))


def test_more_bytes_than_declared_are_refused() -> None:
    with pytest.raises(NotEncodable, match="more than 20,000,000 bytes"):
        decode(bytes(IMAGE_BYTES + 1))


def test_real_numbers_have_no_white() -> None:
    with pytest.raises(NotEncodable, match="expected 8 or 16 bits"):
        decode(encoded(Image.new("F", (4, 4)), "TIFF"))


def test_the_samples_are_eight_images_that_differ_and_survive_their_text() -> None:
    images = sample_images()
    assert len(set(images)) == 8
    assert images == sample_images()
    for image in images:
        assert decode(image).mode == "RGB"
        assert from_text(to_text(image)) == image
    drawn = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    assert (pixels(png(drawn)) == drawn).all()
