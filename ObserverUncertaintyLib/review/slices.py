"""Which slices to edit next: those whose correction, carried on to their neighbours, settles most."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.prediction_files import ONE_HALF
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.expected_error import expected_error
from ObserverUncertaintyLib.review.propagation import CARRIED_MM


@dataclass(frozen=True)
class SliceToEdit:
    """A slice that deserves an edit.

    Attributes:
        index: of the slice along its axis.
        position: LPS position in mm of the middle of what is expected to be wrong in it.
        expected_error_ml: volume in mL that is expected to be wrong in it.
        priority: what slices are ranked by, in mL: the expected error that its edit would settle, there and nearby.
    """

    index: int
    position: tuple[float, float, float]
    expected_error_ml: float
    priority: float


def slices_to_edit(
    probability: NDArray[np.floating],
    grid: Grid,
    edited: Collection[int] = (),
    axis: int = 0,
    level: float = ONE_HALF,
) -> tuple[SliceToEdit, ...]:
    """Rank the slices that were not edited yet, the one to edit next first.

    Ask again after each correction, with the model's own probability. What a propagation believes is surer than it is
    right: slices ranked by it come in an order that leaves more errors (benchmarks/review_corrections.py).

    Args:
        probability: the model's foreground probability, shape (k, j, i), in [0, 1].
        grid: its grid.
        edited: indices of the slices edited so far.
        axis: across which axis of the array slices are numbered: 0 for k, 1 for j, 2 for i.
        level: above which a voxel is segmented; one half unless the prediction is calibrated.

    Returns:
        The slices in which any error is expected. An edit is taken to settle the share exp(-d / 8 mm) of the error in a
        slice d away, as `propagation.propagate` carries it, of what the nearest edited slice left; of equal ones the
        lower index comes first.

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
    error = np.moveaxis(expected_error(probability, grid, level), axis, 0)
    rows, columns = error.sum(axis=2, dtype=np.float64), error.sum(axis=1, dtype=np.float64)
    sums = rows.sum(axis=1)
    indices = np.flatnonzero(sums)
    step = grid.spacing[2 - axis]
    known = np.exp(-np.abs(indices[:, None] - np.array(sorted(edited), int)) * step / CARRIED_MM).max(axis=1, initial=0)
    settles = np.exp(-np.abs(indices[:, None] - indices) * step / CARRIED_MM)
    priority = settles @ (sums[indices] * (1 - known))
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
