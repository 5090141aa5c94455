from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid, GridMismatchError, require_same_grid, same_grid
from ObserverUncertaintyLib.images.orientation import Reorientation
from ObserverUncertaintyLib.images.resampling import covering, outside_ml, resample, uncovered_share

CODES = [
    "".join(letters) for axes in itertools.permutations(("LR", "PA", "SI")) for letters in itertools.product(*axes)
]


def direction(*degrees: float) -> tuple[float, ...]:
    matrix = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return tuple(float(cosine) for cosine in matrix.ravel())


OBLIQUE = Grid((7, 6, 5), (0.5, 0.75, 3.0), (-12.5, 40.25, 7.0), direction(20, -35, 70))
STRAIGHT = Grid((7, 6, 5), (0.5, 0.75, 3.0), (-12.5, 40.25, 7.0))
PLANE = Grid((8, 6, 1), (0.5, 0.75, 1.0), (3.0, -2.0, 0.0), direction(0, 0, 25), dimension=2)


def noise(grid: Grid) -> np.ndarray:
    return np.random.default_rng(3).normal(size=grid.shape).astype(np.float32)


def shifted(grid: Grid, *mm: float) -> Grid:
    x, y, z = (o + d for o, d in zip(grid.origin, mm, strict=True))
    return Grid(grid.size, grid.spacing, (x, y, z), grid.direction, grid.dimension)


def disk(size: int, voxel: float) -> tuple[np.ndarray, Grid]:
    """A disk of 6 mm radius about the origin, on a square grid of one slice, 20 mm wide, centred there."""
    first = -10 + voxel / 2
    position = first + voxel * np.arange(size)
    inside = position[:, None] ** 2 + position[None, :] ** 2 < 36
    return inside[None], Grid((size, size, 1), (voxel, voxel, 1.0), (first, first, 0.0), dimension=2)


# --- the grid itself


@pytest.mark.parametrize("grid", [STRAIGHT, OBLIQUE, PLANE])
def test_a_grid_survives_the_way_to_simpleitk_and_back(grid):
    assert Grid.from_sitk(grid.to_sitk(noise(grid))) == grid


@pytest.mark.parametrize("grid", [STRAIGHT, OBLIQUE])
def test_corners_lie_where_simpleitk_puts_the_corner_voxels(grid):
    image = grid.to_sitk(noise(grid))
    expected = [
        image.TransformIndexToPhysicalPoint(index) for index in itertools.product(*((0, n - 1) for n in grid.size))
    ]
    np.testing.assert_allclose(grid.corners(), expected, atol=1e-9)


def test_a_2d_image_is_one_slice_and_becomes_a_2d_image_again():
    image = sitk.Image([8, 6], sitk.sitkFloat32)
    image.SetSpacing((0.5, 0.75))
    grid = Grid.from_sitk(image)
    assert (grid.shape, grid.dimension) == ((1, 6, 8), 2)
    assert grid.voxel_volume_ml == pytest.approx(0.5 * 0.75 * 1.0 / 1000)
    again = grid.to_sitk(noise(grid))
    assert (again.GetDimension(), again.GetSize(), again.GetSpacing()) == (2, (8, 6), (0.5, 0.75))


def test_an_image_with_four_axes_is_refused():
    with pytest.raises(InputError, match="4 axes"):
        Grid.from_sitk(sitk.Image([2, 2, 2, 2], sitk.sitkUInt8))


def test_an_array_of_another_shape_cannot_be_put_on_a_grid():
    with pytest.raises(ValueError, match=r"\(7, 6, 5\), the grid \(5, 6, 7\)"):
        STRAIGHT.to_sitk(np.zeros((7, 6, 5)))


# --- the same grid


@pytest.mark.parametrize("grid", [STRAIGHT, OBLIQUE])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shift_counts_from_a_hundredth_of_the_smallest_spacing(grid, axis):
    step = np.eye(3)[axis]
    assert same_grid(grid, shifted(grid, *(0.00499 * step)))
    assert not same_grid(grid, shifted(grid, *(0.00501 * step)))


def test_a_small_angle_counts_by_what_it_does_to_the_farthest_corner():
    wide = Grid((101, 2, 2))
    # 100 mm from the origin, an angle a moves the corner by 100 * a.
    assert same_grid(wide, Grid(wide.size, direction=direction(0, 0, np.degrees(0.00009))))
    assert not same_grid(wide, Grid(wide.size, direction=direction(0, 0, np.degrees(0.00011))))


def test_grids_of_another_size_differ_even_if_they_cover_the_same_place():
    assert not same_grid(Grid((11, 11, 11)), Grid((21, 21, 21), (0.5, 0.5, 0.5)))


def test_flipped_axes_are_another_grid():
    assert not same_grid(STRAIGHT, Reorientation.to(STRAIGHT, "RPS").target)


def test_the_tolerance_of_a_2d_image_is_that_of_its_pixels_alone():
    coarse = Grid((9, 9, 1), (4.0, 4.0, 1.0), dimension=2)
    assert same_grid(coarse, shifted(coarse, 0.039, 0, 0))
    assert not same_grid(coarse, shifted(coarse, 0.041, 0, 0))


def test_the_error_shows_both_names_both_grids_and_the_advice():
    other = Grid((7, 6, 4), (0.5, 0.75, 4.0), (1.0, 2.0, 3.0))
    with pytest.raises(GridMismatchError) as caught:
        require_same_grid(STRAIGHT, "p1: T1", other, "p1: rater anna", "Give the files of one grid.")
    text = str(caught.value)
    assert text.startswith("p1: rater anna lies on another voxel grid than p1: T1.")
    assert "p1: T1: 7 x 6 x 5 voxels of 0.5 x 0.75 x 3 mm, origin (-12.50, 40.25, 7.00) mm LPS" in text
    assert "p1: rater anna: 7 x 6 x 4 voxels of 0.5 x 0.75 x 4 mm, origin (1.00, 2.00, 3.00) mm LPS" in text
    assert text.endswith("Give the files of one grid.")


def test_the_error_says_how_far_apart_two_grids_are_that_look_alike_in_print():
    with pytest.raises(GridMismatchError, match=r"up to 0\.006 mm apart; at most 0\.005 mm"):
        require_same_grid(OBLIQUE, "a", shifted(OBLIQUE, 0, 0, 0.006), "b", "")


def test_the_same_grid_raises_nothing():
    require_same_grid(OBLIQUE, "a", shifted(OBLIQUE, 0.001, 0, 0), "b", "")


# --- change of axes


def test_there_are_48_ways_to_point_three_axes():
    assert len(set(CODES)) == 48


@pytest.mark.parametrize("grid", [STRAIGHT, OBLIQUE, Grid((3, 4, 5), direction=direction(45, 45, 0))])
def test_reorientation_equals_simpleitks_for_all_48_codes(grid):
    image = grid.to_sitk(noise(grid))
    for code in CODES:
        expected = sitk.DICOMOrient(image, code)
        change = Reorientation.to(grid, code)
        np.testing.assert_array_equal(change.apply(noise(grid)), sitk.GetArrayFromImage(expected), err_msg=code)
        assert same_grid(change.target, Grid.from_sitk(expected), tolerance=1e-9), code


@pytest.mark.parametrize("code", CODES)
def test_after_reorientation_the_axes_point_where_the_code_says(code):
    assert Reorientation.to(OBLIQUE, code).target.orientation == code


@given(seed=st.integers(0, 10**6), code=st.sampled_from(CODES), mirrored=st.booleans())
@settings(deadline=None, max_examples=60)
def test_reorientation_equals_simpleitks_for_any_direction_and_undo_is_exact(seed, code, mirrored):
    matrix = Rotation.random(random_state=seed).as_matrix() @ np.diag([-1 if mirrored else 1, 1, 1])
    grid = Grid((3, 4, 5), (0.5, 1.25, 3.0), (4.0, -5.0, 6.0), tuple(float(c) for c in matrix.ravel()))
    change = Reorientation.to(grid, code)
    expected = sitk.DICOMOrient(grid.to_sitk(noise(grid)), code)
    np.testing.assert_array_equal(change.apply(noise(grid)), sitk.GetArrayFromImage(expected))
    assert same_grid(change.target, Grid.from_sitk(expected), tolerance=1e-9)
    np.testing.assert_array_equal(change.undo(change.apply(noise(grid))), noise(grid))


def test_reorientation_copies_nothing_and_keeps_the_type():
    mask = noise(OBLIQUE) > 0
    turned = Reorientation.to(OBLIQUE, "PIL").apply(mask)
    assert np.shares_memory(turned, mask)
    assert turned.dtype == bool


# --- resampling


@pytest.mark.parametrize(
    ("interpolation", "itk"),
    [("linear", sitk.sitkLinear), ("nearest", sitk.sitkNearestNeighbor), ("label-gaussian", sitk.sitkLabelGaussian)],
)
def test_resampling_equals_simpleitks_between_two_oblique_grids(interpolation, itk):
    target = Grid((9, 8, 7), (0.4, 0.5, 1.5), (-12.0, 40.5, 8.0), direction(25, -30, 65))
    array = noise(OBLIQUE) if interpolation == "linear" else noise(OBLIQUE) > 0
    transform = sitk.Euler3DTransform((0, 0, 0), 0.02, 0.01, -0.03, (0.3, -0.2, 0.1))
    expected = sitk.Resample(OBLIQUE.to_sitk(array), target.to_sitk(np.zeros(target.shape)), transform, itk, 0.0)
    found = resample(array, OBLIQUE, target, interpolation, transform)
    assert found.any()
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, sitk.GetArrayFromImage(expected).astype(array.dtype))


def test_a_linear_ramp_in_space_stays_the_same_ramp_on_any_grid_inside():
    def ramp(grid: Grid) -> np.ndarray:
        index = np.stack([*np.meshgrid(*(np.arange(n) for n in grid.size), indexing="ij"), np.ones(grid.size)])
        position = np.einsum("ab,bijk->aijk", grid.index_to_physical(), index)
        return (2 * position[0] - 3 * position[1] + 0.5 * position[2]).T.astype(np.float32)

    source = Grid((20, 20, 20), (1.0, 1.5, 2.0), (-10.0, -15.0, -20.0), direction(10, 20, 30))
    target = Grid((5, 6, 7), (0.7, 0.8, 0.9), (-2.0, -2.0, -2.0), direction(-30, 5, 15))
    np.testing.assert_allclose(resample(ramp(source), source, target, "linear"), ramp(target), atol=1e-4)


def test_voxels_outside_the_source_become_0():
    found = resample(np.ones((4, 4, 4), np.float32), Grid((4, 4, 4)), Grid((8, 4, 4), origin=(2, 0, 0)), "linear")
    np.testing.assert_array_equal(found[0, 0], [1, 1, 0, 0, 0, 0, 0, 0])


def test_a_transform_maps_points_of_the_target_to_points_of_the_source():
    mask = np.zeros((1, 1, 6), bool)
    mask[0, 0, 4] = True
    grid = Grid((6, 1, 1))
    moved = resample(mask, grid, grid, "nearest", sitk.TranslationTransform(3, (3.0, 0.0, 0.0)))
    np.testing.assert_array_equal(moved[0, 0], [0, 1, 0, 0, 0, 0])


def test_nearest_changes_nothing_on_a_masks_own_grid():
    mask = noise(OBLIQUE) > 0
    found = resample(mask, OBLIQUE, OBLIQUE, "nearest")
    assert found.dtype == bool
    np.testing.assert_array_equal(found, mask)


def test_label_gaussian_smooths_single_voxels_away_but_keeps_a_body():
    mask = np.zeros((9, 9, 9), bool)
    mask[1:6, 1:6, 1:6] = True
    mask[8, 8, 8] = True
    found = resample(mask, Grid((9, 9, 9)), shifted(Grid((9, 9, 9)), 0.05, 0, 0), "label-gaussian")
    assert not found[8, 8, 8]
    assert found[2:5, 2:5, 2:5].all()
    assert not found[~mask].any()


@pytest.mark.parametrize("code", ["RAS", "PIR", "SRA", "LPI"])
@pytest.mark.parametrize("interpolation", ["nearest", "label-gaussian"])
def test_a_mask_that_is_only_turned_stays_as_drawn(code, interpolation):
    mask = noise(OBLIQUE) > 0.5
    turn = Reorientation.to(OBLIQUE, code)
    np.testing.assert_array_equal(resample(turn.apply(mask), turn.target, OBLIQUE, interpolation), mask)
    part = Grid((3, 4, 2), OBLIQUE.spacing, tuple(OBLIQUE.index_to_physical()[:3] @ [2, 1, 3, 1]), OBLIQUE.direction)
    expected = np.zeros_like(mask)
    expected[3:5, 1:5, 2:5] = mask[3:5, 1:5, 2:5]
    np.testing.assert_array_equal(resample(mask[3:5, 1:5, 2:5], part, OBLIQUE, interpolation), expected)


def test_a_voxel_s_volume_is_that_of_its_edges():
    sheared = Grid((3, 3, 3), (1, 1, 2), direction=(1, 0.6, 0, 0, 0.8, 0, 0, 0, 1))
    assert sheared.voxel_volume_ml == pytest.approx(0.8 * 2 / 1000)
    assert OBLIQUE.voxel_volume_ml == 0.5 * 0.75 * 3.0 / 1000


def test_directions_that_are_not_of_length_1_belong_to_the_spacing():
    image = sitk.Image([3, 4, 5], sitk.sitkUInt8)
    image.SetDirection((2, 0, 0, 0, 1, 0, 0, 0, 0.5))
    image.SetSpacing((1, 2, 3))
    grid = Grid.from_sitk(image)
    assert (grid.spacing, grid.direction) == ((2, 2, 1.5), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def test_what_lies_outside_a_grid_is_measured():
    mask = np.ones(STRAIGHT.shape, bool)
    assert outside_ml(mask, STRAIGHT, STRAIGHT) == 0
    assert outside_ml(mask, STRAIGHT, shifted(STRAIGHT, 0.3, 0, 0)) == pytest.approx(6 * 5 * STRAIGHT.voxel_volume_ml)
    assert outside_ml(mask & False, STRAIGHT, shifted(STRAIGHT, 99, 0, 0)) == 0
    assert uncovered_share(STRAIGHT, shifted(STRAIGHT, 0.5, 0, 0)) == pytest.approx(1 / 7)


@pytest.mark.parametrize("code", ["LPS", "RAS", "SRA"])
def test_a_grid_is_enlarged_by_whole_voxels_to_cover_masks_on_others(code):
    whole = noise(OBLIQUE) > 0.5
    turn = Reorientation.to(OBLIQUE, code)
    part = Grid((2, 2, 2), OBLIQUE.spacing, tuple(OBLIQUE.index_to_physical()[:3] @ [3, 2, 1, 1]), OBLIQUE.direction)
    found = covering(part, [(turn.apply(whole), turn.target)])
    there = resample(turn.apply(whole), turn.target, found, "nearest")
    assert there.sum() == whole.sum()
    assert outside_ml(whole, OBLIQUE, found) == 0
    assert covering(OBLIQUE, [(whole[1:3], replace(OBLIQUE, size=(7, 6, 2)))]) == OBLIQUE


def test_a_grid_is_not_enlarged_without_end():
    with pytest.raises(InputError, match="so far apart"):
        covering(STRAIGHT, [(np.ones(STRAIGHT.shape, bool), shifted(STRAIGHT, 1e5, 1e5, 0))])


def test_whole_numbers_become_float32():
    found = resample(np.full(STRAIGHT.shape, 7, np.int16), STRAIGHT, STRAIGHT, "linear")
    assert found.dtype == np.float32
    assert np.all(found == 7)


def test_label_gaussian_comes_closer_to_a_finely_drawn_disk_than_nearest():
    coarse, coarse_grid = disk(20, 1.0)
    fine, fine_grid = disk(160, 0.125)
    wrong = {
        name: np.count_nonzero(resample(coarse, coarse_grid, fine_grid, name) != fine)
        for name in ("nearest", "label-gaussian")
    }
    assert wrong["label-gaussian"] < 0.7 * wrong["nearest"]


def test_a_2d_image_is_resampled_in_its_plane():
    coarse, coarse_grid = disk(20, 1.0)
    fine, fine_grid = disk(160, 0.125)
    assert np.mean(resample(coarse, coarse_grid, fine_grid, "nearest") != fine) < 0.02
    assert resample(coarse.astype(np.float32), coarse_grid, fine_grid, "linear").shape == (1, 160, 160)


def test_a_2d_image_is_not_resampled_to_a_volume():
    with pytest.raises(GridMismatchError, match="2-D image cannot be resampled to a 3-D one") as caught:
        resample(noise(PLANE), PLANE, STRAIGHT, "linear")
    assert "8 x 6 voxels" in str(caught.value)
    assert "7 x 6 x 5 voxels" in str(caught.value)


@pytest.mark.parametrize(("dtype", "interpolation"), [(bool, "linear"), (float, "nearest"), (float, "label-gaussian")])
def test_an_interpolation_for_the_other_kind_of_data_is_refused(dtype, interpolation):
    with pytest.raises(ValueError, match="is not meant for"):
        resample(np.zeros(STRAIGHT.shape, dtype), STRAIGHT, STRAIGHT, interpolation)
