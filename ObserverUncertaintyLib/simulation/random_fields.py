"""Smooth random fields in millimetres: the raw material of every variety in the simulated patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.images.grid import Grid

Field = NDArray[np.float32]
"""A value for every voxel, shape (k, j, i) unless said otherwise."""


def smooth_field(grid: Grid, scale_mm: float, rng: np.random.Generator, *, independent_slices: bool = False) -> Field:
    """Draw a smooth Gaussian random field with mean 0 and standard deviation 1 in every voxel.

    Cubic B-splines with random coefficients on a lattice, one axis after the other, so that the cost does not grow
    with the smoothness as a Gaussian filter's does. Matrix products would be as fast, but their threads get in each
    other's way where several processes share a machine.

    Args:
        grid: where the field is wanted.
        scale_mm: the lattice spacing; values further apart than four times this are independent.
        rng: source of randomness.
        independent_slices: draw every axial slice (first array axis) on its own.

    Returns:
        float32, shape (k, j, i).
    """
    steps = [spacing / scale_mm for spacing in reversed(grid.spacing)]
    knots = [int((count - 1) * step) + 4 for count, step in zip(grid.shape, steps, strict=True)]
    if independent_slices:
        knots[0] = grid.shape[0]
    field = rng.standard_normal(knots, dtype=np.float32)
    # The slices last: the array is smallest before them.
    for axis in (2, 1) if independent_slices else (2, 1, 0):
        field = _interpolate(field, axis, grid.shape[axis], steps[axis])
    return field


def _interpolate(knots: Field, axis: int, count: int, step: float) -> Field:
    """Cubic B-spline values at `count` points, `step` knots apart, along one axis.

    The four weights of each point are scaled to norm 1, which makes the variance of the field 1 everywhere.
    """
    position = np.arange(count) * step
    first = position.astype(int)
    t = position - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3])
    weights = (weights / np.linalg.norm(weights, axis=0)).astype(np.float32)
    along_axis = [1, 1, 1]
    along_axis[axis] = count
    values = knots.take(first, axis) * weights[0].reshape(along_axis)
    for n in (1, 2, 3):
        values += knots.take(first + n, axis) * weights[n].reshape(along_axis)
    return values
