"""Brain anatomy as tissue fractions on a voxel grid, from the shipped template or from a patient's own images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import as_file, files

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.simulation.random_fields import Field

TEMPLATE_LEVELS = 31
"""The shipped files hold a fraction of 1 as this whole number; fewer levels compress better than 255."""


@dataclass(frozen=True)
class Anatomy:
    """How much of each voxel is grey matter, white matter and CSF.

    Attributes:
        grid: the voxel grid; the head lies straight in its LPS space.
        grey: float32, shape (k, j, i), from 0 to 1.
        white: the same of white matter.
        csf: the same of CSF. The three sum to 1 in the brain and to 0 outside.
    """

    grid: Grid
    grey: Field
    white: Field
    csf: Field

    def __post_init__(self) -> None:
        """Refuse arrays of another shape than the grid's."""
        for tissue in (self.grey, self.white, self.csf):
            if tissue.shape != self.grid.shape:
                raise ValueError(f"a tissue map has shape {tissue.shape}, the grid {self.grid.shape}")

    @cached_property
    def brain(self) -> NDArray[np.bool_]:
        """The voxels of the skull-stripped brain, shape (k, j, i)."""
        return self.grey + self.white + self.csf > 0

    @cached_property
    def depth(self) -> Field:
        """Distance in mm to the nearest voxel outside the brain, 0 outside, shape (k, j, i)."""
        return np.asarray(ndimage.distance_transform_edt(self.brain, self.grid.spacing[::-1]), dtype=np.float32)

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """The middle of the brain's bounding box, LPS mm, shape (3,)."""
        return np.asarray(self._box.mean(axis=0))

    @cached_property
    def half_extent(self) -> NDArray[np.float64]:
        """Half the size of the brain's bounding box along L, P and S, mm, shape (3,)."""
        return np.asarray(np.ptp(self._box, axis=0) / 2)

    @cached_property
    def _box(self) -> NDArray[np.float64]:
        position = np.stack([axis[self.brain] for axis in positions(self.grid)])
        return np.stack([position.min(axis=1), position.max(axis=1)])

    def mapped(self, change: Callable[[Field], Field], grid: Grid) -> Anatomy:
        """Apply one function to every tissue map, giving an anatomy on `grid`."""
        return Anatomy(grid, change(self.grey), change(self.white), change(self.csf))

    def sampled(self, grid: Grid, points: NDArray[np.floating]) -> Anatomy:
        """Bring this anatomy onto another grid, voxel by voxel from a given place.

        Args:
            grid: the wanted grid.
            points: LPS mm in this anatomy's space for every voxel of `grid`, shape (3, k, j, i).

        Returns:
            The anatomy on `grid`; voxels that are less than half brain are outside.
        """
        index = array_indices(self.grid, points)
        moved = self.mapped(lambda tissue: ndimage.map_coordinates(tissue, index, order=1, prefilter=False), grid)
        whole = moved.grey + moved.white + moved.csf
        scale = np.divide(1.0, whole, out=np.zeros_like(whole), where=whole >= 0.5)
        return moved.mapped(lambda tissue: tissue * scale, grid)


def positions(grid: Grid) -> Field:
    """The LPS position in mm of every voxel centre, shape (3, k, j, i)."""
    matrix = grid.index_to_physical()
    k, j, i = np.ogrid[: grid.size[2], : grid.size[1], : grid.size[0]]
    place = [row[0] * i + row[1] * j + row[2] * k + row[3] for row in matrix[:3]]
    return np.stack(place).astype(np.float32)


def array_indices(grid: Grid, points: NDArray[np.floating]) -> Field:
    """Where places lie in a grid's arrays: fractional (k, j, i) of LPS mm, both of shape (3, ...)."""
    matrix = np.linalg.inv(grid.index_to_physical())
    index = np.tensordot(matrix[:3, :3], points, axes=1) + matrix[:3, 3, None, None, None]
    return np.asarray(index[::-1], dtype=np.float32)


@cache
def load_template() -> Anatomy:
    """Load the ICBM152 2009a template that ships with the package, 1.5 mm (Fonov et al., NeuroImage 54(1), 2011)."""
    folder = files("ObserverUncertaintyLib.simulation.template")
    images = []
    for name in ("grey", "white", "brain"):
        with as_file(folder / f"{name}.nii.gz") as path:
            images.append(sitk.ReadImage(str(path)))
    grey, white, brain = (sitk.GetArrayFromImage(image) for image in images)
    csf = TEMPLATE_LEVELS * brain - grey - white
    fractions = [np.divide(tissue, TEMPLATE_LEVELS, dtype=np.float32) for tissue in (grey, white, csf)]
    return Anatomy(Grid.from_sitk(images[0]), *fractions)
