"""NIfTI files: voxels are decoded here, because SimpleITK changes them without a word.

Measured with SimpleITK 2.5: a truncated file is read with wrong voxels, NaN and infinity become 0, and `a.nii.gz` is
read with the voxels of `a.nii` if that lies beside it. NIfTI-2 is not read at all. Only the geometry is left to ITK,
so that it agrees with 3D Slicer on which of the header's transforms counts; what it passes over without a word (two
transforms that contradict each other, none, one that is not a number) is said here.
"""

from __future__ import annotations

import gzip
import math
import tempfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.errors import InvalidImageError, UnreadableFileError
from ObserverUncertaintyLib.formats.geometry_fields import NO_PLACE
from ObserverUncertaintyLib.formats.integrity import damaged
from ObserverUncertaintyLib.formats.itk import StoredImage, itk_errors, require_one_volume
from ObserverUncertaintyLib.images.grid import Grid, corner_distance, smallest_spacing

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
_GEOMETRY = ("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern", "qoffset", "srow")
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
_HEADER_SIZES = (348, 540)
_BYTE_ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")
_LARGEST_AXIS = 32767  # of NIfTI-1, in which the geometry is handed to ITK
_LARGEST_OFFSET = 1 << 40
_CHUNK = 1 << 22
_MILLIMETRES = {1: 1000.0, 3: 0.001}
"""What a unit of length of xyzt_units is in mm; all others are taken for mm, as ITK does."""

_APART = 0.1
"""Corners by the q-form and the s-form may lie apart by this fraction of the smallest spacing."""

_VOLUME_RATIO = 1.01
"""Of the voxel's volumes by pixdim and by the s-form, above which they contradict each other."""


def _layout(version: int, order: Literal["<", ">"]) -> np.dtype[np.void]:
    columns = 2 * (version - 1)
    formats: list[Any] = [row[columns] for row in _FIELDS.values()]
    offsets = [cast(int, row[columns + 1]) for row in _FIELDS.values()]
    layout: np.dtype[np.void] = np.dtype(
        {"names": list(_FIELDS), "formats": formats, "offsets": offsets, "itemsize": _HEADER_SIZES[version - 1]}
    )
    return layout.newbyteorder(order)


_LAYOUTS = [(version, order, _layout(version, order)) for version in (1, 2) for order in _BYTE_ORDERS]


@dataclass(frozen=True)
class _Header:
    """What is needed of a NIfTI header: `size` is that of the image's axes i, j and, for a volume, k."""

    fields: np.void
    size: tuple[int, ...]
    voxel_type: np.dtype[Any]
    offset: int


def read_nifti(path: Path) -> StoredImage:
    """Read a NIfTI-1 or NIfTI-2 file of either byte order, compressed or not, applying the header's scaling.

    Raises:
        UnreadableFileError: if the file is no NIfTI file, or is damaged or incomplete.
        InvalidImageError: if the file holds several volumes, colours, complex numbers, or a scaling that is not finite.
    """
    with path.open("rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not is_compressed:
            header, data = _read(path, file)
        else:
            try:
                header, data = _read(path, cast(BinaryIO, gzip.GzipFile(fileobj=file)))
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise damaged(path, f"the compressed data cannot be decompressed to its end ({error})") from error
    grid, warnings = _read_grid(path, header)
    array = np.frombuffer(data, header.voxel_type).reshape(grid.shape)
    return StoredImage(_scaled(path, array, header), grid, warnings=warnings)


def _read(path: Path, file: BinaryIO) -> tuple[_Header, bytearray]:
    """Read the header and exactly the bytes of the voxels, and go on to the end, where gzip's checksum is."""
    start = file.read(max(_HEADER_SIZES))
    header = _parse(path, start)
    expected = math.prod(header.size) * header.voxel_type.itemsize
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


def _parse(path: Path, start: bytes) -> _Header:
    """Recognise version and byte order by the header's own size, which comes first."""
    for version, order, layout in _LAYOUTS:
        if len(start) >= layout.itemsize:
            fields = np.frombuffer(start, layout, count=1)[0]
            if fields["sizeof_hdr"] == layout.itemsize:
                return _checked(path, fields, version, order)
    raise UnreadableFileError(
        f"{path}: this is not a NIfTI file, or its header is cut off: {len(start)} bytes found that start with "
        f"{start[:4]!r}; expected a header of 348 or 540 bytes. Check what the file is, or export the image again."
    )


def _checked(path: Path, fields: np.void, version: int, order: str) -> _Header:
    if bytes(fields["magic"])[:3] != b"n+%d" % version:
        raise UnreadableFileError(
            f"{path}: the header belongs to a pair of files (.hdr and .img) or to the Analyze format; expected NIfTI "
            "in one file. Convert it to .nii.gz, for example with 3D Slicer."
        )
    offset = float(fields["vox_offset"])
    if not _HEADER_SIZES[version - 1] <= offset < _LARGEST_OFFSET:
        raise damaged(path, f"its header places the voxels at byte {offset:g}, inside the header or nowhere")
    return _Header(fields, _size(path, fields), _voxel_type(path, int(fields["datatype"]), order), int(offset))


def _size(path: Path, fields: np.void) -> tuple[int, ...]:
    axes = int(fields["dim"][0])
    size = tuple(int(n) for n in fields["dim"][1 : 1 + axes])
    if not 2 <= axes <= 7 or min(size) < 1 or max(size[:3]) > _LARGEST_AXIS:
        raise damaged(path, f"its header gives {axes} axes of {' x '.join(map(str, size)) or 'no'} voxels")
    require_one_volume(path, size)
    spacing = np.abs(fields["pixdim"][1 : 1 + len(size[:3])])
    if not np.all((spacing > 0) & np.isfinite(spacing)):
        raise damaged(path, f"its header gives a voxel size of {' x '.join(f'{s:g}' for s in spacing)}")
    return size[:3]


def _voxel_type(path: Path, code: int, order: str) -> np.dtype[Any]:
    if code not in _VOXEL_TYPES:
        found = _OTHER_TYPES.get(code, f"voxels of NIfTI type {code}")
        raise InvalidImageError(
            f"{path}: the file holds {found}; expected one integer or floating-point number per voxel. Save it as a "
            "scalar image, for example with 3D Slicer."
        )
    return np.dtype(order + _VOXEL_TYPES[code])


def _scaled(path: Path, array: NDArray[Any], header: _Header) -> NDArray[Any]:
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


def _read_grid(path: Path, header: _Header) -> tuple[Grid, tuple[str, ...]]:
    """The grid as ITK reads it, and what should be known about it."""
    _require_usable_transforms(path, header)
    q_form, s_form = _q_form(header), _s_form(header)
    if len(header.size) < 3:
        return _grid_of_itk(path, header), ()
    if s_form is None:
        return _grid_of_itk(path, header), (() if q_form else (NO_PLACE,))
    if q_form is None:
        return _grid_of_s_form(path, header, s_form), ()
    grid = _grid_of_itk(path, header)
    apart = corner_distance(q_form, s_form)
    if apart <= _APART * smallest_spacing(q_form, s_form):
        return grid, ()
    taken = "s" if corner_distance(grid, s_form) <= corner_distance(grid, q_form) else "q"
    sizes = " and ".join(" x ".join(f"{s:.4g}" for s in form.spacing) for form in (q_form, s_form))
    return grid, (
        f"the file's header contradicts itself: its q-form and its s-form place voxels up to {apart:.3g} mm apart "
        f"(voxels of {sizes} mm); the {taken}-form is taken, as in 3D Slicer, other programs may take the other",
    )


def _require_usable_transforms(path: Path, header: _Header) -> None:
    """Raise UnreadableFileError for a transform in use that is not a number or flattens space; ITK takes it."""
    fields = header.fields
    if fields["qform_code"] > 0:
        numbers = np.concatenate([fields["quatern"], fields["qoffset"]])
        if not np.isfinite(numbers).all() or np.square(numbers[:3], dtype=float).sum() > 1 + 1e-3:
            raise damaged(path, f"its header gives {', '.join(f'{n:g}' for n in numbers)} as its q-form")
    if fields["sform_code"] > 0:
        matrix = fields["srow"].astype(float)
        axes = matrix[: len(header.size), : len(header.size)] if len(header.size) == 3 else matrix[:, :2]
        if not np.isfinite(matrix).all() or np.linalg.matrix_rank(axes) < len(header.size):
            rows = "; ".join(" ".join(f"{n:g}" for n in row) for row in matrix)
            raise damaged(path, f"its header gives the s-form {rows}, in which voxels have no place or no volume")


def _grid_of_s_form(path: Path, header: _Header, s_form: Grid) -> Grid:
    """The grid of a file whose only transform is the s-form, which ITK refuses if its axes are not perpendicular."""
    voxel_size = replace(s_form, spacing=_voxel_size(header))
    upright = float(np.prod(voxel_size.spacing) / np.prod(s_form.spacing))
    if max(upright, 1 / upright) > _VOLUME_RATIO:
        raise InvalidImageError(
            f"{path}: the header contradicts itself: voxels of {' x '.join(f'{s:.4g}' for s in voxel_size.spacing)} mm "
            f"by pixdim, of {' x '.join(f'{s:.4g}' for s in s_form.spacing)} mm by the s-form; expected one voxel "
            "size. Find out which is true, and export the image again."
        )
    try:
        return _grid_of_itk(path, header)
    except UnreadableFileError:
        return s_form


def _voxel_size(header: _Header) -> tuple[float, float, float]:
    i, j, k = (np.abs(header.fields["pixdim"][1:4]).astype(float) * _unit(header)).tolist()
    return i, j, k


def _unit(header: _Header) -> float:
    return _MILLIMETRES.get(int(header.fields["xyzt_units"]) & 7, 1.0)


def _s_form(header: _Header) -> Grid | None:
    """The grid of a volume by its s-form; None if the header gives none."""
    if header.fields["sform_code"] <= 0 or len(header.size) < 3:
        return None
    return _grid_of_matrix(header, header.fields["srow"].astype(float) * _unit(header))


def _q_form(header: _Header) -> Grid | None:
    """The grid of a volume by its q-form; None if the header gives none."""
    if header.fields["qform_code"] <= 0 or len(header.size) < 3:
        return None
    b, c, d = header.fields["quatern"].astype(float).tolist()
    a = math.sqrt(max(1 - b * b - c * c - d * d, 0.0))
    axes = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    if header.fields["pixdim"][0] < 0:
        axes[:, 2] = -axes[:, 2]
    offset = header.fields["qoffset"].astype(float)[:, None] * _unit(header)
    return _grid_of_matrix(header, np.hstack([axes * _voxel_size(header), offset]))


def _grid_of_matrix(header: _Header, to_ras: NDArray[np.float64]) -> Grid:
    """The grid of a volume by a 3x4 matrix from voxel index to RAS mm."""
    to_lps = to_ras * [[-1], [-1], [1]]
    spacing = np.linalg.norm(to_lps[:, :3], axis=0)
    i, j, k = header.size
    return Grid(
        (i, j, k),
        tuple(spacing.tolist()),
        tuple(to_lps[:, 3].tolist()),
        tuple((to_lps[:, :3] / spacing).ravel().tolist()),
    )


def _grid_of_itk(path: Path, header: _Header) -> Grid:
    """Let ITK read the geometry from a NIfTI-1 header that holds nothing else: no voxels, no texts."""
    alone = np.zeros((), _layout(1, "<"))
    for name in _GEOMETRY:
        alone[name] = header.fields[name]
    alone["sizeof_hdr"], alone["magic"], alone["vox_offset"] = 348, b"n+1", 352
    alone["datatype"], alone["bitpix"] = 2, 8
    alone["dim"] = [len(header.size), *header.size, *(1 for _ in range(7 - len(header.size)))]
    with tempfile.TemporaryDirectory(prefix="observer-uncertainty-") as folder, itk_errors(path):
        copy = Path(folder) / "header.nii"
        copy.write_bytes(alone.tobytes() + bytes(4))
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(copy))
        reader.ReadImageInformation()
        # Grid reads an image, not a reader; a single voxel carries the geometry without the memory.
        image = sitk.Image([1] * len(header.size), sitk.sitkUInt8)
        image.SetSpacing(reader.GetSpacing())
        image.SetOrigin(reader.GetOrigin())
        image.SetDirection(reader.GetDirection())
    one_voxel = Grid.from_sitk(image)
    i, j, k = (*header.size, 1)[:3]
    return Grid((i, j, k), one_voxel.spacing, one_voxel.origin, one_voxel.direction, one_voxel.dimension)
