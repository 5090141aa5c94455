"""Fusing several raters' masks of one structure into one label map, or into their mean.

Source: Jungo et al. 2018, section 3.2: no fusion, majority vote, STAPLE, intersection, union.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.staple import STAPLE_MARGIN, StapleResult, staple

__all__ = [
    "STAPLE_MARGIN",
    "FusionMethod",
    "StapleResult",
    "Tie",
    "fuse",
    "intersection",
    "majority",
    "mean",
    "staple",
    "union",
]


class FusionMethod(StrEnum):
    """How the raters' masks become a training label; `NONE` keeps them apart."""

    NONE = "none"
    MAJORITY = "majority"
    STAPLE = "staple"
    UNION = "union"
    INTERSECTION = "intersection"
    MEAN = "mean"


class Tie(StrEnum):
    """What a majority vote makes of a voxel that exactly half of the raters marked."""

    BACKGROUND = "background"
    FOREGROUND = "foreground"


def majority(raters: NDArray[np.bool_], tie: Tie = Tie.BACKGROUND) -> NDArray[np.bool_]:
    """Voxels that more than half of the raters marked; exactly half is decided by `tie`.

    Args:
        raters: bool, shape (rater, k, j, i).
        tie: strict majority (background) by default; it matters only for an even number of raters.

    Returns:
        bool, shape (k, j, i).
    """
    doubled = 2 * raters.sum(axis=0, dtype=np.int64)
    return np.asarray(doubled >= len(raters) if Tie(tie) is Tie.FOREGROUND else doubled > len(raters))


def union(raters: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels that any rater marked, bool, shape (k, j, i)."""
    return np.asarray(raters.any(axis=0))


def intersection(raters: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels that every rater marked, bool, shape (k, j, i)."""
    return np.asarray(raters.all(axis=0))


def mean(raters: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The fraction of raters that marked each voxel, float32, shape (k, j, i), in [0, 1]."""
    return raters.mean(axis=0, dtype=np.float64).astype(np.float32)


def fuse(raters: NDArray[np.bool_], method: FusionMethod | str, tie: Tie = Tie.BACKGROUND) -> NDArray[Any]:
    """Fuse raters by name.

    Args:
        raters: bool, shape (rater, k, j, i).
        method: any method but "none", which keeps the raters apart and so has no single map.
        tie: used by "majority" only.

    Returns:
        bool, shape (k, j, i); float32 in [0, 1] for "mean". STAPLE's posterior is cut at one half.
    """
    match FusionMethod(method):
        case FusionMethod.MAJORITY:
            return majority(raters, tie)
        case FusionMethod.STAPLE:
            return staple(raters).posterior > 0.5
        case FusionMethod.UNION:
            return union(raters)
        case FusionMethod.INTERSECTION:
            return intersection(raters)
        case FusionMethod.MEAN:
            return mean(raters)
        case FusionMethod.NONE:
            raise ValueError('"none" keeps the raters apart: there is no fused map')
