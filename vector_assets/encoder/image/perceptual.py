"""What an image looks like, in 64 bits: the same photo saved twice has nearly the same, whatever its bytes are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE, _KEPT = 32, 8


def perceptual_hash(image: Image) -> int:
    """Return the pHash of an RGB image: 64 bits, of which near images differ in few (Zauner 2010, section 3.2.1).

    The image in grey is shrunk to 32 x 32 by area, which is the mean filter of the paper. Of its cosine transform the
    8 x 8 lowest frequencies without the constant row and column are kept; a bit says whether one is above their median.
    Scale, compression, brightness and contrast hardly move them; crops, turns and mirrors do.
    """
    from PIL.Image import Resampling
    from scipy.fft import dctn

    grey = image.convert("L").resize((_SIDE, _SIDE), Resampling.BOX)
    waves = dctn(np.asarray(grey, np.float64), norm="ortho")[1 : _KEPT + 1, 1 : _KEPT + 1].ravel()
    # What is rounding alone, as in an image of one colour, is 0: else the bits would be chance.
    waves[np.abs(waves) < 1e-6] = 0
    return int.from_bytes(np.packbits(waves > np.median(waves)).tobytes(), "big")
