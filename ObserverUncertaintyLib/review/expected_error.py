"""How much of a segmentation is expected to be wrong, voxel by voxel, and the order in which voxels deserve a look."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.checks import require_share

CERTAIN = 0.01
"""Voxels whose probability is this near to 0 or 1 are not ranked: nobody can look at a whole head."""


def expected_error(probability: NDArray[np.floating], grid: Grid) -> NDArray[np.floating]:
    """The probability that the segmentation, foreground above one half, is wrong at each voxel.

    It is true as far as the model is calibrated. Summed over voxels it is the number of them that are expected to be
    wrong.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1].
        grid: its grid.

    Returns:
        min(p, 1 - p), same shape, in [0, 0.5].

    Raises:
        InputError: the array does not lie on the grid, or does not hold probabilities.
    """
    require_share(probability, grid, "The probability")
    return np.minimum(probability, 1 - probability).clip(min=0)


def review_order(probability: NDArray[np.floating], grid: Grid) -> NDArray[np.intp]:
    """The voxels with 0.01 < p < 0.99 in the order in which they deserve a look: the likeliest error first.

    If the model is calibrated, no other order finds more wrong voxels in the same volume on average.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1].
        grid: its grid.

    Returns:
        Indices into the flattened probability. Equally likely errors keep the order of the array.

    Raises:
        InputError: the array does not lie on the grid, or does not hold probabilities.
    """
    error = expected_error(probability, grid).ravel()
    unsure = np.flatnonzero(error > CERTAIN)
    return unsure[np.argsort(-error[unsure], kind="stable")]
