"""One DICOM file's header: what a worklist needs of it, read by pydicom; no voxel is read.

pydicom is imported when a header is read: whoever names sequences only does not need it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.dicom.headers import DicomKind
from ObserverUncertaintyLib.worklist.patients import Patient

CONTOURS = {str(kind): kind.words.removeprefix("a DICOM ") for kind in DicomKind if kind.holds_contours}
"""Storage classes of contours and masks."""

_SCREEN_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
_FURTHER_RECORDS = ("1.2.840.10008.1.3.10",)  # DICOMDIR

_TAGS = (
    *("SOPClassUID", "MediaStorageSOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "StudyDate"),
    *("Modality", "SeriesDescription", "ProtocolName", "ImageType", "ContrastBolusAgent", "SliceThickness"),
    *("NumberOfFrames", "StructureSetLabel", "ContentLabel"),
)


class UnreadableHeaderError(Exception):
    """A file's header is damaged, or says too little; the text is a reason without a value of the header."""


@dataclass(frozen=True)
class Header:
    """What one file's header says."""

    kind: str
    study_uid: str
    series_uid: str
    frame_of_reference: str
    patient: Patient
    study_date: str = ""
    modality: str = ""
    description: str = ""
    protocol: str = ""
    image_type: tuple[str, ...] = ()
    contrast_agent: str = ""
    thickness: float = 0.0
    frames: int = 1
    label: str = ""

    @property
    def is_contours(self) -> bool:
        """Whether it holds contours or masks, not an image."""
        return self.kind in CONTOURS

    @property
    def is_no_scan(self) -> bool:
        """Whether it is a picture of a screen, or a map that was computed: nothing that a scanner saw."""
        return self.kind in (_SCREEN_CAPTURES, DicomKind.PARAMETRIC_MAP) or self.kind.startswith(f"{_SCREEN_CAPTURES}.")


@dataclass
class DrawnNames:
    """What a file of contours says of them.

    Attributes:
        names: the ROIs' or segments' names.
        series: the UIDs of the series that it refers to.
        frames_of_reference: the frames of reference that it refers to.
    """

    names: list[str] = field(default_factory=list)
    series: set[str] = field(default_factory=set)
    frames_of_reference: set[str] = field(default_factory=set)


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Let pydicom take values as they are and warn of nothing: its warnings quote what headers say of patients."""
    try:
        from pydicom import config
    except ImportError as error:
        raise InputError("DICOM headers are read with pydicom, which is not installed. Install pydicom.") from error
    settings = getattr(config, "settings", None)  # older ones have none
    before = getattr(settings, "_reading_validation_mode", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if settings is not None:
            settings.reading_validation_mode = config.IGNORE
        try:
            yield
        finally:
            if settings is not None:
                settings._reading_validation_mode = before


@contextmanager
def _damage_told(what: str) -> Iterator[None]:
    """Turn whatever pydicom raises into an UnreadableHeaderError: there are many kinds, whose texts quote headers."""
    try:
        yield
    except UnreadableHeaderError:
        raise
    except Exception:  # noqa: BLE001
        raise UnreadableHeaderError(what) from None


def read_header(path: str, has_preamble: bool) -> Header | None:
    """Read a file's header; None for a folder's index (DICOMDIR), which is no patient's.

    Raises:
        UnreadableHeaderError: it is damaged, or does not say which series it is of.
    """
    with _damage_told("damaged DICOM files"):
        data = _read(path, has_preamble, _TAGS)
        kind = _text(data, "SOPClassUID")
        if (kind or _text(getattr(data, "file_meta", {}), "MediaStorageSOPClassUID")) in _FURTHER_RECORDS:
            return None
        header = Header(
            kind=kind,
            study_uid=_text(data, "StudyInstanceUID"),
            series_uid=_text(data, "SeriesInstanceUID"),
            frame_of_reference=_text(data, "FrameOfReferenceUID"),
            patient=Patient(
                id=_text(data, "PatientID"),
                issuer=_text(data, "IssuerOfPatientID"),
                name=_text(data, "PatientName"),
                birth_date=_text(data, "PatientBirthDate"),
            ),
            study_date=_text(data, "StudyDate"),
            modality=_text(data, "Modality").upper(),
            description=_text(data, "SeriesDescription"),
            protocol=_text(data, "ProtocolName"),
            image_type=_texts(data, "ImageType"),
            contrast_agent=_text(data, "ContrastBolusAgent"),
            thickness=_number(data, "SliceThickness"),
            frames=max(1, int(_number(data, "NumberOfFrames"))),
            label=_text(data, "StructureSetLabel") or _text(data, "ContentLabel"),
        )
    if not (header.kind and header.study_uid and header.series_uid):
        raise UnreadableHeaderError("DICOM files that do not say which series they are of")
    return header


def read_drawn_names(path: str) -> DrawnNames:
    """Read what an RTSTRUCT or SEG file holds and refers to; raises UnreadableHeaderError if it is damaged."""
    tags = ("ReferencedFrameOfReferenceSequence", "ReferencedSeriesSequence", "StructureSetROISequence")
    found = DrawnNames()
    with _damage_told("damaged files of contours"):
        data = _read(path, True, ("FrameOfReferenceUID", "SegmentSequence", *tags))
        for item in data.get("StructureSetROISequence") or ():
            found.names.append(_text(item, "ROIName") or f"ROI {_text(item, 'ROINumber')}")
        for item in data.get("SegmentSequence") or ():
            number = f"Segment {_text(item, 'SegmentNumber')}"  # as `formats` calls it
            found.names.append(_text(item, "SegmentLabel") or _text(item, "SegmentDescription") or number)
        frames = [data, *(data.get("ReferencedFrameOfReferenceSequence") or ())]
        frames += data.get("StructureSetROISequence") or ()
        for item in frames:
            found.frames_of_reference |= {_text(item, "FrameOfReferenceUID")}
            found.frames_of_reference |= {_text(item, "ReferencedFrameOfReferenceUID")}
            for study in item.get("RTReferencedStudySequence") or ():
                series = study.get("RTReferencedSeriesSequence") or ()
                found.series |= {_text(one, "SeriesInstanceUID") for one in series}
        found.series |= {_text(one, "SeriesInstanceUID") for one in data.get("ReferencedSeriesSequence") or ()}
    found.series.discard("")
    found.frames_of_reference.discard("")
    return found


def _read(path: str, has_preamble: bool, tags: tuple[str, ...]) -> Any:
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags), force=not has_preamble)


def _text(data: Any, name: str) -> str:
    value = data.get(name)
    return "" if value is None else str(value).replace("\0", "").strip()


def _texts(data: Any, name: str) -> tuple[str, ...]:
    value = data.get(name)
    return () if value is None else (value,) if isinstance(value, str) else tuple(map(str, value))


def _number(data: Any, name: str) -> float:
    try:
        return float(_text(data, name))
    except ValueError:
        return 0.0
