"""Scores of an arm on every test sample, and its reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.scores.calibration import CalibrationBins
from ObserverUncertaintyLib.scores.case_scores import case_scores
from ObserverUncertaintyLib.scores.entropy import binary_entropy

SCORES = {
    "wme": "wme",
    "wme_as_printed": "wme_as_printed",
    "me": "me",
    "dice": "dice_truth",
    "ece": "ece_all",
    "entropy_outside": "entropy_outside_disagreement",
    "ece_inside": "ece_inside",
}
"""The columns of every table of the study, in this order, and what `case_scores` calls them.

The Dice is with the truth, as in the paper.
"""


def sample_scores(case: Case, probability: NDArray[Any]) -> dict[str, float]:
    """Scores of one test sample.

    Args:
        case: the sample with its observers and its truth.
        probability: foreground probability, shape (1, row, column), in [0, 1].

    Returns:
        The values of `SCORES`; NaN where undefined.
    """
    found = case_scores(
        case.raters,
        case.rater_names,
        probability > 0.5,
        binary_entropy(probability),
        case.grid,
        probability,
        case.truth,
        wanted=SCORES.values(),
    )
    return {column: found[score] for column, score in SCORES.items()}


def reliability(cases: Sequence[Case], probabilities: NDArray[Any]) -> list[dict[str, float]]:
    """For each bin of the foreground probability: pixels, mean probability, and mean share of raters who marked them.

    Args:
        cases: the samples.
        probabilities: shape (sample, row, column), in [0, 1].

    Returns:
        One entry for each of `CALIBRATION_BINS` bins that is not empty.
    """
    bins = CalibrationBins.of(probabilities, np.stack([case.raters.mean(axis=0)[0] for case in cases]))
    return [
        {"pixels": int(n), "probability": float(a / n), "raters": float(b / n)}
        for n, a, b in zip(bins.voxels, bins.probability, bins.raters, strict=True)
        if n
    ]
