"""What a correction changes where nobody drew: nearby doubt follows the drawn slices and strokes, certain voxels stay.

Two steps. How far the reviewer's contour lies from the model's, in logits, is carried to the neighbouring slices, less
and less with the distance. A random walker then spreads this change among the voxels in doubt, with what was carried as
its prior: also within the slice, and not across edges of the image. Where nothing changed nearby, nothing changes.

Source: Grady, IEEE TPAMI 28(11), 2006 (random walker); Grady, CVPR 2005 (with priors). What else was tried stands
beside it in `benchmarks/review_corrections.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg
from scipy.special import expit, logit

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.checks import require_on_grid, require_share
from ObserverUncertaintyLib.review.expected_error import CERTAIN

BORDER = 2
"""So many voxels around those with 0.01 < p < 0.99 may follow too: where certainty begins is not certain either."""

CARRIED_MM = 8.0
"""Over this distance across the slices a correction loses all but 1/e of its weight."""
REACH_MM = 3 * CARRIED_MM
"""Farther from what was drawn nothing follows."""

_LARGEST_LOGIT = 6.0
"""Logits and distances to a contour (one logit a mm) are cut here: deep inside or outside is simply certain."""
_EDGES = 200.0
"""Weight of the image's edges: neighbours whose grey values differ by 0.1 of the image's range are tied by exp(-2)."""
_WEAKEST_TIE = 1e-4
_PRIOR = 0.2
"""Weight of the prior beside the tie of two neighbours of equal grey value."""
_TOLERANCE = 1e-3
_MOST_ITERATIONS = 500

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Propagated:
    """A contour after what was drawn was carried on.

    Attributes:
        contour: bool, shape (k, j, i).
        probability: what is believed now, float64, shape (k, j, i), in [0, 1]: 0 or 1 where something was drawn.
        followed: bool, shape (k, j, i), voxels that changed from the start although nobody drew there.
    """

    contour: Mask
    probability: NDArray[np.float64]
    followed: Mask


def propagate(
    probability: NDArray[np.floating],
    start: Mask,
    contour: Mask,
    drawn: Mapping[int, Mask],
    grid: Grid,
    image: NDArray[np.floating] | None = None,
) -> Propagated:
    """Carry a correction on to the voxels in doubt around it.

    It depends on its arguments alone, not on earlier calls: what was drawn before is handed over again, and leaving out
    a stroke gives exactly what was there without it.

    Args:
        probability: the model's foreground probability, shape (k, j, i), in [0, 1].
        start: the contour that the correction began with, same shape. Where it differs from `probability` > 0.5, the
            model is taken to believe the opposite with the same strength.
        contour: the contour as the reviewer has it now, same shape.
        drawn: by the array axis (0, 1, 2) across which the slices lie that were drawn on, the voxels whose value in
            `contour` the reviewer decided: a whole slice where it was corrected or found right, else what a stroke
            covered.
        grid: theirs. Its axes are taken as perpendicular.
        image: of that the edges stop the propagation, same shape; None looks at no image.

    Returns:
        The contour that follows: as in `contour` where something was drawn, as in `start` where nothing followed.

    Raises:
        InputError: an array does not lie on the grid, the probability is none, or an axis is none of the three.
    """
    require_share(probability, grid, "The probability")
    for name, mask in (("The start", start), ("The contour", contour)):
        require_on_grid(mask, grid, name)
    for axis, mask in drawn.items():
        if axis not in (0, 1, 2):
            raise InputError(f"Something was drawn across axis {axis}; slices lie across axis 0 (k), 1 (j) or 2 (i).")
        require_on_grid(mask, grid, f"What was drawn across axis {axis}")
    if image is not None:
        require_on_grid(image, grid, "The image")
    decided = np.logical_or.reduce([np.zeros(grid.shape, bool), *drawn.values()])
    believed = _towards(probability, start)
    follows = _doubtful(probability) & ~decided & _within_reach(drawn, grid)
    box = _box(follows | decided)
    if box is not None:
        inside = {axis: mask[box] for axis, mask in drawn.items()}
        carried = _carried_residual(believed[box], contour[box], inside, grid.spacing[::-1])
        grey = None if image is None else _scaled(image[box])
        believed[box] += _spread(follows[box], np.where(decided[box], carried, 0.0), carried, grey)
    belief = expit(believed)
    belief[decided] = contour[decided]
    # At exactly one half it is as it was.
    result = np.where(start, belief >= 0.5, belief > 0.5)
    result[decided] = contour[decided]
    return Propagated(result, belief, (result != start) & ~decided)


def _towards(probability: NDArray[np.floating], start: Mask) -> NDArray[np.float64]:
    """Logits of the probability, cut, with the sign that the start has."""
    strength = np.abs(logit(np.asarray(probability, np.float64).clip(0.0, 1.0)))
    return np.where(start, 1.0, -1.0) * np.minimum(strength, _LARGEST_LOGIT)


def _doubtful(probability: NDArray[np.floating]) -> Mask:
    unsure = (probability > CERTAIN) & (probability < 1 - CERTAIN)
    return np.asarray(ndimage.binary_dilation(unsure, iterations=BORDER))


def _within_reach(drawn: Mapping[int, Mask], grid: Grid) -> Mask:
    """Slices, across the axis that was drawn on, up to the reach away from any with something drawn."""
    reached = np.zeros(grid.shape, bool)
    for axis, mask in drawn.items():
        slices = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if len(slices):
            away = np.abs(np.arange(grid.shape[axis])[:, None] - slices).min(axis=1) * grid.spacing[::-1][axis]
            np.moveaxis(reached, axis, 0)[away <= REACH_MM] = True
    return reached


def _box(mask: Mask) -> tuple[slice, ...] | None:
    """The box around a mask with a border of one voxel, within the image; None if there is nothing."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return None
    return tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in found[0])


def _carried_residual(
    believed: NDArray[np.float64], contour: Mask, drawn: Mapping[int, Mask], spacing: tuple[float, ...]
) -> NDArray[np.float64]:
    """How much the logits change everywhere, by how much they do where something was drawn.

    Along each column across the slices the change is that of the nearest drawn voxels below and above, as a Gaussian
    process with an exponential covariance interpolates it: an Ornstein-Uhlenbeck bridge between two, a decay beyond.
    """
    change, weight = np.zeros(believed.shape), np.zeros(believed.shape)
    for axis, mask in drawn.items():
        along = np.moveaxis(mask, axis, 0)
        residual = np.zeros(along.shape)
        in_plane = [spacing[other] for other in range(3) if other != axis]
        for k in np.flatnonzero(along.any(axis=(1, 2))):
            target = _signed_distance(np.moveaxis(contour, axis, 0)[k], in_plane)
            residual[k] = target - np.moveaxis(believed, axis, 0)[k]
        changed, weighed = _bridge(residual, along, spacing[axis])
        change += np.moveaxis(changed, 0, axis)
        weight += np.moveaxis(weighed, 0, axis)
    # Where slices of two directions say something about a voxel, it is not said twice.
    return change / np.maximum(weight, 1.0)


def _bridge(
    residual: NDArray[np.float64], drawn: Mask, spacing: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The residual interpolated along the first axis from where something was drawn, and the sum of the weights."""
    count = len(drawn)
    number = np.arange(count)[:, None, None]
    below = np.maximum.accumulate(np.where(drawn, number, -1), axis=0)
    above = np.minimum.accumulate(np.where(drawn, number, count)[::-1], axis=0)[::-1]
    down, up = (number - below) * spacing / CARRIED_MM, (above - number) * spacing / CARRIED_MM
    has_below, has_above = below >= 0, above < count
    # sinh(up) / sinh(up + down), written so that large distances do not overflow; at a drawn voxel both are 0.
    span = np.where(has_below & has_above, down + up, np.inf)
    both = np.where(span > 0, -np.expm1(-2 * span), 1.0)
    from_below = np.where(has_below, np.exp(-down) * np.where(has_above, -np.expm1(-2 * up), 1.0) / both, 0.0)
    from_above = np.where(has_above, np.exp(-up) * np.where(has_below, -np.expm1(-2 * down), 1.0) / both, 0.0)
    from_below[drawn], from_above[drawn] = 1.0, 0.0
    below_residual = np.take_along_axis(residual, np.maximum(below, 0), axis=0)
    above_residual = np.take_along_axis(residual, np.minimum(above, count - 1), axis=0)
    return from_below * below_residual + from_above * above_residual, from_below + from_above


def _signed_distance(mask: Mask, spacing: list[float]) -> NDArray[np.float64]:
    """Distance in mm to the outline of a slice's mask, positive inside, cut like the logits."""
    if not mask.any() or mask.all():
        return np.full(mask.shape, _LARGEST_LOGIT if mask.any() else -_LARGEST_LOGIT)
    inside = ndimage.distance_transform_edt(mask, spacing)
    outside = ndimage.distance_transform_edt(~mask, spacing)
    # Distances are those of voxel centres; the outline lies half a voxel before them.
    half = min(spacing) / 2
    signed = np.where(mask, inside - half, half - outside)
    return np.asarray(np.clip(signed, -_LARGEST_LOGIT, _LARGEST_LOGIT))


def _scaled(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Grey values with the darkest hundredth at 0 and the brightest at 1."""
    low, high = np.percentile(image, (1, 99))
    return np.clip((image - low) / (high - low), 0.0, 1.0) if high > low else np.zeros(image.shape)


def _spread(
    unknown: Mask, settled: NDArray[np.float64], prior: NDArray[np.float64], grey: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """The change of the logits at the unknown voxels; the others keep what is settled.

    The minimum of the sum over neighbours of w (x - y)² plus `_PRIOR` times the sum of (x - prior)²: a sparse linear
    system, symmetric and positive definite.
    """
    count = int(np.count_nonzero(unknown))
    result = settled.copy()
    if not count:
        return result
    number = np.full(unknown.shape, -1, np.int64)
    number[unknown] = np.arange(count)
    diagonal, right = np.full(count, _PRIOR), _PRIOR * prior[unknown]
    rows, columns, ties = [], [], []
    for axis in range(3):
        here, there = (
            tuple(part if other == axis else slice(None) for other in range(3))
            for part in (slice(None, -1), slice(1, None))
        )
        tie = np.ones(number[here].shape) if grey is None else np.exp(-_EDGES * (grey[here] - grey[there]) ** 2)
        tie += _WEAKEST_TIE
        for one, other in ((here, there), (there, here)):
            known = unknown[one] & ~unknown[other]
            at = number[one][known]
            diagonal += np.bincount(at, tie[known], count)
            right += np.bincount(at, tie[known] * settled[other][known], count)
            both = unknown[one] & unknown[other]
            at = number[one][both]
            diagonal += np.bincount(at, tie[both], count)
            rows.append(at)
            columns.append(number[other][both])
            ties.append(tie[both])
    entries = (-np.concatenate(ties), (np.concatenate(rows), np.concatenate(columns)))
    system = sparse.csr_array(entries, shape=(count, count)) + sparse.diags_array(diagonal)
    solution, _iterations = cg(
        system,
        right,
        x0=prior[unknown],
        rtol=_TOLERANCE,
        maxiter=_MOST_ITERATIONS,
        M=sparse.diags_array(1 / diagonal),
    )
    result[unknown] = solution
    return result
