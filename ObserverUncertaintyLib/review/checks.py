"""What every part of a review asks of the arrays that it is handed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid

_ROUNDED = 1e-6
"""Resampling and files may leave a probability so much below 0 or above 1."""


def require_on_grid(array: NDArray[Any], grid: Grid, name: str) -> None:
    """Raise InputError unless an array of shape (k, j, i) has the grid's size."""
    if array.shape != grid.shape:
        raise InputError(
            f"{name} has the shape {array.shape}, but its grid {grid.shape} (slice, row, column). "
            "Give the grid of the case that was predicted."
        )


def require_share(array: NDArray[np.floating], grid: Grid, name: str) -> None:
    """Raise InputError unless an array lies on the grid and holds values from 0 to 1: a probability, or an entropy."""
    require_on_grid(array, grid, name)
    low, high = float(array.min()), float(array.max())
    # Written so that NaN is refused too.
    if not (low >= -_ROUNDED and high <= 1 + _ROUNDED):
        raise InputError(
            f"{name} has values from {low:.4g} to {high:.4g}; they must lie between 0 and 1, without NaN. "
            "Give the map of a prediction, not an image, labels or percentages."
        )
