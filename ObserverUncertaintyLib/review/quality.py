"""How good a segmentation is likely to be, from its own prediction alone, before anybody has drawn the case."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.prediction_files import ONE_HALF

_LEVELS = (np.arange(100) + 0.5) / 100
"""Evenly between 0 and 1."""


def expected_dice(probability: NDArray[Any], level: float = ONE_HALF) -> float:
    """The Dice with the raters' majority that a case's prediction lets one expect; half of the cases should have more.

    Whoever draws wider draws wider along a whole contour, so voxels do not vary each for itself: of a calibrated
    prediction, what is marked is rather everything above a level u, which may be any between 0 and 1. Its Dice with the
    segmentation, everything above `level`, has a median over the levels; that is the expected Dice.

    The mean over the levels is lower, and that of voxels which vary each for itself, 2 sum_S p / (|S| + sum p), mostly
    lower still: lowest levels, at which much background with a little probability counts, weigh on both. The mean Dice
    of pairs of Monte Carlo samples is too high: it speaks of the model's part of the uncertainty alone. None of them
    clearly ranks cases better (`benchmarks/case_quality.py`). Nothing here is fitted to data.

    Where a model is wrong and sure of it, the Dice is lower than is expected here: bad cases come out too well, though
    mostly still as the worst.

    Args:
        probability: mean foreground probability, any shape, in [0, 1].
        level: above which a voxel is segmented.

    Returns:
        In [0, 1]; NaN if nothing is segmented, since then it is not known whether there is anything to find.

    Source: ours. To cut a probability at several levels is the idea of `soft_dice`.
    """
    likely = np.sort(probability[probability > min(_LEVELS[0], level)])
    segmented = np.count_nonzero(likely > level)
    if not segmented:
        return float("nan")
    marked = likely.size - np.searchsorted(likely, _LEVELS, side="right")
    # Sets above levels lie within each other: two of them have the smaller one in common.
    return float(np.median(2 * np.minimum(marked, segmented) / (marked + segmented)))
