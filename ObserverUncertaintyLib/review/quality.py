"""How good a segmentation is likely to be, from its own prediction alone, before anybody has drawn the case."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEVELS = (np.arange(100) + 0.5) / 100
"""Evenly between 0 and 1."""


def expected_dice(probability: NDArray[Any]) -> float:
    """The Dice with the raters' majority that a case's prediction lets one expect; half of the cases should have more.

    Whoever draws wider draws wider along a whole contour, so voxels do not vary each for itself: of a calibrated
    prediction, what is marked is rather everything above a level u, which may be any between 0 and 1. Its Dice with the
    segmentation, everything above one half, has a median over the levels; that is the expected Dice.

    The mean over the levels is lower, and that of voxels which vary each for itself, 2 sum_S p / (|S| + sum p), lower
    still: lowest levels, at which much background with a little probability counts, weigh on both. They rank cases no
    better. So does the mean Dice of pairs of Monte Carlo samples, which speaks of the model's part of the uncertainty
    alone, and is too high (`benchmarks/case_quality.py` compares them). Nothing here is fitted to data.

    Args:
        probability: mean foreground probability, any shape, in [0, 1].

    Returns:
        In [0, 1]; NaN if nothing is segmented, since then it is not known whether there is anything to find.

    Source: ours. That voxels vary together is what nested contours say of raters in Li et al. 2024, arXiv 2405.18435.
    """
    likely = np.sort(probability[probability > _LEVELS[0]])
    segmented = np.count_nonzero(likely > 0.5)
    if not segmented:
        return float("nan")
    marked = likely.size - np.searchsorted(likely, _LEVELS, side="right")
    # Sets above levels lie within each other: two of them have the smaller one in common.
    return float(np.median(2 * np.minimum(marked, segmented) / (marked + segmented)))
