"""Cases of a folder of predictions, the worst first: as `predict` writes them, as earlier versions did, and damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cohorts import disc_case

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_image, write_image
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.settings import PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.review.cases import CaseToReview, cases_to_review
from ObserverUncertaintyLib.review.quality import expected_dice
from ObserverUncertaintyLib.training.train import train

NAMES = ["case04", "case05", "case06"]


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predictions")
    settings = TrainingSettings(epochs=12, network=UNetSettings(depth=1, filters=4), learning_rate=5e-3, batch_size=2)
    train([disc_case(number, slices=3) for number in range(3)], folder / "model", settings)

    def load(name: str) -> Any:
        return disc_case(int(name[-2:]) - 1, slices=3)

    predict_cases(folder / "model", NAMES, load, folder / "out", PredictionSettings(samples=2), device="cpu")
    return folder / "out"


@pytest.fixture
def folder(predictions: Path, tmp_path: Path) -> Path:
    shutil.copytree(predictions, tmp_path / "out")
    return tmp_path / "out"


def change(folder: Path, name: str, what: Callable[[dict[str, Any]], object]) -> None:
    file = folder / name / "prediction.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    what(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def rows(folder: Path) -> dict[str, CaseToReview]:
    return {row.case: row for row in cases_to_review(folder).cases}


def test_what_was_predicted_is_listed_with_what_its_maps_say(folder: Path) -> None:
    listed = cases_to_review(folder)
    assert sorted(row.case for row in listed.cases) == NAMES
    assert listed.left_out == {}
    for row in listed.cases:
        volume = read_image(folder / row.case / "probability.nii.gz")
        assert row.expected_dice == pytest.approx(expected_dice(volume.array), abs=1e-4)
        assert row.volume_ml == pytest.approx(np.count_nonzero(volume.array > 0.5) * 3 / 1000, abs=1e-4)
        assert not row.is_computed_now
    assert 0 < min(row.expected_dice or 0 for row in listed.cases) < 1


def test_the_worst_come_first_and_before_them_those_without_a_segmentation(folder: Path) -> None:
    for name, dice in zip(NAMES, (0.9, None, 0.2), strict=True):
        change(folder, name, partial(dict.update, expected_dice=dice))
    assert [row.case for row in cases_to_review(folder).cases] == ["case05", "case06", "case04"]
    assert [row.expected_dice for row in cases_to_review(folder).cases] == [None, 0.2, 0.9]


def test_warnings_and_unlikeness_are_told(folder: Path) -> None:
    change(folder, "case05", lambda report: report.update(warnings=["a", "b"], unlike_training="its extent"))
    row = rows(folder)["case05"]
    assert (row.warnings, row.unlike_training) == (("a", "b"), "its extent")
    assert rows(folder)["case04"].unlike_training is None


def test_a_case_unlike_the_training_comes_first_whatever_dice_is_expected(folder: Path) -> None:
    best = cases_to_review(folder).cases[-1].case
    change(folder, best, lambda report: report.update(unlike_training="its extent"))
    assert cases_to_review(folder).cases[0].case == best


@pytest.mark.parametrize("several_models", [False, True])
def test_a_report_without_an_expected_dice_is_completed_from_the_probability(
    folder: Path, several_models: bool
) -> None:
    told = rows(folder)["case05"]
    if several_models:
        report = json.loads((folder / "case05" / "prediction.json").read_text(encoding="utf-8"))
        (folder / "case05" / "prediction.json").write_text(json.dumps({"models": [report, report]}), encoding="utf-8")
    else:
        change(folder, "case05", lambda report: report.pop("expected_dice"))
    row = rows(folder)["case05"]
    assert row.is_computed_now
    assert row.expected_dice == pytest.approx(told.expected_dice, abs=1e-4)
    assert row.volume_ml == pytest.approx(told.volume_ml, abs=1e-4)
    assert row.warnings == told.warnings * (2 if several_models else 1)


def test_an_empty_probability_map_has_no_expected_dice(folder: Path) -> None:
    change(folder, "case05", lambda report: report.pop("expected_dice"))
    grid = Grid((32, 32, 3), (1.0, 1.0, 3.0))
    write_image(folder / "case05" / "probability.nii.gz", np.zeros(grid.shape, np.float32), grid)
    row = cases_to_review(folder).cases[0]
    assert (row.case, row.expected_dice, row.volume_ml) == ("case05", None, 0)


def test_only_the_cases_of_a_manifest_are_listed_and_a_missing_one_is_told(folder: Path) -> None:
    listed = cases_to_review(folder, ["case06", "case07"])
    assert [row.case for row in listed.cases] == ["case06"]
    assert list(listed.left_out) == ["case07"]
    assert "was not predicted" in listed.left_out["case07"]


def without_map(case: Path) -> None:
    report = json.loads((case / "prediction.json").read_text(encoding="utf-8"))
    del report["expected_dice"]
    (case / "prediction.json").write_text(json.dumps(report), encoding="utf-8")
    (case / "probability.nii.gz").unlink()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda case: (case / "probability.nii.gz").unlink(), "was not predicted, or this was interrupted"),
        (lambda case: (case / "prediction.json").write_text("[]", encoding="utf-8"), "prediction.json cannot be read"),
        (lambda case: (case / "prediction.json").write_text("{", encoding="utf-8"), "cannot be read"),
        (lambda case: (case / "prediction.json").write_text("[1]", encoding="utf-8"), "cannot be read"),
        (lambda case: (case / "prediction.json").write_text("{}", encoding="utf-8"), "warnings"),
        (lambda case: change(case.parent, case.name, lambda r: r.update(expected_dice=1.5)), "1.5 is no number"),
        (lambda case: change(case.parent, case.name, lambda r: r.update(volume_ml="many")), "'many' is no number"),
        (without_map, "probability.nii.gz"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_others_are_listed(
    folder: Path, damage: Callable[[Path], object], told: str
) -> None:
    damage(folder / "case05")
    listed = cases_to_review(folder)
    assert sorted(row.case for row in listed.cases) == ["case04", "case06"]
    assert list(listed.left_out) == ["case05"]
    assert told in listed.left_out["case05"]


def test_the_probability_alone_is_listed_and_told(folder: Path) -> None:
    before = rows(folder)["case05"]
    (folder / "case05" / "prediction.json").unlink()
    row = rows(folder)["case05"]
    assert row.expected_dice == pytest.approx(before.expected_dice, abs=1e-3)
    assert row.volume_ml == pytest.approx(before.volume_ml, abs=1e-3)
    assert row.is_computed_now
    assert "no prediction.json lies beside it" in row.warnings[0]


def test_one_cases_folder_and_a_case_named_twice_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"is the folder of one predicted case; give .*out, that of all"):
        cases_to_review(folder / "case05")
    with pytest.raises(InputError, match="case05 is named twice"):
        cases_to_review(folder, ["case05", "case06", "case05"])


def test_cases_in_folders_of_folders_go_by_their_whole_name(folder: Path) -> None:
    (folder / "site").mkdir()
    (folder / "case06").rename(folder / "site" / "case06")
    assert sorted(rows(folder)) == ["case04", "case05", "site/case06"]


def test_a_folder_without_predictions_is_wrong_input(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        cases_to_review(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no prediction"):
        cases_to_review(tmp_path / "empty")
    with pytest.raises(InputError, match=r"holds no prediction(.|\n)*case99: .*was not predicted"):
        cases_to_review(folder, ["case99"])
