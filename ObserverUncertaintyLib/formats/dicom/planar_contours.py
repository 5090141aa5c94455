"""Closed planar contours drawn onto a voxel grid: a voxel belongs to what its centre lies in.

Contours of one plane are combined by the even-odd rule, so that a contour within another is a hole, whether it stands
by itself or is joined to the outer one by a channel without width (the "keyhole" of DICOM PS3.3 C.8.8.6.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ObserverUncertaintyLib.formats.dicom.polygons import Points, cross, filled, is_line, without_copies
from ObserverUncertaintyLib.images.grid import Grid

PLANE_TOLERANCE = 0.1
"""A contour may lie off its plane, and its plane off a slice, by this fraction of the distance of slices."""

_ONE_PLANE_MM = 0.05
"""Contours whose planes are nearer to each other lie in one: positions are rounded."""

_GAP = 1.5
"""Planes further apart than this many of the usual steps have a gap between them, in which nothing was drawn."""

_MOST_PIXELS = 1 << 28
"""Of the planes that are interpolated between; more would not fit into a usual computer's memory."""


class ContourError(ValueError):
    """The contours cannot be drawn as they are; the text says what was found and expected, without a file's name."""


@dataclass
class _Plane:
    """Contours of one plane: their corners in pixels (column, row), and the plane's place in steps of the frame."""

    place: float
    polygons: list[Points] = field(default_factory=list)


def draw(contours: Sequence[Points], grid: Grid, slab_mm: float | None = None) -> tuple[NDArray[np.bool_], list[str]]:
    """Draw the contours of one structure.

    Planes that lie on the grid's slices are drawn there, without smoothing. Where they lie between slices, in another
    direction, or on every second or third of them throughout, the structure is interpolated between neighbouring planes
    by the signed distance from its edge (Raya and Udupa 1990, doi 10.1109/42.52980) and goes on by half a step beyond
    its last planes; this is said, as is what lies outside the grid. Across a gap nothing is drawn.

    Args:
        contours: each of shape (n, 3), mm LPS.
        grid: to draw on.
        slab_mm: how thick the slab is that each contour stands for, if that is known: one of a slice's thickness is
            drawn on its slice alone.

    Returns:
        A mask of shape (k, j, i), and what the user should know.

    Raises:
        ContourError: a contour is not planar, or they lie in several directions.
    """
    warnings: list[str] = []
    shapes = _without_lines(contours, warnings)
    mask = np.zeros(grid.shape, bool)
    if not shapes:
        return mask, warnings
    _tell_of_outside(shapes, grid, warnings)
    frame = grid.index_to_physical()
    planes = _planes(shapes, frame)
    if planes is None:
        frame = _frame_of_contours(shapes, grid)
        planes = _planes(shapes, frame)
        if planes is None:
            raise ContourError(
                "its contours are not planar, or lie in planes of several directions; expected parallel planes"
            )
        warnings.append("its contours were drawn in other planes than the image's slices; they are interpolated")
    elif _lie_on_slices(planes, slab_mm, grid):
        _without_copies(planes, warnings)
        _draw_on_slices(planes, mask, warnings)
        return mask, warnings
    else:
        apart = _step(planes) * grid.spacing[2]
        warnings.append(
            f"its contours do not lie on each of the image's slices (contours {apart:.3g} mm apart, slices "
            f"{grid.spacing[2]:.3g} mm); they are interpolated"
        )
    _without_copies(planes, warnings)
    _interpolate(planes, frame, grid, mask, warnings)
    return mask, warnings


def _without_lines(contours: Sequence[Points], warnings: list[str]) -> list[Points]:
    """Contours that enclose something; points and lines are left out, and this is said."""
    kept = [contour for contour in contours if len(contour) > 2 and not is_line(contour)]
    if len(kept) < len(contours):
        flat = len(contours) - len(kept)
        warnings.append(f"{flat} of its contours enclose nothing (points or lines) and are left out")
    return kept


def _area(contour: Points) -> Points:
    """The vector of a polygon's area: perpendicular to it, as long as it is large (Newell's method)."""
    centred = contour - contour.mean(axis=0)
    return np.asarray(0.5 * np.cross(centred, np.roll(centred, -1, axis=0)).sum(axis=0))


def _planes(contours: Sequence[Points], frame: NDArray[np.float64]) -> list[_Plane] | None:
    """Contours by the planes that they lie in, in order; None unless each lies in a plane across the frame's last axis.

    Args:
        contours: mm LPS.
        frame: the 4x4 matrix from (column, row, plane, 1) to mm LPS.
    """
    inverse = np.linalg.inv(frame)
    one_plane = _ONE_PLANE_MM / float(np.linalg.norm(frame[:3, 2]))
    planes: list[_Plane] = []
    placed = [contour @ inverse[:3, :3].T + inverse[:3, 3] for contour in contours]
    for corners in sorted(placed, key=lambda each: float(each[:, 2].mean())):
        place = float(corners[:, 2].mean())
        if np.abs(corners[:, 2] - place).max() > PLANE_TOLERANCE:
            return None
        if not planes or place - planes[-1].place > one_plane:
            planes.append(_Plane(place))
        planes[-1].polygons.append(corners[:, :2])
    return planes


def _frame_of_contours(contours: Sequence[Points], grid: Grid) -> NDArray[np.float64]:
    """A frame whose planes are those of the contours, with the grid's smallest spacing along each axis."""
    normal = _area(max(contours, key=lambda each: float(np.linalg.norm(_area(each)))))
    normal /= np.linalg.norm(normal)
    across = np.eye(3)[np.argmin(np.abs(normal))]
    row = np.cross(normal, across)
    row /= np.linalg.norm(row)
    frame = np.eye(4)
    frame[:3, :3] = np.column_stack([row, np.cross(normal, row), normal]) * min(grid.spacing)
    frame[:3, 3] = np.concatenate(contours).min(axis=0)
    return frame


def _lie_on_slices(planes: Sequence[_Plane], slab_mm: float | None, grid: Grid) -> bool:
    """Whether each plane lies on a slice of its own, and stands for that slice alone."""
    slices = [round(plane.place) for plane in planes]
    off = max(abs(plane.place - k) for plane, k in zip(planes, slices, strict=True))
    if off > PLANE_TOLERANCE or len(set(slices)) < len(slices):
        return False
    steps = np.diff(slices)
    if slab_mm is not None and abs(slab_mm - grid.spacing[2]) <= PLANE_TOLERANCE * grid.spacing[2]:
        return True
    if len(steps) < 2 or steps.min() == 1:
        return True
    # Whoever draws on every third slice means those between too; foci far from each other are no such thing.
    return bool((steps % steps.min()).any() or np.mean(steps == steps.min()) < 0.5)


def _step(planes: Sequence[_Plane]) -> float:
    """The usual distance of neighbouring planes in steps of the frame, the smallest; at most 1 where there are two."""
    steps = np.diff([plane.place for plane in planes])
    if len(steps) == 0:
        return 1.0
    return float(steps.min()) if len(steps) > 1 else min(1.0, float(steps[0]))


def _draw_on_slices(planes: Sequence[_Plane], mask: NDArray[np.bool_], warnings: list[str]) -> None:
    for plane in planes:
        k = round(plane.place)
        if 0 <= k < len(mask):
            mask[k] = filled(plane.polygons, mask.shape[1:])
    _tell_of_gaps(planes, warnings)
    _tell_of_crossing(planes, warnings)


def _interpolate(
    planes: Sequence[_Plane], frame: NDArray[np.float64], grid: Grid, mask: NDArray[np.bool_], warnings: list[str]
) -> None:
    """Mark the voxels whose centres lie in the structure between and around the planes."""
    corners = np.concatenate([polygon for plane in planes for polygon in plane.polygons])
    low = np.floor(corners.min(axis=0)).astype(int) - 2
    columns, rows = np.ceil(corners.max(axis=0)).astype(int) - low + 3
    if rows * columns * len(planes) > _MOST_PIXELS:
        raise ContourError(
            f"its contours span {rows} x {columns} pixels of the image; expected contours of one patient"
        )
    sizes = np.linalg.norm(frame[:3, :2], axis=0)[::-1]
    depths = np.stack(
        [_depth(filled([polygon - low for polygon in each.polygons], (rows, columns)), sizes) for each in planes]
    )
    places = np.array([plane.place for plane in planes])
    step = _step(planes)
    to_frame = np.linalg.solve(frame, grid.index_to_physical())
    j, i = np.indices(grid.shape[1:])
    for k in range(len(mask)):
        column, row, place = (
            to_frame[n, 0] * i + to_frame[n, 1] * j + to_frame[n, 2] * k + to_frame[n, 3] for n in range(3)
        )
        inside = (
            (column > low[0])
            & (column < low[0] + columns)
            & (row > low[1])
            & (row < low[1] + rows)
            & (place >= places[0] - step / 2)
            & (place < places[-1] + step / 2)
        )
        if inside.any():
            index, is_reached = _between(place[inside], places, step)
            at = np.stack([index, row[inside] - low[1], column[inside] - low[0]])
            mask[k][inside] = is_reached & (ndimage.map_coordinates(depths, at, order=1, mode="nearest") > 0)
    _tell_of_gaps(planes, warnings, step)
    _tell_of_crossing(planes, warnings)


def _depth(shape: NDArray[np.bool_], sizes: NDArray[np.float64]) -> NDArray[np.float32]:
    """The distance in mm from the edge of a shape, positive inside; very negative everywhere if there is no shape."""
    if not shape.any():
        return np.full(shape.shape, -np.float32(1e6), np.float32)
    # The edge lies half a pixel beyond the last pixel of either side.
    half = float(sizes.min()) / 2
    within = ndimage.distance_transform_edt(shape, sizes) - half
    around = ndimage.distance_transform_edt(~shape, sizes) - half
    return np.where(shape, within, -around).astype(np.float32)


def _between(
    at: NDArray[np.float64], places: NDArray[np.float64], step: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Where places lie in the list of planes, as fractions of an index, and whether a plane reaches that far.

    Across a gap nothing is interpolated: there each plane reaches half a step.
    """
    index = np.interp(at, places, np.arange(len(places)))
    left = np.floor(index).astype(int)
    right = np.minimum(left + 1, len(places) - 1)
    nearer = np.where(at - places[left] < places[right] - at, left, right)
    in_gap = places[right] - places[left] > _GAP * step
    is_reached = ~in_gap | (np.abs(at - places[nearer]) <= step / 2)
    return np.where(in_gap, nearer, index), is_reached


def _tell_of_gaps(planes: Sequence[_Plane], warnings: list[str], step: float = 1.0) -> None:
    gaps = int((np.diff([plane.place for plane in planes]) > _GAP * step).sum())
    if gaps:
        warnings.append(
            f"between its first and last contour there {'is a gap' if gaps == 1 else f'are {gaps} gaps'} without a "
            "contour; nothing is drawn there"
        )


def _tell_of_outside(contours: Sequence[Points], grid: Grid, warnings: list[str]) -> None:
    inverse, reach = np.linalg.inv(grid.index_to_physical()), 0.5 + PLANE_TOLERANCE
    outside = 0
    for contour in contours:
        corners = contour @ inverse[:3, :3].T + inverse[:3, 3]
        outside += bool(((corners < -reach) | (corners > np.array(grid.size) - 1 + reach)).any())
    if outside:
        warnings.append(
            f"{outside} of its {len(contours)} contours lie outside the image or reach beyond it, and are cut off there"
        )


def _tell_of_crossing(planes: Sequence[_Plane], warnings: list[str]) -> None:
    crossing = sum(cross(plane.polygons) for plane in planes if len(plane.polygons) > 1)
    if crossing:
        warnings.append(
            f"in {crossing} planes its contours cross each other; where two overlap nothing is drawn (even-odd rule)"
        )


def _without_copies(planes: Sequence[_Plane], warnings: list[str]) -> None:
    """Leave out contours that another one of their plane repeats, which by the even-odd rule would erase each other."""
    before = sum(len(plane.polygons) for plane in planes)
    for plane in planes:
        plane.polygons[:] = without_copies(plane.polygons)
    repeated = before - sum(len(plane.polygons) for plane in planes)
    if repeated:
        warnings.append(f"{repeated} of its contours are there twice and are drawn once")
