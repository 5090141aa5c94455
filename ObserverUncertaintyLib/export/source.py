"""The DICOM series that results belong to: its headers in the order of its slices, and its grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.dicom.headers import damaged_object, dicom_package
from ObserverUncertaintyLib.formats.dicom.series import series_files
from ObserverUncertaintyLib.formats.images import read_image
from ObserverUncertaintyLib.formats.references import split_reference
from ObserverUncertaintyLib.images.grid import Grid, require_same_grid

if TYPE_CHECKING:
    from pydicom import Dataset

MAY_BE_EMPTY = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
"""Fields that every object has, if only empty; programs that remove names remove some of them."""

_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

_PATTERNS = {"Date": r"\d{8}", "Time": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?", "Sex": r"[MFO]"}
"""What a value must look like, by the end of the field's name; other programs refuse an object with another one."""


@dataclass(frozen=True)
class SourceSeries:
    """A series as others refer to it.

    Attributes:
        headers: of its files in the order of its slices, without pixels; of a multi-frame image the one header.
        grid: its voxel grid.
        warnings: what the user should know about its headers.
    """

    headers: tuple[Dataset, ...]
    grid: Grid
    warnings: tuple[str, ...] = ()

    @property
    def frame_of_reference(self) -> str:
        """The UID of the patient's space."""
        return str(self.headers[0].FrameOfReferenceUID)

    def frames(self) -> list[tuple[Dataset, int | None]]:
        """For each slice of the grid its file's header, and its frame's number in a multi-frame image."""
        if len(self.headers) == self.grid.size[2]:
            return [(header, None) for header in self.headers]
        (header,) = self.headers
        normal = [self.grid.direction[n] for n in (2, 5, 8)]
        places = [
            sum(float(x) * n for x, n in zip(frame.PlanePositionSequence[0].ImagePositionPatient, normal, strict=True))
            for frame in header.PerFrameFunctionalGroupsSequence
        ]
        order = sorted(range(len(places)), key=places.__getitem__)
        return [(header, number + 1) for number in order]

    def in_file_order(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array of shape (k, ...) on the grid in the order of the files, or of a multi-frame image's frames."""
        numbers = [number for _header, number in self.frames() if number is not None]
        return array[np.argsort(numbers)] if numbers else array


def read_source(reference: str | Path, grid: Grid, what: str) -> SourceSeries:
    """Read the series' headers.

    Args:
        reference: its folder, `folder#SeriesInstanceUID`, or a multi-frame file.
        grid: that of the results.
        what: the results are, for errors.

    Raises:
        InputError: it is no DICOM series, is damaged, names no frame of reference, or lies on another grid.
    """
    path, uid = split_reference(reference)
    image = read_image(reference)
    advice = "Give the series that was predicted or drawn on, or resample the results onto the one that is meant."
    require_same_grid(image.grid, str(path), grid, what, advice)
    if not path.is_dir() and not image.frame_of_reference:
        raise InputError(f"{path}: this is no DICOM series; expected the folder with its files. Give that folder.")
    if not image.frame_of_reference:
        raise InputError(
            f"{path}: the series names no frame of reference (FrameOfReferenceUID), without which no object can refer "
            "to its place; expected a series as it was scanned. Export it again, with its UIDs."
        )
    files = series_files(path, uid) if path.is_dir() else [path]
    pydicom = dicom_package("pydicom", path, "a DICOM series")
    headers: list[Dataset] = []
    emptied: dict[str, None] = {}
    for file in files:
        with damaged_object(file, "a DICOM image"):
            header = pydicom.dcmread(file, stop_before_pixels=True)
        missing = [name for name in _NEEDED if not header.get(name)]
        if missing:
            raise InputError(
                f"{file}: the header lacks {', '.join(missing)}, to which objects refer; expected a series as it was "
                "scanned. Export it again, with its UIDs."
            )
        with damaged_object(file, "a DICOM image"):
            emptied |= dict.fromkeys(_make_usable(header, image.grid))
        headers.append(header)
    told = f"{', '.join(emptied)} of the series are no values of their kind and stay empty in what is exported"
    return SourceSeries(tuple(headers), image.grid, (told,) if emptied else ())


def _make_usable(header: Dataset, grid: Grid) -> list[str]:
    """Put right what objects cannot take over as it is; returns the fields that are emptied for that."""
    # Names of any alphabet, and the structure's beside them.
    header.decode()
    header.SpecificCharacterSet = "ISO_IR 192"
    emptied = []
    for name in MAY_BE_EMPTY:
        pattern = next((pattern for end, pattern in _PATTERNS.items() if name.endswith(end)), "")
        value = str(header.get(name) or "")
        if pattern and value and not re.fullmatch(pattern, value):
            emptied.append(name)
            value = ""
        if name not in header or not value:
            setattr(header, name, "")
    if not header.get("SliceThickness") and "SharedFunctionalGroupsSequence" not in header:
        header.SliceThickness = f"{grid.spacing[2]:.6g}"
    return emptied
