"""DICOM series: one folder, one stack of parallel, equally spaced slices.

ITK stacks whatever it is given: it hides a missing slice by stretching the spacing, leaves out damaged files, and takes
1 mm and the patient's axes where a header's voxel size and orientation are missing or make no sense.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.dicom.frames import frame_count, read_frames
from ObserverUncertaintyLib.formats.dicom.headers import DicomKind, dicom_kind, storage_class
from ObserverUncertaintyLib.formats.errors import InvalidImageError, UnreadableFileError
from ObserverUncertaintyLib.formats.geometry_fields import NO_PLACE
from ObserverUncertaintyLib.formats.itk import StoredImage, itk_errors
from ObserverUncertaintyLib.images.grid import Grid

SLICE_TOLERANCE = 0.1
"""A slice may lie off its place in an even stack by this fraction of the spacing: scanners round positions."""

_ORIENTATION_TOLERANCE = 0.01
"""Of a direction's cosines: GDCM makes rounded ones perpendicular, which changes them by less."""

_PIXEL_SPACINGS = {
    "0028|0030": "PixelSpacing",
    "0018|1164": "ImagerPixelSpacing",
    "0018|2010": "NominalScannedPixelSpacing",
    "3002|0011": "ImagePlanePixelSpacing",
}
"""Which of them GDCM reads depends on the kind of image."""


@dataclass(frozen=True)
class _Slice:
    """One file's place: `origin` in mm LPS, `direction` row by row, `size` and `spacing` (mm) in the plane.

    `has_place` tells whether the file itself gives position and orientation; `thickness` is 0 if it gives none, and
    `frame_of_reference` empty.
    """

    path: Path
    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    components: int
    has_place: bool
    thickness: float
    frame_of_reference: str


def image_expected(path: Path, kind: DicomKind) -> UnreadableFileError:
    """The error for an object where an image is expected."""
    return UnreadableFileError(
        f"{path}: this is {kind.words}; expected an image: the folder of a DICOM series, or a NIfTI, NRRD or MetaImage "
        "file. Give the image here, and contours where raters are named."
    )


def read_series(folder: Path, uid: str | None = None) -> StoredImage:
    """Read the one DICOM series of a folder, or the one with the given SeriesInstanceUID.

    Raises:
        UnreadableFileError: if there is no series or several to choose from, or if a file is damaged.
        InvalidImageError: if the slices do not form one even stack of scalar slices.
    """
    files = _files_of(folder, uid)
    if len(files) == 1 and frame_count(files[0]) > 1:
        return read_frames(files[0])
    slices = _sorted_stack(folder, [_read_slice(file) for file in files])
    with itk_errors(folder):
        reader = sitk.ImageSeriesReader()
        # Each slice has its own rescale slope; the first slice's integer type would cut off the others' fractions.
        reader.SetOutputPixelType(sitk.sitkFloat32)
        reader.SetFileNames([str(item.path) for item in slices])
        image = reader.Execute()
    if len(slices) == 1:
        stored = _lone_slice(image, slices[0])
    else:
        stored = StoredImage(sitk.GetArrayFromImage(image), Grid.from_sitk(image))
    spaces = {item.frame_of_reference for item in slices}
    return replace(stored, frame_of_reference=spaces.pop() if len(spaces) == 1 else "")


def series_files(folder: Path, uid: str | None = None) -> list[Path]:
    """The files of a series in the order of its slices, or its one multi-frame file; errors as for `read_series`."""
    files = _files_of(folder, uid)
    if len(files) == 1 and frame_count(files[0]) > 1:
        return files
    return [item.path for item in _sorted_stack(folder, [_read_slice(file) for file in files])]


def _files_of(folder: Path, uid: str | None) -> list[Path]:
    """The undamaged image files of the series that is meant."""
    with itk_errors(folder):
        series = {
            found: [Path(name) for name in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), found)]
            for found in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
        }
    files = series[_choose(folder, series, uid)]
    kind = dicom_kind(files[0])
    if kind:
        raise image_expected(files[0], kind)
    _require_undamaged(folder, files[0], {file for names in series.values() for file in names})
    return files


def _lone_slice(image: sitk.Image, item: _Slice) -> StoredImage:
    """A series of one slice: ITK makes it 1 mm thick, and no neighbour shows whether it has a place at all."""
    grid, warnings = Grid.from_sitk(image), [] if item.has_place else [NO_PLACE]
    if item.thickness:
        grid = replace(grid, spacing=(*grid.spacing[:2], item.thickness))
    else:
        warnings.append("the file's header gives no slice thickness; 1 mm is taken, so volumes may be wrong")
    return StoredImage(sitk.GetArrayFromImage(image), grid, warnings=tuple(warnings))


def _choose(folder: Path, series: dict[str, list[Path]], uid: str | None) -> str:
    if not series:
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            kind = dicom_kind(path)
            if kind:
                raise image_expected(path, kind)
        raise UnreadableFileError(
            f"{folder}: the folder holds no readable DICOM image (folders inside it are not searched); expected the "
            "files of one DICOM series. Give the folder that holds the slices, or a NIfTI, NRRD or MetaImage file."
        )
    if uid is None and len(series) == 1:
        return next(iter(series))
    if uid in series:
        return str(uid)
    found = "\n".join(f"  {folder}#{name}  ({len(files)} files)" for name, files in series.items())
    problem = f"{len(series)} DICOM series" if uid is None else f"no DICOM series {uid}, but {len(series)} other(s)"
    raise UnreadableFileError(
        f"{folder}: the folder holds {problem}; expected one. Pick one as folder#SeriesInstanceUID:\n{found}"
    )


def _require_undamaged(folder: Path, example: Path, listed: set[Path]) -> None:
    """Raise UnreadableFileError if the folder holds a file of the series' kind that GDCM passed over.

    GDCM leaves files that it cannot parse out of the list; at either end of the stack no gap would show.
    """
    kind = storage_class(example)
    for path in sorted(folder.iterdir()):
        if path in listed or not path.is_file():
            continue
        found = storage_class(path)
        if found == kind if found else path.suffix.lower() == ".dcm":
            raise UnreadableFileError(
                f"{path}: this slice is damaged or incomplete and cannot be read; expected a whole DICOM file. Copy "
                "it again from its source, or remove it if it does not belong to the series."
            )


def _read_slice(path: Path) -> _Slice:
    with itk_errors(path):
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    size = reader.GetSize()
    if len(size) != 3 or size[2] != 1:
        raise InvalidImageError(
            f"{path}: the file holds {size[-1]} frames; expected one slice per DICOM file. Convert the multi-frame "
            "object to NIfTI or NRRD, for example with 3D Slicer or dcm2niix."
        )
    item = _Slice(
        path,
        size[:2],
        reader.GetSpacing()[:2],
        reader.GetOrigin(),
        reader.GetDirection(),
        reader.GetNumberOfComponents(),
        has_place=all(_numbers(reader, tag) for tag in ("0020|0032", "0020|0037")),
        thickness=max([0.0, *_numbers(reader, "0018|0050")]),
        frame_of_reference=reader.GetMetaData("0020|0052").strip(" \0") if reader.HasMetaDataKey("0020|0052") else "",
    )
    _require_pixel_spacing(reader, item)
    _require_usable_orientation(reader, item)
    return item


def _numbers(reader: sitk.ImageFileReader, tag: str) -> list[float]:
    """The numbers of a field; none if it is missing, or if they are no finite numbers."""
    try:
        numbers = [float(text) for text in reader.GetMetaData(tag).split("\\")] if reader.HasMetaDataKey(tag) else []
    except ValueError:
        return []
    return numbers if np.isfinite(numbers).all() else []


def _require_pixel_spacing(reader: sitk.ImageFileReader, item: _Slice) -> None:
    for tag in _PIXEL_SPACINGS:
        stated = _numbers(reader, tag)
        if len(stated) == 2 and min(stated) > 0 and np.allclose(stated[::-1], item.spacing, rtol=1e-3, atol=0):
            return
    found = [
        f"{name} {reader.GetMetaData(tag).strip() or '(empty)'}"
        for tag, name in _PIXEL_SPACINGS.items()
        if reader.HasMetaDataKey(tag)
    ]
    raise InvalidImageError(
        f"{item.path}: the header gives no usable voxel size ({'; '.join(found) or 'PixelSpacing is missing'}); "
        "expected the pixels' size in mm, without which volumes and distances would be made up. Export the series "
        "again with PixelSpacing (some tools that remove names remove it too), or save it as .nrrd with its true voxel "
        "size."
    )


def _require_usable_orientation(reader: sitk.ImageFileReader, item: _Slice) -> None:
    """Raise InvalidImageError if GDCM has put the patient's axes in the place of an orientation that makes no sense."""
    stated = _numbers(reader, "0020|0037")
    if not reader.HasMetaDataKey("0020|0037") or not reader.GetMetaData("0020|0037").strip():
        return
    taken = np.reshape(item.direction, (3, 3))[:, :2].T.ravel()
    if len(stated) != 6 or not np.allclose(stated, taken, atol=_ORIENTATION_TOLERANCE):
        raise InvalidImageError(
            f"{item.path}: the header gives {reader.GetMetaData('0020|0037').strip()} as ImageOrientationPatient; "
            "expected two perpendicular directions of length 1. Export the series again as it was scanned."
        )


def _sorted_stack(folder: Path, slices: Sequence[_Slice]) -> list[_Slice]:
    """Sort the slices along their normal and raise InvalidImageError unless they form one even stack."""
    first = slices[0]
    for item in slices:
        if len(slices) > 1 and not item.has_place:
            raise _not_a_stack(
                folder,
                f"{item.path.name} gives no position or no orientation (ImagePositionPatient, ImageOrientationPatient)",
                "slices that say where they lie",
            )
        if item.components != 1:
            raise InvalidImageError(
                f"{item.path}: the file holds {item.components} values per voxel (a colour image); expected one. "
                "Leave screen captures and colour maps out of the folder."
            )
        if item.size != first.size or not np.allclose(item.spacing, first.spacing, rtol=1e-3):
            raise _not_a_stack(
                folder,
                f"{first.path.name} has {_plane(first)} and {item.path.name} has {_plane(item)}",
                "slices of one size and voxel size",
            )
        if not np.allclose(item.direction, first.direction, atol=1e-3):
            raise _not_a_stack(
                folder, f"{first.path.name} and {item.path.name} have different orientations", "parallel slices"
            )
    normal = np.reshape(first.direction, (3, 3))[:, 2]
    ordered = sorted(slices, key=lambda item: float(np.dot(item.origin, normal)))
    origins = np.array([item.origin for item in ordered])
    _require_even(folder, [item.path.name for item in ordered], origins @ normal)
    sideways = origins - np.outer(origins @ normal, normal)
    drift = float(np.linalg.norm(sideways - sideways[0], axis=1).max())
    if drift > SLICE_TOLERANCE * min(first.spacing):
        raise _not_a_stack(
            folder, f"the slices are shifted sideways by up to {drift:.2f} mm (gantry tilt)", "a straight stack"
        )
    return ordered


def _require_even(folder: Path, names: Sequence[str], positions: NDArray[np.float64]) -> None:
    """Raise InvalidImageError unless the sorted positions in mm are evenly spaced."""
    if len(positions) < 2:
        return
    steps = np.diff(positions)
    usual = float(np.median(steps))
    same = int(np.argmin(steps))
    if steps[same] <= SLICE_TOLERANCE * max(usual, 1e-3):
        raise _not_a_stack(
            folder,
            f"{names[same]} and {names[same + 1]} lie at the same position ({positions[same]:.2f} mm)",
            "one slice per position; several echoes, time points or b-values belong in folders of their own",
        )
    even = np.linspace(positions[0], positions[-1], len(positions))
    if np.abs(positions - even).max() <= SLICE_TOLERANCE * usual:
        return
    wide = int(np.argmax(steps))
    missing = round(steps[wide] / usual) - 1
    gap = f"{steps[wide]:.2f} mm between {names[wide]} and {names[wide + 1]}, elsewhere {usual:.2f} mm"
    if missing >= 1:
        raise _not_a_stack(folder, f"{missing} or more slices are missing: {gap}", "every slice of the series")
    raise _not_a_stack(folder, f"the slice spacing varies: {gap}", "equally spaced slices")


def _plane(item: _Slice) -> str:
    return f"{item.size[0]} x {item.size[1]} voxels of {item.spacing[0]:.4g} x {item.spacing[1]:.4g} mm"


def _not_a_stack(folder: Path, found: str, expected: str) -> InvalidImageError:
    return InvalidImageError(
        f"{folder}: {found}; expected {expected}. Export the series again as it was scanned, or load it in 3D Slicer, "
        "which shows what is wrong and can resample it, and save it as .nrrd."
    )
