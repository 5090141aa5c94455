"""The same voxels with axes that point elsewhere: permutation and flips, exact and undone exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.images.grid import Grid

_OPPOSITE = dict(zip("LRPASI", "RLAPIS", strict=True))


@dataclass(frozen=True)
class Reorientation:
    """An exact change of axes (permutation and flips) between two grids of the same voxels.

    Attributes:
        source: the grid as it came.
        target: the same voxels with i, j, k pointing where the code asked, such as "LPS".
    """

    source: Grid
    target: Grid
    _permutation: tuple[int, ...]  # source axis of each target axis, both as (i, j, k)
    _flipped: tuple[bool, ...]  # whether each target axis runs against its source axis

    @classmethod
    def to(cls, grid: Grid, code: str) -> Reorientation:
        """Find the change of axes that makes i, j, k of `grid` point along the letters of `code`.

        For oblique grids the nearest patient axis counts, as in `Grid.orientation`.
        """
        letters = grid.orientation
        permutation = tuple(
            next(axis for axis, found in enumerate(letters) if found in (wanted, _OPPOSITE[wanted])) for wanted in code
        )
        flipped = tuple(letters[axis] != wanted for axis, wanted in zip(permutation, code, strict=True))
        return cls(grid, _changed_axes(grid, permutation, flipped), permutation, flipped)

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of an array (k, j, i) on the source grid as an array on the target grid."""
        # Array axes run (k, j, i): axis i of the grid is the last axis of the array.
        axes = [2 - axis for axis in reversed(self._permutation)]
        return np.flip(array.transpose(axes), self._flipped_array_axes())

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of an array on the target grid as an array on the source grid."""
        axes = [2 - axis for axis in reversed(self._permutation)]
        return np.flip(array, self._flipped_array_axes()).transpose(np.argsort(axes))

    def _flipped_array_axes(self) -> tuple[int, ...]:
        return tuple(2 - axis for axis in range(3) if self._flipped[axis])


def _changed_axes(grid: Grid, permutation: tuple[int, ...], flipped: tuple[bool, ...]) -> Grid:
    matrix = grid.index_to_physical()
    origin = np.array(grid.origin)
    columns = np.reshape(grid.direction, (3, 3))[:, list(permutation)]
    for axis, source_axis in enumerate(permutation):
        if flipped[axis]:
            origin = origin + matrix[:3, source_axis] * (grid.size[source_axis] - 1)
            columns[:, axis] = -columns[:, axis]
    a, b, c = (int(n) for n in permutation)
    return Grid(
        size=(grid.size[a], grid.size[b], grid.size[c]),
        spacing=(grid.spacing[a], grid.spacing[b], grid.spacing[c]),
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=tuple(float(d) for d in columns.ravel()),
    )
