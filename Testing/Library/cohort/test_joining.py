"""Reviewers who join a cohort: the new manifest, and what stays as it was."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from reviewing import save_review
from small_cases import GRID, OTHER, ball, save, save_cohort

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.joining import join_reviews
from ObserverUncertaintyLib.cohort.manifest import read_manifest

MINE = ball(radius=5.0)
OTHERS = ball(radius=6.0)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return save_cohort(
        tmp_path / "cohort",
        {"p1": ["anna", "ben"], "p2": ["anna", "ben"], "p3": ["anna"]},
        'label = "ball"\nskull_stripped = true\nreference = "T1"',
    )


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    save_review(tmp_path / "reviews" / "p1" / "a.nrrd", MINE, GRID, 'Dr. \u00c4 / "x"')
    save_review(tmp_path / "reviews" / "p3" / "a.nrrd", MINE, GRID, 'Dr. \u00c4 / "x"')
    save_review(tmp_path / "reviews" / "p3" / "b.nii.gz", OTHERS, GRID, "ben")
    return tmp_path / "reviews"


def contents(folder: Path) -> dict[str, str]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_each_reviewer_is_a_further_rater_of_the_cases_that_were_reviewed(
    manifest: Path, reviews: Path, tmp_path: Path
) -> None:
    first, second = 'reviewed by Dr. \u00c4 / "x"', "reviewed by ben"
    before = contents(manifest.parent), contents(reviews)
    joined = join_reviews(manifest, reviews, tmp_path / "new")
    assert joined.manifest == tmp_path / "new" / "cohort.toml"
    assert joined.corrected == {"p1": (first,), "p3": (first, second)}
    cases = {case.name: case for case in Cohort.open(joined.manifest).load_all()}
    assert {name: case.rater_names for name, case in cases.items()} == {
        "p1": ("anna", "ben", first),
        "p2": ("anna", "ben"),
        "p3": ("anna", first, second),
    }
    assert np.array_equal(cases["p1"].raters, [ball(), ball(), MINE])
    assert np.array_equal(cases["p3"].raters, [ball(), MINE, OTHERS])
    old = {case.name: case for case in Cohort.open(manifest).load_all()}
    assert {name: case.image_digest for name, case in cases.items()} == {n: c.image_digest for n, c in old.items()}
    assert (contents(manifest.parent), contents(reviews)) == before


def test_a_reviewer_is_missed_in_no_other_case_and_a_rater_is(manifest: Path, reviews: Path, tmp_path: Path) -> None:
    cohort = Cohort.open(join_reviews(manifest, reviews, tmp_path / "new").manifest)
    assert cohort.load("p2").warnings == ()
    assert cohort.load("p3").warnings == ("p3: rater ben has no file for this case",)


def test_the_new_manifest_says_what_the_old_one_says_and_copies_no_image(
    manifest: Path, reviews: Path, tmp_path: Path
) -> None:
    old, new = read_manifest(manifest), read_manifest(join_reviews(manifest, reviews, tmp_path / "new").manifest)
    for name in ("name", "root", "label", "images", "truth", "reference", "skull_stripped", "simulated"):
        assert getattr(new, name) == getattr(old, name)
    assert new.cases == ("p1", "p2", "p3"), "by name: a pattern may find other cases another day"
    assert list(new.raters)[:2] == ["anna", "ben"]
    masks = [file.relative_to(tmp_path / "new").parts[:2] for file in (tmp_path / "new").rglob("*.nrrd")]
    assert sorted(masks) == [("reviewed", "p1"), ("reviewed", "p3"), ("reviewed", "p3")]
    assert len(contents(tmp_path / "new")) == 4


def test_the_review_that_counts_is_the_latest(manifest: Path, tmp_path: Path) -> None:
    save_review(tmp_path / "reviews" / "p1" / "a.nrrd", OTHERS, GRID, corrected="2026-05-05T08:00:00")
    save_review(tmp_path / "reviews" / "p1" / "b.nrrd", MINE, GRID, corrected="2026-05-04T08:00:00")
    joined = join_reviews(manifest, tmp_path / "reviews", tmp_path / "new")
    assert "a.nrrd" in joined.reviews.notes[0]
    assert np.array_equal(Cohort.open(joined.manifest).load("p1").raters[-1], OTHERS)


@pytest.mark.parametrize("name", ["new [1]", "case {x}", "ü"])
def test_the_folder_may_have_any_name_that_can_stand_in_a_manifest(
    manifest: Path, reviews: Path, tmp_path: Path, name: str
) -> None:
    joined = join_reviews(manifest, reviews, tmp_path / name)
    assert np.array_equal(Cohort.open(joined.manifest).load("p1").raters[-1], MINE)


@pytest.mark.parametrize("name", ["new#1", "{case}"])
def test_a_folder_that_cannot_stand_in_a_manifest_is_refused(
    manifest: Path, reviews: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match="cannot stand in a manifest"):
        join_reviews(manifest, reviews, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_patterns_with_case_names_and_nested_cases_stay_true(tmp_path: Path) -> None:
    for site in ("a", "b"):
        save(tmp_path / "data" / site / "p1" / "t1.nii.gz", ball().astype(np.float32))
        save(tmp_path / "data" / "anna" / site / "p1.nrrd", ball())
    text = '[cohort]\nname = "x"\ncases = "?/p1"\nroot = "data"\n[images]\nT1 = "t1.nii.gz"\n[raters]\n'
    (tmp_path / "cohort.toml").write_text(text + 'anna = "anna/{case}.nrrd"\n', encoding="utf-8")
    save_review(tmp_path / "reviews" / "b" / "p1" / "x.nrrd", MINE, GRID, "ben")
    joined = join_reviews(tmp_path / "cohort.toml", tmp_path / "reviews", tmp_path / "new")
    cohort = Cohort.open(joined.manifest)
    assert {name: cohort.load(name).rater_names for name in cohort.case_names} == {
        "a/p1": ("anna",),
        "b/p1": ("anna", "reviewed by ben"),
    }


def test_a_case_without_raters_may_be_reviewed(tmp_path: Path) -> None:
    manifest = save_cohort(tmp_path / "cohort", {"p1": ["anna"], "p2": []})
    save_review(tmp_path / "reviews" / "p2" / "a.nrrd", MINE, GRID)
    joined = join_reviews(manifest, tmp_path / "reviews", tmp_path / "new")
    assert Cohort.open(joined.manifest).load("p2").rater_names == ("reviewed by Dr. A",)


def test_a_rater_of_that_name_is_never_written_over(manifest: Path, reviews: Path, tmp_path: Path) -> None:
    once = join_reviews(manifest, reviews, tmp_path / "once").manifest
    before = contents(tmp_path / "once")
    with pytest.raises(InputError, match=r'has the rater "reviewed by .*" already, and a rater is never written over'):
        join_reviews(once, reviews, tmp_path / "twice")
    assert contents(tmp_path / "once") == before
    assert not (tmp_path / "twice").exists()


def test_a_review_of_an_unknown_case_is_refused_by_name(manifest: Path, reviews: Path, tmp_path: Path) -> None:
    save_review(reviews / "p9" / "a.nrrd", MINE, GRID)
    with pytest.raises(InputError, match=r"has reviews of p9, which .*cohort\.toml does not have"):
        join_reviews(manifest, reviews, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_review_on_another_grid_is_refused_by_name(manifest: Path, reviews: Path, tmp_path: Path) -> None:
    file = save_review(reviews / "p2" / "a.nrrd", ball(OTHER), OTHER)
    with pytest.raises(InputError, match="lies on another voxel grid than p2: T1") as error:
        join_reviews(manifest, reviews, tmp_path / "new")
    assert str(file) in str(error.value)
    assert not (tmp_path / "new").exists()


def test_what_is_no_mask_is_refused_by_name(manifest: Path, reviews: Path, tmp_path: Path) -> None:
    (reviews / "p1" / "a.nrrd").write_bytes((reviews / "p1" / "a.nrrd").read_bytes()[:-20])
    with pytest.raises(InputError, match=r"p1.a\.nrrd"):
        join_reviews(manifest, reviews, tmp_path / "new")


def test_nothing_is_written_over(manifest: Path, reviews: Path, tmp_path: Path) -> None:
    join_reviews(manifest, reviews, tmp_path / "new")
    before = contents(tmp_path / "new")
    with pytest.raises(InputError, match="is not empty"):
        join_reviews(manifest, reviews, tmp_path / "new")
    assert contents(tmp_path / "new") == before


def test_reviews_inside_the_new_folder_are_not_written_over(manifest: Path, reviews: Path, tmp_path: Path) -> None:
    inside = Path(shutil.copytree(reviews, tmp_path / "new" / "reviewed"))
    with pytest.raises(InputError, match="which would be written into"):
        join_reviews(manifest, inside, tmp_path / "new")
    assert contents(inside) == contents(reviews)
