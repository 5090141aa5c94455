"""How well raters agree, by the counts of their votes and by their volumes; how far apart they are: `surfaces`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.raters.votes import Raters, Votes


def cohens_kappa(raters: Raters, voxels: int) -> NDArray[np.float64]:
    """Cohen's kappa of every two raters: how far beyond chance they agree on a voxel.

    Args:
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.
        voxels: how many voxels are judged, those that anybody marked among them. Kappa grows with the background, so
            that it is taken over a region: see `region.around_raters`.

    Returns:
        Shape (rater, rater), at most 1; NaN where chance alone agrees everywhere, as of two empty masks.

    Source: Cohen, Educ. Psychol. Meas. 20(1), 1960.
    """
    both = Votes.of(raters).intersections
    own = both.diagonal() / voxels
    observed = 1 - own[:, None] - own + 2 * both / voxels
    chance = own[:, None] * own + (1 - own[:, None]) * (1 - own)
    return _beyond_chance(observed, chance)


def fleiss_kappa(raters: Raters, voxels: int) -> float:
    """Fleiss' kappa of all raters together; NaN with one rater, or where chance alone agrees everywhere.

    Args:
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.
        voxels: how many voxels are judged, as for `cohens_kappa`.

    Source: Fleiss, Psychol. Bull. 76(5), 1971.
    """
    votes = Votes.of(raters)
    number = votes.patterns.shape[1]
    if number < 2:
        return float("nan")
    marked = votes.patterns.sum(axis=1).astype(np.float64)
    agreeing = marked * (marked - 1) + (number - marked) * (number - marked - 1)
    outside = voxels - int(votes.counts.sum())  # where nobody marked, all agree
    observed = (votes.counts @ agreeing / (number * (number - 1)) + outside) / voxels
    share = float(votes.counts @ marked) / (number * voxels)
    return float(_beyond_chance(np.array(observed), np.array(share**2 + (1 - share) ** 2)))


def reliability_of_mean(kappa: float, raters: float) -> float:
    """How reliable the mean of so many raters is, by how well single ones agree: of their votes at a voxel.

    Args:
        kappa: Fleiss' kappa, which for two classes is the intraclass correlation of single raters.
        raters: how many.

    Returns:
        At most 1: the correlation to be expected with the mean of as many other raters. NaN unless kappa is above 0.

    Source: Spearman, Br. J. Psychol. 3, 1910; Brown, ibid.; Fleiss and Cohen, Educ. Psychol. Meas. 33(3), 1973.
    """
    return raters * kappa / (1 + (raters - 1) * kappa) if kappa > 0 else float("nan")


def conformity_index(raters: Raters) -> float:
    """Generalised conformity index: the pairs' intersections together, as a share of their unions together.

    Args:
        raters: bool, shape (rater, k, j, i), 2 to 64 raters, or their votes.

    Returns:
        In [0, 1], of two raters their intersection over union; NaN if nobody marked anything, or with one rater.

    Source: Kouwenhoven et al., Phys. Med. Biol. 54(9), 2009.
    """
    both = Votes.of(raters).intersections
    pairs = np.triu_indices(len(both), 1)
    union = (both.diagonal()[:, None] + both.diagonal() - both)[pairs].sum()
    return float(both[pairs].sum() / union) if union else float("nan")


def volume_correlation(volumes: NDArray[np.float64]) -> float:
    """Intraclass correlation of the raters' volumes over cases: ICC(2,1), absolute agreement of single raters.

    Args:
        volumes: shape (case, rater), in any unit, without gaps.

    Returns:
        At most 1; NaN with fewer than two cases or raters, or where no volume differs from any other.

    Source: Shrout and Fleiss, Psychol. Bull. 86(2), 1979, ICC(2,1); McGraw and Wong 1996 call it ICC(A,1).
    """
    cases, raters = volumes.shape
    if cases < 2 or raters < 2:
        return float("nan")
    mean = volumes.mean()
    of_cases, of_raters = volumes.mean(axis=1, keepdims=True), volumes.mean(axis=0, keepdims=True)
    between = raters * float(((of_cases - mean) ** 2).sum()) / (cases - 1)
    bias = cases * float(((of_raters - mean) ** 2).sum()) / (raters - 1)
    rest = float(((volumes - of_cases - of_raters + mean) ** 2).sum()) / ((cases - 1) * (raters - 1))
    total = between + (raters - 1) * rest + raters * (bias - rest) / cases
    return (between - rest) / total if total else float("nan")


def _beyond_chance(observed: NDArray[np.float64], chance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(observed - chance, 1 - chance, out=np.full(np.shape(observed), np.nan), where=chance < 1)
