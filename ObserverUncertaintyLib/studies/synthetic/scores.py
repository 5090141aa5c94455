"""Scores of an arm on every test sample, and its reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.scores import metrics
from ObserverUncertaintyLib.scores.entropy import binary_entropy, expert_entropy

SCORES = ("wme", "wme_as_printed", "me", "dice", "ece", "entropy_outside", "ece_inside")
"""Columns of every table of the study, in this order."""


def sample_scores(case: Case, probability: NDArray[Any]) -> dict[str, float]:
    """Scores of one test sample; see docs/method.md.

    Args:
        case: the sample with its observers and its truth.
        probability: foreground probability, shape (1, row, column), in [0, 1].

    Returns:
        The values of `SCORES`. `dice` is with the truth, as in the paper; `entropy_outside` is the mean predictive
        entropy where all observers agree, `ece_inside` the calibration error where they do not. NaN where undefined.
    """
    assert case.truth is not None
    expert, predictive = expert_entropy(case.raters), binary_entropy(probability)
    rater_mean = case.raters.mean(axis=0)
    disputed = expert > 0
    return {
        "wme": metrics.weighted_mean_entropy(expert, predictive),
        "wme_as_printed": metrics.weighted_mean_entropy_as_printed(expert, predictive),
        "me": metrics.mean_entropy(predictive),
        "dice": metrics.dice(probability > 0.5, case.truth),
        "ece": metrics.expected_calibration_error(probability, rater_mean),
        "entropy_outside": float(predictive[~disputed].mean()) if not disputed.all() else float("nan"),
        "ece_inside": metrics.expected_calibration_error(probability[disputed], rater_mean[disputed]),
    }


def reliability(cases: Sequence[Case], probabilities: NDArray[Any]) -> list[dict[str, float]]:
    """For each bin of the foreground probability: pixels, mean probability, and mean share of raters who marked them.

    Args:
        cases: the samples.
        probabilities: shape (sample, row, column), in [0, 1].

    Returns:
        One entry for each of `CALIBRATION_BINS` bins that is not empty.
    """
    bins = metrics.CALIBRATION_BINS
    p = probabilities.ravel().astype(np.float64)
    target = np.stack([case.raters.mean(axis=0)[0] for case in cases]).ravel()
    index = np.minimum((p * bins).astype(np.int64), bins - 1)
    pixels, sum_p, sum_t = (np.bincount(index, weights=w, minlength=bins) for w in (None, p, target))
    return [
        {"pixels": int(n), "probability": float(a / n), "raters": float(b / n)}
        for n, a, b in zip(pixels, sum_p, sum_t, strict=True)
        if n
    ]
