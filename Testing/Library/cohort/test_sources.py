"""A manifest whose files stand in sources.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from manifests import manifest
from reviewing import save_review
from small_cases import GRID, ball, head, save, save_segments

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.joining import join_reviews
from ObserverUncertaintyLib.cohort.manifest import ManifestError, read_manifest
from ObserverUncertaintyLib.cohort.sources import SourcesError

TEXT = """
[cohort]
name = "Study"
sources = "sources.json"
cases = "*"
[images]
T1 = "{sources}"
[raters]
anna = "{sources}"
ben = "{sources}"
"""


def write_sources(folder: Path, cases: dict[str, dict[str, str]], root: str = "data") -> None:
    content = {"root": root, "cases": {name: {"files": files} for name, files in cases.items()}}
    (folder / "sources.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("first", "second"):
        save(tmp_path / "data" / name / "t1.nrrd", head())
        save_segments(tmp_path / "data" / name / "all.seg.nrrd", {"A # 1": ball(), "B": ~ball()})
    write_sources(
        tmp_path,
        {
            "p1": {
                "image T1": "first/t1.nrrd",
                "rater anna": "first/all.seg.nrrd#A # 1",
                "rater ben": "first/all.seg.nrrd#B",
            },
            "p2": {"image T1": "second/t1.nrrd", "rater anna": "second/all.seg.nrrd#A # 1"},
        },
    )
    return tmp_path


def test_the_cases_are_loaded_from_where_the_sources_say(folder):
    cohort = Cohort(manifest(folder, TEXT))
    assert cohort.case_names == ("p1", "p2")
    first, second = cohort.load("p1"), cohort.load("p2")
    np.testing.assert_array_equal(first.images[0], head())
    np.testing.assert_array_equal(first.raters, [ball(), ~ball()])
    assert second.rater_names == ("anna",)
    assert second.warnings == ("p2: rater ben has no file for this case",)


def test_a_missing_image_is_told_with_the_place_where_it_was(folder):
    (folder / "data" / "second" / "t1.nrrd").unlink()
    found = manifest(folder, TEXT)
    assert found.missing_images("p2") == ("T1",)
    with pytest.raises(ManifestError, match=r"case p2 has no image T1: there is nothing at\n.*second.t1\.nrrd"):
        Cohort(found)
    write_sources(folder, {"p1": {"image T1": "first/t1.nrrd"}, "p2": {}})
    with pytest.raises(ManifestError, match=r"case p2 has no image T1: there is nothing at\n.*json, which names none"):
        manifest(folder, TEXT).files("p2")


def test_a_broken_link_is_told_as_one(folder):
    (folder / "data" / "second" / "t1.nrrd").unlink()
    (folder / "data" / "second" / "t1.nrrd").symlink_to("nowhere")
    with pytest.raises(ManifestError, match=r"image T1 of case p2 is not there: .* is a broken link"):
        Cohort(manifest(folder, TEXT))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('sources = "sources.json"\n', "", r'image T1 is "\{sources\}", but \[cohort\] does not say where that is'),
        (
            'T1 = "{sources}"',
            'T1 = "{sources}/t1.nrrd"',
            r'image T1 is "\{sources\}/t1.nrrd"; expected "\{sources\}" alone',
        ),
        ('cases = "*"', 'cases = ["p1", "p7"]', r"cases names p7, of which .*sources\.json says nothing"),
        ('cases = "*"', 'cases = "q*"', "the cohort is empty"),
        ('"{sources}"', '"x.nrrd"', "has sources, but nothing is taken from there"),
    ],
)
def test_what_does_not_fit_the_sources_is_refused(folder, old, new, message):
    with pytest.raises(ManifestError, match=message):
        Cohort(manifest(folder, TEXT.replace(old, new)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file of sources"),
        ("{", "it holds no JSON"),
        ("[]", 'expected "root" and "cases"'),
        ('{"root": ".", "cases": {"p1": {"files": {"image T1": 1}}}}', 'case p1 has no "files"'),
    ],
)
def test_damaged_sources_are_named(folder, content, message):
    (folder / "sources.json").unlink()
    if content is not None:
        (folder / "sources.json").write_text(content, encoding="utf-8")
    with pytest.raises(SourcesError, match=message) as told:
        manifest(folder, TEXT)
    assert "sources.json" in str(told.value)


def test_one_file_for_two_cases_is_refused_as_ever(folder):
    write_sources(folder, {name: {"image T1": "first/t1.nrrd"} for name in ("p1", "p2")})
    with pytest.raises(InputError, match="are given the same file"):
        Cohort(manifest(folder, TEXT.partition("[raters]")[0]))


def test_patterns_and_sources_may_stand_side_by_side(folder):
    save(folder / "more" / "p1.nrrd", ball(radius=5.0))
    cohort = Cohort(manifest(folder, TEXT + 'carl = "more/{case}.nrrd"\n'))
    assert cohort.load("p1").rater_names == ("anna", "ben", "carl")


def test_reviewers_join_a_cohort_whose_files_stand_in_sources(folder):
    save_review(folder / "reviews" / "p2" / "a.nrrd", ball(radius=5.0), GRID, "Dr. A")
    manifest(folder, TEXT)
    joined = join_reviews(folder / "cohort.toml", folder / "reviews", folder / "new")
    old, new = read_manifest(folder / "cohort.toml"), read_manifest(joined.manifest)
    assert (new.images, new.cases) == (old.images, ("p1", "p2"))
    assert new.sources is not None
    assert new.sources.path == folder / "sources.json"
    cases = {case.name: case for case in Cohort(new).load_all()}
    assert cases["p1"].rater_names == ("anna", "ben")
    assert cases["p2"].rater_names == ("anna", "reviewed by Dr. A")
