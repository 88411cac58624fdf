"""The numbers of a loss that may be declared, and what each objective takes where they are left out."""

from __future__ import annotations

#: Triplet: on squared distances of unit vectors (FaceNet). ArcFace: radians.
MARGINS = {"triplet": 0.2, "arcface": 0.5}
#: What cosines are multiplied by before the softmax: the inverse of its temperature.
SCALES = {"contrastive": 20.0, "arcface": 64.0}
#: Beyond these no two unit vectors can be apart: squared distance, and the angle of opposite directions.
MOST = {"triplet": 4.0, "arcface": 3.14}

LOSS_SETTINGS = {"margin": MARGINS, "scale": SCALES}
