"""Where the voxels of a NIfTI file lie: by its q-form, its s-form or neither, and whether these contradict each other.

The geometry is left to ITK, so that it agrees with 3D Slicer on which of the header's transforms counts; what it passes
over without a word (two transforms that contradict each other, none, one that is not a number) is said here.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.errors import InvalidImageError, UnreadableFileError
from ObserverUncertaintyLib.formats.geometry_fields import NO_PLACE
from ObserverUncertaintyLib.formats.integrity import damaged
from ObserverUncertaintyLib.formats.itk import itk_errors
from ObserverUncertaintyLib.formats.nifti_header import NiftiHeader, layout
from ObserverUncertaintyLib.images.grid import Grid, corner_distance, smallest_spacing

_GEOMETRY = ("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern", "qoffset", "srow")
_MILLIMETRES = {1: 1000.0, 3: 0.001}
"""What a unit of length of xyzt_units is in mm; all others are taken for mm, as ITK does."""

_APART = 0.1
"""Corners by the q-form and the s-form may lie apart by this fraction of the smallest spacing."""

_VOLUME_RATIO = 1.01
"""Of the voxel's volumes by pixdim and by the s-form, above which they contradict each other."""


def read_grid(path: Path, header: NiftiHeader) -> tuple[Grid, tuple[str, ...]]:
    """The grid as ITK reads it, and what should be known about it.

    Raises:
        UnreadableFileError: a transform in use is not a number, or flattens space.
        InvalidImageError: the header gives two voxel sizes.
    """
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


def _require_usable_transforms(path: Path, header: NiftiHeader) -> None:
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


def _grid_of_s_form(path: Path, header: NiftiHeader, s_form: Grid) -> Grid:
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


def _voxel_size(header: NiftiHeader) -> tuple[float, float, float]:
    i, j, k = (np.abs(header.fields["pixdim"][1:4]).astype(float) * _unit(header)).tolist()
    return i, j, k


def _unit(header: NiftiHeader) -> float:
    return _MILLIMETRES.get(int(header.fields["xyzt_units"]) & 7, 1.0)


def _s_form(header: NiftiHeader) -> Grid | None:
    """The grid of a volume by its s-form; None if the header gives none."""
    if header.fields["sform_code"] <= 0 or len(header.size) < 3:
        return None
    return _grid_of_matrix(header, header.fields["srow"].astype(float) * _unit(header))


def _q_form(header: NiftiHeader) -> Grid | None:
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


def _grid_of_matrix(header: NiftiHeader, to_ras: NDArray[np.float64]) -> Grid:
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


def _grid_of_itk(path: Path, header: NiftiHeader) -> Grid:
    """Let ITK read the geometry from a NIfTI-1 header that holds nothing else: no voxels, no texts."""
    alone = np.zeros((), layout(1, "<"))
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
