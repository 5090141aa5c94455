"""Places to review: where the segmentation could flip, in pieces that fit into a view, the worst first.

The unsure band around a structure is usually one connected region, which is no place to look at. It is divided between
the peaks of the expected error along it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.prediction_files import ONE_HALF
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.checks import require_share
from ObserverUncertaintyLib.review.contours import inner_contour, outer_contour
from ObserverUncertaintyLib.review.expected_error import expected_error
from ObserverUncertaintyLib.scores.entropy import binary_entropy

APART_MM = 20.0
"""Peaks of neighbouring places lie so far apart along the region: places come out about as wide."""

SMOOTHED_MM = 4.0
"""Standard deviation of the Gaussian that the expected error is smoothed with to find its peaks: a peak is where the
unsure band is thick, not where a single voxel is at one half."""

LEAST_ML, LEAST_SHARE = 0.2, 0.02
"""The expected error that is worth a look: so many mL, or this share of the case's where it is little."""

MOST_VOXELS = 1_000_000
"""Voxels in which the segmentation could flip; with more of them a model knows no contour, and dividing takes long."""

_ENTROPIES_ROUNDED = 1e-3
"""Bits by which rounding in files may lift an expected entropy above the predictive one."""

_TOUCHING = np.ones((3, 3, 3), bool)
"""Voxels that share a corner belong to one region."""


@dataclass(frozen=True)
class Place:
    """A place to review.

    Attributes:
        number: its rank, from 1, and its value in `Places.labels`.
        position: LPS position in mm to look at: the centre of the voxel of the place where the smoothed expected error
            is greatest.
        volume_ml: volume in mL in which the segmentation could flip.
        expected_error_ml: volume in mL that is expected to be wrong.
        share: of the case's expected error.
        slices: the first and the last slice k that it lies in.
        mean_entropy: mean predictive entropy in bits.
        epistemic_share: share of its predictive entropy that is mutual information: the model does not know. The rest
            is expected entropy: experts would disagree. None if no expected entropy was given.
    """

    number: int
    position: tuple[float, float, float]
    volume_ml: float
    expected_error_ml: float
    share: float
    slices: tuple[int, int]
    mean_entropy: float
    epistemic_share: float | None


@dataclass(frozen=True)
class Places:
    """The places to review in a case, and what is left out.

    Attributes:
        places: the greatest expected error first.
        labels: shape (k, j, i): the number of the place that a voxel belongs to, 0 for none.
        expected_error_ml: volume in mL of the whole case that is expected to be wrong.
        specks: number of connected regions that are left out, since so little of it lies in each.
        specks_share: their share of it. What is neither in places nor in specks is spread over voxels that the model
            is confident of, p ≤ 0.1 or p > 0.9.
    """

    places: tuple[Place, ...]
    labels: NDArray[np.uint16]
    expected_error_ml: float
    specks: int
    specks_share: float


def places_to_review(
    probability: NDArray[np.floating],
    grid: Grid,
    expected_entropy: NDArray[np.floating] | None = None,
    level: float = ONE_HALF,
) -> Places:
    """Find and rank the places to review.

    The segmentation could flip between the inner and the outer contour (0.1 < p ≤ 0.9). Each connected region there is
    divided between peaks of the smoothed expected error that lie 20 mm or more apart, measured along the region; a
    voxel belongs to the peak that is nearest along the region. So a place is connected, and walls that face each other
    across a cavity are different places. What would have less than 0.2 mL of expected error, and less than 2 % of the
    case's, joins its neighbours, or, as a region of its own, is left out as a speck.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1].
        grid: its grid. For distances its axes are taken as perpendicular.
        expected_entropy: mean entropy of the samples in bits, same shape, if known.
        level: above which a voxel is segmented; one half unless the prediction is calibrated.

    Returns:
        The places; none where the model is confident everywhere.

    Raises:
        InputError: an array does not lie on the grid or holds other values, the expected entropy is another
            prediction's, or the model is unsure nearly everywhere.
    """
    error = expected_error(probability, grid, level)
    total = float(error.sum(dtype=np.float64))
    if expected_entropy is not None:
        require_share(expected_entropy, grid, "The expected entropy")
    regions, number = ndimage.label(outer_contour(probability) & ~inner_contour(probability), _TOUCHING)
    unsure = np.nonzero(regions)
    region = regions[unsure]
    if len(region) > MOST_VOXELS:
        raise InputError(
            f"The model is unsure (0.1 < p ≤ 0.9) in {len(region)} voxels "
            f"({len(region) * grid.voxel_volume_ml:.0f} mL); places are found in up to {MOST_VOXELS}. "
            "If it segments nothing yet, train it for longer."
        )
    least = min(LEAST_ML / grid.voxel_volume_ml, LEAST_SHARE * total)
    sums = np.bincount(region, weights=error[unsure], minlength=number + 1)
    speck = sums < least
    specks = sums[1:][speck[1:]]
    worth_a_look = ~speck[region]
    voxels = tuple(along[worth_a_look] for along in unsure)
    peak = _peaks(error, voxels, region[worth_a_look], grid, least)
    predictive = binary_entropy(probability[voxels])
    expected = None if expected_entropy is None else _part(expected_entropy[voxels], predictive)
    peaks, which = np.unique(peak, return_inverse=True)
    expected_errors = np.bincount(which, weights=error[voxels], minlength=len(peaks))
    matrix = grid.index_to_physical()
    labels = np.zeros(grid.shape, np.uint16)
    places = []
    for rank, place in enumerate(np.argsort(-expected_errors, kind="stable"), start=1):
        inside = which == place
        labels[tuple(along[inside] for along in voxels)] = rank
        k, j, i = (int(along[peaks[place]]) for along in voxels)
        x, y, z = (matrix @ (i, j, k, 1.0))[:3].tolist()
        slices, entropy = voxels[0][inside], float(predictive[inside].sum())
        places.append(
            Place(
                rank,
                (x, y, z),
                len(slices) * grid.voxel_volume_ml,
                float(expected_errors[place]) * grid.voxel_volume_ml,
                float(expected_errors[place]) / total,
                (int(slices.min()), int(slices.max())),
                entropy / len(slices),
                None if expected is None else 1 - float(expected[inside].sum()) / entropy,
            )
        )
    return Places(
        tuple(places),
        labels,
        total * grid.voxel_volume_ml,
        len(specks),
        float(specks.sum()) / total if len(specks) else 0.0,
    )


def _part(expected: NDArray[np.floating], predictive: NDArray[np.float64]) -> NDArray[np.floating]:
    """The expected entropy, which is a part of the predictive one."""
    above = float((expected - predictive).max(initial=0))
    if above > _ENTROPIES_ROUNDED:
        raise InputError(
            f"The expected entropy is above the predictive entropy by up to {above:.3g} bits, of which it must be a "
            "part. Give both maps of one prediction."
        )
    return np.minimum(expected, predictive)


def _peaks(
    error: NDArray[np.floating],
    voxels: tuple[NDArray[np.intp], ...],
    region: NDArray[np.integer],
    grid: Grid,
    least: float,
) -> NDArray[np.intp]:
    """The peak that each voxel of the regions belongs to, both as numbers among these voxels."""
    if not len(region):
        return np.zeros(0, np.intp)
    spacing = grid.spacing[::-1]
    height = _smoothed(error, voxels, spacing)
    distances = _neighbours(voxels, grid.shape, spacing)
    peaks = []
    free = np.ones(len(height), bool)
    for voxel in np.argsort(-height, kind="stable"):
        if free[voxel]:
            peaks.append(voxel)
            free &= csgraph.dijkstra(distances, indices=voxel, limit=APART_MM) >= APART_MM
    sums = np.bincount(_nearest(distances, peaks), weights=error[voxels], minlength=len(height))
    kept = sums[peaks] >= least
    # If each part of a region would have too little, its highest peak is kept for all of it.
    own, highest = np.unique(region[peaks], return_index=True)
    kept[highest[~np.isin(own, region[peaks][kept])]] = True
    return _nearest(distances, np.array(peaks)[kept])


def _smoothed(
    error: NDArray[np.floating], voxels: tuple[NDArray[np.intp], ...], spacing: tuple[float, ...]
) -> NDArray[np.floating]:
    """The smoothed expected error at these voxels."""
    # Gaussians are cut at four standard deviations: what lies beyond does not count.
    reach = [int(4 * SMOOTHED_MM / step) + 1 for step in spacing]
    box = tuple(
        slice(max(int(along.min()) - margin, 0), int(along.max()) + margin + 1)
        for along, margin in zip(voxels, reach, strict=True)
    )
    smoothed = ndimage.gaussian_filter(error[box], [SMOOTHED_MM / step for step in spacing])
    return smoothed[tuple(along - part.start for along, part in zip(voxels, box, strict=True))]


def _nearest(distances: sparse.csr_array, peaks: list[np.intp] | NDArray[np.intp]) -> NDArray[np.intp]:
    """The peak that is nearest to each voxel along the region."""
    return csgraph.dijkstra(distances, indices=peaks, min_only=True, return_predecessors=True)[2]


def _neighbours(
    voxels: tuple[NDArray[np.intp], ...], shape: tuple[int, int, int], spacing: tuple[float, ...]
) -> sparse.csr_array:
    """Distances in mm between the centres of touching voxels, as a symmetric matrix of voxels × voxels."""
    # With an empty layer around, no neighbour lies outside.
    padded = [size + 2 for size in shape]
    place = np.ravel_multi_index([along + 1 for along in voxels], padded)
    number = np.full(np.prod(padded), -1, np.int32)
    number[place] = np.arange(len(place), dtype=np.int32)
    steps = np.argwhere(_TOUCHING) - 1
    steps = steps[steps.any(axis=1)]
    beside = number[place[:, np.newaxis] + steps @ [padded[1] * padded[2], padded[2], 1]]
    touching = beside >= 0
    lengths = np.broadcast_to(np.linalg.norm(steps * spacing, axis=1), beside.shape)
    starts = np.append(0, np.cumsum(np.count_nonzero(touching, axis=1))).astype(np.int32)
    return sparse.csr_array((lengths[touching], beside[touching], starts), shape=(len(place), len(place)))
