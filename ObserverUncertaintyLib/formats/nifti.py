"""NIfTI files: voxels are decoded here, because SimpleITK changes them without a word.

Measured with SimpleITK 2.5: a truncated file is read with wrong voxels, NaN and infinity become 0, and `a.nii.gz` is
read with the voxels of `a.nii` if that lies beside it. NIfTI-2 is not read at all.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.errors import InvalidImageError
from ObserverUncertaintyLib.formats.integrity import damaged
from ObserverUncertaintyLib.formats.itk import StoredImage, require_volumes
from ObserverUncertaintyLib.formats.nifti_geometry import read_grid
from ObserverUncertaintyLib.formats.nifti_header import HEADER_SIZES, NiftiHeader, parse_header

_CHUNK = 1 << 22


def read_nifti(path: Path, several: bool = False) -> StoredImage:
    """Read a NIfTI-1 or NIfTI-2 file of either byte order, compressed or not, applying the header's scaling.

    Args:
        path: the file.
        several: whether it may hold several volumes; the array then has one axis more, the first.

    Raises:
        UnreadableFileError: if the file is no NIfTI file, or is damaged or incomplete.
        InvalidImageError: if the file holds several volumes, colours, complex numbers, or a scaling that is not finite.
    """
    with path.open("rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not is_compressed:
            header, data = _read(path, file, several)
        else:
            try:
                header, data = _read(path, cast(BinaryIO, gzip.GzipFile(fileobj=file)), several)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise damaged(path, f"the compressed data cannot be decompressed to its end ({error})") from error
    grid, warnings = read_grid(path, header)
    array = np.frombuffer(data, header.voxel_type).reshape(*([-1] if several else []), *grid.shape)
    return StoredImage(_scaled(path, array, header), grid, warnings=warnings)


def _read(path: Path, file: BinaryIO, several: bool) -> tuple[NiftiHeader, bytearray]:
    """Read the header and exactly the bytes of the voxels, and go on to the end, where gzip's checksum is."""
    start = file.read(max(HEADER_SIZES))
    header = parse_header(path, start)
    require_volumes(path, (*header.size, *header.volumes), several)
    expected = math.prod((*header.size, *header.volumes)) * header.voxel_type.itemsize
    data = bytearray(start[header.offset : header.offset + expected])
    to_skip = max(header.offset - len(start), 0)
    # In chunks, so that a damaged header asking for terabytes does not allocate them.
    while chunk := file.read(_CHUNK):
        skipped = min(to_skip, len(chunk))
        to_skip -= skipped
        data += chunk[skipped : skipped + max(expected - len(data), 0)]
    if len(data) < expected:
        raise damaged(path, f"{expected} bytes of voxels expected, {len(data)} found")
    return header, data


def _scaled(path: Path, array: NDArray[Any], header: NiftiHeader) -> NDArray[Any]:
    """Apply scl_slope and scl_inter; a slope of 0 means that the header gives none."""
    slope, intercept = float(header.fields["scl_slope"]), float(header.fields["scl_inter"])
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise InvalidImageError(
            f"{path}: the header scales the voxels by scl_slope {slope} and scl_inter {intercept}; expected finite "
            "numbers. Export the image again, or set them to 1 and 0 if the stored values are the true ones."
        )
    if slope == 0 or (slope, intercept) == (1, 0):
        return array
    return array * np.float64(slope) + intercept
