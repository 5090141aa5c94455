"""Contours against closed forms, margins against distances of all pairs of voxels and SimpleITK's distance map."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.distance import cdist

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.contours import (
    Bounds,
    contour_at,
    inner_contour,
    outer_contour,
    volume_interval,
    with_margin,
)

SPACINGS = [(1.0, 1.0, 1.0), (0.9375, 0.8, 3.0), (2.5, 5.0, 7.0)]


def ball(grid: Grid, radius_mm: float) -> np.ndarray:
    """Distance in mm from the middle of the grid, below the radius."""
    return from_middle(grid) <= radius_mm


def from_middle(grid: Grid) -> np.ndarray:
    index = np.indices(grid.shape)[::-1].reshape(3, -1).T
    positions = index @ grid.index_to_physical()[:3, :3].T
    return np.linalg.norm(positions - positions.mean(axis=0), axis=1).reshape(grid.shape)


def test_a_contour_of_a_probability_that_falls_along_the_radius_is_a_ball_of_known_radius():
    grid = Grid((60, 60, 30), (0.5, 0.5, 1.0))
    probability = np.clip(1 - from_middle(grid) / 12, 0, 1).astype(np.float32)
    for level, mask in ((0.9, inner_contour(probability)), (0.1, outer_contour(probability))):
        np.testing.assert_array_equal(mask, from_middle(grid) < 12 * (1 - level))
        np.testing.assert_array_equal(mask, contour_at(probability, level))
    for level in (0.25, 0.5, 0.73):
        volume = np.count_nonzero(contour_at(probability, level)) * grid.voxel_volume_ml
        assert volume == pytest.approx(4 / 3 * np.pi * (1.2 * (1 - level)) ** 3, rel=0.02)


def test_at_one_half_it_is_the_segmentation_in_which_exactly_half_is_background():
    assert contour_at(np.array([[[0.49, 0.5, 0.51]]], np.float32), 0.5).tolist() == [[[False, False, True]]]


@pytest.mark.parametrize("level", [0, 1, -0.2, 50, float("nan")])
def test_a_level_that_is_no_probability_is_refused(level: float):
    with pytest.raises(InputError, match="between 0 and 1"):
        contour_at(np.zeros((2, 2, 2)), level)


def brute_force(mask: np.ndarray, grid: Grid, margin_mm: float) -> np.ndarray:
    """By the distances of all voxels to all others, from positions in the patient."""
    index = np.indices(grid.shape)[::-1].reshape(3, -1).T
    positions = index @ grid.index_to_physical()[:3, :3].T
    flat = mask.ravel()
    if margin_mm >= 0:
        return (cdist(positions, positions[flat]).min(axis=1) <= margin_mm + 1e-9).reshape(grid.shape)
    return (flat & (cdist(positions, positions[~flat]).min(axis=1) > -margin_mm + 1e-9)).reshape(grid.shape)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("margin_mm", [-5.0, -3.0, -1.7, 0.0, 1.7, 3.0, 5.0])
def test_a_margin_is_measured_from_voxel_centre_to_voxel_centre(spacing: tuple[float, float, float], margin_mm: float):
    grid = Grid((15, 13, 9), spacing, (3.0, -8.0, 2.0), (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    rng = np.random.default_rng(5)
    for mask in (ball(grid, 4.5 * min(spacing)), ~ball(grid, 3.0 * min(spacing)), rng.random(grid.shape) < 0.01):
        found = with_margin(mask, grid, margin_mm)
        np.testing.assert_array_equal(found, brute_force(mask, grid, margin_mm))


@pytest.mark.parametrize("margin_mm", [-6.0, 4.0])
def test_it_agrees_with_simpleitks_distance_map(margin_mm: float):
    grid = Grid((70, 60, 24), (0.8, 0.9, 3.0))
    mask = ball(grid, 17)
    inside = margin_mm < 0
    distance = sitk.GetArrayFromImage(
        sitk.SignedMaurerDistanceMap(grid.to_sitk(mask ^ inside), squaredDistance=False, useImageSpacing=True)
    )
    expected = mask & (distance > -margin_mm) if inside else distance <= margin_mm
    assert expected.sum() != mask.sum()
    np.testing.assert_array_equal(with_margin(mask, grid, margin_mm), expected)


def test_nothing_is_taken_away_from_beyond_the_images_edge():
    grid = Grid((10, 1, 1), (2.0, 1.0, 1.0))
    mask = np.zeros(grid.shape, bool)
    mask[..., :6] = True
    assert np.flatnonzero(with_margin(mask, grid, -4)).tolist() == [0, 1, 2, 3]
    everything = np.ones(grid.shape, bool)
    assert with_margin(everything, grid, -4).all()


@pytest.mark.parametrize("margin_mm", [-2.0, 0.0, 2.0])
def test_an_empty_mask_stays_empty(margin_mm: float):
    grid = Grid((5, 4, 3))
    assert not with_margin(np.zeros(grid.shape, bool), grid, margin_mm).any()


def test_a_margin_leaves_the_mask_that_it_is_given_alone():
    grid = Grid((9, 9, 9))
    mask = ball(grid, 3)
    before = mask.copy()
    with_margin(mask, grid, 2)[...] = False
    with_margin(mask, grid, -2)[...] = True
    np.testing.assert_array_equal(mask, before)


def test_a_margin_that_is_no_number_and_a_mask_of_another_size_are_refused():
    grid = Grid((5, 4, 3))
    with pytest.raises(InputError, match="nan mm"):
        with_margin(np.ones(grid.shape, bool), grid, float("nan"))
    with pytest.raises(InputError, match=r"The mask has the shape \(5, 4, 3\)"):
        with_margin(np.ones((5, 4, 3), bool), grid, 1)


def test_without_samples_the_bounds_are_the_volumes_of_the_inner_and_outer_contour():
    grid = Grid((10, 10, 10), (1.0, 2.0, 5.0))
    probability = np.zeros(grid.shape, np.float32)
    probability.ravel()[:100] = np.repeat([0.95, 0.7, 0.3, 0.05], (40, 20, 30, 10))
    found = volume_interval(probability, grid)
    assert (found.low_ml, found.volume_ml, found.high_ml) == pytest.approx((0.4, 0.6, 0.9))
    assert found.bounds is Bounds.CONTOURS


@pytest.mark.parametrize("as_masks", [True, False])
def test_with_samples_the_bounds_are_percentiles_of_their_volumes(as_masks: bool):
    grid = Grid((10, 10, 10), (1.0, 2.0, 5.0))
    samples = np.zeros((21, *grid.shape), np.float32)
    for number in range(21):  # 100 to 300 voxels, shuffled
        samples[number].ravel()[: 100 + 10 * ((number * 8) % 21)] = 0.51
    samples[samples == 0] = 0.5
    probability = samples.mean(axis=0)
    found = volume_interval(probability, grid, samples > 0.5 if as_masks else samples)
    # Of 21 sorted values the 5th percentile is the second, the 95th the last but one.
    assert (found.low_ml, found.high_ml) == pytest.approx((1.1, 2.9))
    assert found.volume_ml == pytest.approx(3.0)  # the mean is above one half wherever any sample is
    assert found.bounds is Bounds.SAMPLES


def test_samples_that_are_too_few_or_of_another_size_are_refused():
    grid = Grid((5, 4, 3))
    probability = np.zeros(grid.shape)
    with pytest.raises(InputError, match="1 sample was given"):
        volume_interval(probability, grid, probability[np.newaxis])
    with pytest.raises(InputError, match=r"Sample 1 has the shape \(5, 4, 3\)"):
        volume_interval(probability, grid, np.zeros((2, 5, 4, 3)))
    with pytest.raises(InputError, match="The probability has the shape"):
        volume_interval(np.zeros((5, 4, 3)), grid)
