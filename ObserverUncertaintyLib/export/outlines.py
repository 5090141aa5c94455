"""The outlines of a mask's slices as closed polygons, from which a voxel's centre tells again where it lies.

They run through the middles of the edges between inside and outside: a polygon's area differs from that of its pixels
by half a pixel, however large it is. A hole is joined to the polygon around it by a channel without width (the keyhole
of DICOM PS3.3 C.8.8.6.1), which programs that know no even-odd rule draw correctly too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ObserverUncertaintyLib.formats.dicom.polygons import Points

# Of a pixel's four sides, walked with the pixel on the left: the neighbour beyond it (row, column), and where the side
# starts and ends (row, column), in corners of pixels.
_SIDES = (
    ((-1, 0), (0, 1), (0, 0)),
    ((0, -1), (0, 0), (1, 0)),
    ((1, 0), (1, 0), (1, 1)),
    ((0, 1), (1, 1), (0, 1)),
)


def outlines(mask: NDArray[np.bool_]) -> list[Points]:
    """One polygon for each connected area of a slice.

    Args:
        mask: shape (j, i).

    Returns:
        Corners as (column, row) in pixels, whose centres lie at whole numbers; each of shape (n, 2).
    """
    labels, _ = ndimage.label(mask)
    polygons = []
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        loops = _loops(np.pad(labels[box] == label, 1))
        loops = [loop + np.array([box[1].start - 1, box[0].start - 1]) for loop in loops]
        # The area's outer edge encloses all others.
        loops.sort(key=lambda loop: -abs(_area(loop)))
        polygons.append(_joined(loops[0], loops[1:]))
    return polygons


def _loops(area: NDArray[np.bool_]) -> list[Points]:
    """The closed edges of one connected area with an empty border, through the middles of its pixels' sides."""
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (down, right), start, end in _SIDES:
        for row, column in np.argwhere(area & ~np.roll(area, (-down, -right), (0, 1))).tolist():
            following.setdefault((row + start[0], column + start[1]), []).append((row + end[0], column + end[1]))
    loops = []
    while following:
        first = next(iter(following))
        corners, at = [first], first
        came: tuple[int, int] | None = None
        while True:
            ends = following[at]
            # Where two pixels touch at a corner only, the walk stays with its own: it turns left.
            end = ends[0] if came is None or len(ends) == 1 else _left_turn(came, at, ends)
            ends.remove(end)
            if not ends:
                del following[at]
            came, at = at, end
            if at == first:
                break
            corners.append(at)
        path = np.array(corners, float)
        middles = (path + np.roll(path, -1, axis=0)) / 2 - 0.5
        loops.append(_without_straight(middles[:, ::-1]))
    return loops


def _left_turn(came: tuple[int, int], at: tuple[int, int], ends: list[tuple[int, int]]) -> tuple[int, int]:
    down, right = at[0] - came[0], at[1] - came[1]
    left = (at[0] - right, at[1] + down)
    return left if left in ends else ends[0]


def _without_straight(loop: Points) -> Points:
    """The loop without corners that lie on a straight line between their neighbours."""
    before, after = loop - np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0) - loop
    return loop[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]


def _area(loop: Points) -> float:
    x, y = loop.T
    return float(0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def _joined(outer: Points, holes: list[Points]) -> Points:
    """An area's edge with its holes, each joined where it is nearest."""
    polygon, left = outer, list(holes)
    while left:
        distances = [np.linalg.norm(polygon[:, None] - hole[None], axis=2) for hole in left]
        nearest = min(range(len(left)), key=lambda number: float(distances[number].min()))
        hole, apart = left.pop(nearest), distances[nearest]
        here, there = np.unravel_index(np.argmin(apart), apart.shape)
        around = np.roll(hole, -int(there), axis=0)
        polygon = np.concatenate([polygon[: here + 1], around, around[:1], polygon[here:]])
    return polygon
