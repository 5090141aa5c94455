"""Comparing two models on the same cases: differences case by case, their interval, a test, and an effect size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 2000


def paired_interval(difference: NDArray[np.float64], seed: int = 0) -> tuple[float, float, float]:
    """Mean of paired differences and its 95 % bootstrap interval; undefined ones are left out.

    Source: Efron, Ann. Stat. 7(1), 1979.
    """
    defined = difference[~np.isnan(difference)]
    if not len(defined):
        return float("nan"), float("nan"), float("nan")
    drawn = resamples(len(defined), seed)
    low, high = np.percentile(defined[drawn].mean(axis=1), [2.5, 97.5])
    return float(defined.mean()), float(low), float(high)


def resamples(count: int, seed: int = 0) -> NDArray[np.intp]:
    """Which of `count` cases each bootstrap sample holds, shape (resample, case)."""
    return np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))


@dataclass(frozen=True)
class PairedTest:
    """What paired differences say.

    Attributes:
        n: number of cases where both values are defined.
        mean, low, high: mean difference and its 95 % bootstrap interval.
        p: two-sided p-value of Wilcoxon's signed-rank test; 1 if no two values differ.
        effect: matched-pairs rank-biserial correlation: 1 if every difference is positive, -1 if every one is negative.
    """

    n: int
    mean: float
    low: float
    high: float
    p: float
    effect: float


def paired_test(first: NDArray[Any], second: NDArray[Any]) -> PairedTest:
    """Compare the values of two models on the same cases; the difference is first minus second.

    Args:
        first: one value a case; NaN where it is undefined.
        second: the same of the other model.

    Source: Wilcoxon, Biometrics Bull. 1(6), 1945; Kerby, Compr. Psychol. 3, 2014 (effect size).
    """
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    defined = difference[~np.isnan(difference)]
    moved = defined[defined != 0]
    if len(moved):
        ranks = stats.rankdata(np.abs(moved))
        p = float(stats.wilcoxon(moved).pvalue)
        effect = float(np.sum(ranks * np.sign(moved)) / np.sum(ranks))
    else:
        p, effect = (1.0, 0.0) if len(defined) else (float("nan"), float("nan"))
    return PairedTest(len(defined), *paired_interval(defined), p, effect)
