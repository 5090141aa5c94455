"""Small DICOM files for tests: series of slices, RTSTRUCT and SEG objects, with fields that identify a patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"


def uid(text: str) -> str:
    """A UID, the same for the same text."""
    return str(generate_uid(entropy_srcs=[text]))


def patient(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Fields of a patient that no other text has."""
    return {
        "PatientID": f"SECRETID{number:04d}",
        "PatientName": f"Secretname{number:04d}^Hidden",
        "PatientBirthDate": f"1950{number % 12 + 1:02d}17",
        **fields,
    }


def write_series(folder: Path, who: dict[str, Any], description: str, *, slices: int = 3, **fields: Any) -> list[Path]:
    """Write a series of small slices, one file each.

    Args:
        folder: where they go, as 001.dcm and so on; the names begin with `prefix` if that is among the fields.
        who: the patient's fields, of `patient`.
        description: SeriesDescription.
        slices: how many.
        fields: further fields, such as `study` and `series` (texts that become UIDs), `kind`, `implicit`, `preamble`.
    """
    study = fields.pop("study", "first")
    owner = f"{who.get('PatientID')}{who.get('PatientName')}"
    series, prefix = fields.pop("series", description), fields.pop("prefix", "")
    implicit, preamble = fields.pop("implicit", False), fields.pop("preamble", True)
    kind = fields.pop("kind", MR)
    files = []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, slices + 1):
        data = Dataset()
        data.SOPClassUID = kind
        data.SOPInstanceUID = uid(f"{owner}{study}{series}{number}")
        data.StudyInstanceUID, data.SeriesInstanceUID = uid(f"{owner}{study}"), uid(f"{owner}{study}{series}")
        data.FrameOfReferenceUID = uid(f"frame {owner}{study}")
        data.Modality, data.SeriesDescription = "CT" if kind == CT else "MR", description
        data.StudyDate, data.ImageType = "20200103", ["ORIGINAL", "PRIMARY", "M"]
        data.SliceThickness, data.PixelSpacing = 2, [1, 1]
        data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * number]
        data.InstanceNumber = number
        for name, value in {**who, **fields}.items():
            setattr(data, name, value)
        pixels = np.arange(16, dtype=np.uint16).reshape(4, 4) + number
        data.Rows, data.Columns = pixels.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.PixelData = np.repeat(pixels[None], int(fields.get("NumberOfFrames", 1)), axis=0).tobytes()
        files.append(folder / f"{prefix}{number:03d}.dcm")
        save(data, files[-1], implicit=implicit, preamble=preamble)
    return files


def write_structures(
    file: Path, image: Path, names: Sequence[str], *, label: str = "", refers: bool = True, **fields: Any
) -> Path:
    """Write an RTSTRUCT file with ROIs without points that refers to an image's series."""
    import pydicom

    source = pydicom.dcmread(image, stop_before_pixels=True)
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = RTSTRUCT, uid(str(file))
    data.Modality, data.StructureSetLabel = "RTSTRUCT", label
    data.OperatorsName = "Secretoperator"
    for name in ("StudyInstanceUID", "StudyDate", "PatientID", "PatientName", "PatientBirthDate"):
        setattr(data, name, source.get(name, ""))
    data.SeriesInstanceUID = uid(f"structures {file}")
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = source.SeriesInstanceUID if refers else uid("elsewhere")
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", source.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = source.FrameOfReferenceUID if refers else uid("another frame")
    frame.RTReferencedStudySequence = [study]
    data.ReferencedFrameOfReferenceSequence = [frame]
    data.StructureSetROISequence = []
    for number, name in enumerate(names, 1):
        roi = Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame.FrameOfReferenceUID
        data.StructureSetROISequence.append(roi)
    for name, value in fields.items():
        setattr(data, name, value)
    save(data, file)
    return file


def write_segments(file: Path, images: Sequence[Path], names: Sequence[str]) -> Path:
    """Write a SEG file with a segment for each name over a series' slices."""
    import highdicom
    import pydicom

    sources = [pydicom.dcmread(image) for image in images]
    code = highdicom.sr.CodedConcept("123037004", "SCT", "Body structure")
    segments = [
        highdicom.seg.SegmentDescription(number, name, code, code, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL)
        for number, name in enumerate(names, 1)
    ]
    masks = np.zeros((len(sources), 4, 4, len(names)), np.uint8)
    masks[:, 1:3, 1:3] = 1
    for source in sources:
        for name in ("AccessionNumber", "StudyID", "StudyTime", "ReferringPhysicianName", "PatientSex"):
            setattr(source, name, source.get(name, ""))
    made = highdicom.seg.Segmentation(
        sources, masks, highdicom.seg.SegmentationTypeValues.BINARY, segments, uid(f"segments {file}"), 1,
        uid(str(file)), 1, "maker", "model", "1", "serial",
    )  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(file)
    return file


def save(data: Dataset, file: Path, *, implicit: bool = False, preamble: bool = True) -> None:
    """Write a data set as a DICOM file."""
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    file.parent.mkdir(parents=True, exist_ok=True)
    if not preamble:
        data.save_as(file, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
        return
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = (
        data.SOPClassUID,
        data.SOPInstanceUID,
    )
    data.file_meta.TransferSyntaxUID = syntax
    data.save_as(file, enforce_file_format=True)
