"""Contours as a DICOM RT structure set (RTSTRUCT), one region of interest each."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.export.contours import Contour
from ObserverUncertaintyLib.export.equipment import EQUIPMENT, RESEARCH, series_description
from ObserverUncertaintyLib.export.fields import fields, sequence
from ObserverUncertaintyLib.export.outlines import outlines
from ObserverUncertaintyLib.export.source import MAY_BE_EMPTY, SourceSeries

if TYPE_CHECKING:
    from pydicom import Dataset

_STORAGE_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # retired, but what planning systems expect here

_FROM_SOURCE = ("SpecificCharacterSet", "StudyDescription", "StudyInstanceUID", *MAY_BE_EMPTY)


def structure_set_object(source: SourceSeries, contours: Sequence[Contour], *, series_number: int) -> Dataset:
    """Make the object.

    Args:
        source: the series that it refers to.
        contours: masks on its grid.
        series_number: its own.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    first, now = source.headers[0], datetime.datetime.now()
    made = fields(**{name: first[name].value for name in _FROM_SOURCE if name in first})
    made.SOPClassUID, made.SOPInstanceUID = UID(_STORAGE_CLASS), generate_uid(prefix=None)
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.Modality, made.SeriesNumber, made.SeriesInstanceUID = "RTSTRUCT", series_number, generate_uid(prefix=None)
    made.InstanceNumber = 1
    made.OperatorsName = ""
    made.SeriesDescription = series_description("contours")
    made.Manufacturer, made.ManufacturerModelName = EQUIPMENT["manufacturer"], EQUIPMENT["manufacturer_model_name"]
    made.SoftwareVersions, made.DeviceSerialNumber = EQUIPMENT["software_versions"], EQUIPMENT["device_serial_number"]
    made.InstanceCreationDate = made.StructureSetDate = made.SeriesDate = now.strftime("%Y%m%d")
    made.InstanceCreationTime = made.StructureSetTime = made.SeriesTime = now.strftime("%H%M%S")
    made.StructureSetLabel = "RESEARCH"
    made.StructureSetName = series_description("contours")
    made.StructureSetDescription = f"Contours by ObserverUncertainty. {RESEARCH}, not a medical device."
    made.ApprovalStatus = "UNAPPROVED"
    made.FrameOfReferenceUID = source.frame_of_reference
    made.PositionReferenceIndicator = ""
    made.ReferencedFrameOfReferenceSequence = sequence([_referenced(source)])
    numbered = list(enumerate(contours, 1))
    made.StructureSetROISequence = sequence(_roi(number, each, source) for number, each in numbered)
    made.ROIContourSequence = sequence(_drawn(number, each, source) for number, each in numbered)
    made.RTROIObservationsSequence = sequence(
        fields(ObservationNumber=number, ReferencedROINumber=number, RTROIInterpretedType="", ROIInterpreter="")
        for number, _each in numbered
    )
    return made


def _referenced(source: SourceSeries) -> Dataset:
    """The series' frame of reference, with its study and images."""
    first = source.headers[0]
    images = sequence(
        fields(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)
        for header in source.headers
    )
    series = fields(SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=images)
    study = fields(
        ReferencedSOPClassUID=_STUDY_CLASS,
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=sequence([series]),
    )
    return fields(FrameOfReferenceUID=source.frame_of_reference, RTReferencedStudySequence=sequence([study]))


def _roi(number: int, contour: Contour, source: SourceSeries) -> Dataset:
    return fields(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=source.frame_of_reference,
        ROIName=contour.name,
        ROIDescription=contour.description,
        ROIGenerationAlgorithm="SEMIAUTOMATIC" if contour.by_hand else "AUTOMATIC",
    )


def _drawn(number: int, contour: Contour, source: SourceSeries) -> Dataset:
    """A region's polygons, each with the image that it lies on; a region without a voxel has none."""
    matrix, frames, polygons = source.grid.index_to_physical(), source.frames(), []
    for k in np.flatnonzero(contour.mask.any(axis=(1, 2))).tolist():
        header, frame = frames[k]
        image = fields(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)
        if frame is not None:
            image.ReferencedFrameNumber = frame
        for outline in outlines(contour.mask[k]):
            index = np.column_stack([outline, np.full(len(outline), k), np.ones(len(outline))])
            polygons.append(
                fields(
                    ContourImageSequence=sequence([image]),
                    # Who reads it is not to fill slices in which nothing was drawn.
                    ContourSlabThickness=f"{source.grid.spacing[2]:.6g}",
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=len(outline),
                    ContourData=_decimals((index @ matrix.T)[:, :3]),
                )
            )
    found = fields(ROIDisplayColor=list(contour.color), ReferencedROINumber=number)
    if polygons:
        found.ContourSequence = sequence(polygons)
    return found


def _decimals(points: NDArray[np.float64]) -> list[str]:
    """Positions in mm to a ten-thousandth as decimal strings, which may have 16 characters."""
    texts = [f"{value:.4f}".rstrip("0").rstrip(".") for value in (points.ravel() + 0.0).tolist()]
    return ["0" if text == "-0" else text for text in texts]
