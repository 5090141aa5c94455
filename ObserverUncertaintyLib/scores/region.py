"""The region that calibration is measured in: what any rater marked, and a margin around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.raters.votes import Box, Raters, Votes
from ObserverUncertaintyLib.scores.calibration import CalibrationBins

MARGIN_MM = 5.0

_ROUNDED_MM = 1e-4
"""Files round the spacing: a voxel at 5 mm belongs to the margin also where they say 5.000001."""

_SLAB_VOXELS = 2**21
"""Distances take about 50 bytes a voxel: far-apart contours are looked at slab by slab of about 100 MB."""


def around_raters(raters: Raters, grid: Grid, margin_mm: float = MARGIN_MM) -> NDArray[np.bool_]:
    """Voxels that any rater marked, and all whose centre lies within a distance of the centre of such a voxel.

    Args:
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.
        grid: theirs. Its axes are taken as perpendicular.
        margin_mm: the distance in mm, 0 or more.

    Returns:
        bool, shape (k, j, i); nowhere if nobody marked anything.

    Raises:
        InputError: there is no rater, or there are more than 64.
    """
    votes = Votes.of(raters)
    region = np.zeros(votes.shape, bool)
    box, inside = _in_box(votes, grid, margin_mm)
    region[box] = inside
    return region


def calibration_around_raters(
    probability: NDArray[np.floating], raters: Raters, grid: Grid, margin_mm: float = MARGIN_MM
) -> CalibrationBins:
    """How well a probability is calibrated against the raters' mean, over `around_raters`.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1].
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.
        grid: theirs. Its axes are taken as perpendicular.
        margin_mm: the distance in mm, 0 or more.

    Returns:
        The bins, to be added to those of other cases; without voxels if nobody marked anything.

    Raises:
        InputError: there is no rater, or there are more than 64.
    """
    votes = Votes.of(raters)
    box, inside = _in_box(votes, grid, margin_mm)
    # In the probability's own precision: a coarser one would be a calibration error of its own.
    rater_mean = votes.on_grid(votes.patterns.mean(axis=1).astype(probability.dtype))
    return CalibrationBins.of(probability[box][inside], rater_mean[box][inside])


def _in_box(votes: Votes, grid: Grid, margin_mm: float) -> tuple[Box, NDArray[np.bool_]]:
    """The box that the region lies in, and the region in it."""
    reach = margin_mm + _ROUNDED_MM
    spacing = grid.spacing[::-1]
    margins = [int(reach / each) for each in spacing]
    if not all(part.stop > part.start for part in votes.box):
        return votes.box, np.zeros(votes.index.shape, bool)
    box = tuple(
        slice(max(part.start - margin, 0), min(part.stop + margin, size))
        for part, margin, size in zip(votes.box, margins, votes.shape, strict=True)
    )
    union = votes.on_grid(np.asarray(votes.patterns.any(axis=1)))[box]
    inside = np.zeros_like(union)
    step = max(_SLAB_VOXELS // union[0].size, 2 * margins[0], 1)
    for start in range(0, len(union), step):
        # A voxel's distance depends on what is marked within the margin only.
        first = max(start - margins[0], 0)
        near = union[first : start + step + margins[0]]
        if near.any():
            distance = ndimage.distance_transform_edt(~near, spacing)
            inside[start : start + step] = distance[start - first : start - first + step] <= reach
    return box, inside
