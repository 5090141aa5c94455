"""Loading one case from its files, written here and real ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation
from small_cases import (
    FORMATS,
    GRID,
    OTHER,
    RESAMPLE,
    ball,
    head,
    save,
)

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.loading import LoadOptions, MaskInterpolation, load_case
from ObserverUncertaintyLib.cohort.rater_files import load_raters
from ObserverUncertaintyLib.formats import InvalidMaskError, UnreadableFileError
from ObserverUncertaintyLib.images.grid import Grid, GridMismatchError, same_grid


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("mask_format", FORMATS)
def test_every_mix_of_formats_gives_the_values_and_the_grid_that_were_written(tmp_path, image_format, mask_format):
    loaded = load_case(
        "p1",
        {"T1": save(tmp_path / f"t1{image_format}", head()), "T2": save(tmp_path / f"t2{mask_format}", 2 * head())},
        {"anna": save(tmp_path / f"anna{mask_format}", ball())},
        truth=save(tmp_path / f"truth{image_format}", ball(radius=6)),
    )
    assert (loaded.name, loaded.sequences, loaded.rater_names) == ("p1", ("T1", "T2"), ("anna",))
    assert same_grid(loaded.grid, GRID)
    np.testing.assert_array_equal(loaded.images, np.stack([head(), 2 * head()]))
    np.testing.assert_array_equal(loaded.raters, ball()[None])
    np.testing.assert_array_equal(loaded.truth, ball(radius=6))
    assert (loaded.images.dtype, loaded.raters.dtype, loaded.truth.dtype) == (np.float32, bool, bool)
    assert loaded.notes == loaded.warnings == ()


@pytest.mark.parametrize("formats", [(".nii.gz", ".nrrd"), (".nrrd", ".nii.gz")])
def test_of_two_formats_that_differ_by_micrometres_the_first_images_grid_is_taken(tmp_path, formats):
    turned = Rotation.from_euler("xyz", [11, -7, 23], degrees=True).as_matrix()
    grid = replace(
        GRID,
        spacing=(0.4883, 0.4883, 1.1),
        origin=(-101.3337, 77.77771, 30.1),
        direction=tuple(turned.ravel().tolist()),
    )
    array = np.random.default_rng(0).random(grid.shape).astype(np.float32)
    files = [save(tmp_path / f"image{n}{name}", array, grid) for n, name in enumerate(formats)]
    loaded = load_case("p1", {"T1": files[0], "T2": files[1]}, {"anna": save(tmp_path / "a.nrrd", array > 0.5, grid)})
    alone, other = (load_case("p1", {"T1": file}, {}).grid for file in files)
    assert alone != other  # NIfTI keeps the grid in single precision
    assert loaded.grid == alone
    np.testing.assert_array_equal(loaded.images[0], loaded.images[1])
    assert loaded.notes == ()


def test_the_reference_gives_the_grid_and_the_order_stays(tmp_path):
    files = {"T1": save(tmp_path / "t1.nrrd", head(OTHER), OTHER), "T2": save(tmp_path / "t2.nrrd", head())}
    loaded = load_case("p1", files, {}, reference="T2", options=RESAMPLE)
    assert same_grid(loaded.grid, GRID)
    assert loaded.sequences == ("T1", "T2")
    np.testing.assert_array_equal(loaded.image("T2"), head())
    assert loaded.notes == ("p1: image T1 was resampled linearly to T2's grid",)


def test_an_image_on_another_grid_is_refused_with_both_grids_in_the_text(tmp_path):
    files = {"T1": save(tmp_path / "t1.nrrd", head()), "T2": save(tmp_path / "second.nrrd", head(OTHER), OTHER)}
    with pytest.raises(GridMismatchError) as caught:
        load_case("p1", files, {})
    for expected in ("p1: T1: 24 x 20 x 12 voxels", "p1: image T2", "second.nrrd", "12 x 10 x 12", "resampled"):
        assert expected in str(caught.value)


@pytest.mark.parametrize("role", ["rater anna", "truth"])
def test_a_mask_on_another_grid_is_refused_with_both_grids_in_the_text(tmp_path, role):
    images = {"T1": save(tmp_path / "t1.nrrd", head())}
    mask = save(tmp_path / "drawn.nrrd", ball(OTHER), OTHER)
    raters, truth = ({}, mask) if role == "truth" else ({"anna": mask}, None)
    with pytest.raises(GridMismatchError) as caught:
        load_case("p1", images, raters, truth=truth)
    for expected in ("p1: T1: 24 x 20 x 12 voxels", f"p1: {role} ({mask})", "12 x 10 x 12", "resampled"):
        assert expected in str(caught.value)


@pytest.mark.parametrize("method", MaskInterpolation)
def test_with_resample_images_and_masks_come_onto_the_grid_and_a_note_says_how(tmp_path, method):
    coarse = replace(GRID, size=(24, 20, 6), spacing=(1.0, 1.25, 4.0), origin=(-12.0, 7.5, 31.0))
    loaded = load_case(
        "p1",
        {"T1": save(tmp_path / "t1.nrrd", head()), "T2": save(tmp_path / "t2.nrrd", head(coarse), coarse)},
        {"anna": save(tmp_path / "anna.nrrd", ball(coarse), coarse)},
        options=LoadOptions(resample=True, mask_interpolation=method),
    )
    assert loaded.notes == (
        "p1: image T2 was resampled linearly to T1's grid",
        f"p1: rater anna was resampled ({method}) to T1's grid",
    )
    overlap = 2 * np.sum(loaded.raters[0] & ball()) / (np.sum(loaded.raters[0]) + np.sum(ball()))
    assert overlap > 0.85
    inside = ball(radius=5)
    np.testing.assert_allclose(loaded.image("T2")[inside], head()[inside], rtol=1e-5)  # linear in x and y


def test_register_brings_a_turned_image_back_and_says_by_how_much(tmp_path):
    grid = Grid((64, 64, 1), dimension=2)
    j, i = np.mgrid[:64, :64]
    picture = sum(
        value * (((j - cj) / rj) ** 2 + ((i - ci) / ri) ** 2 < 1)
        for value, cj, ci, rj, ri in [(60, 32, 32, 25, 18), (50, 24, 28, 6, 4), (-30, 40, 38, 5, 8)]
    ).astype(np.float32)[None]
    away = sitk.Euler2DTransform((31.5, 31.5), np.radians(6.0), (3.0, -2.0))
    moved = sitk.GetArrayFromImage(sitk.Resample(grid.to_sitk(picture), away, sitk.sitkLinear, 0.0))[None]
    files = {"T1": save(tmp_path / "t1.nrrd", picture, grid), "T2": save(tmp_path / "t2.nrrd", moved, grid)}
    loaded = load_case("p1", files, {}, options=LoadOptions(register=True))
    (note,) = loaded.notes
    assert note.startswith("p1: image T2 was registered rigidly to T1 (rotation ")
    rotation, shift = (float(part.split()[n]) for part, n in zip(note.split("(")[1].split(", "), (1, 1), strict=True))
    assert rotation == pytest.approx(6.0, abs=0.5)
    assert shift == pytest.approx(np.hypot(3, 2), abs=0.5)
    assert np.mean(np.abs(loaded.image("T2") - picture)) < 0.3 * np.mean(np.abs(moved - picture))


def test_an_empty_mask_is_warned_about(tmp_path):
    images = {"T1": save(tmp_path / "t1.nrrd", head())}
    raters = {"anna": save(tmp_path / "a.nrrd", np.zeros(GRID.shape, bool)), "ben": save(tmp_path / "b.nrrd", ball())}
    assert load_case("p1", images, raters).warnings == ("p1: rater anna drew nothing (empty mask)",)


def test_a_mask_that_resampling_empties_is_warned_about(tmp_path):
    far = replace(GRID, origin=(500.0, 0.0, 0.0))
    mask = np.ones(GRID.shape, bool)
    images = {"T1": save(tmp_path / "t1.nrrd", head())}
    loaded = load_case("p1", images, {"anna": save(tmp_path / "a.nrrd", mask, far)}, options=RESAMPLE)
    expected = "p1: rater anna is empty on T1's grid, though its file is not: of 14.4 mL drawn 14.4 mL lie outside"
    assert expected in loaded.warnings


@pytest.mark.parametrize("with_image", [True, False])
def test_what_a_rater_drew_beyond_the_grid_is_told_or_kept(tmp_path, with_image):
    anna, ben = ball(x=-3), ball(x=3)
    files = {}
    for name, mask in (("anna", anna), ("ben", ben)):
        where = np.argwhere(mask)
        low, high = where.min(axis=0), where.max(axis=0) + 1
        part = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        origin = tuple((GRID.index_to_physical() @ [*low[::-1], 1])[:3].tolist())
        files[name] = save(tmp_path / f"{name}.nrrd", part, replace(GRID, size=part.shape[::-1], origin=origin))
    if with_image:
        small = replace(GRID, size=(12, 20, 12))
        image = save(tmp_path / "t1.nrrd", head(small), small)
        loaded = load_case("p1", {"T1": image}, files, options=RESAMPLE)
        lost = np.count_nonzero(ben[..., 12:]) * GRID.voxel_volume_ml
        drawn = np.count_nonzero(ben) * GRID.voxel_volume_ml
        expected = f"p1: {lost:.3g} of the {drawn:.3g} mL that rater ben drew lie outside T1's grid and are lost"
        assert expected in loaded.warnings
        return
    for loaded in (load_case("p1", {}, files, options=RESAMPLE), load_raters(list(files.values()), RESAMPLE)):
        assert np.count_nonzero(loaded.raters[0] | loaded.raters[1]) == np.count_nonzero(anna | ben)
        assert loaded.raters.sum(axis=(1, 2, 3)).tolist() == [np.count_nonzero(anna), np.count_nonzero(ben)]
        assert "anna's grid was enlarged from 13 x 11 x 7 to 19 x 11 x 7 voxels" in loaded.notes[0]
        assert loaded.warnings == ()


def test_a_structure_too_small_for_the_grid_is_warned_about(tmp_path):
    coarse = replace(GRID, size=(6, 5, 12), spacing=(4.0, 5.0, 2.0))
    mask = np.zeros(GRID.shape, bool)
    mask[3:6, 8:11, 8:11] = True
    images = {"T1": save(tmp_path / "t1.nrrd", head(coarse), coarse)}
    loaded = load_case("p1", images, {"anna": save(tmp_path / "a.nrrd", mask)}, options=RESAMPLE)
    assert any("rater anna has 0.12 mL on T1's grid, 0.0675 mL as drawn" in warning for warning in loaded.warnings)


def test_outside_a_smaller_view_stands_air_and_it_is_told(tmp_path):
    ct = np.where(ball(), 40, -1000).astype(np.float32)
    small = replace(GRID, size=(18, 20, 12), origin=(-9.0, 7.5, 30.0))
    files = {"T1": save(tmp_path / "t1.nrrd", head()), "CT": save(tmp_path / "ct.nrrd", ct[..., 3:21], small)}
    loaded = load_case("p1", files, {}, options=RESAMPLE)
    np.testing.assert_array_equal(loaded.image("CT"), ct)
    assert "p1: image CT does not cover 25 % of T1's grid; its background value -1000 stands there" in loaded.warnings


def test_what_a_files_header_says_badly_is_told_with_the_case(tmp_path):
    path = tmp_path / "a.mha"
    sitk.WriteImage(GRID.to_sitk(ball()), str(path))
    path.write_bytes(path.read_bytes().replace(b"ElementSpacing", b"Element_pacing"))
    images = {"T1": save(tmp_path / "t1.nrrd", head(), replace(GRID, spacing=(1.0, 1.0, 1.0)))}
    (warning,) = load_case("p1", images, {"anna": path}).warnings
    assert warning.startswith("p1: rater anna: the file's header gives no voxel size")


def test_sequences_that_show_different_places_are_warned_about(tmp_path):
    elsewhere = np.roll(head(), 14, axis=2)
    files = {"T1": save(tmp_path / "t1.nrrd", head()), "T2": save(tmp_path / "t2.nrrd", elsewhere)}
    (warning,) = load_case("p1", files, {}).warnings
    assert "T2 and T1 lie on one grid but show different places" in warning
    assert "register them" in warning


@pytest.mark.parametrize("what", ["image", "rater", "truth"])
def test_a_missing_file_is_an_input_error_that_names_it(tmp_path, what):
    there, absent = save(tmp_path / "t1.nrrd", head()), tmp_path / "nowhere.nrrd"
    images = {"T1": absent if what == "image" else there}
    with pytest.raises(UnreadableFileError, match=r"nowhere\.nrrd") as caught:
        load_case("p1", images, {"anna": absent} if what == "rater" else {}, truth=absent if what == "truth" else None)
    assert isinstance(caught.value, InputError)


def test_an_image_is_no_mask(tmp_path):
    image, copy = save(tmp_path / "t1.nrrd", head()), save(tmp_path / "copy.nrrd", head())
    with pytest.raises(InvalidMaskError, match="different non-zero values"):
        load_case("p1", {"T1": image}, {"anna": copy})


def test_a_mask_of_every_voxel_is_warned_about(tmp_path):
    image, full = save(tmp_path / "t1.nrrd", head()), save(tmp_path / "full.nrrd", np.ones(GRID.shape, bool))
    assert load_case("p1", {"T1": image}, {"anna": full}).warnings == (
        "p1: rater anna marks every voxel; the file may be an image of one value, and no mask",
    )


def test_a_real_2d_case_with_seven_raters(test_data):
    folder = test_data / "brain_growth" / "case01"
    raters = {f"rater{n}": folder / f"seg_rater{n}.nii.gz" for n in range(1, 8)}
    loaded = load_case("case01", {"MR": folder / "image.nii.gz"}, raters)
    assert (loaded.grid.dimension, loaded.images.shape, loaded.raters.shape) == (2, (1, 1, 128, 128), (7, 1, 128, 128))
    for mask, file in zip(loaded.raters, raters.values(), strict=True):
        np.testing.assert_array_equal(mask[0], sitk.GetArrayFromImage(sitk.ReadImage(str(file))) != 0)
    assert loaded.notes == loaded.warnings == ()


def test_four_real_sequences_on_one_grid_need_no_note_and_no_warning(test_data):
    folder = test_data / "open_ms" / "patient07"
    images = {name: folder / f"{name}.nii.gz" for name in ("FLAIR", "T1")}
    loaded = load_case("patient07", images, {"consensus": folder / "lesion_consensus.nii.gz"})
    assert loaded.images.shape[1:] == loaded.raters.shape[1:] == loaded.grid.shape
    assert loaded.notes == loaded.warnings == ()


def test_real_sequences_as_scanned_are_refused_because_their_grids_differ(test_data):
    folder = test_data / "open_ms_unregistered" / "patient01"
    files = {name: folder / f"study1_{name}.nii.gz" for name in ("FLAIR", "T1W")}
    with pytest.raises(GridMismatchError, match="image T1W"):
        load_case("patient01", files, {})
