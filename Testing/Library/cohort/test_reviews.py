"""A folder of reviews: what is read, which review counts, and what is refused."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from reviewing import save_review
from small_cases import GRID, ball

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.reviews import read_reviews
from ObserverUncertaintyLib.formats import read_mask

MADE_BEFORE = Path(__file__).parents[2] / "MadeBefore"


def review(file: Path, author: str = "Dr. A", hour: int = 12, **more: str) -> Path:
    return save_review(file, ball(), GRID, author, f"2026-05-04T{hour:02d}:30:00+02:00", **more)


def test_a_review_says_who_when_and_from_which_model(tmp_path: Path) -> None:
    mask = review(tmp_path / "p1" / "mine.nrrd", Model="1a2b")
    (found,) = read_reviews(tmp_path).latest
    assert (found.case, found.reviewer, found.rater) == ("p1", "Dr. A", "reviewed by Dr. A")
    assert found.corrected == datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
    assert (found.mask, found.model) == (mask, "1a2b")


def test_the_model_whose_doubt_was_reviewed_counts_whatever_contour_was_corrected(tmp_path: Path) -> None:
    review(tmp_path / "p1" / "a.nrrd", Model="1a2b", ReviewModel="3c4d")
    review(tmp_path / "p2" / "a.nrrd")
    assert [found.model for found in read_reviews(tmp_path).latest] == ["3c4d", None]


def test_what_the_module_of_slicer_wrote_is_read(tmp_path: Path) -> None:
    (tmp_path / "p1").mkdir()
    for name in ("correction.seg.nrrd", "correction.seg.nrrd.json"):
        shutil.copy(MADE_BEFORE / name, tmp_path / "p1")
    record = json.loads((MADE_BEFORE / "correction.seg.nrrd.json").read_text(encoding="utf-8"))
    (found,) = read_reviews(tmp_path).latest
    assert found.reviewer == record["Author"]
    assert found.corrected == datetime.fromisoformat(record["Corrected"]).astimezone()
    assert found.model == record.get("Model")
    assert read_mask(found.mask).array.any()


@pytest.mark.parametrize("name", ["a.nrrd", "a b ü.nrrd", "a.seg.nrrd", "a.nii.gz", "A.NRRD"])
def test_every_format_of_the_export_is_found(tmp_path: Path, name: str) -> None:
    file = review(tmp_path / "p1" / "a.nrrd")
    record = file.with_name("a.nrrd.json")
    file.rename(tmp_path / "p1" / name)
    record.rename(tmp_path / "p1" / f"{name}.json")
    assert [found.mask.name for found in read_reviews(tmp_path).latest] == [name]


def test_the_latest_of_each_reviewer_and_case_counts_and_the_others_are_told(tmp_path: Path) -> None:
    review(tmp_path / "p2" / "first.nrrd", "ben", 9)
    review(tmp_path / "p1" / "b.nrrd", "anna", 15)
    review(tmp_path / "p1" / "a.nrrd", "anna", 12)
    review(tmp_path / "p1" / "c.nrrd", "anna", 9)
    review(tmp_path / "p1" / "d.nrrd", "ben", 8)
    found = read_reviews(tmp_path)
    assert [(each.case, each.reviewer, each.mask.name) for each in found.latest] == [
        ("p1", "anna", "b.nrrd"),
        ("p1", "ben", "d.nrrd"),
        ("p2", "ben", "first.nrrd"),
    ]
    assert found.notes == (
        "p1/a.nrrd does not count: anna reviewed p1 again later, in b.nrrd",
        "p1/c.nrrd does not count: anna reviewed p1 again later, in b.nrrd",
    )


def test_times_of_several_zones_are_compared_as_moments(tmp_path: Path) -> None:
    save_review(tmp_path / "p1" / "a.nrrd", ball(), GRID, corrected="2026-05-04T12:30:00+02:00")
    save_review(tmp_path / "p1" / "b.nrrd", ball(), GRID, corrected="2026-05-04T11:00:00Z")
    assert [each.mask.name for each in read_reviews(tmp_path).latest] == ["b.nrrd"]
    local = datetime(2026, 5, 4, 23, 59, 59)
    save_review(tmp_path / "p2" / "a.nrrd", ball(), GRID, corrected=local.isoformat())
    assert read_reviews(tmp_path).latest[1].corrected == local.astimezone()


def test_one_name_in_two_spellings_is_one_reviewer(tmp_path: Path) -> None:
    review(tmp_path / "p1" / "a.nrrd", "J\u00fcrg  Z.", 9)
    review(tmp_path / "p1" / "b.nrrd", " Ju\u0308rg Z. ", 12)
    assert [(each.reviewer, each.mask.name) for each in read_reviews(tmp_path).latest] == [("J\u00fcrg Z.", "b.nrrd")]


def test_cases_may_lie_in_folders_of_folders(tmp_path: Path) -> None:
    review(tmp_path / "site1" / "p1" / "a.nrrd")
    assert read_reviews(tmp_path).latest[0].case == "site1/p1"


def test_what_is_no_review_is_left_out_and_told(tmp_path: Path) -> None:
    review(tmp_path / "p1" / "a.nrrd")
    review(tmp_path / "loose.nrrd")
    review(tmp_path / "p1" / "unsigned.nrrd").with_name("unsigned.nrrd.json").unlink()
    review(tmp_path / "p1" / "._a.nrrd")
    (tmp_path / "p1" / "notes.txt").touch()
    review(tmp_path / "p1" / "gone.nrrd").unlink()
    found = read_reviews(tmp_path)
    assert [each.mask.name for each in found.latest] == ["a.nrrd"]
    assert found.notes == (
        "loose.nrrd is left out: it lies in no case's folder",
        "p1/gone.nrrd.json is left out: it is no mask that ends in .nrrd or .nii.gz, nor the record of one",
        "p1/notes.txt is left out: it is no mask that ends in .nrrd or .nii.gz, nor the record of one",
        "p1/unsigned.nrrd is left out: no unsigned.nrrd.json beside it says who reviewed the case, and when",
    )


def test_links_are_followed_and_a_broken_one_is_told(tmp_path: Path) -> None:
    reviews, elsewhere = tmp_path / "reviews", tmp_path / "elsewhere"
    review(elsewhere / "a.nrrd")
    reviews.mkdir()
    (reviews / "p1").symlink_to(elsewhere)
    (elsewhere / "up").symlink_to(reviews)
    (elsewhere / "lost.nrrd").symlink_to(tmp_path / "nowhere.nrrd")
    found = read_reviews(reviews)
    assert [(each.case, each.mask.name) for each in found.latest] == [("p1", "a.nrrd")]
    (note,) = found.notes
    assert note.startswith("p1/lost.nrrd is left out: ")
    assert "broken link" in note


def test_a_folder_without_any_review_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder of reviews"):
        read_reviews(tmp_path / "none")
    with pytest.raises(InputError, match="holds no review"):
        read_reviews(tmp_path)
    review(tmp_path / "loose.nrrd")
    with pytest.raises(InputError, match=r"loose\.nrrd is left out: it lies in no case's folder"):
        read_reviews(tmp_path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"Author": "anna"', "cannot be read"),
        ("[1]", "cannot be read"),
        ('{"Corrected": "2026-05-04T12:30:00"}', '"Author" is missing'),
        ('{"Author": "  ", "Corrected": "2026-05-04T12:30:00"}', '"Author" is missing'),
        ('{"Author": "anna"}', '"Corrected" is None'),
        ('{"Author": "anna", "Corrected": "yesterday"}', "\"Corrected\" is 'yesterday'"),
    ],
)
def test_a_record_that_does_not_say_who_and_when_is_refused(tmp_path: Path, content: str, text: str) -> None:
    record = review(tmp_path / "p1" / "a.nrrd").with_name("a.nrrd.json")
    record.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=text) as error:
        read_reviews(tmp_path)
    assert str(record) in str(error.value)


def test_two_reviews_of_one_moment_are_refused(tmp_path: Path) -> None:
    review(tmp_path / "p1" / "a.nrrd")
    review(tmp_path / "p1" / "b.nrrd")
    with pytest.raises(InputError, match=r"a\.nrrd and .*b\.nrrd are both reviews of p1 by Dr. A"):
        read_reviews(tmp_path)
