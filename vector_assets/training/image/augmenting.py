"""Random small moves of a batch of images, with gradients nowhere: one affine map for each image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vector_assets.spec import Augment

if TYPE_CHECKING:
    import torch


def moved(pixels: torch.Tensor, augment: Augment) -> torch.Tensor:
    """Return images (n, channels, height, width), each turned, shifted and zoomed by what torch's generator gives.

    That generator is seeded by the run and kept when it is interrupted, so a run that goes on draws what it would have
    drawn. What comes in from outside is the image's own edge drawn out, of any background.
    """
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    count, _, height, width = pixels.shape
    angle, across, down, zoom = torch.rand(4, count) * 2 - 1  # always four: what is left out moves no other number
    angle, zoom = angle * math.radians(augment.tilt), 1 + zoom * augment.zoom
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # The grid is in units of half the image, so an angle needs the ratio of the sides to stay one.
    rows = [
        torch.stack([cos, -sin * height / width, 2 * augment.shift * across], dim=1),
        torch.stack([sin * width / height, cos, 2 * augment.shift * down], dim=1),
    ]
    grid = affine_grid(torch.stack(rows, dim=1), list(pixels.shape), align_corners=False)
    return grid_sample(pixels, grid, padding_mode="border", align_corners=False)
