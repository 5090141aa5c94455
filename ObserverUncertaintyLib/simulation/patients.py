"""A simulated patient: a brain made individual, on a scanner's slightly oblique grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation
from scipy.special import expit

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.simulation.anatomy import Anatomy, array_indices, positions
from ObserverUncertaintyLib.simulation.random_fields import Field, smooth_field
from ObserverUncertaintyLib.simulation.settings import CavitySettings

FINEST_SLICE_MM = 1.6
"""A thick slice is simulated as thinner ones and averaged, so that it shows partial volumes as a scanner's does."""

MARGIN_MM = 15.0
"""Room around the template's brain for a larger head and for displacements, before cropping to the brain."""


@dataclass(frozen=True)
class Patient:
    """The anatomy of one simulated patient and how its fine slices make the scanner's.

    Attributes:
        anatomy: tissue fractions on the fine grid.
        slices_per_slice: how many fine axial slices one slice of the scan averages.
        signals: of a real brain, its relative signals on the fine grid, shape (sequence, k, j, i); else None.
    """

    anatomy: Anatomy
    slices_per_slice: int
    signals: Field | None = None

    @property
    def scan_grid(self) -> Grid:
        """The grid of the scan: the fine grid with every `slices_per_slice` slices made one."""
        fine, count = self.anatomy.grid, self.slices_per_slice
        first = fine.index_to_physical() @ [0, 0, (count - 1) / 2, 1]
        return replace(
            fine,
            size=(fine.size[0], fine.size[1], fine.size[2] // count),
            spacing=(fine.spacing[0], fine.spacing[1], fine.spacing[2] * count),
            origin=tuple(first[:3].tolist()),
        )

    def to_scan(self, fine: NDArray[np.floating]) -> Field:
        """Average an array of the fine grid over each slice of the scan; shape (..., k, j, i)."""
        *channels, slices, rows, columns = fine.shape
        stacks = fine.reshape(*channels, slices // self.slices_per_slice, self.slices_per_slice, rows, columns)
        return np.asarray(stacks.mean(axis=-3), dtype=np.float32)


def simulate_patient(
    anatomy: Anatomy, settings: CavitySettings, rng: np.random.Generator, signals: Field | None = None
) -> Patient:
    """Deform, scale and perhaps mirror an anatomy, and sample it on a new oblique grid cropped to the brain.

    Args:
        anatomy: the template's, which is made to look like one brain, or a real brain's.
        settings: scanner grid and variety.
        rng: source of randomness.
        signals: a real brain's relative signals on the anatomy's grid, shape (sequence, k, j, i); they move along.
    """
    count = int(np.ceil(settings.slice_thickness_mm / FINEST_SLICE_MM))
    grid = _oblique_grid(anatomy, settings, count, rng)
    # Mirrored half of the time: left and right then differ even if one real anatomy serves a whole cohort.
    stretch = 1 + settings.size_variation * rng.standard_normal(3)
    stretch[0] *= rng.choice([-1, 1])
    points = (positions(grid) - anatomy.centre[:, None, None, None]) / stretch[:, None, None, None]
    points += anatomy.centre[:, None, None, None]
    for axis in range(3):
        # Large lobes and small gyri move by different distances; the shares keep the map free of folds.
        points[axis] += settings.deformation_mm * 0.9 * smooth_field(grid, 40.0, rng)
        points[axis] += settings.deformation_mm * 0.4 * smooth_field(grid, 14.0, rng)
    deformed = anatomy.sampled(grid, points)
    if signals is not None:
        cropped, box = _cropped(deformed, count)
        index = array_indices(anatomy.grid, points)[(slice(None), *box)]
        moved = [ndimage.map_coordinates(signal, index, order=1, prefilter=False) for signal in signals]
        return Patient(cropped, count, np.stack(moved) * cropped.brain)
    individual = _sharpened(_with_sulci(deformed, rng), rng)
    individual = _stripped(individual, deformed.depth, rng)
    return Patient(_cropped(individual, count)[0], count)


def _oblique_grid(anatomy: Anatomy, settings: CavitySettings, count: int, rng: np.random.Generator) -> Grid:
    """A fine grid around the brain, tilted by a few degrees about a random axis."""
    axis = rng.standard_normal(3)
    angle = np.deg2rad(settings.obliquity_deg) * rng.standard_normal()
    direction = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
    spacing = np.array([settings.in_plane_spacing_mm] * 2 + [settings.slice_thickness_mm / count])
    size = np.ceil(2 * (anatomy.half_extent + MARGIN_MM) / spacing).astype(int)
    origin = anatomy.centre - direction @ (spacing * (size - 1) / 2)
    return Grid(
        tuple(size.tolist()), tuple(spacing.tolist()), tuple(origin.tolist()), tuple(direction.ravel().tolist())
    )


def _with_sulci(anatomy: Anatomy, rng: np.random.Generator) -> Anatomy:
    """Open the sulci, which the average of many brains has closed: cortex far from white matter becomes CSF.

    How wide they are differs between patients, as it does with age, and from place to place.
    """
    spacing = anatomy.grid.spacing[::-1]
    white_nearby = ndimage.gaussian_filter(anatomy.white, [2.5 / s for s in spacing])
    # Deeper than this lie the basal ganglia and the thalamus, grey matter without sulci; below, the cerebellum.
    cortical = expit((24 - anatomy.depth) / 1.5)
    offset = positions(anatomy.grid) - anatomy.centre[:, None, None, None]
    backwards, upwards = offset[1] / anatomy.half_extent[1], offset[2] / anatomy.half_extent[2]
    cortical *= expit(20 * np.maximum(0.15 - backwards, upwards + 0.25))
    width = rng.uniform(0.01, 0.07) + 0.025 * smooth_field(anatomy.grid, 6.0, rng)
    opened = anatomy.grey * (cortical * expit((width - white_nearby) / 0.015)).astype(np.float32)
    return Anatomy(anatomy.grid, anatomy.grey - opened, anatomy.white, anatomy.csf + opened)


def _sharpened(anatomy: Anatomy, rng: np.random.Generator) -> Anatomy:
    """Make the blurred average of many brains look like one: steeper tissue borders, individual gyri and sulci."""
    weights = []
    for tissue, weight in ((anatomy.grey, 1.0), (anatomy.white, 1.0), (anatomy.csf, 2.0)):
        variety = smooth_field(anatomy.grid, 5.0, rng)
        weights.append(weight * tissue**2.5 * np.exp(0.4 * variety))
    whole = np.sum(weights, axis=0)
    scale = np.divide(1.0, whole, out=np.zeros_like(whole), where=whole > 0)
    grey, white, csf = (weight * scale for weight in weights)
    return Anatomy(anatomy.grid, grey, white, csf)


def _stripped(anatomy: Anatomy, depth: Field, rng: np.random.Generator) -> Anatomy:
    """Take away the outermost CSF here and there, as skull stripping does."""
    kept = (anatomy.brain & (depth > 1.0 + 2.0 * smooth_field(anatomy.grid, 12.0, rng))) | (anatomy.csf < 0.5)
    kept = ndimage.binary_opening(kept)
    return anatomy.mapped(lambda tissue: tissue * kept, anatomy.grid)


def _cropped(anatomy: Anatomy, count: int) -> tuple[Anatomy, tuple[slice, ...]]:
    """Cut the grid to the brain and a border of two voxels, to a multiple of `count` slices; and where it was cut."""
    box: list[slice] = []
    for axis, count_on_axis in enumerate(anatomy.grid.shape):
        used = np.flatnonzero(anatomy.brain.any(axis=tuple({0, 1, 2} - {axis})))
        step = count if axis == 0 else 1
        start = max(used[0] - 2 * step, 0)
        length = min(used[-1] + 1 + 2 * step, count_on_axis) - start
        box.append(slice(start, start + length // step * step))
    origin = anatomy.grid.index_to_physical() @ [*(cut.start for cut in reversed(box)), 1]
    k, j, i = (int(cut.stop - cut.start) for cut in box)
    grid = replace(anatomy.grid, size=(i, j, k), origin=tuple(origin[:3].tolist()))
    return anatomy.mapped(lambda tissue: np.ascontiguousarray(tissue[tuple(box)]), grid), tuple(box)
