"""Scores of a prediction against several raters beyond the paper's: how others measure the same question.

As in `metrics`, a score that is not defined is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ObserverUncertaintyLib.raters.votes import Raters, RunningVotes, Votes
from ObserverUncertaintyLib.scores.metrics import dice, mean_of_defined

SOFT_DICE_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def soft_dice(probability: NDArray[Any], raters: Raters) -> float:
    """Soft Dice: the Dice of prediction and raters' mean, both cut at 0.1, 0.2 to 0.9, averaged over these thresholds.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1].
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.

    Returns:
        In [0, 1]; thresholds that nothing exceeds in either map are left out, NaN if that is so at all of them.

    Source: QUBIQ challenge, Li et al. 2024, arXiv 2405.18435. A voxel belongs to the cut map if its value exceeds the
    threshold, so that at 0.5 this is the Dice of the segmentation with the raters' majority.
    """
    votes = Votes.of(raters)
    share = votes.patterns.mean(axis=1)
    each = [dice(probability > threshold, votes.on_grid(share > threshold)) for threshold in SOFT_DICE_THRESHOLDS]
    return mean_of_defined(each)


def consensus_dice(segmentation: NDArray[np.bool_], raters: Raters) -> float:
    """Dice with the raters over the voxels where all of them agree, the others left out.

    Args:
        segmentation: bool, shape (k, j, i).
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.

    Returns:
        In [0, 1]; NaN if no voxel was marked by all raters and the segmentation marks none where they agree.

    Source: CURVAS challenge, Riera-Marin et al. 2025, arXiv 2505.08685.
    """
    votes = Votes.of(raters)
    return dice(segmentation & ~_dissensus(votes), votes.on_grid(np.asarray(votes.patterns.all(axis=1))))


def dissensus_dice(segmentation: NDArray[np.bool_], raters: Raters) -> float:
    """Dice with each rater over the voxels where the raters do not agree, averaged over the raters.

    Args:
        segmentation: bool, shape (k, j, i).
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.

    Returns:
        In [0, 1]; a rater who marked none of these voxels counts if the segmentation marks one. NaN where all agree.
        No segmentation reaches 1: the raters differ in every voxel that is looked at.

    Source: the voxels are the dissensus of the CURVAS challenge (Riera-Marin et al. 2025, arXiv 2505.08685), which
    publishes no program for a Dice there; the mean over raters is our reading.
    """
    votes = Votes.of(raters)
    disputed = _dissensus(votes)
    inside = segmentation & disputed
    each = [dice(inside, votes.on_grid(marked) & disputed) for marked in votes.patterns.T]
    return mean_of_defined(each)


def _dissensus(votes: Votes) -> NDArray[np.bool_]:
    """Voxels where the raters do not agree, shape (k, j, i)."""
    return votes.on_grid(np.asarray(votes.patterns.any(axis=1) & ~votes.patterns.all(axis=1)))


def volume_crps(probability: NDArray[Any], raters: Raters, voxel_volume_ml: float) -> float:
    """Continuous ranked probability score of the predicted volume under the raters' volumes, in mL; 0 is the best.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1]; its sum is the predicted volume.
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.
        voxel_volume_ml: volume of a voxel in mL.

    Returns:
        The integral of (F(v) - [v >= predicted volume])^2 over v, with F the normal distribution that has the mean and
        the standard deviation (divided by n) of the raters' volumes; the distance to their volume if they have one.

    Source: CURVAS challenge, Riera-Marin et al. 2025, arXiv 2505.08685; closed form of Gneiting et al., Mon. Weather
    Rev. 133(5), 2005. The challenge's own program integrates to three standard deviations only, and so says less of
    a volume beyond.
    """
    votes = Votes.of(raters)
    volumes = votes.counts @ votes.patterns * voxel_volume_ml
    predicted = float(np.sum(probability, dtype=np.float64)) * voxel_volume_ml
    mean, deviation = float(volumes.mean()), float(volumes.std())
    if deviation == 0:
        return abs(predicted - mean)
    z = (predicted - mean) / deviation
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return float(deviation * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)))


def entropy_correlation(expert: NDArray[Any], predictive: NDArray[Any]) -> float:
    """Pearson's correlation of the experts' entropy and the predictive entropy: their normalised cross-correlation.

    Args:
        expert: entropy of the raters' votes in bits, of each voxel that is looked at.
        predictive: entropy of the model's mean probability in bits, same shape.

    Returns:
        In [-1, 1]; NaN if either map has one value everywhere, or there is no voxel. Much certain background brings
        it near the cosine of the two maps, which more background no longer changes.
    """
    e, p = (np.ravel(entropy).astype(np.float64) for entropy in (expert, predictive))
    if not e.size:
        return float("nan")
    e, p = e - e.mean(), p - p.mean()
    scale = np.sqrt(np.vdot(e, e) * np.vdot(p, p))
    return float(np.clip(np.vdot(e, p) / scale, -1, 1)) if scale else float("nan")


class EnergyDistance:
    """Generalised energy distance of raters and Monte Carlo samples, which are added one by one.

    D^2 = 2 E d(s, r) - E d(s, s') - E d(r, r') over samples s, s' and raters r, r', with d = 1 - intersection over
    union, 0 for two empty masks. The expectations are means over all pairs, a mask with itself among them.

    Memory does not grow with the number of samples. Raters and samples may be 64 together: further samples are left
    out, and the distance is that of the first ones.

    Source: Kohl et al., NeurIPS 2018, arXiv 1806.05034, after Szekely and Rizzo, J. Stat. Plan. Inference 143(8), 2013.
    """

    def __init__(self, raters: NDArray[np.bool_]) -> None:
        """Begin with the raters' masks, bool, shape (rater, k, j, i)."""
        self._raters = len(raters)
        self._votes = RunningVotes(raters.shape[1:])
        for mask in raters:
            self._votes.add(mask)

    def add(self, probability: NDArray[Any]) -> None:
        """Add one sample of the foreground probability, shape (k, j, i); its mask is where it exceeds one half."""
        if not self._votes.is_full:
            self._votes.add(probability > 0.5)

    @property
    def samples(self) -> int:
        """Number of samples that count."""
        return self._votes.masks - self._raters

    def squared(self) -> float:
        """D^2, in [0, 2]; NaN without raters or samples."""
        if not self._raters or not self.samples:
            return float("nan")
        distance = _jaccard_distances(self._votes.votes())
        of_raters, of_samples = slice(self._raters), slice(self._raters, None)
        across = distance[of_samples, of_raters].mean()
        return float(2 * across - distance[of_samples, of_samples].mean() - distance[of_raters, of_raters].mean())


def _jaccard_distances(votes: Votes) -> NDArray[np.float64]:
    """1 - intersection over union of every two masks, shape (mask, mask); 0 for two empty ones."""
    both = votes.intersections
    either = both.diagonal()[:, None] + both.diagonal() - both
    return 1.0 - np.divide(both, either, out=np.ones_like(both), where=either > 0)
