"""Reading through SimpleITK without its silent repairs, its console output and its long error texts."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.errors import InvalidImageError, UnreadableFileError
from ObserverUncertaintyLib.images.grid import Grid


@dataclass(frozen=True)
class StoredImage:
    """What a file holds, before it is known whether it is an image, a mask or a segmentation.

    Attributes:
        array: the stored type, shape (k, j, i), or (k, j, i, component) where a voxel has several values.
        grid: the voxel grid.
        segment_fields: the file's own fields that start with "Segment", as Slicer writes them; no others.
        warnings: what the user should know about the place and the size of the voxels.
        frame_of_reference: the UID of the patient's space in which DICOM gives the place; "" for other formats.
    """

    array: NDArray[Any]
    grid: Grid
    segment_fields: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    frame_of_reference: str = ""


class _Quiet:
    """Switches ITK's console warnings off while at least one thread reads, then back to what they were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._shown_before = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._readers == 0:
                self._shown_before = sitk.ProcessObject.GetGlobalWarningDisplay()
                sitk.ProcessObject.SetGlobalWarningDisplay(False)
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                if self._readers == 0:
                    sitk.ProcessObject.SetGlobalWarningDisplay(self._shown_before)


quiet = _Quiet()


def short_reason(error: BaseException) -> str:
    """The last line of ITK's error text, which says what was wrong; the lines before say where in ITK."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    for prefix in ("sitk::ERROR:", "ITK ERROR:", "Reason:"):
        reason = reason.removeprefix(prefix).strip()
    return reason.rstrip(".")


@contextmanager
def itk_errors(path: Path) -> Iterator[None]:
    """Silence ITK and turn its errors into UnreadableFileError with one line of reason."""
    try:
        with quiet():
            yield
    except RuntimeError as error:
        raise UnreadableFileError(
            f"{path}: the file cannot be read: {short_reason(error)}. Expected a whole, undamaged image; check that it "
            "opens in 3D Slicer, and copy or export it again if it does not."
        ) from error


def require_volumes(path: Path, size: tuple[int, ...], several: bool = False) -> None:
    """Raise InvalidImageError if the axes beyond the third hold more volumes than are asked for.

    Args:
        path: the file.
        size: of all its axes; several values of a voxel count as a further axis.
        several: whether one of them may hold several volumes.
    """
    volumes = int(np.prod(size[3:], dtype=np.int64))
    if several and sum(each > 1 for each in size[3:]) > 1:
        raise InvalidImageError(
            f"{path}: the file holds {volumes} volumes along several axes ({' x '.join(map(str, size))}), of which one "
            "cannot tell samples from classes; expected one axis of volumes. Save each sample in a file of its own."
        )
    if volumes != 1 and not several:
        raise InvalidImageError(
            f"{path}: the file holds {volumes} volumes ({' x '.join(map(str, size))}); expected one 2-D image or one "
            "3-D volume. Save the volume that is meant in a file of its own."
        )


def require_scalar(path: Path, image: StoredImage) -> None:
    """Raise InvalidImageError if a voxel holds several values, such as a colour, or a complex number."""
    found = ""
    if image.array.ndim > 3:
        found = f"{image.array.shape[-1]} values per voxel (a colour or vector image)"
    elif np.iscomplexobj(image.array):
        found = "complex numbers"
    if found:
        raise InvalidImageError(
            f"{path}: the file holds {found}; expected one real number per voxel. Save the component that is meant "
            "as a scalar image."
        )


def read_with_itk(path: Path, reader_name: str, several: bool = False) -> StoredImage:
    """Read a 2-D or 3-D file, or a 4-D one that holds a single volume, in its stored type.

    Args:
        path: the file.
        reader_name: ITK's name of the reader, which by itself would not know an ending in upper case.
        several: whether it may hold several volumes, along a fourth axis or as several values of a voxel; the array
            then has one axis more, the first.

    Raises:
        UnreadableFileError: if SimpleITK cannot read the file.
        InvalidImageError: if the file holds several volumes.
    """
    with itk_errors(path):
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.SetImageIO(reader_name)
        reader.ReadImageInformation()
        size = reader.GetSize()
    require_volumes(path, size, several)
    first = [*size[:3], *(0 for _ in size[3:])]
    with itk_errors(path):
        if len(size) > 3 and not several:
            reader.SetExtractSize(first)
        image = reader.Execute()
        grid = Grid.from_sitk(image if image.GetDimension() < 4 else sitk.Extract(image, first))
        array = sitk.GetArrayFromImage(image)
        fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.startswith("Segment")}
    if several:
        values = image.GetNumberOfComponentsPerPixel()
        require_volumes(path, (*(*size, 1)[:3], *size[3:], values), several)
        # ITK has the axes beyond the third first, and the values of a voxel last.
        volumes = np.moveaxis(array.reshape(-1, *grid.shape, values), -1, 1)
        return StoredImage(volumes.reshape(-1, *grid.shape), grid, fields)
    components = array.shape[grid.dimension :]
    return StoredImage(array.reshape(*grid.shape, *components), grid, fields)
