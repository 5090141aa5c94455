"""RT structure sets (RTSTRUCT): each region of interest is what one rater drew, as closed contours in the patient."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.dicom.headers import DicomKind, damaged_object, read_object
from ObserverUncertaintyLib.formats.dicom.planar_contours import ContourError, draw
from ObserverUncertaintyLib.formats.dicom.polygons import Points
from ObserverUncertaintyLib.formats.dicom.space import Space, require_same_space
from ObserverUncertaintyLib.formats.errors import InvalidMaskError

if TYPE_CHECKING:
    from pydicom import Dataset

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@dataclass(frozen=True)
class Roi:
    """A region of interest.

    Attributes:
        name: its ROIName; "ROI 2" where that is empty.
        identifier: its ROINumber.
        description: its ROIDescription, which says of a result that it is one.
        frames_of_reference: UIDs of the patient's space that its contours lie in: one, none, or several if it is not
            said which of the file's it is.
        drawn: its item of the ROI Contour Sequence; None if nothing is drawn.
    """

    name: str
    identifier: str
    description: str
    frames_of_reference: frozenset[str]
    drawn: Dataset | None

    def mask(self, path: Path, space: Space | None) -> tuple[NDArray[np.bool_], list[str]]:
        """Draw it onto an image's grid.

        Args:
            path: the file that holds it.
            space: the image.

        Returns:
            The mask, shape (k, j, i), and what the user should know.

        Raises:
            InvalidMaskError: the image is not given or lies in another frame of reference, or the contours are not
                planar.
            UnreadableFileError: its contours are damaged.
        """
        if space is None:
            raise InvalidMaskError(
                f"{path}: a DICOM RTSTRUCT holds contours and no voxels; expected the image that they were drawn on. "
                "Name the folder of its series as the image too, or both in a manifest."
            )
        what = f"'{self.name}'"
        warnings = require_same_space(path, what, self.frames_of_reference, space)
        with damaged_object(path, f"{DicomKind.STRUCTURE_SET.words}, and {what} in it"):
            contours, slab, others = _contours(self.drawn)
        if others and not contours:
            raise InvalidMaskError(
                f"{path}: {what} holds no closed contour but {', '.join(others)}; expected CLOSED_PLANAR. Draw the "
                "structure as an area."
            )
        if others:
            warnings.append(f"its contours of the kind {', '.join(others)} enclose nothing and are left out")
        try:
            mask, told = draw(contours, space.grid, slab)
        except ContourError as error:
            raise InvalidMaskError(
                f"{path}: {what}: {error}. Export it again, or resample it in its program."
            ) from None
        return mask, [*warnings, *told]


def read_structure_set(path: Path) -> list[Roi]:
    """Read the regions of interest of an RTSTRUCT file, in its order.

    Raises:
        UnreadableFileError: pydicom is missing, or the file is damaged.
        InvalidMaskError: it has no region of interest, or two of one number.
    """
    words = DicomKind.STRUCTURE_SET.words
    dataset = read_object(path, words)
    with damaged_object(path, words):
        listed = list(dataset.StructureSetROISequence or ())
        drawn = list(dataset.ROIContourSequence or ())
        numbers = Counter(str(item.ROINumber) for item in listed)
        items = Counter(str(item.ReferencedROINumber) for item in drawn)
    if not listed:
        raise InvalidMaskError(
            f"{path}: the RTSTRUCT has no region of interest; expected one or more. Export it again."
        )
    if max([*numbers.values(), *items.values()]) > 1:
        twice = next(number for number, count in (numbers | items).items() if count > 1)
        raise InvalidMaskError(
            f"{path}: two regions of the RTSTRUCT have the number {twice}, so that it is unclear whose the contours "
            "are; expected a number for each. Export it again."
        )
    with damaged_object(path, words):
        by_number = {str(item.ReferencedROINumber): item for item in drawn}
        return [_roi(item, by_number.get(str(item.ROINumber)), dataset) for item in listed]


def _roi(item: Dataset, drawn: Dataset | None, dataset: Dataset) -> Roi:
    number = str(item.ROINumber)
    name = str(item.get("ROIName") or "").strip() or f"ROI {number}"
    return Roi(name, number, str(item.get("ROIDescription") or ""), _frames_of_reference(item, dataset), drawn)


def _contours(drawn: Dataset | None) -> tuple[list[Points], float | None, list[str]]:
    """The closed contours, the slab that each stands for if all say the same, and the kinds of the other contours."""
    contours: list[Points] = []
    slabs: set[float | None] = set()
    others: list[str] = []
    for each in (drawn.get("ContourSequence") or ()) if drawn is not None else ():
        kind = str(each.ContourGeometricType)
        if kind in _CLOSED:
            if any(float(value) for value in each.get("ContourOffsetVector") or ()):
                raise ValueError("its contours are shifted, in a way that was retired")
            contours.append(_points(each.ContourData))
            thickness = each.get("ContourSlabThickness")
            slabs.add(None if thickness in (None, "") else float(thickness))
        elif kind not in others:
            others.append(kind)
    return contours, slabs.pop() if len(slabs) == 1 else None, others


def _points(values: Any) -> Points:
    """Corners from a list of coordinates; a closed contour need not repeat its first corner."""
    points = np.array([float(value) for value in values], float).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise ValueError("a coordinate is no number")
    return points[:-1] if len(points) > 1 and np.array_equal(points[0], points[-1]) else points


def _frames_of_reference(item: Dataset, dataset: Dataset) -> frozenset[str]:
    """The ROI's own; else those of the whole structure set."""
    own = str(item.get("ReferencedFrameOfReferenceUID") or "")
    whole = {str(each.FrameOfReferenceUID) for each in dataset.get("ReferencedFrameOfReferenceSequence") or ()}
    whole = whole or {str(dataset.get("FrameOfReferenceUID") or "")}
    return frozenset({own} if own else whole) - {""}
