"""Polygons in a plane: which pixels lie in them, and whether they enclose anything, cross or repeat each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""Corners of a polygon, shape (n, 2) or (n, 3)."""

_SAME_SHARE = 0.98
"""Of the larger of two contours of a plane, how much both must share to be one that is there twice."""

_CROSSING_SHARE = 0.02
"""Of the smaller of two contours, how much must lie in, and how much outside the other, before they count as
crossing."""

_LOOKED_AT = 200.0
"""Pixels along which two contours are compared, whatever their size."""

_FLAT = 1e-6
"""A contour whose corners lie on a line to within this fraction of its length encloses nothing."""


def filled(polygons: Sequence[Points], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The pixels whose centres lie in an odd number of polygons.

    Of two shapes that share an edge through centres of pixels, each such pixel belongs to one.

    Args:
        polygons: corners as (column, row), in pixels; centres lie at whole numbers.
        shape: (rows, columns) of the picture; polygons may reach beyond it.
    """
    rows, columns = shape
    start = np.concatenate([np.asarray(polygon, float) for polygon in polygons])
    end = np.concatenate([np.roll(np.asarray(polygon, float), -1, axis=0) for polygon in polygons])
    # An edge crosses the rows from its lower end on, but not that of its upper end, which the next edge crosses.
    first = np.clip(np.ceil(np.minimum(start[:, 1], end[:, 1])), 0, rows).astype(int)
    last = np.clip(np.ceil(np.maximum(start[:, 1], end[:, 1])), 0, rows).astype(int)
    count = last - first
    edge = np.repeat(np.arange(len(start)), count)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    along = (row - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
    column = np.ceil(start[edge, 0] + along * (end[edge, 0] - start[edge, 0]))
    crossings = np.zeros((rows, columns + 1), np.int32)
    np.add.at(crossings, (row, np.clip(column, 0, columns).astype(int)), 1)
    return (np.cumsum(crossings, axis=1)[:, :columns] % 2).astype(bool)


def is_line(contour: Points) -> bool:
    """Whether a contour of three corners or more, in space or in a plane, encloses nothing."""
    length, width, *_thickness = np.linalg.svd(contour - contour.mean(axis=0), compute_uv=False)
    return bool(width <= _FLAT * length)


def cross(polygons: Sequence[Points]) -> bool:
    """Whether two polygons overlap in part."""
    for one, other, shared in _overlapping(polygons):
        smaller = min(_size(one), _size(other))
        if _CROSSING_SHARE * smaller < shared < (1 - _CROSSING_SHARE) * smaller:
            return True
    return False


def without_copies(polygons: Sequence[Points]) -> list[Points]:
    """The polygons without those that repeat one before, whatever their corners."""
    copies = {
        id(one)
        for one, other, shared in _overlapping(polygons)
        if shared >= _SAME_SHARE * max(_size(one), _size(other))
    }
    return [polygon for polygon in polygons if id(polygon) not in copies]


def _size(polygon: Points) -> float:
    """The area of a polygon that does not cross itself, in pixels."""
    x, y = polygon.T
    return abs(float(0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))))


def _overlapping(polygons: Sequence[Points]) -> Iterator[tuple[Points, Points, float]]:
    """Pairs of a plane's polygons whose boxes overlap, and the area in pixels that lies in both."""
    boxes = [(polygon.min(axis=0), polygon.max(axis=0)) for polygon in polygons]
    for number, one in enumerate(polygons):
        for before in range(number):
            low = np.maximum(boxes[number][0], boxes[before][0])
            high = np.minimum(boxes[number][1], boxes[before][1])
            if (high <= low).any():
                continue
            # Small contours are looked at through a magnifying glass, and large ones from afar.
            scale = _LOOKED_AT / float((high - low).max())
            size = tuple(np.ceil((high - low)[::-1] * scale).astype(int) + 1)
            both = filled([(one - low) * scale], size) & filled([(polygons[before] - low) * scale], size)
            yield one, polygons[before], float(both.sum()) / scale**2
