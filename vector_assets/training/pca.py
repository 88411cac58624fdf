"""Principal component analysis (Jolliffe 2002) of unit vectors, streamed. Pure.

Not centred, and not shifted: the directions are the first eigenvectors of the second moments, which keep the products
of vectors best of all linear maps (Eckart and Young 1936), and a search ranks by products. Shifted by the mean, vectors
have other cosines, and so other neighbours, before a single dimension is dropped (benchmarks/reduction.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vector_assets.records import Vectors


@dataclass(frozen=True, slots=True)
class Components:
    """``weight`` (dims, width) maps a vector to its products with the main directions, the first of them first.

    ``explained`` (width,) is the share of the variance around the mean that the first so many directions keep;
    ``cut`` (width,) that which the first so many of the vectors' own dims keep.
    """

    weight: Vectors
    explained: NDArray[np.float64]
    cut: NDArray[np.float64]


class Moments:
    """Count, sum and products of vectors: all that the analysis needs, as large as (width, width), not as the rows."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self._sum = np.zeros(width)
        self._products = np.zeros((width, width))

    def add(self, vectors: Vectors) -> None:
        """Count some more rows (any, width) in."""
        exact = vectors.astype(np.float64)
        self.count += len(exact)
        self._sum += exact.sum(axis=0)
        self._products += exact.T @ exact

    def components(self, dims: int) -> Components:
        """Return the first ``dims`` directions of the rows so far. Raises ValueError where there are fewer rows."""
        if self.count < dims:
            raise ValueError(f"{self.count} rows span no {dims} directions")
        mean = self._sum / self.count
        moments = self._products / self.count
        directions = np.linalg.eigh(moments)[1][:, ::-1]  # eigenvalues rise; the main direction comes first
        # Either sign of a direction is one; the same rows give the same files.
        largest = np.abs(directions).argmax(axis=0)
        directions = directions * np.sign(directions[largest, np.arange(directions.shape[1])])
        covariance = moments - np.outer(mean, mean)
        total = max(float(np.trace(covariance)), np.finfo(np.float64).tiny)
        along = np.einsum("ij,ik,kj->j", directions, covariance, directions, optimize=True)
        return Components(
            np.ascontiguousarray(directions[:, :dims].T, np.float32),
            np.cumsum(along) / total,
            np.cumsum(np.diag(covariance)) / total,
        )
