"""Smooth random fields in millimetres: the raw material of every variety in the simulated patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.geometry import Grid

Field = NDArray[np.float32]
"""A value for every voxel, shape (k, j, i) unless said otherwise."""


def smooth_field(grid: Grid, scale_mm: float, rng: np.random.Generator, *, independent_slices: bool = False) -> Field:
    """Draw a smooth Gaussian random field with mean 0 and standard deviation 1 in every voxel.

    Cubic B-splines with random coefficients on a lattice; a tensor product, so that it costs three small matrix
    products however smooth the field is (a Gaussian filter of the same width would cost far more).

    Args:
        grid: where the field is wanted.
        scale_mm: the lattice spacing; values further apart than four times this are independent.
        rng: source of randomness.
        independent_slices: draw every axial slice (first array axis) on its own.

    Returns:
        float32, shape (k, j, i).
    """
    spacing_k, spacing_j, spacing_i = reversed(grid.spacing)
    count_k, count_j, count_i = grid.shape
    basis_j, basis_i = (_spline_basis(count_j, spacing_j / scale_mm), _spline_basis(count_i, spacing_i / scale_mm))
    knots_k = count_k
    if not independent_slices:
        basis_k = _spline_basis(count_k, spacing_k / scale_mm)
        knots_k = basis_k.shape[1]
    field = rng.standard_normal((knots_k, basis_j.shape[1], basis_i.shape[1]), dtype=np.float32)
    if not independent_slices:
        field = np.tensordot(basis_k, field, axes=1)
    return np.asarray(basis_j @ field @ basis_i.T, dtype=np.float32)


def _spline_basis(count: int, step: float) -> NDArray[np.float32]:
    """Cubic B-spline weights of `count` points, `step` knots apart, shape (count, knots); rows have norm 1.

    The norm makes the variance of the field 1 everywhere, not only at the knots.
    """
    position = np.arange(count) * step
    first = np.floor(position).astype(int)
    t = position - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    basis = np.zeros((count, first[-1] + 4), np.float32)
    for offset in range(4):
        basis[np.arange(count), first + offset] = weights[:, offset]
    return basis
