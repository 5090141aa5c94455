"""DICOM files for tests, written with pydicom alone: MR series on any grid, and RT structure sets drawn on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from ObserverUncertaintyLib.images.grid import Grid

MR, STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.481.3"


def write_series(
    folder: Path,
    grid: Grid,
    values: NDArray[Any] | None = None,
    header: Mapping[str, Any] = {},
    instance_uids: Sequence[str] = (),
) -> list[Path]:
    """Write one MR file a slice; `header` has further fields of every slice, `instance_uids` each one's own."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.zeros(grid.shape, np.uint16) if values is None else values
    matrix, axes = grid.index_to_physical(), np.reshape(grid.direction, (3, 3))
    common = {
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        "PatientName": "Nobody^",
        "PatientID": "0",
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyDate": "20260102",
        "StudyTime": "120000",
        "StudyID": "1",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "Manufacturer": "",
        "SeriesNumber": 1,
        "PositionReferenceIndicator": "",
        **header,
    }
    files = []
    for k in range(len(values)):
        slice_fields = {
            "InstanceNumber": k + 1,
            "ImagePositionPatient": [decimal(value) for value in matrix[:3] @ [0, 0, k, 1]],
            "ImageOrientationPatient": [decimal(value) for value in axes[:, :2].T.ravel()],
            "PixelSpacing": [decimal(grid.spacing[1]), decimal(grid.spacing[0])],
            "SliceThickness": decimal(grid.spacing[2]),
            "Rows": grid.shape[1],
            "Columns": grid.shape[2],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 0,
            "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
            "ScanningSequence": "SE",
            "SequenceVariant": "NONE",
            "ScanOptions": "",
            "MRAcquisitionType": "2D",
            "EchoTime": "10",
            "RepetitionTime": "500",
            "EchoTrainLength": 1,
            "Modality": "MR",
            "PatientPosition": "HFS",
            "Laterality": "",
            "PixelData": np.ascontiguousarray(values[k].astype("<u2")).tobytes(),
        }
        uid = instance_uids[k] if instance_uids else generate_uid()
        files.append(save(dataset({**slice_fields, **common}, MR, uid), folder / f"{k:03d}.dcm"))
    return files


def write_structure_set(
    path: Path,
    rois: Mapping[str, Iterable[NDArray[np.float64]]],
    frame_of_reference: str,
    kinds: Mapping[str, str] = {},
    header: Mapping[str, Any] = {},
    image_files: Sequence[Path] = (),
) -> Path:
    """Write an RTSTRUCT with closed contours by the names of their ROIs.

    Args:
        path: the file.
        rois: name to contours, each of shape (n, 3), mm LPS.
        frame_of_reference: the UID of the patient's space.
        kinds: of ROIs that have another geometric type than CLOSED_PLANAR.
        header: further fields.
        image_files: the slices that it refers to, if it does.
    """
    found = {"Modality": "RTSTRUCT", "StructureSetLabel": "TEST", "PatientName": "Nobody", "PatientID": "0", **header}
    headers = [dcmread(file, stop_before_pixels=True) for file in image_files]
    listed, drawn = [], []
    for number, (name, contours) in enumerate(rois.items(), 1):
        listed.append(
            fields(
                ROINumber=number,
                ReferencedFrameOfReferenceUID=frame_of_reference,
                ROIName=name,
                ROIGenerationAlgorithm="",
            )
        )
        drawn.append(
            fields(
                ReferencedROINumber=number,
                ContourSequence=DicomSequence(
                    fields(
                        **_image_of(points, headers),
                        ContourGeometricType=kinds.get(name, "CLOSED_PLANAR"),
                        NumberOfContourPoints=len(points),
                        ContourData=[decimal(value) for value in np.ravel(points)],
                    )
                    for points in contours
                ),
            )
        )
    whole = dataset({"SeriesInstanceUID": generate_uid(), **found}, STRUCTURE_SET, generate_uid())
    whole.RTROIObservationsSequence = DicomSequence(
        fields(ObservationNumber=each.ROINumber, ReferencedROINumber=each.ROINumber) for each in listed
    )
    if headers:
        whole.ReferencedFrameOfReferenceSequence = DicomSequence([_referred(headers, frame_of_reference)])
    whole.StructureSetROISequence, whole.ROIContourSequence = DicomSequence(listed), DicomSequence(drawn)
    return save(whole, path)


def _referred(headers: Sequence[Dataset], frame: str) -> Dataset:
    images = DicomSequence(_image(header) for header in headers)
    series = fields(SeriesInstanceUID=headers[0].SeriesInstanceUID, ContourImageSequence=images)
    study = fields(RTReferencedSeriesSequence=DicomSequence([series]))
    return fields(FrameOfReferenceUID=frame, RTReferencedStudySequence=DicomSequence([study]))


def _image(header: Dataset) -> Dataset:
    return fields(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)


def _image_of(points: NDArray[np.float64], headers: Sequence[Dataset]) -> dict[str, Any]:
    """The slice that a contour lies on, as a field."""
    if not headers:
        return {}
    row, column = np.reshape(np.array(headers[0].ImageOrientationPatient, float), (2, 3))
    normal = np.cross(row, column)
    heights = [float(np.dot(np.array(header.ImagePositionPatient, float), normal)) for header in headers]
    nearest = int(np.argmin(np.abs(np.array(heights) - float((points @ normal).mean()))))
    return {"ContourImageSequence": DicomSequence([_image(headers[nearest])])}


def frame_of_reference(files: Sequence[Path]) -> str:
    """That of a series."""
    return str(dcmread(files[0], stop_before_pixels=True).FrameOfReferenceUID)


def fields(**values: Any) -> Dataset:
    """A dataset with these fields."""
    found = Dataset()
    for name, value in values.items():
        setattr(found, name, value)
    return found


def dataset(values: Mapping[str, Any], storage_class: str, uid: str) -> Dataset:
    """A dataset that can be saved as a file."""
    found = fields(**values)
    found.SOPClassUID, found.SOPInstanceUID = UID(storage_class), UID(uid)
    found.file_meta = FileMetaDataset()
    found.file_meta.MediaStorageSOPClassUID = UID(storage_class)
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return found


def save(written: Dataset, path: Path) -> Path:
    """Write a dataset; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written.save_as(path, enforce_file_format=True)
    return path


def decimal(value: float) -> str:
    """A decimal string of at most 16 characters."""
    text = f"{value:.9g}"
    assert len(text) <= 16
    return text
