"""STAPLE: the hidden truth and each rater's performance, estimated together by expectation maximisation.

R raters can vote in at most 2^R ways at a voxel, and voxels with the same votes get the same posterior. So EM runs on
the histogram of vote patterns instead of on voxels, which gives the same numbers at almost no cost.

Source: Warfield et al., Simultaneous truth and performance level estimation, IEEE TMI 23(7), 2004.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STAPLE_MARGIN = 0
"""Voxels added on each side of the bounding box of the raters' union before EM.

The prior of STAPLE is the mean vote over the voxels that take part, so it changes with the empty background around
the object (Hamzaoui et al., MELBA 2023:013). Working in the tight bounding box makes the result depend on the object
alone: with any other margin it would still change when the object comes near the image's edge, where the margin is cut.
"""

MAXIMUM_RATERS = 64
_COUNTED_RATERS = 12
"""Up to so many raters every possible pattern of votes is counted; with more there are too many."""

_TOLERANCE = 1e-7
_MAXIMUM_ITERATIONS = 100_000
"""Raters take some 20 to 50; masks without a common object (pure noise) can take tens of thousands to settle."""


@dataclass(frozen=True)
class StapleResult:
    """What STAPLE estimates.

    Attributes:
        posterior: float64, shape (k, j, i): probability that a voxel is foreground; 0 outside the box.
        sensitivity: shape (rater,): probability that a rater marks a true voxel; NaN where no voxel is foreground.
        specificity: shape (rater,): probability that a rater leaves out a background voxel of the box; NaN where the
            box holds no background.
        prior: the mean vote over the box.
        box: the box that EM worked in, as slices of (k, j, i).
        iterations: EM steps taken.
    """

    posterior: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]
    prior: float
    box: tuple[slice, ...]
    iterations: int


def staple(raters: NDArray[np.bool_], margin: int = STAPLE_MARGIN) -> StapleResult:
    """Estimate the hidden truth and each rater's sensitivity and specificity.

    Args:
        raters: bool, shape (rater, k, j, i), at most 64 raters.
        margin: voxels around the bounding box of the raters' union that take part, cut at the image's edge.

    Returns:
        The posterior on the full grid and the raters' performance within the box.
    """
    if not 1 <= len(raters) <= MAXIMUM_RATERS:
        raise ValueError(f"STAPLE takes 1 to {MAXIMUM_RATERS} raters, not {len(raters)}")
    box = union_box(raters, margin)
    posterior = np.zeros(raters.shape[1:], np.float64)
    if box is None:  # nobody marked anything: there is no object, and no rater can be judged
        unknown = np.full(len(raters), np.nan)
        empty = tuple(slice(0, 0) for _ in posterior.shape)
        return StapleResult(posterior, unknown, unknown, 0.0, empty, 0)
    patterns, index, counts = vote_patterns(raters[(slice(None), *box)])
    estimate = _expectation_maximisation(patterns.astype(np.float64), counts.astype(np.float64))
    posterior[box] = estimate.posterior[index]
    return StapleResult(posterior, estimate.sensitivity, estimate.specificity, estimate.prior, box, estimate.iterations)


def union_box(raters: NDArray[np.bool_], margin: int) -> tuple[slice, ...] | None:
    """The bounding box of the raters' union plus a margin in voxels, cut at the image's edge; None if all are empty."""
    box: list[slice] = []
    # Axis by axis in what is left of the union: each look is at fewer voxels than the one before.
    union = np.asarray(raters.any(axis=0))
    for axis in range(union.ndim):
        others = tuple(other for other in range(union.ndim) if other != axis)
        marked = np.flatnonzero(np.any(union, axis=others))
        if not len(marked):
            return None
        box.append(slice(int(marked[0]), int(marked[-1]) + 1))
        union = union[(slice(None),) * axis + (box[-1],)]
    return tuple(
        slice(max(side.start - margin, 0), min(side.stop + margin, length))
        for side, length in zip(box, raters.shape[1:], strict=True)
    )


def vote_patterns(raters: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.intp], NDArray[np.intp]]:
    """The distinct ways of voting.

    Args:
        raters: bool, shape (rater, k, j, i), at most 64 raters.

    Returns:
        patterns, bool, shape (pattern, rater); the pattern's index at each voxel, shape (k, j, i); how many voxels have
        each pattern, shape (pattern,).
    """
    few = len(raters) <= _COUNTED_RATERS
    code = np.zeros(raters.shape[1:], np.uint16 if few else np.uint64)
    for bit, votes in enumerate(raters):
        code |= votes.astype(code.dtype) << code.dtype.type(bit)
    if few:
        # So few patterns are possible that counting all of them is quicker than sorting the voxels.
        frequency = np.bincount(code.ravel(), minlength=2 ** len(raters))
        codes = np.flatnonzero(frequency)
        place = np.zeros(len(frequency), np.intp)
        place[codes] = np.arange(len(codes))
        index, counts = place[code], frequency[codes]
    else:
        codes, index, counts = np.unique(code, return_inverse=True, return_counts=True)
    bits = np.arange(len(raters), dtype=np.uint64)
    patterns = ((codes.astype(np.uint64)[:, None] >> bits) & np.uint64(1)).astype(bool)
    return patterns, index.reshape(code.shape), counts


@dataclass(frozen=True)
class _Estimate:
    posterior: NDArray[np.float64]  # (pattern,)
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]
    prior: float
    iterations: int


def _expectation_maximisation(votes: NDArray[np.float64], counts: NDArray[np.float64]) -> _Estimate:
    """EM over vote patterns: `votes` 0 or 1, shape (pattern, rater); `counts` voxels of each pattern."""
    total = counts.sum()
    prior = float((votes.mean(axis=1) * counts).sum() / total)
    posterior = votes.mean(axis=1)
    previous = np.full((2, votes.shape[1]), np.inf)
    for iteration in range(1, _MAXIMUM_ITERATIONS + 1):  # noqa: B007  (the count is part of the result)
        foreground, background = counts * posterior, counts * (1.0 - posterior)
        sensitivity = _ratio(foreground @ votes, foreground.sum())
        specificity = _ratio(background @ (1.0 - votes), background.sum())
        posterior = _posterior(votes, sensitivity, specificity, prior)
        performance = np.nan_to_num(np.stack([sensitivity, specificity]))
        if np.abs(performance - previous).max() <= _TOLERANCE:
            break
        previous = performance
    return _Estimate(posterior, sensitivity, specificity, prior, iteration)


def _ratio(part: NDArray[np.float64], whole: float) -> NDArray[np.float64]:
    return part / whole if whole > 0 else np.full(len(part), np.nan)


def _posterior(
    votes: NDArray[np.float64],
    sensitivity: NDArray[np.float64],
    specificity: NDArray[np.float64],
    prior: float,
) -> NDArray[np.float64]:
    """E step: the probability that a voxel with each vote pattern is foreground, shape (pattern,)."""
    p, q = np.nan_to_num(sensitivity), np.nan_to_num(specificity)
    foreground = prior * np.prod(np.where(votes > 0, p, 1.0 - p), axis=1)
    background = (1.0 - prior) * np.prod(np.where(votes > 0, 1.0 - q, q), axis=1)
    evidence = foreground + background
    # A pattern that the estimated raters could not produce has no evidence either way; the prior is all that is left.
    return np.divide(foreground, evidence, out=np.full(len(votes), prior), where=evidence > 0)
