"""How much of a segmentation is expected to be wrong, voxel by voxel, and the order in which voxels deserve a look."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.prediction_files import ONE_HALF
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.checks import require_share

CERTAIN = 0.01
"""Voxels whose probability is this near to 0 or 1 are not ranked: nobody can look at a whole head."""


def expected_error(probability: NDArray[np.floating], grid: Grid, level: float = ONE_HALF) -> NDArray[np.floating]:
    """The probability that the segmentation, foreground above `level`, is wrong at each voxel.

    It is true as far as the model is calibrated. Summed over voxels it is the number of them that are expected to be
    wrong.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1].
        grid: its grid.
        level: above which a voxel is segmented; one half unless the prediction is calibrated.

    Returns:
        1 - p where segmented, p elsewhere, same shape: min(p, 1 - p) for a level of one half.

    Raises:
        InputError: the array does not lie on the grid, or does not hold probabilities.
    """
    require_share(probability, grid, "The probability")
    return np.where(probability > level, 1 - probability, probability).clip(0, 1)


def review_order(probability: NDArray[np.floating], grid: Grid, level: float = ONE_HALF) -> NDArray[np.intp]:
    """The voxels with 0.01 < p < 0.99 in the order in which they deserve a look: the likeliest error first.

    If the model is calibrated, no other order finds more wrong voxels in the same volume on average.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1].
        grid: its grid.
        level: as for `expected_error`.

    Returns:
        Indices into the flattened probability. Equally likely errors keep the order of the array.

    Raises:
        InputError: the array does not lie on the grid, or does not hold probabilities.
    """
    error = expected_error(probability, grid, level).ravel()
    unsure = np.flatnonzero(np.minimum(probability, 1 - probability).ravel() > CERTAIN)
    return unsure[np.argsort(-error[unsure], kind="stable")]
