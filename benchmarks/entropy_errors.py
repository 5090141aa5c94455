"""How far entropies are from others."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

UNSURE = 0.05
"""Bits of predictive entropy above which a voxel counts as unsure."""

Floats: TypeAlias = NDArray[np.floating[Any]]


def entropy_errors(found: Floats, expected: Floats, unsure: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean absolute difference of two entropies in bits: over the whole grid, and over the unsure voxels."""
    difference = np.abs(found.astype(np.float64) - expected)
    return float(difference.mean()), float(difference[unsure].mean())
