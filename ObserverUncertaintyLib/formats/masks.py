"""Reading binary masks, one per structure and rater, from any supported format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.dicom.headers import DicomKind, dicom_kind, is_dicom_file
from ObserverUncertaintyLib.formats.dicom.segmentations import read_segmentation
from ObserverUncertaintyLib.formats.dicom.space import Space
from ObserverUncertaintyLib.formats.dicom.structure_sets import read_structure_set
from ObserverUncertaintyLib.formats.errors import InvalidMaskError, UnreadableFileError
from ObserverUncertaintyLib.formats.images import not_finite, read_stored
from ObserverUncertaintyLib.formats.itk import StoredImage, require_scalar
from ObserverUncertaintyLib.formats.marks import ResultKind, kind_in_text
from ObserverUncertaintyLib.formats.picking import pick
from ObserverUncertaintyLib.formats.references import extension, split_reference, stem
from ObserverUncertaintyLib.formats.segmentation import list_segments, segment_mask
from ObserverUncertaintyLib.images.grid import Grid

_SHOWN_VALUES = 5

_ROUNDED = 1e-5
"""Non-zero values of a floating-point mask that differ by less than this fraction are one value."""


@dataclass(frozen=True)
class Mask:
    """One binary structure drawn by one rater.

    Attributes:
        name: the segment's or the ROI's name, else the file's name without extension, or the DICOM folder's name.
        array: bool, shape (k, j, i); it may be empty.
        grid: the voxel grid.
        warnings: what the user should know about the place and the size of the voxels, and of how it was drawn.
        computed: what a DICOM object says that it was computed as; None for what somebody drew.
    """

    name: str
    array: NDArray[np.bool_]
    grid: Grid
    warnings: tuple[str, ...] = ()
    computed: ResultKind | None = None


def read_masks(reference: str | Path, space: Space | None = None) -> list[Mask]:
    """Read every structure of a file: the segments or regions of a segmentation, or the one mask of any other file.

    Args:
        reference: a file or DICOM folder; `file.seg.nrrd#Segment name` (or ID) picks one segment, `file.dcm#ROI name`
            (or number) one region of interest, and `folder#SeriesInstanceUID` one DICOM series.
        space: the image that was drawn on; contours need it, and a SEG that stores a part of its slices is brought onto
            its grid.

    Raises:
        UnreadableFileError: if the file is missing, damaged, incomplete or of another kind.
        InvalidImageError: if it holds several volumes, colours or vectors.
        InvalidMaskError: if the values are not those of a binary mask, or the wanted segment is not there.
    """
    path, selection = split_reference(reference)
    objects = _contour_file(path)
    if objects is not None:
        return _read_objects(objects, selection, space)
    if path.is_dir():
        stored = read_stored(path, selection)
        return [Mask(path.resolve().name, _binary(path, stored), stored.grid, stored.warnings)]
    stored = read_stored(path)
    segments = list_segments(path, stored)
    if not segments:
        if selection is not None:
            raise InvalidMaskError(
                f"{path}: '#{selection}' picks a segment, but the file has none; expected a segmentation saved by 3D "
                "Slicer (.seg.nrrd), a DICOM SEG or an RTSTRUCT. Leave the '#' and what follows it out to read the "
                "file as one mask."
            )
        return [Mask(stem(path), _binary(path, stored), stored.grid, stored.warnings)]
    if selection is not None:
        segments = [pick(path, segments, selection)]
    return [Mask(segment.name, segment_mask(stored, segment), stored.grid, stored.warnings) for segment in segments]


def read_mask(reference: str | Path, space: Space | None = None) -> Mask:
    """Read exactly one structure; of a file with several, `file#name` picks it. Arguments as for `read_masks`.

    Raises:
        UnreadableFileError: if the file is missing, damaged, incomplete or of another kind.
        InvalidImageError: if it holds several volumes, colours or vectors.
        InvalidMaskError: if the values are not those of a binary mask, or not exactly one segment is meant.
    """
    masks = read_masks(reference, space)
    if len(masks) > 1:
        names = ", ".join(f"'{mask.name}'" for mask in masks)
        raise InvalidMaskError(
            f"{reference}: the file holds {len(masks)} structures: {names}; expected one. Pick one, as in "
            f"{Path(reference).name}#{masks[0].name}"
        )
    return masks[0]


def _contour_file(path: Path) -> Path | None:
    """The DICOM object with contours that a path means: the file itself, or the only file of a folder."""
    try:
        files = [path] if path.is_file() else [each for each in path.iterdir() if not each.name.startswith(".")]
        if len(files) != 1 or not files[0].is_file() or extension(files[0]) or not is_dicom_file(files[0]):
            return None
        kind = dicom_kind(files[0])
    except OSError as error:
        raise UnreadableFileError(
            f"{path}: it cannot be opened ({error.strerror or error}). Check its permissions and that its disk is "
            "connected."
        ) from error
    return files[0] if kind is not None and kind.holds_contours else None


def _read_objects(path: Path, selection: str | None, space: Space | None) -> list[Mask]:
    """The structures of an RTSTRUCT or a SEG."""
    masks = []
    if dicom_kind(path) is DicomKind.STRUCTURE_SET:
        rois = read_structure_set(path)
        for roi in rois if selection is None else [pick(path, rois, selection, "region")]:
            array, told = roi.mask(path, space)
            assert space is not None  # else it was refused
            masks.append(Mask(roi.name, array, space.grid, tuple(told), kind_in_text(roi.description)))
        return masks
    segments = read_segmentation(path)
    for segment in segments if selection is None else [pick(path, segments, selection)]:
        array, grid, told = segment.mask(path, space)
        masks.append(Mask(segment.name, array, grid, tuple(told), kind_in_text(segment.description)))
    return masks


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
