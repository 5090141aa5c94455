"""Contours of any confidence, margins around them, and how sure a volume is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.prediction_files import ONE_HALF
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.checks import require_on_grid
from ObserverUncertaintyLib.scores.region import around_raters

INNER, OUTER = 0.9, 0.1
"""Probabilities of the contour within which the model is confident, and of the one beyond which it is."""

COVERED = 0.9
"""Share of the samples' volumes that lie in the interval."""


class Bounds(Enum):
    """Where the bounds of a volume come from."""

    SAMPLES = "samples"
    CONTOURS = "contours"


@dataclass(frozen=True)
class VolumeInterval:
    """A volume with its bounds in mL.

    Attributes:
        volume_ml: of the segmentation.
        low_ml: the lower bound.
        high_ml: the upper bound.
        bounds: where the bounds come from; see `volume_interval`.
    """

    volume_ml: float
    low_ml: float
    high_ml: float
    bounds: Bounds


def contour_at(probability: NDArray[np.floating], level: float) -> NDArray[np.bool_]:
    """The segmentation at a level of probability: voxels above it.

    The model's own is that at one half, and if the prediction is calibrated at the level that its report names.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1].
        level: the higher, the smaller the segmentation.

    Returns:
        bool, shape (k, j, i).

    Raises:
        InputError: the level does not lie between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"A contour at the probability {level:g} was asked for; choose one between 0 and 1.")
    return probability > level


def inner_contour(probability: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Where the model is confident of foreground: p > 0.9; bool, shape (k, j, i)."""
    return contour_at(probability, INNER)


def outer_contour(probability: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Beyond it the model is confident of background: p > 0.1; bool, shape (k, j, i)."""
    return contour_at(probability, OUTER)


def with_margin(mask: NDArray[np.bool_], grid: Grid, margin_mm: float) -> NDArray[np.bool_]:
    """A mask with a margin, as it is added to a target in radiotherapy.

    Args:
        mask: bool, shape (k, j, i).
        grid: its grid. Its axes are taken as perpendicular.
        margin_mm: the margin in mm. If it is positive, every voxel is added whose centre lies within that distance of
            the centre of a voxel of the mask; if it is negative, every voxel is taken away whose centre lies within it
            of the centre of a voxel outside the mask. What lies beyond the image is unknown: from there nothing is
            taken away.

    Returns:
        bool, shape (k, j, i); empty for an empty mask.

    Raises:
        InputError: the mask does not lie on the grid, or the margin is no finite number.
    """
    require_on_grid(mask, grid, "The mask")
    if not np.isfinite(margin_mm):
        raise InputError(f"A margin of {margin_mm:g} mm was asked for; give a number of mm, negative to shrink.")
    if margin_mm >= 0:
        return around_raters(mask[np.newaxis], grid, margin_mm)
    result = np.zeros_like(mask)
    if mask.any():
        # The nearest voxel outside the mask is at most one beyond its bounding box.
        box = tuple(slice(max(int(along.min()) - 1, 0), int(along.max()) + 2) for along in np.nonzero(mask))
        result[box] = ~around_raters(~mask[box][np.newaxis], grid, -margin_mm)
    return result


def volume_interval(
    probability: NDArray[np.floating],
    grid: Grid,
    samples: NDArray[Any] | None = None,
    level: float = ONE_HALF,
) -> VolumeInterval:
    """The segmentation's volume and how sure it is.

    Neither kind of bounds is an interval that would hold the true volume, or an expert's, with a stated probability.

    With samples, the bounds are those between which 90 % of the samples' volumes lie (the 5th and the 95th percentile,
    interpolated linearly). They say how far the model's own doubt moves the volume, and nothing of an error that all
    samples share. Monte Carlo dropout samples are not one rater each, also without fusion: each follows the mean with
    noise that cancels in the volume, so that most experts' volumes lie outside. Do not show these bounds as the range
    of experts. The segmentation is that of the samples' mean: its volume, too, may lie outside.

    Without samples, the bounds are the volumes of the inner and the outer contour (p > 0.9 and p > 0.1). They would be
    met if every unsure voxel turned out the same way, as for an expert who draws narrowly, or widely, everywhere. They
    are wide: nearly all experts' volumes lie inside. `benchmarks/review_places.py` measures both.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1].
        grid: its grid.
        samples: the samples' masks (bool) or probabilities (foreground above one half), shape (sample, k, j, i).
        level: above which a voxel is segmented; one half unless the prediction is calibrated.

    Raises:
        InputError: an array does not lie on the grid, or there are fewer than two samples.
    """
    require_on_grid(probability, grid, "The probability")
    voxel = grid.voxel_volume_ml
    volume = _voxels(contour_at(probability, level)) * voxel
    if samples is None:
        low, high = (_voxels(mask) * voxel for mask in (inner_contour(probability), outer_contour(probability)))
        return VolumeInterval(volume, low, high, Bounds.CONTOURS)
    if len(samples) < 2:
        raise InputError(f"{len(samples)} sample was given; an interval needs two or more, better twenty.")
    for number, sample in enumerate(samples, start=1):
        require_on_grid(sample, grid, f"Sample {number}")
    volumes = [_voxels(sample if sample.dtype == bool else sample > 0.5) * voxel for sample in samples]
    low, high = np.quantile(volumes, [(1 - COVERED) / 2, (1 + COVERED) / 2]).tolist()
    return VolumeInterval(volume, low, high, Bounds.SAMPLES)


def _voxels(mask: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(mask))
