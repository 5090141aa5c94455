"""STAPLE: the hidden truth and each rater's performance, estimated together by expectation maximisation.

R raters can vote in at most 2^R ways at a voxel, and voxels with the same votes get the same posterior. So EM runs on
the histogram of vote patterns instead of on voxels, which gives the same numbers at almost no cost. Empty voxels around
the raters' box need not be looked at: it is enough to know how many they are.

Source: Warfield et al., Simultaneous truth and performance level estimation, IEEE TMI 23(7), 2004.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from ObserverUncertaintyLib.raters.votes import Box, Raters, Votes

STAPLE_MARGIN = 0
"""Voxels added on each side of the bounding box of the raters' union before EM.

The prior of STAPLE is the mean vote over the voxels that take part, so it changes with the empty background around
the object (Hamzaoui et al., MELBA 2023:013). Working in the tight bounding box makes the result depend on the object
alone: with any other margin it would still change when the object comes near the image's edge, where the margin is cut.
"""

_NEVER = -1e6
"""Stands for the logarithm of 0. Those of numbers above 0 exceed -745, and -47680 together for 64 raters."""

_TOLERANCE = 1e-7
_MAXIMUM_ITERATIONS = 100_000
"""Raters take some 20 to 50; masks without a common object (pure noise) can take tens of thousands to settle."""


class StapleRegion(StrEnum):
    """The voxels that STAPLE estimates the prior and the raters' performance from.

    `BOX` is the bounding box of the raters' union. `IMAGE` is the whole image, as for filters that are handed it
    (SimpleITK's); its result depends on how much background the image shows.
    """

    BOX = "box"
    IMAGE = "image"


@dataclass(frozen=True)
class StapleResult:
    """What STAPLE estimates.

    Attributes:
        posterior: float64, shape (k, j, i): probability that a voxel is foreground; 0 outside the region.
        segmentation: bool, same shape: where the posterior exceeds one half.
        sensitivity: shape (rater,): probability that a rater marks a true voxel; NaN where no voxel is foreground.
        specificity: shape (rater,): probability that a rater leaves out a background voxel of the region; NaN where the
            region holds no background.
        prior: the mean vote over the region.
        box: the region that took part, as slices of (k, j, i).
        iterations: EM steps taken.
    """

    posterior: NDArray[np.float64]
    segmentation: NDArray[np.bool_]
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]
    prior: float
    box: Box
    iterations: int


def staple(raters: Raters, margin: int = STAPLE_MARGIN, region: StapleRegion | str = StapleRegion.BOX) -> StapleResult:
    """Estimate the hidden truth and each rater's sensitivity and specificity.

    Args:
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.
        margin: voxels around the bounding box of the raters' union that take part, cut at the image's edge.
        region: "image" lets all voxels take part, whatever the margin.

    Returns:
        The posterior on the full grid and the raters' performance within the region.

    Raises:
        InputError: there is no rater, or there are more than 64.
    """
    votes = Votes.of(raters)
    if not votes.index.size:  # nobody marked anything: there is no object, and no rater can be judged
        nothing, unknown = np.zeros(votes.shape), np.full(votes.patterns.shape[1], np.nan)
        return StapleResult(nothing, nothing > 0, unknown, unknown, 0.0, votes.box, 0)
    whole = StapleRegion(region) is StapleRegion.IMAGE
    box = tuple(slice(0, n) for n in votes.shape) if whole else _widened(votes, margin)
    counts = votes.counts.astype(np.float64)
    counts[0] += math.prod(side.stop - side.start for side in box) - votes.index.size  # nobody marked what lies around
    occurring = counts > 0
    estimate = _expectation_maximisation(votes.patterns[occurring].astype(np.float64), counts[occurring])
    posterior = np.zeros(len(counts))
    posterior[occurring] = estimate.posterior
    return StapleResult(
        votes.on_grid(posterior, box),
        votes.on_grid(posterior > 0.5, box),
        estimate.sensitivity,
        estimate.specificity,
        estimate.prior,
        box,
        estimate.iterations,
    )


def _widened(votes: Votes, margin: int) -> Box:
    """The box of the votes with a margin in voxels, cut at the image's edge."""
    return tuple(
        slice(max(side.start - margin, 0), min(side.stop + margin, length))
        for side, length in zip(votes.box, votes.shape, strict=True)
    )


@dataclass(frozen=True)
class _Estimate:
    posterior: NDArray[np.float64]  # (pattern,)
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]
    prior: float
    iterations: int


def _expectation_maximisation(votes: NDArray[np.float64], counts: NDArray[np.float64]) -> _Estimate:
    """EM over vote patterns: `votes` 0 or 1, shape (pattern, rater); `counts` voxels of each pattern."""
    posterior = votes.mean(axis=1)
    prior = float((posterior * counts).sum() / counts.sum())
    omissions = 1.0 - votes
    previous = np.full((2, votes.shape[1]), np.inf)
    for iteration in range(1, _MAXIMUM_ITERATIONS + 1):  # noqa: B007  (the count is part of the result)
        foreground, background = counts * posterior, counts * (1.0 - posterior)
        sensitivity = _ratio(foreground @ votes, foreground.sum())
        specificity = _ratio(background @ omissions, background.sum())
        p, q = np.nan_to_num(sensitivity), np.nan_to_num(specificity)
        # E step. Products over the raters as sums of logarithms: products of matrices, which are quick.
        present = _log(prior) + votes @ _log(p) + omissions @ _log(1.0 - p)
        absent = _log(1.0 - prior) + votes @ _log(1.0 - q) + omissions @ _log(q)
        # A pattern that the estimated raters could not produce has no evidence either way; only the prior is left.
        posterior = np.where(np.maximum(present, absent) > _NEVER / 2, expit(present - absent), prior)
        performance = np.stack([p, q])
        if np.abs(performance - previous).max() <= _TOLERANCE:
            break
        previous = performance
    return _Estimate(posterior, sensitivity, specificity, prior, iteration)


def _ratio(part: NDArray[np.float64], whole: float) -> NDArray[np.float64]:
    # Rounding must not make a probability larger than 1.
    return np.minimum(part / whole, 1.0) if whole > 0 else np.full(len(part), np.nan)


def _log(probability: ArrayLike) -> NDArray[np.float64]:
    """The logarithm; for a probability of 0 a finite number, since infinity times no votes would not be 0."""
    return np.log(probability, out=np.full(np.shape(probability), _NEVER), where=np.greater(probability, 0))
