"""From a case's grid to the model's and back: slicing direction, in-plane spacing, crop, intensity normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.images.foreground import Content, shown_content, without_padding
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.images.orientation import Reorientation
from ObserverUncertaintyLib.images.resampling import resample

SPACING_TOLERANCE = 0.05
"""In-plane spacings that differ by less than this fraction count as the same: nothing is interpolated."""

CROP_MARGIN = 8
"""Pixels kept around the brain or body on each side."""


ASIDE_SHARE = 0.03
"""A warning says when what an image shows outside the crop is this fraction of the brain or body, or more."""


MISSING = 0.0
"""Stands everywhere in an image that a case lacks: after normalisation the mean, in which nothing is to be seen."""


class SliceAxis(StrEnum):
    """The anatomical direction that the 2-D network walks along, one slice at a time."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


class Crop(StrEnum):
    """What the network sees of a slice: the brain or body with a margin, or everything."""

    FOREGROUND = "foreground"
    NONE = "none"


class IntensityNorm(StrEnum):
    """How image values are normalised, for each sequence by itself."""

    ZSCORE = "zscore"
    IMAGE = "image"
    NONE = "none"


_ORIENTATION = {
    # i, j, k of the model's grid: columns run to the right of the picture, rows down, as a radiologist sees them.
    SliceAxis.AXIAL: "LPS",
    SliceAxis.CORONAL: "LIP",
    SliceAxis.SAGITTAL: "PIL",
}


@dataclass(frozen=True)
class Preprocessing:
    """Everything that happens to a case before the network sees it; stored with the model.

    Attributes:
        slice_axis: anatomical direction of the slices, found from the direction matrix; a 2-D image is its one slice.
        spacing: in-plane (row, column) spacing in mm that images are brought to, or None to leave them as they are.
            The distance between slices is never changed: the network is 2-D.
        crop: whether slices are cropped to the brain or body.
        intensity_norm: "zscore": minus the mean, divided by the standard deviation inside the brain or body; "image":
            the same over the whole image, for pictures without an empty background.
        minimum_size: (rows, columns) that smaller slices are widened to by repeating their border, so that the network
            sees the image's edge as far from the brain as in training; None widens nothing.
        replace_padding: whether air stands for a CT scanner's padding; false in models of earlier versions.
    """

    slice_axis: SliceAxis = SliceAxis.AXIAL
    spacing: tuple[float, float] | None = None
    crop: Crop = Crop.FOREGROUND
    intensity_norm: IntensityNorm = IntensityNorm.ZSCORE
    minimum_size: tuple[int, int] | None = None
    replace_padding: bool = True

    def prepare(self, case: Case, keep: NDArray[np.bool_] | None = None) -> PreparedCase:
        """Bring a case's images to the model's grid, cropped and normalised.

        Args:
            case: the case.
            keep: voxels that the crop must hold, shape (k, j, i), such as those that raters marked.
        """
        path = self._grid_path(case.grid)
        warnings: list[str] = []
        # Turned first: the same patient stored with other axes must give the very same numbers.
        turned = [np.ascontiguousarray(path.oriented.apply(image)) for image in case.images]
        inside = np.zeros(path.oriented.target.shape, bool)
        with ThreadPoolExecutor() as threads:
            turned = self._without_padding(case, turned, warnings)
            contents = list(threads.map(shown_content, turned))
            for content in contents:
                inside |= content.main
            if self.crop is Crop.FOREGROUND:
                path = _cropped(path, path.to_plane(inside))
                warnings += _warn_of_content_aside(case, path, inside, contents)
                if keep is not None:
                    path, found = _holding(path, inside, keep)
                    warnings += [f"{case.name}: {text}" for text in found]
            seen = threads.map(lambda image: path.cut(path.to_plane(self._normalise(image, inside))), turned)
            prepared = PreparedCase(np.stack(list(seen), axis=1), path, path.oriented.undo(inside), tuple(warnings))
        return prepared.widened(self.minimum_size) if self.minimum_size else prepared

    def _without_padding(
        self, case: Case, images: list[NDArray[np.float32]], warnings: list[str]
    ) -> list[NDArray[np.float32]]:
        replaced = [without_padding(image) for image in images]
        padded = [name for name, old, new in zip(case.sequences, images, replaced, strict=True) if new is not old]
        if self.replace_padding or not padded:
            return replaced
        warnings.append(
            f"{case.name}: {', '.join(padded)} has values far below air around the scanned part (padding), which a "
            "model of this version takes for air, but this one does not: unless it was trained on such images, the "
            "result may be wrong. Replace the padding by -1000, or train the model again"
        )
        return images

    def _grid_path(self, grid: Grid) -> GridPath:
        oriented = _one_slice(grid) if grid.dimension == 2 else Reorientation.to(grid, _ORIENTATION[self.slice_axis])
        plane = oriented.target
        if self.spacing is not None and not _close(plane.spacing[1::-1], self.spacing):
            plane = _with_spacing(plane, self.spacing)
        return GridPath(oriented, plane, _whole(plane))

    def _normalise(self, image: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
        if self.intensity_norm is IntensityNorm.NONE:
            return image
        values = image if self.intensity_norm is IntensityNorm.IMAGE else image[inside]
        deviation = float(values.std(dtype=np.float64))
        # A constant image holds no information; it becomes 0 everywhere instead of dividing by nothing.
        mean = float(values.mean(dtype=np.float64))
        return ((image - mean) / (deviation or 1.0)).astype(np.float32)


@dataclass(frozen=True)
class GridPath:
    """The way between a case's grid and the model's: change of axes, in-plane spacing, crop, border.

    Attributes:
        oriented: the change of axes.
        plane: the grid after it, with the model's in-plane spacing.
        crop: the part of `plane` that the network sees, slices of (slice, row, column).
        border: pixels added around it, as ((above, below), (left, right)).
    """

    oriented: Reorientation
    plane: Grid
    crop: tuple[slice, slice, slice]
    border: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    @property
    def interpolates(self) -> bool:
        """Whether values are interpolated on the way, because the in-plane spacing changes."""
        return self.plane != self.oriented.target

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows and columns that the network sees."""
        slices, rows, columns = (side.stop - side.start for side in self.crop)
        return (slices, rows + sum(self.border[0]), columns + sum(self.border[1]))

    def cut(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network sees of an image on `plane`; the border repeats the image's outermost pixels."""
        return np.pad(image[self.crop], ((0, 0), *self.border), mode="edge").astype(np.float32, copy=False)

    @property
    def not_looked_at(self) -> NDArray[np.bool_] | None:
        """Where on the case's grid (k, j, i) the network sees nothing; None if it sees everything."""
        seen = np.zeros(self.plane.shape, bool)
        seen[self.crop] = True
        if self.interpolates:
            seen = resample(seen, self.plane, self.oriented.target, "nearest")
        return None if seen.all() else self.oriented.undo(~seen)

    def label_to_model(self, label: NDArray[Any]) -> NDArray[Any]:
        """A mask, or a raters' mean in [0, 1], on the case's grid (k, j, i) as shape (slice, row, column).

        The border is background.
        """
        return np.pad(self.to_plane(self.oriented.apply(label))[self.crop], ((0, 0), *self.border))

    def to_plane(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array on the turned grid, brought to the model's in-plane spacing."""
        if not self.interpolates:
            return array
        moved = resample(array.astype(np.float32), self.oriented.target, self.plane, "linear")
        # A mask's border shifts by up to half a pixel if the nearest voxel decides; its slices must not be mixed.
        return moved >= 0.5 if array.dtype == bool else moved

    def to_case(self, array: NDArray[Any]) -> NDArray[Any]:
        """A map of shape (slice, row, column) back on the case's grid (k, j, i); 0 outside the crop."""
        (above, _), (left, _) = self.border
        rows, columns = (side.stop - side.start for side in self.crop[1:])
        whole = np.zeros(self.plane.shape, array.dtype)
        whole[self.crop] = array[:, above : above + rows, left : left + columns]
        if self.interpolates:
            whole = resample(whole, self.plane, self.oriented.target, "linear")
        return self.oriented.undo(whole)


@dataclass(frozen=True)
class PreparedCase:
    """A case as the network sees it.

    Attributes:
        images: float32, shape (slice, sequence, row, column), normalised.
        path: the way back to the case's grid.
        inside: the brain, head or body, bool, shape (k, j, i) on the case's grid.
        warnings: what the user should know about what the network sees.
    """

    images: NDArray[np.float32]
    path: GridPath
    inside: NDArray[np.bool_]
    warnings: tuple[str, ...] = ()

    def with_channels(self, present: Sequence[str], channels: Sequence[str]) -> PreparedCase:
        """The same case with the channels of a model, of which the case has those that are `present`, in this order."""
        if tuple(present) == tuple(channels):
            return self
        images = np.full((len(self.images), len(channels), *self.images.shape[2:]), MISSING, np.float32)
        images[:, [channels.index(name) for name in present]] = self.images
        return replace(self, images=images)

    def widened(self, size: tuple[int, int]) -> PreparedCase:
        """The same case with slices of at least (rows, columns), the content in their middle, the border repeated."""
        missing = [max(wanted - found, 0) for wanted, found in zip(size, self.images.shape[2:], strict=True)]
        rows, columns = ((gap // 2, gap - gap // 2) for gap in missing)
        (above, below), (left, right) = self.path.border
        border = ((above + rows[0], below + rows[1]), (left + columns[0], right + columns[1]))
        images = np.pad(self.images, ((0, 0), (0, 0), rows, columns), mode="edge")
        return replace(self, images=images, path=replace(self.path, border=border))


def in_plane_spacing(grid: Grid, slice_axis: SliceAxis) -> tuple[float, float]:
    """The (row, column) spacing in mm of a grid's slices in an anatomical direction."""
    target = grid if grid.dimension == 2 else Reorientation.to(grid, _ORIENTATION[slice_axis]).target
    return (target.spacing[1], target.spacing[0])


def slice_distance(grid: Grid, slice_axis: SliceAxis) -> float | None:
    """The distance in mm between slices in an anatomical direction; None for a 2-D image."""
    return None if grid.dimension == 2 else Reorientation.to(grid, _ORIENTATION[slice_axis]).target.spacing[2]


def _one_slice(grid: Grid) -> Reorientation:
    """A 2-D image has no anatomical direction across its plane: its axes stay as they are."""
    return Reorientation(grid, grid, (0, 1, 2), (False, False, False))


def _close(found: tuple[float, ...], wanted: tuple[float, float]) -> bool:
    return all(abs(math.log(f / w)) <= SPACING_TOLERANCE for f, w in zip(found, wanted, strict=True))


def _with_spacing(grid: Grid, spacing: tuple[float, float]) -> Grid:
    """A grid over the same extent with another (row, column) spacing, centred on the old one."""
    wanted = (spacing[1], spacing[0])
    size = [max(1, round(n * s / w)) for n, s, w in zip(grid.size, grid.spacing, wanted, strict=False)]
    matrix = np.reshape(grid.direction, (3, 3))
    origin = np.array(grid.origin)
    for axis in range(2):
        extent_change = (grid.size[axis] - 1) * grid.spacing[axis] - (size[axis] - 1) * wanted[axis]
        origin = origin + matrix[:, axis] * extent_change / 2
    return replace(
        grid,
        size=(size[0], size[1], grid.size[2]),
        spacing=(wanted[0], wanted[1], grid.spacing[2]),
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
    )


def _whole(grid: Grid) -> tuple[slice, slice, slice]:
    slices, rows, columns = grid.shape
    return (slice(0, slices), slice(0, rows), slice(0, columns))


def _cropped(path: GridPath, inside: NDArray[np.bool_], keep: NDArray[np.bool_] | None = None) -> GridPath:
    """The path with a crop to the brain or body on the model's grid, and its margin in the plane.

    Slices without any brain or body are left out. The crop is widened only where it does not hold `keep`.
    """
    found: list[Any] = ndimage.find_objects(inside.astype(np.uint8))
    slices, *plane = found[0]
    kept: list[Any] = ndimage.find_objects(keep.astype(np.uint8)) if keep is not None else []
    marked = kept[0] if kept else found[0]
    sides = []
    for side, wanted, length in zip(plane, marked[1:], inside.shape[1:], strict=True):
        grown, border = _grown(side, length)
        sides.append((grown, border) if _holds(grown, wanted) else _grown(_joined(side, wanted), length))
    (rows, row_border), (columns, column_border) = sides
    return replace(path, crop=(_joined(slices, marked[0]), rows, columns), border=(row_border, column_border))


def _holds(side: slice, other: slice) -> bool:
    return bool(side.start <= other.start and other.stop <= side.stop)


def _joined(side: slice, other: slice) -> slice:
    return slice(min(side.start, other.start), max(side.stop, other.stop))


def _holding(path: GridPath, inside: NDArray[np.bool_], keep: NDArray[np.bool_]) -> tuple[GridPath, list[str]]:
    """The path with its crop widened to hold what raters marked, and what to say of that."""
    wanted = path.to_plane(path.oriented.apply(keep))
    volume = path.plane.voxel_volume_ml
    total, held = np.count_nonzero(wanted) * volume, np.count_nonzero(wanted[path.crop]) * volume
    if total == held:
        return path, []
    return _cropped(path, path.to_plane(inside), wanted), [
        f"{total - held:.3g} of the {total:.3g} mL that raters marked lie outside the brain or body that was found; "
        "the crop was widened to hold them. In a new case nobody shows the model where to look: it may be better to "
        "train it without crop"
    ]


def _warn_of_content_aside(
    case: Case, path: GridPath, inside: NDArray[np.bool_], contents: Sequence[Content]
) -> list[str]:
    """What to say if an image shows much beside the brain or body, where the network does not look."""
    aside = np.logical_or.reduce([content.aside for content in contents]) & ~inside
    if np.count_nonzero(aside) < ASIDE_SHARE * np.count_nonzero(inside):
        return []
    outside = np.array(path.to_plane(aside))
    outside[path.crop] = False
    volume = path.plane.voxel_volume_ml
    missed, body = np.count_nonzero(outside) * volume, np.count_nonzero(path.to_plane(inside)) * volume
    if missed < ASIDE_SHARE * body:
        return []
    return [
        f"{case.name}: the images show {missed:.3g} mL outside the part that the network looks at, beside "
        f"{body:.3g} mL of the brain or body that was found: a structure there is not segmented. A model that was "
        "trained without crop looks everywhere"
    ]


def _grown(side: slice, length: int) -> tuple[slice, tuple[int, int]]:
    start, stop = side.start - CROP_MARGIN, side.stop + CROP_MARGIN
    return slice(max(start, 0), min(stop, length)), (max(-start, 0), max(stop - length, 0))
