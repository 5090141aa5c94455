"""Does an uncertainty find errors: the wrong voxels of a case, and the bad cases among many?

As in `metrics`, a score that is not defined is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

TOP_SHARES = (0.01, 0.02, 0.03, 0.04, 0.05)
"""Shares of the voxels, the most uncertain ones, that are compared with the wrong ones."""


def error_auroc(uncertainty: NDArray[Any], wrong: NDArray[np.bool_]) -> float:
    """Area under the ROC curve of an uncertainty that is to tell wrong voxels from right ones.

    Args:
        uncertainty: of each voxel, any shape.
        wrong: whether the segmentation is wrong there, same shape.

    Returns:
        The chance that a wrong voxel has the higher uncertainty than a right one, ties counted half; NaN if none is
        wrong, or all are.

    Source: Mann and Whitney, Ann. Math. Stat. 18(1), 1947; Hanley and McNeil, Radiology 143(1), 1982.
    """
    bad = int(np.count_nonzero(wrong))
    good = wrong.size - bad
    if not bad or not good:
        return float("nan")
    ranks = rankdata(uncertainty.ravel())[np.ravel(wrong)].sum()
    return float((ranks - bad * (bad + 1) / 2) / (bad * good))


def error_overlap(uncertainty: NDArray[Any], wrong: NDArray[np.bool_]) -> float:
    """Dice of the most uncertain voxels with the wrong ones, mean over the first 1, 2, 3, 4 and 5 % of all voxels.

    Args:
        uncertainty: of each voxel, any shape; of equal ones the first in the array's order come first.
        wrong: whether the segmentation is wrong there, same shape.

    Returns:
        In [0, 1]; NaN if no voxel is wrong.

    Source: Brioso et al. 2026, arXiv 2604.11798, compare the top 0 to 5 %; that it is a mean over five shares is our
    reading.
    """
    bad = int(np.count_nonzero(wrong))
    if not bad:
        return float("nan")
    last = round(TOP_SHARES[-1] * wrong.size)
    first = np.argsort(-uncertainty.ravel(), kind="stable")[:last]
    found = np.concatenate([[0], np.cumsum(np.ravel(wrong)[first])])
    counts = [round(share * wrong.size) for share in TOP_SHARES]
    return float(np.mean([2 * found[count] / (count + bad) for count in counts]))


def area_under_risk_coverage(said: NDArray[np.floating], quality: NDArray[np.floating]) -> float:
    """Mean over n of the mean risk of the n cases that are said to be the best; 0 is the best.

    Args:
        said: the quality that is expected of each case, shape (case,); the highest is looked at first.
        quality: its true quality in [0, 1], such as a Dice, same shape; the risk is 1 - quality.

    Returns:
        In [0, 1]; NaN without cases. A random order has the mean risk.

    Source: Geifman and El-Yaniv, NeurIPS 2017; Zenk et al. 2025, arXiv 2406.03323.
    """
    if not len(said):
        return float("nan")
    risk = 1 - quality[np.argsort(-said, kind="stable")]
    return float(np.mean(np.cumsum(risk) / np.arange(1, risk.size + 1)))
