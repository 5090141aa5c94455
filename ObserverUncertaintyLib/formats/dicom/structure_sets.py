"""RT structure sets (RTSTRUCT): each region of interest is what one rater drew, as closed contours in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.dicom.headers import DicomKind, damaged_object, read_object
from ObserverUncertaintyLib.formats.dicom.planar_contours import ContourError, Points, draw
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
        frame_of_reference: UID of the patient's space that its contours lie in.
        contours: its closed contours, each of shape (n, 3), mm LPS.
        others: the kinds of its further contours, which enclose nothing.
    """

    name: str
    identifier: str
    description: str
    frame_of_reference: str
    contours: tuple[Points, ...]
    others: tuple[str, ...]

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
        """
        if space is None:
            raise InvalidMaskError(
                f"{path}: a DICOM RTSTRUCT holds contours and no voxels; expected the image that they were drawn on. "
                "Name the folder of its series as the image too, or both in a manifest."
            )
        what = f"'{self.name}'"
        if self.others and not self.contours:
            raise InvalidMaskError(
                f"{path}: {what} holds no closed contour but {', '.join(self.others)}; expected CLOSED_PLANAR. Draw "
                "the structure as an area."
            )
        warnings = require_same_space(path, what, self.frame_of_reference, space)
        if self.others:
            warnings.append(f"its contours of the kind {', '.join(self.others)} enclose nothing and are left out")
        try:
            mask, told = draw(self.contours, space.grid)
        except ContourError as error:
            raise InvalidMaskError(
                f"{path}: {what}: {error}. Export it again, or resample it in its program."
            ) from None
        return mask, [*warnings, *told]


def read_structure_set(path: Path) -> list[Roi]:
    """Read the regions of interest of an RTSTRUCT file, in its order.

    Raises:
        UnreadableFileError: pydicom is missing, or the file is damaged.
        InvalidMaskError: it has no region of interest.
    """
    title = DicomKind.STRUCTURE_SET.words
    dataset = read_object(path, title)
    with damaged_object(path, title):
        drawn = {str(item.ReferencedROINumber): item for item in dataset.ROIContourSequence or ()}
        rois = [_roi(item, drawn.get(str(item.ROINumber)), dataset) for item in dataset.StructureSetROISequence or ()]
    if not rois:
        raise InvalidMaskError(
            f"{path}: the RTSTRUCT has no region of interest; expected one or more. Export it again."
        )
    return rois


def _roi(item: Dataset, drawn: Dataset | None, dataset: Dataset) -> Roi:
    number = str(item.ROINumber)
    contours: list[Points] = []
    others: list[str] = []
    for each in (drawn.get("ContourSequence") or ()) if drawn is not None else ():
        kind = str(each.ContourGeometricType)
        if kind in _CLOSED:
            contours.append(_points(each.ContourData))
        elif kind not in others:
            others.append(kind)
    name = str(item.get("ROIName") or "").strip() or f"ROI {number}"
    described = str(item.get("ROIDescription") or "")
    return Roi(name, number, described, _frame_of_reference(item, dataset), tuple(contours), tuple(others))


def _points(values: Any) -> Points:
    """Corners from a list of coordinates; a closed contour need not repeat its first corner."""
    points = np.array([float(value) for value in values], float).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise ValueError("a coordinate is no number")
    return points[:-1] if len(points) > 1 and np.array_equal(points[0], points[-1]) else points


def _frame_of_reference(item: Dataset, dataset: Dataset) -> str:
    """The ROI's own; else that of the whole structure set, where there is one."""
    whole = {str(each.FrameOfReferenceUID) for each in dataset.get("ReferencedFrameOfReferenceSequence", ())}
    whole = whole or {str(dataset.get("FrameOfReferenceUID") or "")}
    return str(item.get("ReferencedFrameOfReferenceUID") or (next(iter(whole)) if len(whole) == 1 else ""))
