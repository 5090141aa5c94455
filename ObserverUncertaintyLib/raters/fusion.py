"""Fusing several raters' masks of one structure into one label map, or into their mean.

Source: Jungo et al. 2018, section 3.2: no fusion, majority vote, STAPLE, intersection, union.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.raters.staple import StapleRegion, staple
from ObserverUncertaintyLib.raters.votes import Raters, Votes

__all__ = [
    "FusionMethod",
    "StapleRegion",
    "Tie",
    "Votes",
    "fuse",
    "intersection",
    "majority",
    "mean",
    "staple",
    "union",
]


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


class FusionMethod(StrEnum):
    """How the raters' masks become a training label: the table of all methods, in the order in which they are shown.

    A row holds the name that the command line and files give the method, what it is called in tables, figures and the
    panel, what it does in one sentence, and the function that fuses. A further method is a further row.

    Attributes:
        title: what it is called.
        explanation: what it does.
        function: makes the map of the raters and what a majority makes of a tie; None if the raters are kept apart.
    """

    _value_: str
    title: str  # type: ignore[assignment]  # nobody asks for these texts with capitals, which str.title would make
    explanation: str
    function: Callable[[Raters, Tie], NDArray[Any]] | None

    NONE = (
        "none",
        "No fusion",
        "The raters are kept apart; a training with this choice draws one of them at random for each example.",
        None,
    )
    MAJORITY = (
        "majority",
        "Majority vote",
        "Where more than half of the raters drew; a tie is background.",
        majority,
    )
    STAPLE = (
        "staple",
        "STAPLE",
        "Weighs each rater by a sensitivity and specificity that are estimated from all raters together.",
        lambda raters, _tie: staple(raters).segmentation,
    )
    UNION = ("union", "Union", "Where at least one rater drew.", lambda raters, _tie: union(raters))
    INTERSECTION = (
        "intersection",
        "Intersection",
        "Where every rater drew.",
        lambda raters, _tie: intersection(raters),
    )
    MEAN = (
        "mean",
        "Mean",
        "The share of raters who drew, 0 to 1, as a soft label; a segment is where it is above one half.",
        lambda raters, _tie: mean(raters),
    )

    def __new__(cls, name: str, *row: Any) -> Self:
        """A row of the table."""
        method = str.__new__(cls, name)
        method._value_ = name
        method.title, method.explanation, method.function = row
        return method


def fuse(raters: Raters, method: FusionMethod | str, tie: Tie = Tie.BACKGROUND) -> NDArray[Any]:
    """Fuse raters by name.

    Args:
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes (`Votes.of`) if several methods follow.
        method: any method but "none", which keeps the raters apart and so has no single map.
        tie: used by "majority" only.

    Returns:
        bool, shape (k, j, i); float32 in [0, 1] for a soft map such as "mean". STAPLE's posterior is cut at one half.

    Raises:
        InputError: there is no rater, or there are more than 64.
    """
    function = FusionMethod(method).function
    if function is None:
        raise ValueError('"none" keeps the raters apart: there is no fused map')
    return function(raters, tie)
