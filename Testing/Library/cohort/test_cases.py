from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from ObserverUncertaintyLib.base.errors import Cancelled, InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.loading import LoadOptions, MaskInterpolation, load_case
from ObserverUncertaintyLib.cohort.manifest import ManifestError
from ObserverUncertaintyLib.cohort.rater_files import load_raters
from ObserverUncertaintyLib.formats import InvalidMaskError, UnreadableFileError, write_image, write_mask
from ObserverUncertaintyLib.formats.marks import ResultKind
from ObserverUncertaintyLib.images.grid import Grid, GridMismatchError, same_grid
from ObserverUncertaintyLib.jobs import Progress

GRID = Grid((24, 20, 12), (1.0, 1.25, 2.0), (-12.0, 7.5, 30.0))
OTHER = replace(GRID, size=(12, 10, 12), spacing=(2.0, 2.5, 2.0))
FORMATS = [".nii.gz", ".nii", ".nrrd", ".mha"]
RESAMPLE = LoadOptions(resample=True)


def positions(grid: Grid) -> list[np.ndarray]:
    """The x, y and z of every voxel in mm LPS, each of shape (k, j, i)."""
    k, j, i = np.indices(grid.shape)
    return list(np.einsum("ab,bkji->akji", grid.index_to_physical(), np.stack([i, j, k, np.ones_like(i)]))[:3])


def ball(grid: Grid = GRID, radius: float = 7.0, x: float = 0.0) -> np.ndarray:
    px, py, pz = positions(grid)
    return (px - x) ** 2 + (py - 20) ** 2 + (pz - 42) ** 2 < radius**2


def head(grid: Grid = GRID) -> np.ndarray:
    """Something to see: a bright ball with a gradient, on an empty background."""
    px, py, _ = positions(grid)
    return (ball(grid, 10.0) * (100 + px + 2 * py)).astype(np.float32)


def save(path: Path, array: np.ndarray, grid: Grid = GRID) -> Path:
    (write_mask if array.dtype == bool else write_image)(path, array, grid)
    return path


def save_segments(path: Path, masks: dict[str, np.ndarray], grid: Grid = GRID) -> Path:
    """A segmentation as Slicer stores it: segments that do not overlap, in one layer."""
    image = grid.to_sitk(sum((n + 1) * mask.astype(np.uint8) for n, mask in enumerate(masks.values())))
    for n, name in enumerate(masks):
        fields = {"ID": f"Segment_{n + 1}", "Name": name, "LabelValue": str(n + 1), "Layer": "0"}
        for key, value in fields.items():
            image.SetMetaData(f"Segment{n}_{key}", value)
    path.parent.mkdir(exist_ok=True)
    sitk.WriteImage(image, str(path), True)
    return path


def save_cohort(folder: Path, raters: dict[str, list[str]], more: str = "") -> Path:
    """A cohort whose cases have one image T1 and the masks of the raters given for each."""
    for case, names in raters.items():
        save(folder / case / "t1.nii.gz", head())
        for name in names:
            save(folder / case / f"{name}.nrrd", ball())
    known = sorted({name for names in raters.values() for name in names})
    patterns = "\n".join(f'{name} = "{name}.nrrd"' for name in known)
    manifest = folder / "cohort.toml"
    manifest.write_text(
        f'[cohort]\nname = "Study"\ncases = "p*"\n{more}\n[images]\nT1 = "t1.nii.gz"\n[raters]\n{patterns}\n',
        encoding="utf-8",
    )
    return manifest


# --- the case


def case(**changes: object) -> Case:
    images = np.stack([np.full(GRID.shape, n, np.float32) for n in range(3)])
    return replace(Case("p1", GRID, ("T1", "T2", "FLAIR"), images, ("anna",), ball()[None]), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sequences": ("T1",)}, r"images \(3, 12, 20, 24\) do not fit \('T1',\)"),
        ({"images": np.zeros((3, 24, 20, 12), np.float32)}, "images .* do not fit"),
        ({"rater_names": ("anna", "ben")}, r"raters \(1, 12, 20, 24\) do not fit \('anna', 'ben'\)"),
        ({"rater_names": ()}, r"raters .* do not fit \(\)"),
        ({"truth": np.zeros((24, 20, 12), bool)}, r"truth \(24, 20, 12\) does not fit"),
    ],
)
def test_arrays_that_do_not_fit_the_names_and_the_grid_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        case(**changes)


def test_a_case_needs_no_raters():
    assert Case("p1", GRID, ("T1",), np.zeros((1, *GRID.shape), np.float32)).raters.shape[0] == 0


def test_sequences_are_chosen_and_ordered_by_name():
    chosen = case().with_sequences(["FLAIR", "T1"])
    assert chosen.sequences == ("FLAIR", "T1")
    assert [float(image.max()) for image in chosen.images] == [2.0, 0.0]
    assert float(chosen.image("FLAIR").max()) == 2.0
    assert chosen.rater_names == ("anna",)


def test_the_same_sequences_are_the_same_case():
    same = case()
    assert same.with_sequences(["T1", "T2", "FLAIR"]) is same


# --- loading one case


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


# --- one thing for each role


def one_name(file: Path) -> Path:
    return file


def relative_name(file: Path) -> Path:
    return file.parent / ".." / file.parent.name / file.name


def link(file: Path) -> Path:
    name = file.with_name(f"link-{file.name}")
    name.symlink_to(file.name)
    return name


def hard_link(file: Path) -> Path:
    name = file.with_name(f"hard-{file.name}")
    name.hardlink_to(file)
    return name


ALIASES = [one_name, relative_name, link, hard_link]


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("roles", ["two images", "two raters", "image and rater", "rater and truth"])
def test_one_file_in_two_roles_is_refused_under_whatever_name(tmp_path, alias, roles):
    image, mask = save(tmp_path / "t1.nrrd", head()), save(tmp_path / "anna.nrrd", ball())
    first, second, truth = {"T1": image}, {"anna": mask}, None
    if roles == "two images":
        first["T2"] = alias(image)
    elif roles == "two raters":
        second["ben"] = alias(mask)
    elif roles == "image and rater":
        second["ben"] = alias(image)
    else:
        truth = alias(mask)
    with pytest.raises(InputError, match=r"p1: .* are the same file"):
        load_case("p1", first, second, truth=truth)


@pytest.mark.parametrize("alias", ALIASES)
def test_one_file_given_twice_is_not_two_raters(tmp_path, alias):
    file = save(tmp_path / "anna.nrrd", ball())
    with pytest.raises(InputError, match="rater 1 and rater 3 are the same file"):
        load_raters([file, save(tmp_path / "ben.nrrd", ball(x=2)), alias(file)])


def test_a_file_and_its_segment_are_one_thing_and_two_segments_are_two(tmp_path):
    file = save_segments(tmp_path / "drawn.seg.nrrd", {"Anna": ball(x=-7, radius=4), "Ben": ball(x=7, radius=4)})
    assert load_raters([f"{file}#Anna", f"{file}#Ben"]).rater_names == ("Anna", "Ben")
    with pytest.raises(InputError, match="same file"):
        load_raters([file, f"{file}#Ben"])


def test_structures_of_several_raters_are_not_raters(tmp_path):
    structures = {"tumour": ball(x=-7, radius=4), "oedema": ball(x=7, radius=4)}
    files = [save_segments(tmp_path / f"{name}.seg.nrrd", structures) for name in ("anna", "ben")]
    with pytest.raises(
        InputError, match=r"anna\.seg\.nrrd holds 2 segments \(tumour, oedema\).*anna\.seg\.nrrd#tumour"
    ):
        load_raters(files)
    assert load_raters([f"{file}#tumour" for file in files]).rater_names == ("anna", "ben")


def test_segments_taken_as_raters_beside_other_files_are_warned_about(tmp_path):
    file = save_segments(tmp_path / "anna.seg.nrrd", {"tumour": ball(x=-7, radius=4), "oedema": ball(x=7, radius=4)})
    loaded = load_raters([file, save(tmp_path / "ben.nrrd", ball())])
    (warning,) = loaded.warnings
    assert "tumour, oedema are segments of one file" in warning
    assert loaded.rater_names == ("tumour", "oedema", "ben")


def test_a_hundred_files_of_one_name_in_folders_of_one_name_have_names_of_their_own(tmp_path):
    files = [save(tmp_path / f"{n:03}" / "masks" / "seg.nrrd", ball()) for n in range(110)]
    assert len(set(load_raters(files).rater_names)) == 110


@pytest.mark.parametrize("ending", FORMATS)
def test_a_result_is_known_among_drawings_in_every_format(tmp_path, ending):
    drawn, fused = save(tmp_path / "anna.nrrd", ball()), tmp_path / f"x{ending}"
    write_mask(fused, ball(x=1), GRID, kind=ResultKind.FUSED)
    with pytest.raises(InputError, match="is no rater's drawing, but a fused mask"):
        load_raters([drawn, fused])
    with pytest.raises(InputError, match=r"p1: .*is no rater's drawing"):
        load_case("p1", {"T1": save(tmp_path / "t1.nrrd", head())}, {"anna": drawn, "ben": fused})
    # Alone, or as a reference, a result is what it is.
    image = {"T1": tmp_path / "t1.nrrd"}
    assert load_case("p1", image, {"fused": fused}).rater_names == ("fused",)
    assert load_case("p1", image, {"anna": drawn}, truth=fused).truth is not None


def test_results_may_be_fused_with_each_other(tmp_path):
    files = [tmp_path / "model1.nrrd", tmp_path / "model2.nrrd"]
    for number, file in enumerate(files):
        write_mask(file, ball(x=number), GRID, kind=ResultKind.PREDICTED)
    assert load_raters(files).warnings == ()


def test_without_images_the_first_raters_grid_counts(tmp_path):
    raters = {"anna": save(tmp_path / "a.nrrd", ball()), "ben": save(tmp_path / "b.nrrd", ball(OTHER), OTHER)}
    truth = save(tmp_path / "truth.nrrd", ball(radius=6))
    with pytest.raises(GridMismatchError, match=r"p1: rater ben .* lies on another voxel grid than p1: anna"):
        load_case("p1", {}, raters)
    loaded = load_case("p1", {}, raters, truth=truth, options=RESAMPLE)
    assert loaded.grid == GRID
    assert loaded.images.shape == (0, *GRID.shape)
    assert loaded.notes == ("p1: rater ben was resampled (nearest) to anna's grid",)
    np.testing.assert_array_equal(loaded.truth, ball(radius=6))


def test_neither_images_nor_raters_is_an_input_error():
    with pytest.raises(InputError, match="p1: neither images nor raters are given"):
        load_case("p1", {}, {})


def test_notes_and_warnings_show_no_path_and_nothing_of_a_files_header(tmp_path):
    image = OTHER.to_sitk(head(OTHER))
    image.SetMetaData("0010|0010", "SECRET^NAME")
    sitk.WriteImage(image, str(tmp_path / "secret_t2.nrrd"))
    loaded = load_case(
        "p1",
        {"T1": save(tmp_path / "secret_t1.nrrd", head()), "T2": tmp_path / "secret_t2.nrrd"},
        {"anna": save(tmp_path / "secret_a.nrrd", np.zeros(OTHER.shape, bool), OTHER)},
        options=RESAMPLE,
    )
    text = "\n".join(loaded.notes + loaded.warnings)
    assert "rater anna" in text
    for hidden in (str(tmp_path), "secret", "SECRET"):
        assert hidden not in text


# --- raters without images


def test_every_segment_of_a_segmentation_is_a_rater(tmp_path):
    left, right = ball(x=-7, radius=4), ball(x=7, radius=4)
    loaded = load_raters([save_segments(tmp_path / "drawn.seg.nrrd", {"Anna": left, "Ben B.": right})])
    assert loaded.rater_names == ("Anna", "Ben B.")
    np.testing.assert_array_equal(loaded.raters, [left, right])
    assert same_grid(loaded.grid, GRID)
    assert loaded.images.shape == (0, *GRID.shape)


def test_a_hash_sign_picks_one_segment(tmp_path):
    left, right = ball(x=-7, radius=4), ball(x=7, radius=4)
    file = save_segments(tmp_path / "drawn.seg.nrrd", {"Anna": left, "Ben B.": right})
    loaded = load_raters([f"{file}#Ben B.", save(tmp_path / "carl.nii.gz", left)])
    assert loaded.rater_names == ("Ben B.", "carl")
    np.testing.assert_array_equal(loaded.raters, [right, left])
    as_case = load_case("p1", {"T1": save(tmp_path / "t1.nii.gz", head())}, {"rater2": f"{file}#Ben B."})
    np.testing.assert_array_equal(as_case.raters, [right])


def test_files_called_alike_in_different_folders_get_names_of_their_own(tmp_path):
    masks = [ball(radius=radius) for radius in (5, 6, 7, 8)]
    folders = ["anna", "ben", "carl", "x/ben"]
    files = [save(tmp_path / name / "seg.nii.gz", mask) for name, mask in zip(folders, masks, strict=True)]
    loaded = load_raters(files)
    assert loaded.rater_names == ("seg", "ben/seg", "carl/seg", "seg (2)")
    np.testing.assert_array_equal(loaded.raters, masks)


def test_raters_on_different_grids_are_refused_or_resampled_with_a_note(tmp_path):
    files = [save(tmp_path / "anna.nrrd", ball()), save(tmp_path / "ben.nrrd", ball(OTHER), OTHER)]
    with pytest.raises(GridMismatchError, match="rater ben") as caught:
        load_raters(files)
    assert "24 x 20 x 12" in str(caught.value)
    assert "12 x 10 x 12" in str(caught.value)
    loaded = load_raters(files, RESAMPLE)
    assert loaded.raters.shape == (2, *GRID.shape)
    assert loaded.notes == ("raters: rater ben was resampled (nearest) to anna's grid",)


# --- cohorts


def test_a_rater_who_is_missing_in_one_case_is_warned_about_there(tmp_path):
    cohort = Cohort.open(save_cohort(tmp_path, {"p1": ["anna", "ben"], "p2": ["ben"]}))
    assert (cohort.name, cohort.sequences, cohort.case_names) == ("Study", ("T1",), ("p1", "p2"))
    assert cohort.load("p1").warnings == ()
    second = cohort.load("p2")
    assert second.rater_names == ("ben",)
    assert second.warnings == ("p2: rater anna has no file for this case",)


@pytest.mark.parametrize("alias", [link, hard_link])
def test_a_file_of_two_cases_is_refused_also_where_the_other_is_not_chosen(tmp_path, alias):
    manifest = save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"], "p3": ["anna"]})
    (tmp_path / "p2" / "anna.nrrd").unlink()
    alias(tmp_path / "p1" / "anna.nrrd").rename(tmp_path / "p2" / "anna.nrrd")
    if alias is link:
        (tmp_path / "p2" / "anna.nrrd").unlink()
        (tmp_path / "p2" / "anna.nrrd").symlink_to("../p1/anna.nrrd")
    for cases in (None, ["p1"], ["p2", "p3"]):
        with pytest.raises(
            ManifestError, match=r"p[12] \(rater anna\) and p[12] \(rater anna\) are given the same file"
        ):
            Cohort.open(manifest, cases)
    assert Cohort.open(manifest, ["p3"]).case_names == ("p3",)


def test_one_folder_under_two_names_is_one_case_named_twice(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"]})
    (tmp_path / "p2").symlink_to("p1")
    with pytest.raises(ManifestError, match=r"p1 .* and p2 .* are given the same file"):
        Cohort.open(manifest)


def test_a_case_is_chosen_once(tmp_path):
    with pytest.raises(ManifestError, match="chosen more than once: p1"):
        Cohort.open(save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"]}), ["p1", "p2", "p1"])


def test_a_chosen_case_that_only_looks_alike_is_told(tmp_path):
    manifest = save_cohort(tmp_path, {"pJu\u0308rgen": ["anna"]})
    with pytest.raises(ManifestError, match="another Unicode form"):
        Cohort.open(manifest, ["pJ\u00fcrgen"])


def test_a_rater_who_is_missing_in_every_case_is_an_error(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"]})
    manifest.write_text(manifest.read_text(encoding="utf-8") + 'carl = "c*.nrrd"\n', encoding="utf-8")
    with pytest.raises(ManifestError, match=r'rater carl has no file in any case: "c\*.nrrd" matches nothing'):
        Cohort.open(manifest)


def test_a_rater_who_is_missing_in_the_chosen_cases_only_is_a_warning(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna", "ben"], "p2": ["ben"]})
    for cohort in (Cohort.open(manifest, ["p2"]), Cohort.open(manifest).without(["p1"])):
        assert cohort.case_names == ("p2",)
        assert cohort.load("p2").warnings == ("p2: rater anna has no file for this case",)


def test_a_truth_that_is_missing_is_a_warning_in_one_case_and_an_error_in_all(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"]}, more='truth = "truth.nrrd"')
    with pytest.raises(ManifestError, match="the truth has no file in any case"):
        Cohort.open(manifest)
    save(tmp_path / "p1" / "truth.nrrd", ball(radius=5))
    cohort = Cohort.open(manifest)
    np.testing.assert_array_equal(cohort.load("p1").truth, ball(radius=5))
    assert cohort.load("p2").truth is None
    assert cohort.load("p2").warnings == ("p2: the truth has no file for this case",)


def test_a_missing_image_of_the_last_case_is_found_before_any_case_is_loaded(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"]})
    (tmp_path / "p2" / "t1.nii.gz").unlink()
    with pytest.raises(ManifestError, match="case p2 has no image T1"):
        Cohort.open(manifest)


def test_an_unknown_case_is_an_error_that_lists_the_known_ones(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"]})
    with pytest.raises(ManifestError, match=r"no such case: p7\. The cohort has: p1, p2"):
        Cohort.open(manifest, ["p1", "p7"])


def test_chosen_cases_keep_the_order_they_are_asked_for(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"], "p3": ["anna"]})
    assert Cohort.open(manifest, ["p3", "p1"]).case_names == ("p3", "p1")
    assert len(Cohort.open(manifest).without(["p2"])) == 2


def test_a_cohort_uses_the_manifests_reference(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"]}, more='reference = "T2"')
    save(tmp_path / "p1" / "t1.nii.gz", head(OTHER), OTHER)
    save(tmp_path / "p1" / "t2.nii.gz", head())
    manifest.write_text(
        manifest.read_text(encoding="utf-8").replace("[raters]", 'T2 = "t2.nii.gz"\n[raters]'), encoding="utf-8"
    )
    loaded = Cohort.open(manifest).load("p1", RESAMPLE)
    assert (loaded.sequences, loaded.grid.size) == (("T1", "T2"), GRID.size)


class Listener(Progress):
    def __init__(self, stop_after: int = 99) -> None:
        self.heard: list[str] = []
        self.stop_after = stop_after

    def start(self, task: str, steps: int, done: int = 0) -> None:
        self.heard.append(f"{task} {steps} {done}")

    def advance(self, steps: int = 1, detail: str = "") -> None:
        self.heard.append(f"{detail} {steps}")

    def message(self, text: str) -> None:
        self.heard.append(f"note: {text}")

    def warning(self, text: str) -> None:
        self.heard.append(f"warning: {text}")

    def check_cancelled(self) -> None:
        if len(self.heard) > self.stop_after:
            raise Cancelled


def test_loading_all_cases_passes_on_what_was_done_to_them(tmp_path):
    cohort = Cohort.open(save_cohort(tmp_path, {"p1": ["anna", "ben"], "p2": ["ben"]}))
    save(tmp_path / "p1" / "anna.nrrd", ball(OTHER), OTHER)
    listener = Listener()
    assert [case.name for case in cohort.load_all(RESAMPLE, listener)] == ["p1", "p2"]
    assert listener.heard == [
        "load 2 0",
        "note: p1: rater anna was resampled (nearest) to T1's grid",
        "p1 1",
        "warning: p2: rater anna has no file for this case",
        "p2 1",
    ]


def test_loading_stops_when_the_user_cancels(tmp_path):
    cohort = Cohort.open(save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"]}))
    listener = Listener(stop_after=1)
    with pytest.raises(Cancelled):
        cohort.load_all(progress=listener)
    assert listener.heard == ["load 2 0", "p1 1"]


# --- real files


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
