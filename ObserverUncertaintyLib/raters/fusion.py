"""Fusing several raters' masks of one structure into one label map, or into their mean.

Source: Jungo et al. 2018, section 3.2: no fusion, majority vote, STAPLE, intersection, union.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.raters.staple import STAPLE_MARGIN, StapleRegion, StapleResult, staple
from ObserverUncertaintyLib.raters.votes import Raters, Votes

__all__ = [
    "STAPLE_MARGIN",
    "FusionMethod",
    "StapleRegion",
    "StapleResult",
    "Tie",
    "Votes",
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


def majority(raters: Raters, tie: Tie = Tie.BACKGROUND) -> NDArray[np.bool_]:
    """Voxels that more than half of the raters marked; exactly half is decided by `tie`.

    Args:
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.
        tie: strict majority (background) by default; it matters only for an even number of raters.

    Returns:
        bool, shape (k, j, i).
    """
    votes = Votes.of(raters)
    doubled, count = 2 * votes.patterns.sum(axis=1), votes.patterns.shape[1]
    return votes.on_grid(doubled >= count if Tie(tie) is Tie.FOREGROUND else doubled > count)


def union(raters: Raters) -> NDArray[np.bool_]:
    """Voxels that any rater marked, bool, shape (k, j, i)."""
    votes = Votes.of(raters)
    return votes.on_grid(np.asarray(votes.patterns.any(axis=1)))


def intersection(raters: Raters) -> NDArray[np.bool_]:
    """Voxels that every rater marked, bool, shape (k, j, i)."""
    votes = Votes.of(raters)
    return votes.on_grid(np.asarray(votes.patterns.all(axis=1)))


def mean(raters: Raters) -> NDArray[np.float32]:
    """The fraction of raters that marked each voxel, float32, shape (k, j, i), in [0, 1]."""
    votes = Votes.of(raters)
    return votes.on_grid(votes.patterns.mean(axis=1).astype(np.float32))


def fuse(raters: Raters, method: FusionMethod | str, tie: Tie = Tie.BACKGROUND) -> NDArray[Any]:
    """Fuse raters by name.

    Args:
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes (`Votes.of`) if several methods follow.
        method: any method but "none", which keeps the raters apart and so has no single map.
        tie: used by "majority" only.

    Returns:
        bool, shape (k, j, i); float32 in [0, 1] for "mean". STAPLE's posterior is cut at one half.

    Raises:
        InputError: there is no rater, or there are more than 64.
    """
    match FusionMethod(method):
        case FusionMethod.MAJORITY:
            return majority(raters, tie)
        case FusionMethod.STAPLE:
            return staple(raters).segmentation
        case FusionMethod.UNION:
            return union(raters)
        case FusionMethod.INTERSECTION:
            return intersection(raters)
        case FusionMethod.MEAN:
            return mean(raters)
        case FusionMethod.NONE:
            raise ValueError('"none" keeps the raters apart: there is no fused map')
