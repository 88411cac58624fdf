"""Learning curves: the same training on growing parts of a training set. Importing this package imports no torch."""

from vector_assets.training.curve.points import Measured, Point, within_from
from vector_assets.training.curve.run import CODE_VERSION, OpenPoint, clear, curve_folder, curve_key, draw_curve

__all__ = [
    "CODE_VERSION",
    "Measured",
    "OpenPoint",
    "Point",
    "clear",
    "curve_folder",
    "curve_key",
    "draw_curve",
    "within_from",
]
