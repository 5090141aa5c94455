"""Proper scores of a probability against what raters marked: the lower the better, and only the truth is the best."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_PROBABILITY = 1e-6
"""Probabilities are cut here: the negative log-likelihood of exactly 0 where somebody marked is infinite."""


def brier_score(probability: NDArray[Any], rater_mean: NDArray[Any]) -> float:
    """Mean over voxels and raters of the squared gap between the probability and the rater's mark, 0 or 1.

    Args:
        probability: foreground probability of each voxel, any shape, in [0, 1].
        rater_mean: fraction of raters that marked it, same shape.

    Returns:
        In [0, 1]; NaN without voxels. Where raters disagree nothing reaches 0.

    Source: Brier, Mon. Weather Rev. 78(1), 1950, of two classes, the foreground's term.
    """
    p, share = _numbers(probability), _numbers(rater_mean)
    return float(np.mean(p * p - 2 * p * share + share)) if p.size else float("nan")


def negative_log_likelihood(probability: NDArray[Any], rater_mean: NDArray[Any]) -> float:
    """Mean over voxels and raters of minus the natural logarithm of the probability of the rater's mark.

    Args:
        probability: foreground probability of each voxel, any shape, in [0, 1]; cut at 1e-6 and 1 - 1e-6.
        rater_mean: fraction of raters that marked it, same shape.

    Returns:
        In nats, 0 or more; NaN without voxels.
    """
    p = _numbers(probability).clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    share = _numbers(rater_mean)
    return float(-np.mean(share * np.log(p) + (1 - share) * np.log1p(-p))) if p.size else float("nan")


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.ravel(values).astype(np.float64)
