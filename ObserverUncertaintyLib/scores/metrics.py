"""Scores of a prediction against several raters: does the model's uncertainty reflect the experts' disagreement?

A score that is not defined (WME where all raters agree, Dice of two empty masks) is NaN here, blank in CSV and null
in JSON, and is left out of means, whose n is then shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.raters.votes import Raters, Votes
from ObserverUncertaintyLib.scores.calibration import CALIBRATION_BINS, CalibrationBins


def mean_of_defined(values: Iterable[float]) -> float:
    """Mean of the values that are defined; NaN if none is."""
    defined = [value for value in values if np.isfinite(value)]
    return float(np.mean(defined)) if defined else float("nan")


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Dice coefficient of two masks of one shape; NaN if both are empty.

    Source: Dice, Ecology 26(3), 1945.
    """
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2.0 * int(np.count_nonzero(a & b)) / total if total else float("nan")


def pairwise_dice(raters: Raters) -> NDArray[np.float64]:
    """Dice between every two raters, shape (rater, rater), with 1 on the diagonal; NaN for two empty masks.

    Args:
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.
    """
    both = Votes.of(raters).intersections
    total = both.diagonal()[:, None] + both.diagonal()
    matrix = np.divide(2.0 * both, total, out=np.full(both.shape, np.nan), where=total > 0)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def weighted_mean_entropy(expert: NDArray[Any], predictive: NDArray[Any]) -> float:
    """WME: the predictive entropy averaged over voxels, weighted by the experts' entropy.

    Args:
        expert: entropy of the raters' votes in bits, shape (k, j, i).
        predictive: entropy of the model's mean probability in bits, same shape.

    Returns:
        sum(expert * predictive) / sum(expert), in [0, 1]; NaN where the raters agree everywhere.

    Source: Jungo et al. 2018, section 3.4, normalised as its Table 1 needs it; see docs/method.md.
    """
    weight = float(np.sum(expert, dtype=np.float64))
    return float(np.vdot(expert.astype(np.float64), predictive.astype(np.float64))) / weight if weight else float("nan")


def weighted_mean_entropy_as_printed(expert: NDArray[Any], predictive: NDArray[Any]) -> float:
    """WME as the paper prints it: (1/N) sum(expert * predictive) over all N voxels, in bits.

    Source: Jungo et al. 2018, section 3.4. The values of its Table 1 cannot come from this form.
    """
    return float(np.mean(expert.astype(np.float64) * predictive.astype(np.float64)))


def mean_entropy(predictive: NDArray[Any]) -> float:
    """ME: the mean predictive entropy over all voxels of the grid, in bits.

    Source: Jungo et al. 2018, section 3.4.
    """
    return float(np.mean(predictive, dtype=np.float64))


def expected_calibration_error(
    probability: NDArray[Any], rater_mean: NDArray[Any], bins: int = CALIBRATION_BINS
) -> float:
    """Mean gap between the foreground probability and the fraction of raters who marked the voxel.

    Args:
        probability: foreground probability of each voxel, any shape, in [0, 1].
        rater_mean: fraction of raters that marked it, same shape.
        bins: number of equal-width bins over [0, 1].

    Returns:
        sum over bins of (voxels in bin / voxels) * |mean probability - mean rater fraction|; NaN without voxels.

    Source: Naeini et al., AAAI 2015, with the raters' mean in the place of a hard label.
    """
    return CalibrationBins.of(probability, rater_mean, bins).error()
