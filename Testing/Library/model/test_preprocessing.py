from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.preprocessing import (
    CROP_MARGIN,
    Crop,
    IntensityNorm,
    Preprocessing,
    SliceAxis,
    in_plane_spacing,
    slice_distance,
)
from ObserverUncertaintyLib.raters.fusion import FusionMethod, Tie
from ObserverUncertaintyLib.training.slices import prepare_slices


def brain_in_air(shape: tuple[int, int, int] = (20, 60, 50)) -> np.ndarray:
    k, j, i = np.mgrid[: shape[0], : shape[1], : shape[2]]
    inside = ((k - 9) / 7) ** 2 + ((j - 33) / 15) ** 2 + ((i - 22) / 12) ** 2 < 1
    return (inside * np.random.default_rng(0).uniform(80, 120, shape)).astype(np.float32)


def case_on(image: np.ndarray, grid: Grid) -> Case:
    return Case("case", grid, ("T1",), image[None].astype(np.float32))


def sitk_grid(shape: tuple[int, int, int], code: str, spacing: tuple[float, float, float]) -> Grid:
    image = sitk.GetImageFromArray(np.zeros(shape, np.uint8))
    image.SetSpacing(spacing)
    return Grid.from_sitk(sitk.DICOMOrient(image, code))


@pytest.mark.parametrize("code", ["LPS", "RAS", "PIR", "ASL", "SLP"])
@pytest.mark.parametrize(("axis", "across"), [("axial", 2), ("coronal", 1), ("sagittal", 0)])
def test_slices_follow_the_anatomy_whatever_the_order_of_axes_in_the_file(code: str, axis: str, across: int) -> None:
    # Each voxel holds its own LPS coordinate along the direction that the slices walk along.
    grid = sitk_grid((8, 10, 12), code, (1.0, 1.5, 2.0))
    k, j, i = (axis.ravel() for axis in np.mgrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]])
    position = np.stack([i, j, k, np.ones_like(i)]).T @ grid.index_to_physical().T
    image = position[:, across].reshape(grid.shape)
    settings = Preprocessing(SliceAxis(axis), crop=Crop.NONE, intensity_norm=IntensityNorm.NONE)
    slices = settings.prepare(case_on(image, grid)).images[:, 0]
    assert np.ptp(slices, axis=(1, 2)).max() == 0, "one slice, one position"
    assert (np.diff(slices[:, 0, 0]) > 0).all(), "slices run towards left, posterior, superior"


def test_axial_slices_show_anterior_up_and_the_patients_left_on_the_right() -> None:
    grid = sitk_grid((6, 7, 8), "RAS", (1.0, 1.0, 1.0))
    image = np.zeros(grid.shape, np.float32)
    image[:, -1, 0] = 1  # RAS: the last row is anterior, the first column is left
    slices = Preprocessing(crop=Crop.NONE, intensity_norm=IntensityNorm.NONE).prepare(case_on(image, grid)).images[:, 0]
    assert (slices[:, 0, -1] == 1).all()
    assert slices.sum() == image.sum()


def test_way_back_without_interpolation_is_exact() -> None:
    image = brain_in_air()
    grid = sitk_grid(image.shape, "ASL", (0.9, 1.1, 3.0))
    image = np.random.default_rng(1).permutation(image.ravel()).reshape(grid.shape).astype(np.float32)
    path = Preprocessing(crop=Crop.NONE).prepare(case_on(image, grid)).path
    assert not path.interpolates
    assert np.array_equal(path.to_case(path.label_to_model(image)), image)


def test_crop_keeps_the_brain_with_its_margin_and_comes_back_in_place() -> None:
    image = brain_in_air()
    case = case_on(image, Grid((50, 60, 20)))
    prepared = Preprocessing(intensity_norm=IntensityNorm.NONE).prepare(case)
    k, j, i = np.nonzero(image)
    expected = (np.ptp(k) + 1, np.ptp(j) + 1 + 2 * CROP_MARGIN, np.ptp(i) + 1 + 2 * CROP_MARGIN)
    assert prepared.path.shape == expected
    assert np.array_equal(prepared.path.to_case(prepared.images[:, 0]), image)


def test_the_margin_goes_beyond_the_image_where_the_brain_touches_its_edge() -> None:
    image = np.zeros((4, 30, 30), np.float32)
    image[:, 0:20, 5:30] = np.random.default_rng(0).uniform(80, 120, (4, 20, 25))
    prepared = Preprocessing(intensity_norm=IntensityNorm.NONE).prepare(case_on(image, Grid((30, 30, 4))))
    assert prepared.path.shape[1:] == (20 + 2 * CROP_MARGIN, 25 + 2 * CROP_MARGIN)
    above = prepared.images[:, 0, :CROP_MARGIN]
    assert np.array_equal(above, np.broadcast_to(above[:, -1:], above.shape)), "the border repeats the edge"
    assert np.array_equal(prepared.path.to_case(prepared.images[:, 0]), image)


def test_small_slices_are_widened_around_their_content_and_come_back_in_place() -> None:
    image = brain_in_air()
    settings = Preprocessing(intensity_norm=IntensityNorm.NONE, minimum_size=(80, 90))
    prepared = settings.prepare(case_on(image, Grid((50, 60, 20))))
    assert prepared.images.shape[2:] == (80, 90)
    (above, below), (left, right) = prepared.path.border
    assert abs(above - below) <= 1
    assert abs(left - right) <= 1
    assert np.array_equal(prepared.path.to_case(prepared.images[:, 0]), image)
    assert np.array_equal(prepared.path.label_to_model(image > 0), prepared.images[:, 0] > 0)


def test_other_spacing_is_interpolated_there_and_back_to_within_the_ramp() -> None:
    grid = Grid((40, 30, 5), (1.0, 2.0, 4.0))
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32), grid.shape)
    settings = Preprocessing(spacing=(1.0, 1.6), crop=Crop.NONE, intensity_norm=IntensityNorm.NONE)
    prepared = settings.prepare(case_on(ramp, grid))
    assert prepared.path.interpolates
    assert prepared.path.plane.spacing == (1.6, 1.0, 4.0)
    assert prepared.images.shape == (5, 1, 60, 25)
    back = prepared.path.to_case(prepared.images[:, 0])
    # Linear interpolation reproduces a ramp except in the half pixel outside the coarser grid's centres.
    assert back[:, 2:-2, 2:-2] == pytest.approx(ramp[:, 2:-2, 2:-2], abs=1e-3)


def test_spacings_closer_than_the_tolerance_are_left_alone() -> None:
    grid = Grid((20, 20, 2), (1.02, 0.98, 4.0))
    image = np.ones(grid.shape, np.float32)
    assert not Preprocessing(spacing=(1.0, 1.0)).prepare(case_on(image, grid)).path.interpolates


def test_zscore_is_taken_inside_the_brain_for_each_sequence() -> None:
    first = brain_in_air()
    case = Case("case", Grid((50, 60, 20)), ("T1", "T2"), np.stack([first, first * 7]))
    prepared = Preprocessing(crop=Crop.NONE).prepare(case)
    inside = first > 0
    for channel in range(2):
        values = prepared.images[:, channel][inside]
        assert values.mean() == pytest.approx(0, abs=1e-4)
        assert values.std() == pytest.approx(1, abs=1e-4)


def test_a_constant_image_becomes_zero_instead_of_nan() -> None:
    prepared = Preprocessing().prepare(case_on(np.full((2, 8, 8), 5.0), Grid((8, 8, 2))))
    assert not prepared.images.any()


def test_a_2d_image_keeps_its_axes() -> None:
    image = np.random.default_rng(3).random((1, 9, 7)).astype(np.float32)
    grid = Grid((7, 9, 1), direction=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0), dimension=2)
    prepared = Preprocessing(crop=Crop.NONE, intensity_norm=IntensityNorm.NONE).prepare(case_on(image, grid))
    assert np.array_equal(prepared.images[0, 0], image[0])


def test_spacing_is_read_along_the_anatomy() -> None:
    grid = sitk_grid((8, 10, 12), "SLP", (1.0, 1.5, 2.0))  # made in LPS: 1 mm left, 1.5 posterior, 2 superior
    assert in_plane_spacing(grid, SliceAxis.AXIAL) == (1.5, 1.0)
    assert in_plane_spacing(grid, SliceAxis.CORONAL) == (2.0, 1.0)
    assert in_plane_spacing(grid, SliceAxis.SAGITTAL) == (2.0, 1.5)
    assert slice_distance(grid, SliceAxis.CORONAL) == 1.5
    assert slice_distance(Grid((4, 4, 1), dimension=2), SliceAxis.AXIAL) is None


def test_labels_are_brought_along() -> None:
    mask = brain_in_air() > 0
    path = Preprocessing().prepare(case_on(brain_in_air(), Grid((50, 60, 20)))).path
    assert path.label_to_model(mask).dtype == bool
    assert path.label_to_model(mask).sum() == mask.sum()
    soft = path.label_to_model(mask.astype(np.float32) / 3)
    assert soft.dtype == np.float32
    assert soft.max() == np.float32(1 / 3)


def test_a_structure_on_one_slice_survives_another_in_plane_spacing() -> None:
    image = brain_in_air()
    mask = np.zeros(image.shape, bool)
    mask[9, 25:40, 15:30] = True
    path = Preprocessing(spacing=(0.7, 0.7)).prepare(case_on(image, Grid((50, 60, 20)))).path
    area = path.label_to_model(mask).sum(axis=(1, 2)) * 0.7 * 0.7
    assert np.flatnonzero(area).tolist() == [9 - path.crop[0].start]
    assert area.sum() == pytest.approx(15 * 15, rel=0.05)


def trunk_and_arm() -> tuple[np.ndarray, np.ndarray]:
    _, j, i = np.indices((3, 64, 128))
    return ((j - 32) / 26) ** 2 + ((i - 30) / 24) ** 2 <= 1, (j - 32) ** 2 + (i - 110) ** 2 <= 36


def test_the_crop_is_widened_to_hold_what_raters_marked_and_that_is_told() -> None:
    trunk, arm = trunk_and_arm()
    case = case_on(100.0 * (trunk | arm), Grid((128, 64, 3), (1, 1, 3)))
    mark = np.zeros_like(arm)
    mark[1, 30:34, 108:112] = True
    narrow = Preprocessing().prepare(case)
    assert not narrow.path.label_to_model(mark).any()
    assert "mL outside the part that the network looks at" in narrow.warnings[0]
    wide = Preprocessing().prepare(case, mark)
    assert np.array_equal(wide.path.to_case(wide.path.label_to_model(mark)), mark)
    assert "0.048 of the 0.048 mL that raters marked lie outside the brain or body" in wide.warnings[-1]
    inside = trunk & (np.hypot(*(np.indices((64, 128)) - [[[32]], [[30]]])) < 5)
    kept = Preprocessing().prepare(case, inside)
    assert (kept.path, kept.warnings) == (narrow.path, narrow.warnings)
    np.testing.assert_array_equal(kept.images, narrow.images)


def test_slices_beyond_the_brain_are_kept_where_raters_marked_something() -> None:
    image = brain_in_air()
    mark = np.zeros(image.shape, bool)
    mark[18, 30, 20] = True
    case = case_on(image, Grid((50, 60, 20)))
    assert not image[18].any()
    path = Preprocessing().prepare(case, mark).path
    assert path.crop[0].stop == 19
    assert path.crop[1:] == Preprocessing().prepare(case).path.crop[1:]
    assert np.array_equal(path.to_case(path.label_to_model(mark)), mark)


@pytest.mark.parametrize("spacing", [None, (1.7, 1.3)])
@pytest.mark.parametrize("code", ["LPS", "PIR"])
def test_where_the_network_does_not_look_is_known_on_the_cases_grid(spacing: tuple | None, code: str) -> None:
    turned = sitk.DICOMOrient(sitk.GetImageFromArray(brain_in_air()), code)
    image, grid = sitk.GetArrayFromImage(turned), Grid.from_sitk(turned)
    path = Preprocessing(spacing=spacing).prepare(case_on(image, grid)).path
    unseen = path.not_looked_at
    assert unseen is not None
    ones = path.to_case(np.ones(path.shape, np.float32))
    assert not ones[unseen].any() or spacing is not None
    assert ones[~unseen].all()
    assert Preprocessing(crop=Crop.NONE).prepare(case_on(image, grid)).path.not_looked_at is None


@pytest.mark.parametrize("padding", [-2000, -3024])
def test_a_scanners_padding_changes_nothing(padding: float) -> None:
    _, j, i = np.indices((3, 96, 96))
    circle = np.hypot(j - 47.5, i - 47.5) <= 47
    body = np.hypot((j - 48) / 30, (i - 48) / 36) <= 1
    values = np.where(body, 40, -1000) + np.random.default_rng(0).normal(0, 8, body.shape)
    grid = Grid((96, 96, 3))
    plain, padded = (case_on(np.where(circle, values, around), grid) for around in (-1000, padding))
    expected = Preprocessing().prepare(plain)
    found = Preprocessing().prepare(padded)
    np.testing.assert_array_equal(found.images, expected.images)
    assert (found.path, found.warnings) == (expected.path, ())
    (warning,) = Preprocessing(replace_padding=False).prepare(padded).warnings
    assert "T1 has values far below air" in warning
    assert Preprocessing(replace_padding=False).prepare(plain).warnings == ()


def test_training_loses_no_voxel_of_a_rater_to_the_crop_and_says_what_its_pixels_lose() -> None:
    trunk, arm = trunk_and_arm()
    _, j, i = np.indices(trunk.shape)
    marks = np.stack([(j - 32) ** 2 + (i - 110) ** 2 <= 9, (j - 32) ** 2 + (i - 30) ** 2 <= 25])
    case = replace(case_on(100.0 * (trunk | arm), Grid((128, 64, 3), (1, 1, 3))), rater_names=("a", "b"), raters=marks)
    slices, _ = prepare_slices([case], Preprocessing(), 1, FusionMethod.NONE, Tie.BACKGROUND)
    assert slices.labels.sum(dim=(0, 2, 3)).tolist() == marks.sum(axis=(1, 2, 3)).tolist()
    assert any("the crop was widened" in warning for warning in slices.warnings)
    small = replace(case, raters=np.stack([(j == 32) & (i == 30), (j == 40) & (i == 30)]))
    slices, _ = prepare_slices([small], Preprocessing(spacing=(3.0, 3.0)), 1, FusionMethod.NONE, Tie.BACKGROUND)
    assert any("too small for them" in warning for warning in slices.warnings)
