"""Which cases and files the patterns of a manifest find, and what they must not find."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from manifests import MINIMAL, cohort, manifest, touch

from ObserverUncertaintyLib.cohort.manifest import Manifest, ManifestError


def test_a_glob_finds_the_folders_and_sorts_them(tmp_path):
    touch(*(tmp_path / name / "t1.nii.gz" for name in ("p10", "p02", "p1", "other")), tmp_path / "p3.txt")
    assert manifest(tmp_path, MINIMAL).case_names() == ("p02", "p1", "p10")


def test_a_list_keeps_its_order(tmp_path):
    assert manifest(tmp_path, cohort(cases='["p2", "p10", "p1"]')).case_names() == ("p2", "p10", "p1")


def test_cases_may_lie_two_folders_deep(tmp_path):
    touch(tmp_path / "site1" / "p1" / "t1.nii.gz", tmp_path / "site2" / "p1" / "t1.nii.gz")
    found = manifest(tmp_path, cohort(cases='"site*/p*"'))
    assert found.case_names() == ("site1/p1", "site2/p1")
    assert found.files("site2/p1").images == {"T1": str(tmp_path.resolve() / "site2" / "p1" / "t1.nii.gz")}


@pytest.mark.parametrize("images", ['T1 = "t1.nii.gz"', 'T1 = "{case}_t1.nii.gz"'])
def test_a_glob_that_matches_nothing_is_an_error_that_shows_it(tmp_path, images):
    with pytest.raises(ManifestError, match=r'the cohort is empty: no case matches cases = "q\*" below'):
        manifest(tmp_path, cohort(cases='"q*"', images=images)).case_names()


def test_case_names_are_read_off_the_files_where_there_are_no_case_folders(tmp_path):
    for case in ("p01", "p02"):
        touch(tmp_path / "img" / f"{case}_t1.nii.gz", tmp_path / "seg" / "anna" / f"{case}.nrrd")
    touch(tmp_path / "img" / "p03_flair.nii.gz", tmp_path / "img" / "q01_t1.nii.gz")
    found = manifest(tmp_path, cohort(images='T1 = "img/{case}_t1.nii.gz"', raters='anna = "seg/anna/{case}.nrrd"'))
    assert found.case_names() == ("p01", "p02")
    files = found.files("p02")
    assert files.images["T1"].endswith("img/p02_t1.nii.gz")
    assert files.raters["anna"].endswith("seg/anna/p02.nrrd")


def test_a_case_that_occurs_twice_in_one_pattern_must_be_the_same_both_times(tmp_path):
    touch(tmp_path / "p1" / "p1_t1.nii.gz", tmp_path / "p2" / "p3_t1.nii.gz")
    assert manifest(tmp_path, cohort(images='T1 = "{case}/{case}_t1.nii.gz"')).case_names() == ("p1",)


def test_a_pattern_may_hold_a_case_and_a_wildcard(tmp_path):
    touch(tmp_path / "img" / "p1" / "2021" / "t1.nii.gz", tmp_path / "img" / "p2" / "2023" / "t1.nii.gz")
    found = manifest(tmp_path, cohort(images='T1 = "img/{case}/*/t1.nii.gz"'))
    assert found.case_names() == ("p1", "p2")
    assert found.files("p2").images["T1"].endswith("img/p2/2023/t1.nii.gz")


@pytest.mark.parametrize("start", ["./", "{absolute}/", "{absolute}/../{folder}/"])
def test_a_pattern_with_cases_may_be_absolute_or_start_with_a_dot(tmp_path, start):
    touch(tmp_path / "p1.nii.gz")
    pattern = start.format(absolute=tmp_path.as_posix(), folder=tmp_path.name) + "{case}.nii.gz"
    found = manifest(tmp_path, cohort(images=f'T1 = "{pattern}"'))
    assert found.case_names() == ("p1",)
    assert Path(found.files("p1").images["T1"]).samefile(tmp_path / "p1.nii.gz")


# --- which files a case has


@pytest.mark.parametrize("absolute", [False, True])
def test_root_is_relative_to_the_manifest_or_absolute(tmp_path, absolute, monkeypatch):
    touch(tmp_path / "data" / "p1" / "t1.nii.gz")
    (tmp_path / "settings").mkdir()
    root = (tmp_path / "data").as_posix() if absolute else "../data"
    monkeypatch.chdir("/")  # where the program was started must not matter
    found = manifest(tmp_path / "settings", cohort(more=f'root = "{root}"'))
    assert found.files("p1").images == {"T1": str((tmp_path / "data" / "p1" / "t1.nii.gz").resolve())}


def test_a_pattern_that_matches_two_files_lists_both(tmp_path):
    touch(tmp_path / "p1" / "t1_a.nii.gz", tmp_path / "p1" / "t1_b.nii.gz")
    with pytest.raises(ManifestError, match=r'"t1_\*.nii.gz" of image T1 matches 2 files for case p1') as caught:
        manifest(tmp_path, cohort(images='T1 = "t1_*.nii.gz"')).files("p1")
    assert "t1_a.nii.gz\n" in str(caught.value)
    assert "t1_b.nii.gz\n" in str(caught.value)


# --- another's, broken and look-alike files


BEN = 'ben = "ben/{case}*.nii.gz"'


def flat_cohort(folder: Path, cases: str, files: list[str]) -> Manifest:
    """Images and ben's masks in a folder each, named after the case."""
    touch(*(folder / name for name in files))
    return manifest(folder, cohort(cases, images='T1 = "img/{case}_T1.nii.gz"', raters=BEN))


def test_a_file_belongs_to_the_case_whose_name_says_more(tmp_path):
    files = ["img/P1_T1.nii.gz", "img/P10_T1.nii.gz", "ben/P10_ben.nii.gz"]
    found = flat_cohort(tmp_path, '"*"', files)
    assert found.files("P1").missing_raters == ("ben",)
    assert found.files("P10").raters == {"ben": str(tmp_path / "ben" / "P10_ben.nii.gz")}
    touch(tmp_path / "ben" / "P1_ben.nii.gz")
    assert found.files("P1").raters == {"ben": str(tmp_path / "ben" / "P1_ben.nii.gz")}


def test_a_file_whose_number_goes_on_is_of_another_case_also_where_that_is_not_listed(tmp_path):
    found = flat_cohort(tmp_path, '["P1", "P2"]', ["img/P1_T1.nii.gz", "img/P2_T1.nii.gz", "ben/P10_ben.nii.gz"])
    with pytest.raises(ManifestError, match=r"rater ben matches for case P1 only .*P10_ben.*\{case\}_\*"):
        found.files("P1")
    assert found.files("P2").missing_raters == ("ben",)


@pytest.mark.parametrize(
    ("case", "pattern", "file", "goes_on"),
    [
        ("P1", "{case}*", "P10.nii", True),
        ("P1", "{case}*", "P1.nii", False),
        ("P1", "{case}*", "P1b.nii", False),
        ("P1", "{case}_*", "P1_0.nii", False),
        ("P1", "P10/{case}*", "P10/P1.nii", False),
        ("P1", "**/{case}_*.nii", "P1_x.nii", False),
        ("P1", "{case}2*.nii", "P12.nii", False),
        ("1", "*{case}.nii", "21.nii", True),
        ("1", "*{case}.nii", "001.nii", False),
        ("anna", "{case}*", "annabel.nii", False),
    ],
)
def test_where_a_number_goes_on(tmp_path, case, pattern, file, goes_on):
    touch(tmp_path / file, tmp_path / "img" / f"{case}.nii")
    text = cohort(f'["{case}"]', images='T1 = "img/{case}.nii"', raters=f'ben = "{pattern}"')
    if goes_on:
        with pytest.raises(ManifestError, match="number goes on"):
            manifest(tmp_path, text).files(case)
    else:
        assert "ben" in manifest(tmp_path, text).files(case).raters


def test_hidden_files_and_folders_are_matched_by_no_wildcard(tmp_path):
    touch(
        *(tmp_path / "p1" / name for name in ("t1.nii.gz", "a.nii.gz", "._a.nii.gz")), tmp_path / ".git" / "t1.nii.gz"
    )
    found = manifest(tmp_path, cohort('"*"', raters='anna = "*a.nii.gz"'))
    assert found.case_names() == ("p1",)
    assert found.files("p1").raters == {"anna": str(tmp_path / "p1" / "a.nii.gz")}


@pytest.mark.parametrize("pattern", ["b.nii.gz", "b*.nii.gz", "sub/b.nii.gz"])
def test_a_broken_link_is_not_a_rater_who_drew_nothing(tmp_path, pattern):
    touch(tmp_path / "p1" / "t1.nii.gz")
    (tmp_path / "p1" / ("sub" if "/" in pattern else "b.nii.gz")).symlink_to("../annex/b.nii.gz")
    with pytest.raises(
        ManifestError, match=r"rater ben of case p1.*is a broken link: it points to \.\./annex/b\.nii\.gz"
    ):
        manifest(tmp_path, cohort(raters=f'ben = "{pattern}"')).files("p1")


def test_a_case_folder_that_is_a_broken_link_is_not_passed_over(tmp_path):
    touch(tmp_path / "p1" / "t1.nii.gz")
    (tmp_path / "p2").symlink_to("elsewhere")
    with pytest.raises(ManifestError, match="p2 is a broken link"):
        manifest(tmp_path, MINIMAL).case_names()


def test_a_link_that_leads_somewhere_is_as_good_as_a_file(tmp_path):
    touch(tmp_path / "store" / "x", tmp_path / "p1" / "b.nii.gz")
    (tmp_path / "p1" / "t1.nii.gz").symlink_to("../store/x")
    assert manifest(tmp_path, MINIMAL).files("p1").images == {"T1": str(tmp_path / "p1" / "t1.nii.gz")}


COMPOSED, DECOMPOSED = "J\u00fcrgen", "Ju\u0308rgen"


@pytest.mark.parametrize("name", [f"{COMPOSED}.nii.gz", f"{COMPOSED}*.nii.gz", f"{COMPOSED}/m.nii.gz"])
def test_a_name_in_another_unicode_form_is_told(tmp_path, name):
    touch(tmp_path / "p1" / "t1.nii.gz", tmp_path / "p1" / name.replace(COMPOSED, DECOMPOSED).replace("*", "1"))
    with pytest.raises(ManifestError, match=r"rater j of case p1 .* only looks alike: .*Unicode form"):
        manifest(tmp_path, cohort(raters=f'j = "{name}"')).files("p1")


def test_two_names_that_look_alike_are_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"\[raters\] has two names that look alike"):
        manifest(tmp_path, cohort(raters=f'"{COMPOSED}" = "a.nii.gz"\n"{DECOMPOSED}" = "b.nii.gz"'))
    with pytest.raises(ManifestError, match="cases has two names that look alike"):
        manifest(tmp_path, cohort(f'["{COMPOSED}", "{DECOMPOSED}"]'))


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    touch(tmp_path / "home" / "data" / "p1" / "t1.nii.gz", tmp_path / "home" / "ben" / "p1.nii.gz")
    found = manifest(tmp_path, cohort(more='root = "~/data"', raters='ben = "~/ben/{case}.nii.gz"'))
    assert found.root == (tmp_path / "home" / "data").resolve()
    assert found.files("p1").raters == {"ben": str(tmp_path / "home" / "ben" / "p1.nii.gz")}


def test_a_pattern_longer_than_any_name_is_an_error(tmp_path):
    touch(tmp_path / "p1" / "t1.nii.gz")
    with pytest.raises(ManifestError, match="rater ben of case p1 cannot be looked for"):
        manifest(tmp_path, cohort(raters=f'ben = "{"x" * 300}.nii.gz"')).files("p1")


def test_a_root_that_is_a_circle_of_links_is_an_empty_cohort(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(ManifestError, match="the cohort is empty"):
        manifest(tmp_path, cohort(more='root = "circle"')).case_names()


# --- what is missing


def test_a_missing_image_is_an_error_and_a_missing_rater_is_listed(tmp_path):
    touch(tmp_path / "p1" / "t1.nii.gz", tmp_path / "p1" / "anna.nii.gz", tmp_path / "p2" / "anna.nii.gz")
    found = manifest(tmp_path, cohort(raters='anna = "anna.nii.gz"\nben = "ben*.nii.gz"'))
    files = found.files("p1")
    assert list(files.raters) == ["anna"]
    assert files.missing_raters == ("ben",)
    with pytest.raises(ManifestError, match=r"(?s)case p2 has no image T1: there is nothing at.*p2.t1.nii.gz"):
        found.files("p2")


def test_all_images_that_a_case_lacks_are_named_at_once(tmp_path):
    touch(tmp_path / "p1" / "t2.nii.gz")
    found = manifest(tmp_path, cohort(images='T1 = "t1.nii.gz"\nT2 = "t2.nii.gz"\nFLAIR = "flair*.nii.gz"'))
    assert found.missing_images("p1") == ("T1", "FLAIR")
    with pytest.raises(ManifestError, match=r"(?s)case p1 has no image T1, FLAIR: .*t1\.nii\.gz\n.*flair\*\.nii\.gz"):
        found.files("p1")


def test_a_truth_is_found_where_there_is_one(tmp_path):
    touch(tmp_path / "p1" / "t1.nii.gz", tmp_path / "p1" / "truth.nrrd", tmp_path / "p2" / "t1.nii.gz")
    found = manifest(tmp_path, cohort(more='truth = "truth.*"'))
    assert found.files("p1").truth == str(tmp_path.resolve() / "p1" / "truth.nrrd")
    assert found.files("p2").truth is None


def test_the_segment_after_a_hash_sign_goes_with_the_file(tmp_path):
    touch(tmp_path / "p1" / "t1.nii.gz", tmp_path / "p1" / "drawn.seg.nrrd")
    found = manifest(tmp_path, cohort(raters='anna = "drawn.seg.nrrd#Anna B"\nben = "*.seg.nrrd#Ben?"'))
    path = tmp_path.resolve() / "p1" / "drawn.seg.nrrd"
    assert found.files("p1").raters == {"anna": f"{path}#Anna B", "ben": f"{path}#Ben?"}


def test_a_folder_can_be_an_image(tmp_path):
    touch(tmp_path / "p1" / "dicom" / "slice.dcm")
    assert manifest(tmp_path, cohort(images='T1 = "dicom"')).files("p1").images["T1"].endswith("dicom")


@pytest.mark.parametrize("images", ['T1 = "t1_*.nii.gz"', 'T1 = "{case}/t1_*.nii.gz"', 'T1 = "{case}/t1_a.nii.gz"'])
def test_brackets_in_folder_names_are_no_wildcards(tmp_path, images):
    folder = tmp_path / "study [2020] (all)"
    touch(folder / "p[1]" / "t1_a.nii.gz")
    found = manifest(folder, cohort(images=images))
    assert found.case_names() == ("p[1]",)
    assert found.files("p[1]").images == {"T1": str(folder.resolve() / "p[1]" / "t1_a.nii.gz")}


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="from Python 3.13 on, ** inside a name is a mere *")
def test_a_pattern_that_cannot_be_searched_is_an_input_error(tmp_path):
    found = manifest(tmp_path, cohort(images='T1 = "**t1.nii.gz"'))
    with pytest.raises(ManifestError, match=r'"\*\*t1.nii.gz" is not a pattern that can be searched'):
        found.files("p1")


def test_the_real_brain_growth_folder_is_24_cases_of_seven_raters(test_data, tmp_path):
    root = (test_data / "brain_growth").resolve().as_posix()
    raters = "\n".join(f'rater{n} = "seg_rater{n}.nii.gz"' for n in range(1, 8))
    found = manifest(tmp_path, cohort('"case*"', 'MR = "image.nii.gz"', f'root = "{root}"', raters))
    assert found.case_names() == tuple(f"case{n:02d}" for n in range(1, 25))
    for case in found.case_names():
        files = found.files(case)
        assert files.images == {"MR": f"{root}/{case}/image.nii.gz"}
        assert files.raters == {f"rater{n}": f"{root}/{case}/seg_rater{n}.nii.gz" for n in range(1, 8)}
