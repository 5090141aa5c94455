"""What an image shows: the brain, head or body without the empty space around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

_BELOW_AIR = -1200.0
"""Below this no CT value is true: air is -1000, and noise and rounding lower it by less than this."""

_AIR = -1000.0

_PADDED_SHARE = 0.01
"""Of an image's voxels, how many must have its lowest value before that can be a scanner's padding."""


@dataclass(frozen=True)
class Content:
    """What an image shows.

    Attributes:
        main: the brain, head or body, its holes filled; see `foreground`. Shape (k, j, i).
        aside: what stands out from the empty space elsewhere, in parts of less than a tenth of the largest: an arm
            beside the trunk, a table, noise.
    """

    main: NDArray[np.bool_]
    aside: NDArray[np.bool_]


def foreground(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find what an image shows, without the empty space around it.

    The threshold is the triangle method's (Zack et al. 1977, doi 10.1177/25.7.70454), which looks for the foot of
    the background's peak. It keeps the dark tissue that Otsu's threshold gives away, and so finds the same outline
    in every MR sequence.

    Args:
        image: shape (k, j, i), any intensity unit; one slice is allowed. Infinite and NaN voxels count as empty.

    Returns:
        Shape (k, j, i); True on the brain of a skull-stripped image, on the head or body of another, up to two voxels
        too wide where the air is noisy; all True where nothing stands out, as in a constant image.
    """
    return shown_content(image).main


def shown_content(image: NDArray[np.float32]) -> Content:
    """What `foreground` finds, and what it leaves aside."""
    finite = np.isfinite(image)
    lowest = float(image[finite].min()) if finite.any() else 0.0
    values = np.where(finite, image, np.float32(lowest))
    if not np.any(values > lowest):
        return _everything(image)
    if _zero_marks_outside(values):
        content = values != 0
        # A normalised brain reaches below its zero background, where a threshold would cut it in half.
        if np.mean(values[content] < 0) < 0.1:
            content &= _above_background(values)
    else:
        content = _above_background(values)
    content &= finite
    return _large_filled_parts(content) if content.any() else _everything(image)


def _everything(image: NDArray[np.float32]) -> Content:
    return Content(np.ones(image.shape, dtype=bool), np.zeros(image.shape, dtype=bool))


def without_padding(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put air in the place of a CT scanner's padding, a value that marks what lies outside its field of view.

    Such a value (-2000, -3024, -32768) is far below that of air, so that air would be taken for what the image shows.

    Returns:
        The image itself if it has no padding.
    """
    lowest = float(image.min())
    if lowest >= _BELOW_AIR:
        return image
    impossible = image < _BELOW_AIR
    padded = np.count_nonzero(image <= lowest + 1)
    # Interpolation leaves a seam of values between the padding and air; an image that has such values of its own, such
    # as a phase image, has more of them than of its lowest.
    if padded < _PADDED_SHARE * image.size or np.count_nonzero(impossible) > 1.5 * padded or impossible.all():
        return image
    air = np.float32(max(_AIR, float(image[~impossible].min())))
    return np.where(impossible, air, image)


def background_value(image: NDArray[np.float32]) -> float:
    """What stands around what an image shows: 0 if that marks the outside, else the lowest value, such as CT's air."""
    return 0.0 if _zero_marks_outside(image) else float(image.min())


def _zero_marks_outside(values: NDArray[np.float32]) -> bool:
    """Whether most of the slices' edge voxels are exactly 0, as skull stripping and resampling leave them."""
    edges = [values[:, [0, -1], :].ravel(), values[:, :, [0, -1]].ravel()]
    return bool(np.mean(np.concatenate(edges) == 0) > 0.5)


def _above_background(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The voxels brighter than the background's peak in the histogram, slice by slice smoothed by one voxel."""
    smooth = ndimage.gaussian_filter(values, (0, 1, 1))
    lowest = smooth.min()
    if smooth.max() == lowest:
        return np.zeros(values.shape, dtype=bool)
    # The few brightest voxels (fat, vessels) would squeeze everything else into a handful of the bins.
    smooth = np.minimum(smooth, np.percentile(smooth[smooth > lowest], 99.5))
    triangle = sitk.TriangleThresholdImageFilter()
    triangle.SetNumberOfHistogramBins(256)
    triangle.Execute(sitk.GetImageFromArray(smooth))
    return np.asarray(smooth > triangle.GetThreshold())


def _large_filled_parts(content: NDArray[np.bool_]) -> Content:
    """Drop specks, keep every part of a tenth of the largest one or more (two legs are two), fill holes slicewise."""
    opened = _opened_slicewise(content)
    whole = opened if opened.any() else content
    box = ndimage.find_objects(whole.view(np.uint8))[0]
    labels, _ = ndimage.label(whole[box])
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = (sizes >= 0.1 * sizes.max()) & (sizes > 0)
    filled, aside = np.zeros_like(whole), np.zeros_like(whole)
    filled[box] = _filled_slicewise(kept[labels])
    aside[box] = whole[box] & ~filled[box]
    return Content(filled, aside)


def _opened_slicewise(content: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What scipy's `binary_opening` with a cross within the slices finds, in a tenth of the time."""
    eroded = np.zeros_like(content)
    inner = eroded[:, 1:-1, 1:-1]
    inner[:] = content[:, 1:-1, 1:-1]
    for neighbour in (content[:, :-2, 1:-1], content[:, 2:, 1:-1], content[:, 1:-1, :-2], content[:, 1:-1, 2:]):
        inner &= neighbour
    dilated = eroded.copy()
    dilated[:, 1:] |= eroded[:, :-1]
    dilated[:, :-1] |= eroded[:, 1:]
    dilated[..., 1:] |= eroded[..., :-1]
    dilated[..., :-1] |= eroded[..., 1:]
    return dilated


def _filled_slicewise(content: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill what is empty and, within its slice, not connected to the slice's edge.

    In a volume, air cells open to the outside through another slice; within the slice they are holes.
    """
    within_slices = np.zeros((3, 3, 3), bool)
    within_slices[1] = ndimage.generate_binary_structure(2, 1)
    # Labelling all slices at once is much quicker than scipy's binary_fill_holes for each, and finds the same.
    labels, count = ndimage.label(~content, within_slices)
    outside = np.zeros(count + 1, bool)
    for edge in (labels[:, [0, -1], :], labels[:, :, [0, -1]]):
        outside[edge] = True
    outside[0] = False
    return ~outside[labels]
