"""What happens to an RGB image before a model sees it: read from preprocessor_config.json, done with Pillow and numpy.

One normal form for the processors of transformers, so that two ways to write the same processing are the same, and
serving needs neither them nor torchvision. Pixel for pixel what their Pillow processors give (a test compares).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from vector_assets.encoder.contract import read_json
from vector_assets.encoder.image.decode import PIXELS
from vector_assets.errors import EncoderError, NotEncodable

if TYPE_CHECKING:
    from PIL.Image import Image

PREPROCESSOR_FILE = "preprocessor_config.json"

Resample = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
Triple = tuple[float, float, float]
#: By their number in Pillow, which is how configurations name them.
RESAMPLES: tuple[Resample, ...] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")

_HALF, _CLIP_MEAN = [0.5] * 3, [0.48145466, 0.4578275, 0.40821073]
_CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
_COMMON: dict[str, Any] = {
    "do_resize": True, "do_center_crop": False, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
    "image_mean": _HALF, "image_std": _HALF, "resample": 3,
}  # fmt: skip
_CROPPED: dict[str, Any] = {"do_center_crop": True, "crop_size": 224}
#: What each processor does where its configuration says nothing.
PROCESSORS: dict[str, dict[str, Any]] = {
    "ViTImageProcessor": _COMMON | {"size": {"height": 224, "width": 224}, "resample": 2},
    "DeiTImageProcessor": _COMMON | _CROPPED | {"size": {"height": 256, "width": 256}},
    "SiglipImageProcessor": _COMMON | {"size": {"height": 224, "width": 224}},
    "CLIPImageProcessor": _COMMON
    | _CROPPED
    | {"size": {"shortest_edge": 224}, "image_mean": _CLIP_MEAN, "image_std": _CLIP_STD},
    "BitImageProcessor": _COMMON
    | _CROPPED
    | {"size": {"shortest_edge": 224}, "image_mean": _CLIP_MEAN, "image_std": _CLIP_STD},
    "ConvNextImageProcessor": _COMMON | {"size": {"shortest_edge": 384}, "crop_pct": 224 / 256},
}
#: Whose size, when it is one number, is that of a square.
_SQUARE = ("ViTImageProcessor", "DeiTImageProcessor")


class Preprocessing(BaseModel):
    """The steps in their order: resize, crop, order of channels, rescale, normalise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decoding: Literal["RGB, EXIF turned, first frame, on white"] = "RGB, EXIF turned, first frame, on white"
    resize: tuple[int, int] | int | None  # height and width, or the shorter edge
    resample: Resample | None
    crop: tuple[int, int] | None  # height and width, out of the middle; zeros where the image is smaller
    channels: Literal["RGB", "BGR"] = "RGB"
    rescale: float | None
    mean: Triple | None
    std: Triple | None

    def __call__(self, image: Image) -> NDArray[np.float32]:
        """Return (3, height, width) of an RGB image."""
        pixels = np.asarray(self._resized(image)).transpose(2, 0, 1)
        if self.crop:
            pixels = _cropped(pixels, *self.crop)
        if self.channels == "BGR":
            pixels = pixels[::-1]
        values = (pixels.astype(np.float64) * (1 if self.rescale is None else self.rescale)).astype(np.float32)
        if self.mean is not None and self.std is not None:
            mean, std = (np.array(each, np.float32)[:, None, None] for each in (self.mean, self.std))
            values = (values - mean) / std
        return np.ascontiguousarray(values)

    def _resized(self, image: Image) -> Image:
        from PIL.Image import Resampling

        if self.resize is None or self.resample is None:
            return image
        height, width = self.resize if isinstance(self.resize, tuple) else _by_shorter_edge(image, self.resize)
        if height * width > PIXELS:
            raise NotEncodable(f"the image has {image.width} x {image.height} pixels: too narrow to be resized")
        return image.resize((width, height), resample=Resampling[self.resample.upper()])


def read_preprocessing(folder: Path) -> Preprocessing:
    """Return what preprocessor_config.json says. Raises EncoderError where it is missing or does what we do not."""
    config = read_json(folder / PREPROCESSOR_FILE)
    where = f"{folder / PREPROCESSOR_FILE}"
    name = _processor(config, where)
    stated = PROCESSORS[name] | {key: value for key, value in config.items() if value is not None}
    try:
        resize, crop = _sizes(name, stated, where)
        resample = stated["resample"]
        normalises = bool(stated["do_normalize"])
        return Preprocessing(
            resize=resize,
            resample=RESAMPLES[resample] if resize is not None else None,
            crop=crop,
            channels="BGR" if stated.get("do_flip_channel_order") else "RGB",
            rescale=float(stated["rescale_factor"]) if stated["do_rescale"] else None,
            mean=_triple(stated["image_mean"]) if normalises else None,
            std=_triple(stated["image_std"]) if normalises else None,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise EncoderError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EncoderError(f"{where}: not as {name} is configured: {error}") from None


def _processor(config: Mapping[str, Any], where: str) -> str:
    stated = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    name = stated.removesuffix("Fast").removesuffix("Pil").replace("FeatureExtractor", "ImageProcessor")
    if name not in PROCESSORS:
        raise EncoderError(
            f"{where}: image_processor_type is {stated or 'missing'}; expected one of {', '.join(PROCESSORS)}"
        )
    if config.get("do_pad"):
        raise EncoderError(f"{where}: do_pad is set, which is not supported; expected images that are resized")
    return name


def _sizes(
    name: str, stated: Mapping[str, Any], where: str
) -> tuple[tuple[int, int] | int | None, tuple[int, int] | None]:
    """Return what images are resized to and what is cut out of them, each None where it is not done."""
    crop = _pair(stated["crop_size"]) if stated["do_center_crop"] else None
    if not stated["do_resize"]:
        return None, crop
    size = stated["size"]
    if isinstance(size, int):
        size = {"height": size, "width": size} if name in _SQUARE else {"shortest_edge": size}
    if name == "ConvNextImageProcessor":
        # Below 384 the edge is made longer and the middle cut out; from there on the image is warped into a square.
        edge = int(size["shortest_edge"])
        if edge >= 384:
            return (edge, edge), crop
        if crop is not None:
            raise EncoderError(f"{where}: do_center_crop beside crop_pct crops twice; expected one of them")
        return int(edge / stated["crop_pct"]), (edge, edge)
    if set(size) == {"shortest_edge"}:
        return int(size["shortest_edge"]), crop
    if set(size) == {"height", "width"}:
        return _pair(size), crop
    raise EncoderError(f"{where}: size has {', '.join(size)}; expected height and width, or shortest_edge")


def _pair(size: int | Mapping[str, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size["height"]), int(size["width"]))


def _triple(value: float | list[float]) -> Triple:
    first, second, third = [float(value)] * 3 if isinstance(value, int | float) else map(float, value)
    return first, second, third


def _by_shorter_edge(image: Image, edge: int) -> tuple[int, int]:
    width, height = image.size
    if width <= height:
        return int(edge * height / width), edge
    return edge, int(edge * width / height)


def _cropped(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Cut the middle out; where the image is smaller, it stands in the middle of zeros."""
    tall, broad = max(height, pixels.shape[1]), max(width, pixels.shape[2])
    if (tall, broad) != pixels.shape[1:]:
        framed = np.zeros((pixels.shape[0], tall, broad), pixels.dtype)
        top, left = math.ceil((tall - pixels.shape[1]) / 2), math.ceil((broad - pixels.shape[2]) / 2)
        framed[:, top : top + pixels.shape[1], left : left + pixels.shape[2]] = pixels
        # The middle is counted from the image, as transformers does: it may be one pixel beside that of the frame.
        up, aside = (pixels.shape[1] - height) // 2 + top, (pixels.shape[2] - width) // 2 + left
        return framed[:, max(0, up) : min(tall, up + height), max(0, aside) : min(broad, aside + width)]
    top, left = (tall - height) // 2, (broad - width) // 2
    return pixels[:, top : top + height, left : left + width]
