"""Which slices to edit next: where most is expected to be wrong, spread over the structure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.expected_error import expected_error

SPREAD_MM = 8.0
"""How far an edited slice speaks for its neighbours; correcting such neighbours first gains a third less."""


@dataclass(frozen=True)
class SliceToEdit:
    """A slice that deserves an edit.

    Attributes:
        index: of the slice along its axis.
        position: LPS position in mm of the middle of what is expected to be wrong in it.
        expected_error_ml: volume in mL that is expected to be wrong in it.
        priority: what slices are ranked by, in mL: the same, lowered near slices that were edited.
    """

    index: int
    position: tuple[float, float, float]
    expected_error_ml: float
    priority: float


def slices_to_edit(
    probability: NDArray[np.floating], grid: Grid, edited: Collection[int] = (), axis: int = 0
) -> tuple[SliceToEdit, ...]:
    """Rank the slices that were not edited yet, the one to edit next first.

    Ask again after each correction, with the probability as it is after that was carried on to other slices.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1].
        grid: its grid.
        edited: indices of the slices edited so far.
        axis: across which axis of the array slices are numbered: 0 for k, 1 for j, 2 for i.

    Returns:
        The slices in which any error is expected. The expected error of each is lowered by the factor
        1 - exp(-d / 8 mm), d the distance to the nearest edited slice; of equal ones the lower index comes first.

    Raises:
        InputError: the array does not lie on the grid or holds no probabilities, or there is no such axis or slice.
    """
    if axis not in (0, 1, 2):
        raise InputError(f"Axis {axis} was asked for; slices are numbered across axis 0 (k), 1 (j) or 2 (i).")
    number = grid.shape[axis]
    unknown = sorted(index for index in edited if not 0 <= index < number)
    if unknown:
        raise InputError(
            f"Slice {unknown[0]} was named as edited, but slices across axis {axis} are numbered from 0 to "
            f"{number - 1}. Name the axis that the edited slices are numbered across."
        )
    # Slices first; the other two axes keep their order.
    error = np.moveaxis(expected_error(probability, grid), axis, 0)
    rows, columns = error.sum(axis=2, dtype=np.float64), error.sum(axis=1, dtype=np.float64)
    sums = rows.sum(axis=1)
    indices = np.flatnonzero(sums)
    away = np.abs(indices[:, None] - np.array(sorted(edited), int)).min(axis=1, initial=number) * grid.spacing[2 - axis]
    factor = 1 - np.exp(-away / SPREAD_MM) if edited else np.ones(len(indices))
    priority = sums[indices] * factor
    matrix = grid.index_to_physical()
    ranked = []
    for n in np.argsort(-priority, kind="stable"):
        index = int(indices[n])
        if index in edited:
            continue
        middle = [float(along[index] @ np.arange(along.shape[1]) / sums[index]) for along in (rows, columns)]
        middle.insert(axis, index)
        x, y, z = (matrix @ (*middle[::-1], 1.0))[:3].tolist()
        ranked.append(
            SliceToEdit(
                index,
                (x, y, z),
                float(sums[index]) * grid.voxel_volume_ml,
                float(priority[n]) * grid.voxel_volume_ml,
            )
        )
    return tuple(ranked)
