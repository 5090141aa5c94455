"""Reading binary masks, one per structure and rater, from any supported format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.errors import InvalidMaskError
from ObserverUncertaintyLib.formats.images import not_finite, read_stored
from ObserverUncertaintyLib.formats.itk import StoredImage, require_scalar
from ObserverUncertaintyLib.formats.references import split_reference, stem
from ObserverUncertaintyLib.formats.segmentation import list_segments, pick_segment, segment_mask
from ObserverUncertaintyLib.images.grid import Grid

_SHOWN_VALUES = 5

_ROUNDED = 1e-5
"""Non-zero values of a floating-point mask that differ by less than this fraction are one value."""


@dataclass(frozen=True)
class Mask:
    """One binary structure drawn by one rater.

    Attributes:
        name: the segment's name, else the file's name without extension, or the DICOM folder's name.
        array: bool, shape (k, j, i); it may be empty.
        grid: the voxel grid.
        warnings: what the user should know about the place and the size of the voxels.
    """

    name: str
    array: NDArray[np.bool_]
    grid: Grid
    warnings: tuple[str, ...] = ()


def read_masks(reference: str | Path) -> list[Mask]:
    """Read every structure of a file: all segments of a Slicer segmentation, or the one mask of any other file.

    Args:
        reference: a file or DICOM folder; `file.seg.nrrd#Segment name` (or ID) picks one segment and
            `folder#SeriesInstanceUID` one DICOM series.

    Raises:
        UnreadableFileError: if the file is missing, damaged, incomplete or of another kind.
        InvalidImageError: if it holds several volumes, colours or vectors.
        InvalidMaskError: if the values are not those of a binary mask, or the wanted segment is not there.
    """
    path, selection = split_reference(reference)
    if path.is_dir():
        stored = read_stored(path, selection)
        return [Mask(path.resolve().name, _binary(path, stored), stored.grid, stored.warnings)]
    stored = read_stored(path)
    segments = list_segments(path, stored)
    if not segments:
        if selection is not None:
            raise InvalidMaskError(
                f"{path}: '#{selection}' picks a segment, but the file has none; expected a segmentation saved by 3D "
                "Slicer (.seg.nrrd). Leave the '#' and what follows it out to read the file as one mask."
            )
        return [Mask(stem(path), _binary(path, stored), stored.grid, stored.warnings)]
    if selection is not None:
        segments = [pick_segment(path, segments, selection)]
    return [Mask(segment.name, segment_mask(stored, segment), stored.grid, stored.warnings) for segment in segments]


def read_mask(reference: str | Path) -> Mask:
    """Read exactly one structure; of a file with several segments, `file#Segment name` picks it.

    Raises:
        UnreadableFileError: if the file is missing, damaged, incomplete or of another kind.
        InvalidImageError: if it holds several volumes, colours or vectors.
        InvalidMaskError: if the values are not those of a binary mask, or not exactly one segment is meant.
    """
    masks = read_masks(reference)
    if len(masks) > 1:
        names = ", ".join(f"'{mask.name}'" for mask in masks)
        raise InvalidMaskError(
            f"{reference}: the file holds {len(masks)} segments: {names}; expected one. Pick one, as in "
            f"{Path(reference).name}#{masks[0].name}"
        )
    return masks[0]


def _binary(path: Path, stored: StoredImage) -> NDArray[np.bool_]:
    """Turn an array with at most one non-zero value, whichever it is, into a mask."""
    require_scalar(path, stored)
    bad = not_finite(stored.array)
    if bad:
        raise InvalidMaskError(
            f"{path}: {bad} of {stored.array.size} voxels are NaN or infinite; expected a binary mask with 0 outside "
            "and one other value inside the structure. Export the mask again."
        )
    mask: NDArray[np.bool_] = stored.array != 0
    values = stored.array[mask]
    if values.size and np.any(values != values[0]) and not _differ_by_rounding(values):
        raise _not_binary(path, values)
    return mask


def _differ_by_rounding(values: NDArray[Any]) -> bool:
    if not np.issubdtype(values.dtype, np.floating):
        return False
    low, high = float(values.min()), float(values.max())
    return high - low <= _ROUNDED * max(abs(low), abs(high))


def _not_binary(path: Path, values: NDArray[Any]) -> InvalidMaskError:
    distinct = np.unique(values)
    shown = ", ".join(f"{value:.7g}" for value in distinct[:_SHOWN_VALUES])
    more = f" and {len(distinct) - _SHOWN_VALUES} more" if len(distinct) > _SHOWN_VALUES else ""
    return InvalidMaskError(
        f"{path}: the file holds {len(distinct)} different non-zero values ({shown}{more}); expected a binary mask "
        "with 0 outside and one other value inside the structure. A probability map is not a mask: threshold it "
        "first. A label map is not a mask: save each label in a file of its own, or save it from 3D Slicer as a "
        "segmentation (.seg.nrrd) and pick a segment with file.seg.nrrd#Segment name."
    )
