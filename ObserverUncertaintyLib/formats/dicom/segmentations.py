"""DICOM segmentations (SEG), binary, fractional or as a label map: each segment is what one rater drew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.dicom.headers import DicomKind, damaged_object, dicom_package
from ObserverUncertaintyLib.formats.dicom.space import Space, require_same_space
from ObserverUncertaintyLib.formats.dicom.volumes import on_grid
from ObserverUncertaintyLib.formats.errors import InvalidMaskError
from ObserverUncertaintyLib.images.grid import GRID_TOLERANCE, Grid
from ObserverUncertaintyLib.images.resampling import outside_ml, resample, same_lattice

FRACTIONAL_THRESHOLD = 0.5
"""From this fraction on a voxel of a fractional segment is taken as drawn."""


@dataclass(frozen=True)
class DicomSegment:
    """A segment.

    Attributes:
        name: its SegmentLabel; "Segment 2" where that is empty.
        identifier: its SegmentNumber.
        description: its SegmentDescription, which says of a result that it is one.
        source: the object that holds it, as highdicom reads it.
    """

    name: str
    identifier: str
    description: str
    source: Any

    def mask(self, path: Path, space: Space | None) -> tuple[NDArray[np.bool_], Grid, list[str]]:
        """Its voxels, on an image's grid where they are a part of that grid, else on a grid of their own.

        Args:
            path: the file that holds it.
            space: the image.

        Returns:
            The mask, shape (k, j, i), its grid, and what the user should know.

        Raises:
            InvalidMaskError: the image lies in another frame of reference, or the frames are no even stack.
        """
        what, kind = f"'{self.name}'", DicomKind.SEGMENTATION.words
        with damaged_object(path, kind):
            geometry = self.source.get_volume_geometry(allow_missing_positions=True)
            is_fractional = str(self.source.SegmentationType) == "FRACTIONAL"
            frame_of_reference = str(self.source.get("FrameOfReferenceUID") or "")
        if geometry is None:
            raise InvalidMaskError(
                f"{path}: the frames of this SEG do not form one even stack of parallel slices; expected one volume. "
                "Load it in 3D Slicer, and save the segmentation as .seg.nrrd."
            )
        with damaged_object(path, kind):
            volume = self.source.get_volume(segment_numbers=[int(self.identifier)], combine_segments=False)
            values, grid = on_grid(volume.array[..., 0], volume.affine)
        warnings = []
        mask = values >= FRACTIONAL_THRESHOLD if is_fractional else values > 0
        if is_fractional:
            warnings.append(
                "the segment is fractional (how much of a voxel, or how probable); a voxel counts as drawn from "
                f"{FRACTIONAL_THRESHOLD:g} on"
            )
        if space is not None:
            warnings += require_same_space(path, what, {frame_of_reference} - {""}, space)
            placed = _slice_by_slice(mask, grid, space.grid)
            if placed is not None:
                return placed, space.grid, warnings
            # Frames in which nothing is drawn need not be stored.
            if same_lattice(grid, space.grid) and not outside_ml(mask, grid, space.grid):
                return resample(mask, grid, space.grid, "nearest"), space.grid, warnings
        if not _says_spacing(self.source):
            warnings.append(
                f"the file does not say how far its slices are apart; {grid.spacing[2]:.3g} mm is taken, so that "
                "volumes may be wrong"
            )
        return mask, grid, warnings


def _slice_by_slice(mask: NDArray[np.bool_], grid: Grid, target: Grid) -> NDArray[np.bool_] | None:
    """A mask on a grid with whose slices its own coincide, one by one; None if one with a voxel does not.

    How far the slices are apart need not be known for that.
    """
    to_target = np.linalg.solve(target.index_to_physical(), grid.index_to_physical())
    if np.abs(to_target[:3, :2] - np.eye(3)[:, :2]).max() * max(grid.size[:2]) > GRID_TOLERANCE:
        return None
    placed = np.zeros(target.shape, bool)
    for k in np.flatnonzero(mask.any(axis=(1, 2))).tolist():
        place = to_target @ [0, 0, k, 1]
        column, row, slice_number = np.rint(place[:3]).astype(int).tolist()
        rows, columns = np.nonzero(mask[k])
        rows, columns = rows + row, columns + column
        is_inside = 0 <= slice_number < len(placed) and rows.min() >= 0 and columns.min() >= 0
        is_inside = is_inside and rows.max() < placed.shape[1] and columns.max() < placed.shape[2]
        if np.abs(place[:3] - np.rint(place[:3])).max() > GRID_TOLERANCE or not is_inside:
            return None
        placed[slice_number, rows, columns] = True
    return placed


def _says_spacing(source: Any) -> bool:
    groups = source.get("SharedFunctionalGroupsSequence") or ()
    measures = [item for group in groups for item in group.get("PixelMeasuresSequence") or ()]
    return any(item.get("SpacingBetweenSlices") for item in measures)


def read_segmentation(path: Path) -> list[DicomSegment]:
    """Read the segments of a SEG file, in its order.

    Raises:
        UnreadableFileError: highdicom is missing, or the file is damaged.
        InvalidMaskError: it holds none.
    """
    title = DicomKind.SEGMENTATION.words
    highdicom = dicom_package("highdicom", path, title)
    with damaged_object(path, title):
        source = highdicom.seg.segread(path)
        segments = [_segment(source, int(number)) for number in source.segment_numbers]
    if not segments:
        raise InvalidMaskError(f"{path}: the SEG holds no segment; expected one or more. Export it again.")
    return segments


def _segment(source: Any, number: int) -> DicomSegment:
    described = source.get_segment_description(number)
    description = str(described.get("SegmentDescription") or "")
    name = str(described.get("SegmentLabel") or "").strip() or description.strip() or f"Segment {number}"
    return DicomSegment(name, str(number), description, source)
