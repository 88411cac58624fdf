"""How likely each position of a list is looked at, estimated from a log of clicks itself. Pure.

The position-based model (Craswell et al. 2008; Chuklin et al. 2015) says P(click) = propensity of the position times
relevance of the row for the query. Where one row was shown for one query at several positions its relevance cancels:
such changes of place are interventions that the log already holds (Agarwal et al. 2019, "intervention harvesting", all
pairs of positions). Given the clicks of such a row, where they fell is multinomial with shares in proportion to times
shown x propensity, whatever its relevance: the likelihood of that is maximised here. Relevances are not fitted beside
it, so rows that were seen a few times only bias nothing, as they do when the model is fitted by EM.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_STEPS = 5_000
_CLOSE = 1e-8


def estimate_propensities(rows: Ints, positions: Ints, clicked: NDArray[np.bool_]) -> dict[int, float]:
    """Return the propensity of each position that can be told, the highest being 1; nothing where none can.

    All are (lines,): which row for which query (a number for both), where it was shown, whether it was clicked. Two
    positions can be compared when each was clicked for a row that was shown at the other too, or through others in
    between; what is returned is the largest set of positions that can.
    """
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    if not len(rows):
        return {}
    row, position, shown, clicks = _cells(rows, positions, clicked)
    kept = _told(row, position, clicks)
    if not len(kept):
        return {}
    row, position, shown, clicks = row[kept], position[kept], shown[kept], clicks[kept]
    places, place = np.unique(position, return_inverse=True)
    _, number = np.unique(row, return_inverse=True)
    was_shown = sparse.csr_array((np.ones(len(place)), (number, place)))
    was_clicked = sparse.csr_array(((clicks > 0).astype(np.float64), (number, place)))
    # From where a click fell to where it might have fallen: only inside a strong component is the maximum finite (the
    # condition of Ford 1957 for rankings).
    _, component = connected_components(was_clicked.T @ was_shown, directed=True, connection="strong")
    lines = np.bincount(component[place], weights=shown)
    lines[np.bincount(component) < 2] = 0  # a position alone is compared with nothing
    largest = int(np.argmax(lines))
    if not lines[largest]:
        return {}
    inside = component[place] == largest
    found = _maximise(number[inside], place[inside], shown[inside], clicks[inside])
    return {int(places[which]): float(found[which]) for which in np.flatnonzero(component == largest)}


def _maximise(row: Ints, place: Ints, shown: Floats, clicks: Floats) -> Floats:
    """Return propensities by minorisation-maximisation (Hunter 2004); each step raises the likelihood."""
    size = int(place.max()) + 1
    of_row, of_place = np.bincount(row, weights=clicks), np.bincount(place, weights=clicks, minlength=size)
    found = np.where(of_place > 0, 1.0, 0.0)
    for _ in range(_STEPS):
        expected = np.bincount(row, weights=shown * found[place])
        relevance = np.divide(of_row, expected, out=np.zeros_like(of_row), where=expected > 0)
        base = np.bincount(place, weights=shown * relevance[row], minlength=size)
        new = np.divide(of_place, base, out=np.zeros(size), where=base > 0)
        new /= new.max()
        moved = float(np.abs(new - found).max())
        found = new
        if moved < _CLOSE:
            break
    return found


def _cells(rows: Ints, positions: Ints, clicked: NDArray[np.bool_]) -> tuple[Ints, Ints, Floats, Floats]:
    """Count times shown and clicked of each row at each position."""
    size = int(positions.max()) + 1
    cells, where = np.unique(rows * size + positions, return_inverse=True)
    shown = np.bincount(where).astype(np.float64)
    clicks = np.bincount(where, weights=clicked.astype(np.float64)).astype(np.float64)
    return cells // size, cells % size, shown, clicks


def _told(row: Ints, position: Ints, clicks: Floats) -> Ints:
    """Return which cells are of rows that were shown at two positions and clicked at one of them."""
    _, number = np.unique(row, return_inverse=True)
    moved = np.bincount(number) > 1
    liked = np.bincount(number, weights=clicks) > 0
    return np.flatnonzero(moved[number] & liked[number])
