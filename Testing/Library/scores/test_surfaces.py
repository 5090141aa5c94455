"""Distances between surfaces: against SimpleITK's contours and distance maps, closed forms, and surface-distance."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ObserverUncertaintyLib.formats import read_mask
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.scores.surfaces import Surface, SurfaceDistances, added_path_length

SHAPE = (5, 7, 6)
MASK = hnp.arrays(bool, SHAPE)
SPACING = st.tuples(*[st.sampled_from([0.5, 1.0, 1.3, 4.0])] * 3)
QUICK = settings(deadline=None, max_examples=60)


def apart(first: np.ndarray, second: np.ndarray, spacing: tuple[float, ...] = (1.0, 1.0, 1.0)) -> SurfaceDistances:
    grid = Grid(first.shape[::-1], spacing)
    return SurfaceDistances.of(Surface.of(first, grid), Surface.of(second, grid))


def ball(radius: float, size: int = 41) -> np.ndarray:
    k, j, i = np.ogrid[:size, :size, :size]
    middle = size // 2
    return (k - middle) ** 2 + (j - middle) ** 2 + (i - middle) ** 2 <= radius**2


def simpleitks(first: np.ndarray, second: np.ndarray, spacing: tuple[float, ...]) -> list[np.ndarray]:
    """Unsigned distances from each corner between voxels of two kinds to the nearest of the other mask."""
    corners, maps = [], []
    for mask in (first, second):
        around = np.pad(mask, 1)
        eight = [around[k : k - 1 or None, j : j - 1 or None, i : i - 1 or None] for k, j, i in np.ndindex(2, 2, 2)]
        eight = [part[: SHAPE[0] + 1, : SHAPE[1] + 1, : SHAPE[2] + 1] for part in eight]
        corners.append(np.any(eight, axis=0) & ~np.all(eight, axis=0))
        image = sitk.GetImageFromArray(corners[-1].astype(np.uint8))
        image.SetSpacing(spacing)
        distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
        maps.append(np.where(corners[-1], 0.0, sitk.GetArrayFromImage(distance)))
    return [maps[1][corners[0]], maps[0][corners[1]]]


@given(MASK, MASK, SPACING)
@QUICK
def test_surfaces_and_distances_are_simpleitks(first, second, spacing):
    assume(first.any() and second.any())
    found, expected = apart(first, second, spacing), simpleitks(first, second, spacing)
    for mine, theirs in zip((found.from_first, found.from_second), expected, strict=True):
        np.testing.assert_allclose(np.sort(mine), np.sort(theirs), atol=1e-5)
    assert found.hausdorff(100) == pytest.approx(np.concatenate(expected).max(), abs=1e-5)


@given(MASK, MASK)
@QUICK
def test_what_is_measured_is_weighed_by_area(first, second):
    assume(first.any() and second.any())
    found = apart(first, second, (0.7, 1.0, 3.0))
    each = [(found.from_first, found.first.areas), (found.from_second, found.second.areas)]
    distances, areas = (np.concatenate(parts) for parts in zip(*each, strict=True))
    assert found.average() == pytest.approx((distances * areas).sum() / areas.sum())
    assert found.surface_dice(1.0) == pytest.approx(areas[distances <= 1.0001].sum() / areas.sum())
    for percent in (50, 95):
        within = [
            min(limit for limit in np.abs(mine) if area[mine <= limit].sum() >= percent / 100 * area.sum() - 1e-9)
            for mine, area in each
        ]
        assert found.hausdorff(percent) == max(within)


def test_the_areas_of_a_surface_are_those_of_a_box_and_nearly_those_of_a_ball():
    box = np.zeros((9, 20, 20), bool)
    box[1:8, 2:18, 2:18] = True
    grid = Grid((20, 20, 9), (1.0, 1.0, 4.0))
    # Edges and corners are rounded off.
    assert Surface.of(box, grid).areas.sum() == pytest.approx(2 * 16 * 16 + 4 * 16 * 28, rel=0.05)
    area = Surface.of(ball(15), Grid((41, 41, 41), (1.0, 1.0, 1.0))).areas.sum()
    assert area == pytest.approx(4 * np.pi * 15**2, rel=0.08)


def test_a_box_that_is_moved_and_one_that_is_grown():
    box, moved, grown = np.zeros((3, 9, 20, 20), bool)
    box[2:7, 5:15, 5:12] = True
    moved[2:7, 5:15, 7:14] = True
    grown[1:8, 3:17, 4:13] = True
    assert apart(box, box).surface_dice(0) == 1
    assert apart(box, box).average() == 0
    assert apart(box, moved, (1.5, 1, 1)).hausdorff(100) == 3
    assert apart(grown, box, (2, 1, 2)).hausdorff(100) == pytest.approx(math.sqrt(2**2 + 2**2 + 2**2))


def test_of_a_single_slice_the_outline_counts_and_not_the_face():
    first, second = np.zeros((2, 1, 20, 20), bool)
    first[0, 5:15, 5:15], second[0, 4:16, 4:16] = True, True
    grid = Grid((20, 20, 1), (1.0, 1.0, 5.0))
    assert Surface.of(first, grid).areas.sum() == pytest.approx((36 + 4 * math.sqrt(0.5)) * 5)
    assert apart(first, second).hausdorff(50) == 1
    assert apart(first, second).hausdorff(100) == math.sqrt(2)


def test_without_a_mask_nothing_is_near_and_distances_are_not_defined():
    empty, full = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
    for masks in ((empty, full), (full, empty)):
        found = apart(*masks)
        assert found.surface_dice(2.0) == 0
        assert all(math.isnan(value) for value in (found.average(), found.hausdorff()))
    assert math.isnan(apart(empty, empty).surface_dice(2.0))
    assert math.isnan(apart(empty[:1], empty[:1]).surface_dice(2.0))
    assert added_path_length(empty, full, Grid(SHAPE[::-1], (1.0, 1.0, 1.0))) == 0


def test_the_added_path_is_the_outline_that_is_missing():
    wanted, found = np.zeros((2, 4, 20, 20), bool)
    wanted[1:3, 5:10, 5:10] = True
    found[1, 5:10, 5:10] = True
    grid = Grid((20, 20, 4), (0.8, 0.8, 3.0))
    assert added_path_length(wanted, found, grid) == pytest.approx(16 * 0.8), "one slice of two"
    assert added_path_length(found, wanted, grid) == 0
    found[2, 5:10, 5:9] = True
    assert added_path_length(wanted, found, grid) == pytest.approx(5 * 0.8), "one side of a square"


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
@pytest.mark.parametrize("organ", ["Parotid-Lt", "Mandible", "Brainstem", "Optic-Nerve-Lt", "Lens-Rt"])
def test_two_real_readers_are_as_far_apart_as_surface_distance_says(test_data: Path, organ: str) -> None:
    metrics = pytest.importorskip("surface_distance")
    first, second = (
        read_mask(test_data / "two_readers" / "patient01" / reader / f"{organ}.nrrd")
        for reader in ("oncologist", "radiographer")
    )
    mine = apart(first.array, second.array, first.grid.spacing)
    theirs = metrics.compute_surface_distances(first.array, second.array, first.grid.spacing[::-1])
    # Its triangles are bent where a loop is not flat: their areas are slightly larger.
    areas = theirs["surfel_areas_gt"].sum()
    assert mine.first.areas.sum() == pytest.approx(areas, rel=0.06)
    for tolerance in (1.0, 2.0):
        expected = metrics.compute_surface_dice_at_tolerance(theirs, tolerance)
        assert mine.surface_dice(tolerance) == pytest.approx(expected, abs=0.003)
    assert mine.hausdorff() == pytest.approx(metrics.compute_robust_hausdorff(theirs, 95), rel=0.02)
    assert mine.hausdorff(100) == pytest.approx(metrics.compute_robust_hausdorff(theirs, 100))
    directed = metrics.compute_average_surface_distance(theirs)
    assert min(directed) * 0.99 <= mine.average() <= max(directed) * 1.01
