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
from ObserverUncertaintyLib.images.grid import Grid
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
        if space is None:
            return mask, grid, warnings
        warnings += require_same_space(path, what, frame_of_reference, space)
        # Frames in which nothing is drawn need not be stored.
        if same_lattice(grid, space.grid) and not outside_ml(mask, grid, space.grid):
            return resample(mask, grid, space.grid, "nearest"), space.grid, warnings
        return mask, grid, warnings


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
    name = str(described.get("SegmentLabel") or "").strip() or f"Segment {number}"
    return DicomSegment(name, str(number), str(described.get("SegmentDescription") or ""), source)
