"""One thing for each role: which files can be images, raters and truth together, and what is told of them."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from small_cases import (
    ALIASES,
    FORMATS,
    GRID,
    OTHER,
    RESAMPLE,
    ball,
    head,
    save,
    save_segments,
)

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.loading import load_case
from ObserverUncertaintyLib.cohort.rater_files import load_raters
from ObserverUncertaintyLib.formats import write_mask
from ObserverUncertaintyLib.formats.marks import ResultKind
from ObserverUncertaintyLib.images.grid import GridMismatchError


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
