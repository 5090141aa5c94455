"""Reading one scalar image from any supported format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import in_work
from ObserverUncertaintyLib.formats.dicom.frames import frame_count, read_frames
from ObserverUncertaintyLib.formats.dicom.headers import dicom_kind, is_dicom_file
from ObserverUncertaintyLib.formats.dicom.series import image_expected, read_series
from ObserverUncertaintyLib.formats.dicom.space import Space
from ObserverUncertaintyLib.formats.errors import InvalidImageError, UnreadableFileError
from ObserverUncertaintyLib.formats.integrity import damaged
from ObserverUncertaintyLib.formats.itk import StoredImage, require_scalar
from ObserverUncertaintyLib.formats.metaimage import read_metaimage
from ObserverUncertaintyLib.formats.nifti import read_nifti
from ObserverUncertaintyLib.formats.nrrd import read_nrrd
from ObserverUncertaintyLib.formats.references import EXTENSIONS, extension, split_reference
from ObserverUncertaintyLib.images.grid import (
    GRID_TOLERANCE,
    SHEAR_TOLERANCE,
    Grid,
    corner_distance,
    shear,
    straightened,
)

_SMALLEST_SPACING, _LARGEST_SPACING = 0.01, 50.0
"""In mm; beyond them a header may be in metres or micrometres that it does not name."""

_READERS: dict[str, Callable[..., StoredImage]] = {
    ".nii.gz": read_nifti,
    ".nii": read_nifti,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
    ".mha": read_metaimage,
    ".mhd": read_metaimage,
}


@dataclass(frozen=True)
class Volume:
    """One scalar image.

    Attributes:
        array: float32, finite, shape (k, j, i).
        grid: the voxel grid.
        warnings: what the user should know about the place and the size of the voxels.
        frame_of_reference: the UID of the patient's space in which DICOM gives the place; "" for other formats.
    """

    array: NDArray[np.float32]
    grid: Grid
    warnings: tuple[str, ...] = ()
    frame_of_reference: str = ""

    @property
    def space(self) -> Space:
        """Where it lies, for contours that are drawn onto it."""
        return Space(self.grid, self.frame_of_reference)


def read_image(path: str | Path) -> Volume:
    """Read a 2-D or 3-D scalar image: NIfTI, NRRD, MetaImage, a DICOM series' folder, or a multi-frame DICOM file.

    Args:
        path: a file, a folder, or `folder#SeriesInstanceUID` where a folder holds several series.

    Raises:
        UnreadableFileError: if the file is missing, damaged, incomplete or of another kind.
        InvalidImageError: if it is not one scalar image, or has values that are not finite.
    """
    file, selection = split_reference(path)
    if selection is not None and file.is_file():
        raise UnreadableFileError(
            f"{path}: '#{selection}' would pick a segment or a DICOM series, but {file.name} is an image file; "
            "expected the file's name alone. Leave the '#' and what follows it out."
        )
    stored = read_stored(file, selection)
    require_scalar(file, stored)
    with np.errstate(over="ignore"):  # too large a number becomes infinite and is reported as such
        array = np.ascontiguousarray(stored.array, dtype=np.float32)
    bad = not_finite(array)
    if bad:
        raise InvalidImageError(
            f"{file}: {bad} of {array.size} voxels are NaN, infinite or beyond the range of float32; expected a finite "
            "number in every voxel. Find out where they come from; if they mark the background, replace them by 0."
        )
    return Volume(array, stored.grid, stored.warnings, stored.frame_of_reference)


def read_stored(path: Path, uid: str | None = None, several: bool = False) -> StoredImage:
    """Read what a file or a DICOM folder holds in its stored type, with no demand on the values.

    Args:
        path: the file or folder.
        uid: of a folder with several series, the one that is meant.
        several: whether a file may hold several volumes; the array then has one axis more, the first.

    Raises:
        UnreadableFileError: if the file is damaged, incomplete or of a kind that is not read.
        InvalidImageError: if it holds several volumes.
    """
    with in_work(path):
        return _without_rounded_shear(_checked_grid(path, _read(path, uid, several)))


def _read(path: Path, uid: str | None, several: bool) -> StoredImage:
    try:
        if path.is_dir():
            series = read_series(path, uid)
            return replace(series, array=series.array[None]) if several else series
        reader = _READERS.get(extension(path))
        if reader is None:
            return _read_dicom_file(path, several)
        if path.stat().st_size == 0:
            raise UnreadableFileError(f"{path}: the file is empty (0 bytes); expected an image. Copy it again.")
        return reader(path, several=True) if several else reader(path)
    except OSError as error:
        raise UnreadableFileError(
            f"{path}: the file cannot be opened ({error.strerror or error}); expected a readable file. Check its "
            "permissions and that its disk is connected."
        ) from error


def _checked_grid(path: Path, stored: StoredImage) -> StoredImage:
    """Refuse a place that is no number, whatever the format, and warn of a voxel size that is hardly meant in mm."""
    grid = stored.grid
    if not np.isfinite(grid.index_to_physical()).all():
        raise damaged(path, f"its voxels have no place ({grid.describe()})")
    spacing = grid.spacing[: grid.dimension]
    if min(spacing) >= _SMALLEST_SPACING and max(spacing) <= _LARGEST_SPACING:
        return stored
    size = " x ".join(f"{s:.4g}" for s in spacing)
    text = f"the file's header gives voxels of {size} mm; if that is another unit, volumes and distances are wrong"
    return replace(stored, warnings=(*stored.warnings, text))


def _without_rounded_shear(stored: StoredImage) -> StoredImage:
    """Make axes perpendicular that only rounding has put off the right angle; a real shear is kept as it is.

    One rule for all formats: what NIfTI cannot hold is either so small or so large that it is refused on writing.
    """
    if not GRID_TOLERANCE < shear(stored.grid) <= SHEAR_TOLERANCE:
        return stored
    grid = straightened(stored.grid)
    moved = corner_distance(stored.grid, grid)
    text = (
        f"the axes of the voxel grid are not quite perpendicular; made so, which moves voxels by up to {moved:.2g} mm"
    )
    return replace(stored, grid=grid, warnings=(*stored.warnings, text))


def not_finite(array: NDArray[np.generic]) -> int:
    """The number of voxels that are NaN or infinite."""
    return int(array.size - np.count_nonzero(np.isfinite(array)))


def _read_dicom_file(path: Path, several: bool) -> StoredImage:
    """Read a multi-frame image; every other file is refused, whatever it is."""
    if not is_dicom_file(path):
        raise UnreadableFileError(
            f"{path}: files of this kind are not read; expected {', '.join(EXTENSIONS)} or the folder of a DICOM "
            "series. Convert the file, for example with 3D Slicer (.hdr/.img pairs too)."
        )
    kind = dicom_kind(path)
    if kind:
        raise image_expected(path, kind)
    if frame_count(path) == 1:
        raise UnreadableFileError(
            f"{path}: this is a single DICOM file; expected the folder that holds all slices of the series. "
            f"Give {path.parent} instead."
        )
    stored = read_frames(path)
    return replace(stored, array=stored.array[None]) if several else stored
