"""Volumes of several frames in one file, by highdicom: where its voxels lie, in this library's order of axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.images.grid import Grid


def on_grid(array: NDArray[Any], affine: NDArray[np.float64]) -> tuple[NDArray[Any], Grid]:
    """Put the frames in the order that ITK gives the slices of a series: along the normal of their plane.

    Args:
        array: shape (frame, row, column).
        affine: the 4x4 matrix from (frame, row, column, 1) to mm LPS.
    """
    columns = affine[:3, [2, 1, 0]]
    origin = affine[:3, 3]
    if np.linalg.det(columns) < 0:
        origin = origin + (len(array) - 1) * columns[:, 2]
        columns = columns * [1, 1, -1]
        array = array[::-1]
    spacing = np.linalg.norm(columns, axis=0)
    k, j, i = array.shape
    direction = tuple((columns / spacing + 0.0).ravel().tolist())  # no -0
    x, y, z = spacing.tolist()
    grid = Grid((i, j, k), (x, y, z), (float(origin[0]), float(origin[1]), float(origin[2])), direction)
    return np.ascontiguousarray(array), grid
