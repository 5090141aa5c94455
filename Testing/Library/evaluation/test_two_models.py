"""Two models on the same cases: what is compared with what, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.evaluation.two_models import CaseScores, ComparedCase, Comparison, compare_models
from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintyLib.images.grid import Grid

GRID = Grid((10, 1, 1), (1.0, 1.0, 1.0))
ANNA, BEN, CARL = "anna", "ben", "carl"
REVIEW = "reviewed by Dr. A"


def bar(first: int, last: int) -> np.ndarray:
    """The voxels from `first` to before `last` of ten in a row."""
    mask = np.zeros(GRID.shape, bool)
    mask[0, 0, first:last] = True
    return mask


def case(name: str, raters: dict[str, np.ndarray]) -> Case:
    images = np.zeros((1, *GRID.shape), np.float32)
    return Case(name, GRID, ("T1",), images, tuple(raters), np.stack(list(raters.values())))


def predict(folder: Path, name: str, foreground: np.ndarray, probability: float = 1.0) -> None:
    write_image(folder / name / "probability.nii.gz", (foreground * probability).astype(np.float32), GRID)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "before", tmp_path / "after"


CASES = {
    "p1": case("p1", {ANNA: bar(0, 4), BEN: bar(0, 4), REVIEW: bar(2, 6)}),
    "p2": case("p2", {ANNA: bar(0, 2), BEN: bar(0, 4), CARL: bar(0, 6)}),
    "p3": case("p3", {ANNA: bar(0, 4), BEN: bar(0, 4)}),
}


def compare(folders: tuple[Path, Path], **more: Any) -> Comparison:
    before, after = folders
    return compare_models(before, after, CASES.__getitem__, {"p1": [REVIEW]}, ["p2", "p3"], **more)


def predict_all(folders: tuple[Path, Path]) -> None:
    before, after = folders
    predict(before, "p1", bar(0, 4))  # half of the reviewed contour: Dice 0.5
    predict(after, "p1", bar(2, 6), 0.75)  # all of it: 1
    predict(before, "p2", bar(0, 4))  # the majority of three: 1
    predict(after, "p2", bar(0, 3))  # 2 * 3 / 7
    predict(before, "p3", bar(0, 4))
    predict(after, "p3", bar(0, 4))


def test_corrected_cases_are_compared_with_the_review_and_the_others_with_the_majority(
    folders: tuple[Path, Path],
) -> None:
    predict_all(folders)
    found = compare(folders, held_out=["p2"], in_old_training=["p1", "p3"])
    assert [(each.case, each.corrected, each.trained_on, each.in_old_training) for each in found.cases] == [
        ("p1", True, True, True),
        ("p2", False, False, False),
        ("p3", False, True, True),
    ]
    assert [(each.before.dice, each.after.dice) for each in found.cases] == [
        (0.5, 1.0),
        (1.0, pytest.approx(6 / 7)),
        (1.0, 1.0),
    ]
    assert found.gain == pytest.approx(0.5)
    assert found.loss == pytest.approx((1 / 7 + 0) / 2)
    assert found.worse == ("p2",)


def test_entropy_and_calibration_stand_beside(folders: tuple[Path, Path]) -> None:
    predict_all(folders)
    p1 = compare(folders).cases[0]
    assert p1.before.entropy == 0
    # Four of ten voxels have p = 0.75: H = 2 - 0.75 log2 3 bits.
    assert p1.after.entropy == pytest.approx(0.4 * (2 - 0.75 * np.log2(3)), abs=1e-6)
    # All ten voxels lie within 5 mm of a contour. Where p = 1 the raters' mean is (2/3 + 2/3 + 1 + 1) / 4 = 5/6, where
    # p = 0 it is (1/3 + 1/3) / 6.
    assert p1.before.ece == pytest.approx(0.4 * (1 - 5 / 6) + 0.6 * (2 / 18), abs=1e-6)


def test_of_several_reviewers_the_mean_dice_counts(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        predict(folder, "p1", bar(0, 4))
    both = case("p1", {ANNA: bar(0, 1), "reviewed by A": bar(0, 4), "reviewed by B": bar(2, 6)})
    found = compare_models(*folders, lambda _: both, {"p1": ["reviewed by A", "reviewed by B"]}, [])
    assert found.cases[0].before.dice == pytest.approx((1 + 0.5) / 2)
    assert np.isnan(found.loss)


def test_a_model_that_learns_to_draw_nothing_where_nothing_is_has_gained(folders: tuple[Path, Path]) -> None:
    predict(folders[0], "p1", bar(0, 4))
    predict(folders[1], "p1", bar(0, 0))
    emptied = case("p1", {ANNA: bar(0, 4), REVIEW: bar(0, 0)})
    assert compare_models(*folders, lambda _: emptied, {"p1": [REVIEW]}, []).gain == 1


def test_a_prediction_that_is_missing_is_named(folders: tuple[Path, Path]) -> None:
    predict_all(folders)
    (folders[1] / "p3" / "probability.nii.gz").unlink()
    with pytest.raises(InputError, match="p3"):
        compare(folders)


def compared(name: str, before: float, after: float, corrected: bool = False, **more: bool) -> ComparedCase:
    known = {"trained_on": corrected, "in_old_training": False, **more}
    return ComparedCase(
        case=name,
        corrected=corrected,
        before=CaseScores(before, 0.1, 0.05),
        after=CaseScores(after, 0.2, float("nan")),
        **known,
    )


def test_a_case_is_worse_if_its_dice_fell_by_more_than_a_hundredth() -> None:
    cases = (compared("a", 0.8, 0.795), compared("b", 0.8, 0.78), compared("c", 0.8, 0.9))
    assert Comparison(cases).worse == ("b",)


def test_the_sentence_says_what_was_trained_on_and_what_is_known() -> None:
    corrected = (compared("p1", 0.8, 0.9, corrected=True), compared("p2", 0.7, 0.7, corrected=True))
    others = (compared("p3", 0.9, 0.85, in_old_training=True), compared("p4", 0.9, 0.9))
    assert Comparison(corrected + others).sentence() == (
        "On the 2 corrected cases, which the new model was trained on, the Dice with the reviewed contour went from "
        "0.750 to 0.800. On the 2 other cases, kept out of its training, the Dice with the raters' majority went from "
        "0.900 to 0.875. The old model was trained on 1 of them, which is in its favour. 1 of 4 cases got worse by "
        "more than 0.01: p3."
    )
    flattered = Comparison((*corrected, compared("p3", 0.9, 0.9, trained_on=True, in_old_training=True))).sentence()
    assert "On the other case, 1 of which it was trained on too, the Dice" in flattered
    assert "in its favour" not in flattered
    alone = Comparison(corrected[:1]).sentence()
    assert alone.startswith("On the corrected case, which the new model was trained on, ")
    assert "what was lost elsewhere is not known. 0 of 1 cases got worse by more than 0.01." in alone


def test_the_json_has_every_number_and_none_where_one_is_undefined() -> None:
    cases = (compared("p1", 0.8, 0.9, corrected=True), compared("p2", 0.9, 0.85))
    content = json.loads(json.dumps(Comparison(cases, ("a note",)).to_json(), allow_nan=False))
    assert content["corrected"] == {
        "cases": 1,
        "trained_on": 1,
        "in_old_training": 0,
        "before": {"dice": 0.8, "entropy": 0.1, "ece": 0.05},
        "after": {"dice": 0.9, "entropy": 0.2, "ece": None},
        "gain": pytest.approx(0.1),
    }
    assert content["others"]["loss"] == pytest.approx(0.05)
    assert content["worse"] == {"by_more_than": 0.01, "cases": ["p2"]}
    assert content["cases"][1]["case"] == "p2"
    assert content["cases"][1]["before"]["dice"] == 0.9
    assert content["cases"][1]["change"] == pytest.approx(-0.05)
    assert content["notes"] == ["a note"]
    assert "Not a medical device" in content["notice"]
    assert Comparison(cases[:1]).to_json()["others"]["loss"] is None


def test_the_table_has_a_line_for_each_case() -> None:
    table = Comparison((compared("p1", 0.8, 0.9, corrected=True), compared("p2", 0.9, 0.85))).table()
    _header, _line, first, second = table.splitlines()
    assert first.split() == ["p1", "review", "yes", "0.800", "0.900", "+0.100", "0.1000", "0.2000", "0.050", "-"]
    assert second.split()[:6] == ["p2", "majority", "no", "0.900", "0.850", "-0.050"]
