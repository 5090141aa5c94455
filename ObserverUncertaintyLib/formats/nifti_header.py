"""The header of a NIfTI-1 or NIfTI-2 file of either byte order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from ObserverUncertaintyLib.formats.errors import InvalidImageError, UnreadableFileError
from ObserverUncertaintyLib.formats.integrity import damaged

# name: (type and offset in NIfTI-1, type and offset in NIfTI-2), from nifti1.h and nifti2.h
_FIELDS = {
    "sizeof_hdr": ("i4", 0, "i4", 0),
    "magic": ("S4", 344, "S4", 4),
    "dim": ("8i2", 40, "8i8", 16),
    "datatype": ("i2", 70, "i2", 12),
    "bitpix": ("i2", 72, "i2", 14),
    "pixdim": ("8f4", 76, "8f8", 104),
    "vox_offset": ("f4", 108, "i8", 168),
    "scl_slope": ("f4", 112, "f8", 176),
    "scl_inter": ("f4", 116, "f8", 184),
    "xyzt_units": ("u1", 123, "i4", 500),
    "qform_code": ("i2", 252, "i4", 344),
    "sform_code": ("i2", 254, "i4", 348),
    "quatern": ("3f4", 256, "3f8", 352),
    "qoffset": ("3f4", 268, "3f8", 376),
    "srow": ("(3,4)f4", 280, "(3,4)f8", 400),
}
_VOXEL_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_OTHER_TYPES = {32: "complex numbers", 1792: "complex numbers", 128: "RGB colours", 2304: "RGBA colours"}
HEADER_SIZES = (348, 540)
_BYTE_ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")
_LARGEST_AXIS = 32767  # of NIfTI-1, in which the geometry is handed to ITK
_LARGEST_OFFSET = 1 << 40


def layout(version: int, order: Literal["<", ">"]) -> np.dtype[np.void]:
    """The header's fields of version 1 or 2 in a byte order."""
    columns = 2 * (version - 1)
    formats: list[Any] = [row[columns] for row in _FIELDS.values()]
    offsets = [cast(int, row[columns + 1]) for row in _FIELDS.values()]
    native: np.dtype[np.void] = np.dtype(
        {"names": list(_FIELDS), "formats": formats, "offsets": offsets, "itemsize": HEADER_SIZES[version - 1]}
    )
    return native.newbyteorder(order)


_LAYOUTS = [(version, order, layout(version, order)) for version in (1, 2) for order in _BYTE_ORDERS]


@dataclass(frozen=True)
class NiftiHeader:
    """What is needed of a NIfTI header.

    `size` is that of the image's axes i, j and, for a volume, k; `volumes` that of the axes beyond, if there are any.
    """

    fields: np.void
    size: tuple[int, ...]
    volumes: tuple[int, ...]
    voxel_type: np.dtype[Any]
    offset: int


def parse_header(path: Path, start: bytes) -> NiftiHeader:
    """Read the bytes that a file starts with; version and byte order show in the header's own size, which comes first.

    Raises:
        UnreadableFileError: they are no such header, or a damaged one.
        InvalidImageError: the file holds voxels of another kind than real numbers.
    """
    for version, order, form in _LAYOUTS:
        if len(start) >= form.itemsize:
            fields = np.frombuffer(start, form, count=1)[0]
            if fields["sizeof_hdr"] == form.itemsize:
                return _checked(path, fields, version, order)
    raise UnreadableFileError(
        f"{path}: this is not a NIfTI file, or its header is cut off: {len(start)} bytes found that start with "
        f"{start[:4]!r}; expected a header of 348 or 540 bytes. Check what the file is, or export the image again."
    )


def _checked(path: Path, fields: np.void, version: int, order: str) -> NiftiHeader:
    if bytes(fields["magic"])[:3] != b"n+%d" % version:
        raise UnreadableFileError(
            f"{path}: the header belongs to a pair of files (.hdr and .img) or to the Analyze format; expected NIfTI "
            "in one file. Convert it to .nii.gz, for example with 3D Slicer."
        )
    offset = float(fields["vox_offset"])
    if not HEADER_SIZES[version - 1] <= offset < _LARGEST_OFFSET:
        raise damaged(path, f"its header places the voxels at byte {offset:g}, inside the header or nowhere")
    size = _size(path, fields)
    return NiftiHeader(fields, size[:3], size[3:], _voxel_type(path, int(fields["datatype"]), order), int(offset))


def _size(path: Path, fields: np.void) -> tuple[int, ...]:
    axes = int(fields["dim"][0])
    size = tuple(int(n) for n in fields["dim"][1 : 1 + axes])
    if not 2 <= axes <= 7 or min(size) < 1 or max(size[:3]) > _LARGEST_AXIS:
        raise damaged(path, f"its header gives {axes} axes of {' x '.join(map(str, size)) or 'no'} voxels")
    spacing = np.abs(fields["pixdim"][1 : 1 + len(size[:3])])
    if not np.all((spacing > 0) & np.isfinite(spacing)):
        raise damaged(path, f"its header gives a voxel size of {' x '.join(f'{s:g}' for s in spacing)}")
    return size


def _voxel_type(path: Path, code: int, order: str) -> np.dtype[Any]:
    if code not in _VOXEL_TYPES:
        found = _OTHER_TYPES.get(code, f"voxels of NIfTI type {code}")
        raise InvalidImageError(
            f"{path}: the file holds {found}; expected one integer or floating-point number per voxel. Save it as a "
            "scalar image, for example with 3D Slicer."
        )
    return np.dtype(order + _VOXEL_TYPES[code])
