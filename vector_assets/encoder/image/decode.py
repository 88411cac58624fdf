"""The bytes of a file -> an RGB image of 8 bits, or NotEncodable: whatever is wrong with it is its own fault.

The first frame of an animation; turned as EXIF says; transparency onto white; 16 bits scaled to 8. Colour profiles are
ignored, as transformers does.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.errors import NotEncodable
from vector_assets.spec.field import IMAGE_BYTES

if TYPE_CHECKING:
    from PIL.Image import Image

#: More than this are not decoded: a small file may claim any size.
PIXELS = 64_000_000
#: What is read. Others that Pillow knows are vector graphics or start other programs.
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
_ORIENTATION = 0x0112
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_SEE_THROUGH = ("RGBA", "LA", "PA", "La", "RGBa")


def decode(content: bytes) -> Image:
    """Return the image as RGB. Raises NotEncodable, in one line, for what is none or is broken."""
    from PIL import Image, UnidentifiedImageError

    if len(content) > IMAGE_BYTES:
        raise NotEncodable(f"the image has more than {IMAGE_BYTES:,} bytes")
    if not content:
        raise NotEncodable("the image is empty; expected the bytes of a file")
    try:
        with Image.open(BytesIO(content), formats=_formats()) as image:
            width, height = image.size
            if width * height > PIXELS:
                raise NotEncodable(f"the image has {width} x {height} pixels; expected {PIXELS:,} at most")
            if image.format == "PNG":
                _verify(content)
            turn = _orientation(image)
            image.load()
            return _turned(_to_rgb(image), turn)
    except (NotEncodable, MemoryError):
        raise
    except UnidentifiedImageError:
        shown = ", ".join(FORMATS)
        raise NotEncodable(f"not an image, or its head is broken; expected one of {shown}") from None
    except Exception as error:
        # Pillow's readers raise whatever their parsing runs into: OSError, SyntaxError, struct.error, zlib.error, …
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NotEncodable(f"the image is broken: {reason[:200]}") from error


def is_readable(content: bytes) -> bool:
    """Tell whether an image can be decoded."""
    try:
        decode(content)
    except NotEncodable:
        return False
    return True


def _formats() -> list[str]:
    """The formats that this Pillow was built with."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _verify(content: bytes) -> None:
    """Compare the checksums of a PNG, which Pillow passes over when it reads the pixels."""
    from PIL import Image

    with Image.open(BytesIO(content), formats=["PNG"]) as image:
        image.verify()


def _orientation(image: Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # an image may be whole though what is said about it is not
        return 1


def _turned(image: Image, orientation: int) -> Image:
    """Turn an image upright; the eight values are those of EXIF 2.3."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _to_rgb(image: Image) -> Image:
    from PIL import Image as Images

    if image.mode in _DEEP:
        # Pillow would cut what is above 255 off, and leave an image that is all white.
        deep = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Images.fromarray((deep // 257).astype(np.uint8))
    elif image.mode == "F":
        raise NotEncodable("its pixels are real numbers, whose white is not known; expected 8 or 16 bits a channel")
    if image.mode in _SEE_THROUGH or "transparency" in image.info:
        over = image.convert("RGBA")
        white = Images.new("RGBA", over.size, (255, 255, 255, 255))
        return Images.alpha_composite(white, over).convert("RGB")
    return image.convert("RGB")
