"""Writing images and masks: the format follows from the extension, and a file appears whole or not at all."""

from __future__ import annotations

import errno
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import written_atomically
from ObserverUncertaintyLib.formats.errors import UnwritableFileError
from ObserverUncertaintyLib.formats.itk import quiet, short_reason
from ObserverUncertaintyLib.formats.marks import ResultKind, mark
from ObserverUncertaintyLib.formats.references import extension
from ObserverUncertaintyLib.images.grid import GRID_TOLERANCE, Grid, corner_distance, shear, straightened

try:
    from isal import isal_zlib as isal_zlib
except ImportError:  # it only saves time
    isal_zlib = None  # type: ignore[assignment]

WRITTEN_EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".mha")
"""Formats of one file: a header and a data file (.nhdr, .mhd) cannot be moved into place in one step."""

NOTE = "ObserverUncertainty: research use only, not a medical device"
"""Stands in the header of every file, where viewers show it (NIfTI's `descrip`, 80 characters)."""

_LONGEST_HEADER = 1 << 16
_CHUNK = 1 << 22
_GZIP = 16 + zlib.MAX_WBITS


def write_image(
    path: Path, array: NDArray[Any], grid: Grid, *, compress: bool = True, kind: ResultKind | None = None
) -> None:
    """Write an image, compressed where the format allows it unless told not to; a grid of dimension 2 gives a 2-D file.

    Args:
        path: the file; its extension names the format and its folder is created.
        array: shape (k, j, i); bool and uint8 are written as uint8, every other type as float32.
        grid: the array's voxel grid.
        compress: false for files that are read again at once, where compressing would take the most time.
        kind: what a result was computed as, which its header says then; None for what somebody drew or scanned.

    Raises:
        InputError: if the extension is not one that is written, or its format cannot hold the grid; nothing is written
            then.
        UnwritableFileError: if writing fails.
    """
    path = Path(path)
    if path.name.lower().endswith(".seg.nrrd"):
        raise InputError(
            f"{path}: segmentations with named segments are not written; expected one of "
            f"{', '.join(WRITTEN_EXTENSIONS)}. Leave out the .seg."
        )
    if extension(path) not in WRITTEN_EXTENSIONS:
        raise InputError(
            f"{path}: files with this extension are not written; expected one of {', '.join(WRITTEN_EXTENSIONS)}. "
            "Change the file's extension."
        )
    require_writable_grid(path, grid)
    image = grid.to_sitk(array.astype(np.uint8 if array.dtype in (np.bool_, np.uint8) else np.float32))
    image.SetMetaData("ITK_FileNotes", NOTE if kind is None else mark(kind, array))
    try:
        with written_atomically(path) as temporary, quiet():
            if extension(path) == ".nii.gz" and isal_zlib is not None:
                _write_with_isal(image, temporary)
            else:
                sitk.WriteImage(image, str(temporary), useCompression=compress)
            if extension(path) in (".nii.gz", ".nii") or not compress:
                _require_all_voxels(image, temporary)
    except (OSError, RuntimeError) as error:
        raise UnwritableFileError(
            f"{path}: the file cannot be written: {short_reason(error)}. Expected a folder that can be written to, "
            "with enough free space; check both, or choose another folder."
        ) from error


def require_writable_grid(path: Path, grid: Grid) -> None:
    """Raise InputError if a file's format cannot hold the grid: ITK's NIfTI knows perpendicular axes only."""
    if extension(path) not in (".nii.gz", ".nii") or shear(grid) <= GRID_TOLERANCE:
        return
    moved = corner_distance(grid, straightened(grid))
    raise InputError(
        f"{path}: the voxel grid is sheared (its axes are not perpendicular, as after a scan with tilted gantry); in a "
        f"NIfTI file its voxels would lie up to {moved:.2g} mm elsewhere. Expected a grid with perpendicular axes, or "
        "a name that ends in .nrrd or .mha. Resample the images and masks in 3D Slicer (module Resample Image), or "
        "change the extension where you choose it."
    )


def _write_with_isal(image: sitk.Image, path: Path) -> None:
    """Write .nii.gz in about an eighth of the time that ITK's writer takes; see `benchmarks/compression.py`."""
    uncompressed = path.with_suffix("")
    try:
        sitk.WriteImage(image, str(uncompressed))
        _require_all_voxels(image, uncompressed)
        compressor = isal_zlib.compressobj(wbits=_GZIP)
        with uncompressed.open("rb") as source, path.open("wb") as target:
            while chunk := source.read(_CHUNK):
                target.write(compressor.compress(chunk))
            target.write(compressor.flush())
    finally:
        uncompressed.unlink(missing_ok=True)


def _require_all_voxels(image: sitk.Image, file: Path) -> None:
    """Raise OSError for a cut-off file that is uncompressed or ends as gzip does; ITK's NIfTI writer raises none."""
    voxels = image.GetNumberOfPixels() * image.GetSizeOfPixelComponent()
    size = file.stat().st_size
    beside = size - voxels
    if file.suffix == ".gz":
        with file.open("rb") as stream:
            stream.seek(max(0, size - 4))
            beside = (int.from_bytes(stream.read(), "little") - voxels) % 2**32
    if not 0 <= beside <= _LONGEST_HEADER:
        raise OSError(errno.ENOSPC, f"only a part of {voxels} bytes of voxels was written")


def write_mask(path: Path, mask: NDArray[np.bool_], grid: Grid, *, kind: ResultKind | None = None) -> None:
    """Write a mask as uint8 with 1 inside the structure.

    Args:
        path: the file; its extension names the format and its folder is created.
        mask: bool, shape (k, j, i).
        grid: the mask's voxel grid.
        kind: what a result was computed as, which its header says then; None for what somebody drew.

    Raises:
        InputError: if the extension is not one that is written; nothing is written then.
        UnwritableFileError: if writing fails.
    """
    if mask.dtype != np.bool_:
        raise ValueError(f"a mask must be bool, not {mask.dtype}")
    write_image(path, mask, grid, kind=kind)
