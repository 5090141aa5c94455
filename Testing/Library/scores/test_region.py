"""The region around the raters: against distances of all pairs of voxels, and SimpleITK's distance map."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.distance import cdist

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.raters.votes import Votes
from ObserverUncertaintyLib.scores import region
from ObserverUncertaintyLib.scores.metrics import expected_calibration_error
from ObserverUncertaintyLib.scores.region import around_raters, calibration_around_raters

SPACINGS = [(1.0, 1.0, 1.0), (0.9375, 0.8, 3.0), (4.9, 1.2, 0.5), (2.5, 5.0, 7.0)]


def scattered(grid: Grid, raters: int, seed: int) -> np.ndarray:
    """A few marked voxels a rater, at the border of the grid too."""
    return np.random.default_rng(seed).random((raters, *grid.shape)) < 0.002


def brute_force(masks: np.ndarray, grid: Grid, margin_mm: float) -> np.ndarray:
    """Distances of all voxels to all marked ones, from positions in the patient."""
    index = np.indices(grid.shape).reshape(3, -1).T[:, ::-1]
    positions = index @ grid.index_to_physical()[:3, :3].T
    marked = masks.any(axis=0).ravel()
    return (cdist(positions, positions[marked]).min(axis=1) <= margin_mm + 1e-9).reshape(grid.shape)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("margin_mm", [0.0, 2.4, 5.0])
def test_it_is_every_voxel_within_the_margin_of_a_marked_one(spacing: tuple[float, float, float], margin_mm: float):
    # Turned by 90 degrees: distances are the patient's, whatever the order of the axes.
    grid = Grid((17, 14, 11), spacing, (3.0, -8.0, 2.0), (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    masks = scattered(grid, 3, seed=round(10 * margin_mm))
    found = around_raters(masks, grid, margin_mm)
    np.testing.assert_array_equal(found, brute_force(masks, grid, margin_mm))
    assert found[masks.any(axis=0)].all()
    if margin_mm == 0:
        np.testing.assert_array_equal(found, masks.any(axis=0))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_it_is_where_simpleitks_distance_is_5_mm_at_most(spacing: tuple[float, float, float]):
    grid = Grid((60, 50, 40), spacing)
    k, j, i = np.ogrid[:40, :50, :60]
    masks = np.stack([(k - 20) ** 2 + (j - 22) ** 2 + (i - c) ** 2 <= 90 for c in (25, 30)])
    distance = sitk.SignedMaurerDistanceMap(
        grid.to_sitk(masks.any(axis=0)), squaredDistance=False, useImageSpacing=True
    )
    expected = sitk.GetArrayFromImage(distance) <= 5
    assert expected.sum() > masks.any(axis=0).sum()
    np.testing.assert_array_equal(around_raters(masks, grid), expected)


def test_a_voxel_at_5_mm_belongs_to_it_also_where_a_file_rounds_the_spacing():
    masks = np.zeros((1, 1, 1, 15), bool)
    masks[..., 7] = True
    for spacing in (1.0, 1.000001, 0.999999):
        found = around_raters(masks, Grid((15, 1, 1), (spacing, 1.0, 1.0)))
        assert np.flatnonzero(found).tolist() == list(range(2, 13))


@pytest.mark.parametrize("slab", [1, 400, 10**9])
def test_contours_far_apart_are_looked_at_in_slabs_with_the_same_result(slab: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(region, "_SLAB_VOXELS", slab)
    grid = Grid((9, 8, 90), (2.0, 2.0, 1.1))
    masks = np.zeros((2, *grid.shape), bool)
    masks[0, 0, 0, 0] = masks[1, 46, 4, 4] = masks[0, 89, 7, 8] = True
    found = around_raters(masks, grid)
    np.testing.assert_array_equal(found, brute_force(masks, grid, 5))
    assert not found[12:30].any()


def test_it_is_empty_if_nobody_marked_anything_and_everything_if_all_did():
    grid = Grid((6, 5, 4))
    masks = np.zeros((2, *grid.shape), bool)
    assert not around_raters(masks, grid).any()
    bins = calibration_around_raters(np.full(grid.shape, 0.5, np.float32), masks, grid)
    assert bins.voxels.sum() == 0
    assert np.isnan(bins.error())
    masks[0] = True
    assert around_raters(masks, grid).all()


def test_the_raters_may_be_given_as_votes_and_none_are_refused():
    grid = Grid((6, 5, 4), (3.0, 3.0, 3.0))
    masks = scattered(grid, 2, 1)
    masks[1, 2, 2, 2] = True
    np.testing.assert_array_equal(around_raters(Votes.of(masks), grid), around_raters(masks, grid))
    with pytest.raises(InputError, match="not of 0"):
        around_raters(masks[:0], grid)


def test_the_calibration_is_that_of_the_voxels_in_the_region():
    grid = Grid((17, 14, 11), (0.9375, 0.8, 3.0))
    masks = scattered(grid, 3, 4)
    probability = np.random.default_rng(5).random(grid.shape).astype(np.float32)
    where = brute_force(masks, grid, 5)
    bins = calibration_around_raters(probability, masks, grid)
    assert bins.voxels.sum() == where.sum()
    expected = expected_calibration_error(probability[where], masks.mean(axis=0)[where])
    assert bins.error() == pytest.approx(expected, rel=1e-6)
    share = masks.mean(axis=0).astype(np.float32)
    assert calibration_around_raters(share, masks, grid).error() == 0.0
