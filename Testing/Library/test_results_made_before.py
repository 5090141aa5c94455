"""A model, its predictions and an interrupted training that an earlier version wrote are read and gone on with."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import ObserverUncertaintyLib as ou
from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.model.settings import Precision

MADE = Path(__file__).parents[1] / "MadeBefore" / "library.zip"
CASES = ("shape001", "shape002", "shape003")
SCORES = {
    "wme": 0.9951788965203776,
    "wme_as_printed": 0.05546509106996047,
    "me": 0.9847040541698681,
    "ece_all": 0.38141389179509133,
    "entropy_inside_disagreement": 0.9952595622703901,
    "entropy_outside_disagreement": 0.9840951565196221,
    "entropy_correlation": -0.08616980960625407,
    "dice_majority": 0.25917516255160195,
    "dice_truth": 0.26532645570870134,
    "dice_between_raters": 0.8905086767852627,
    "soft_dice": 0.1568302168854466,
    "dice_consensus": 0.22777192653675996,
    "dice_dissensus": 0.6113694744310758,
    "volume_crps_ml": 24.463209686925556,
    "volume_ml": 64.85333333333334,
    "volume_ml_majority": 9.664000000000001,
}
"""Means over the cases, as the version that wrote the predictions scored them."""


class Told(ou.Progress):
    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []
        self.warnings: list[str] = []

    def start(self, task: str, steps: int, done: int = 0) -> None:
        self.told.append((task, steps, done))

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    with zipfile.ZipFile(MADE) as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def cohort(made: Path) -> ou.Cohort:
    return ou.Cohort.open(made / "cohort" / "cohort.toml")


@pytest.mark.parametrize("name", CASES)
def test_the_model_predicts_what_it_predicted(made: Path, cohort: ou.Cohort, name: str) -> None:
    network, description = ou.load_model(made / "model")
    # The maps were computed in float32; processors add up in another order.
    prediction = ou.predict(
        network, description, cohort.load_images(name), ou.PredictionSettings(3, precision=Precision.FLOAT32)
    )

    before = made / "predictions" / name
    for file, values in (
        ("probability", prediction.probability),
        ("predictive_entropy", prediction.uncertainty.predictive),
        ("expected_entropy", prediction.uncertainty.expected),
        ("mutual_information", prediction.uncertainty.mutual_information),
    ):
        np.testing.assert_allclose(values, read_image(before / f"{file}.nii.gz").array, atol=1e-5, err_msg=file)


def test_complete_predictions_are_kept(made: Path, cohort: ou.Cohort) -> None:
    files = [file for file in (made / "predictions").rglob("*") if file.is_file()]
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}
    progress = Told()

    settings = ou.PredictionSettings(samples=3)
    folder = made / "predictions"
    ou.predict_cases(
        made / "model", CASES, cohort.load_images, folder, settings, device="cpu", resume=True, progress=progress
    )

    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files} == before
    assert progress.warnings == []


def test_a_prediction_that_was_lost_is_made_again_among_the_others(made: Path, cohort: ou.Cohort) -> None:
    folder = made / "predictions"
    (folder / "shape002" / "prediction.json").unlink()
    kept = (folder / "shape001" / "prediction.json").read_bytes()

    settings = ou.PredictionSettings(samples=3)
    ou.predict_cases(made / "model", CASES, cohort.load_images, folder, settings, device="cpu", resume=True)

    assert (folder / "shape002" / "prediction.json").is_file()
    assert (folder / "shape001" / "prediction.json").read_bytes() == kept


def test_the_predictions_have_the_scores_that_they_had(made: Path, cohort: ou.Cohort) -> None:
    evaluation = ou.evaluate(made / "predictions", cohort)

    assert [row["case"] for row in evaluation.cases] == list(CASES)
    assert {name: evaluation.summary[name]["mean"] for name in SCORES} == pytest.approx(SCORES, rel=1e-9)
    assert all("training set" in row["warnings"][-1] for row in evaluation.cases)


def test_the_interrupted_training_goes_on_at_its_second_epoch(made: Path, cohort: ou.Cohort) -> None:
    folder, progress = made / "interrupted", Told()
    before = torch.load(folder / "checkpoint" / "state.pt", weights_only=True)["losses"]
    assert len(before) == 1

    settings = ou.TrainingSettings(epochs=3, network=ou.UNetSettings(depth=1, filters=2))
    result = ou.train(
        cohort.load_all(),
        folder,
        settings,
        cohort_name=cohort.name,
        label="shape",
        simulated=True,
        device="cpu",
        resume=True,
        progress=progress,
    )

    losses = result.description.training["losses"]
    assert len(losses) == 3
    assert losses[:1] == before
    assert ("train", 3, 1) in progress.told
    assert progress.warnings == []
    assert ou.read_description(folder).digest == result.description.digest


def test_the_interrupted_training_refuses_other_settings(made: Path, cohort: ou.Cohort) -> None:
    settings = ou.TrainingSettings(epochs=3, seed=1, network=ou.UNetSettings(depth=1, filters=2))
    with pytest.raises(ou.InputError, match="seed"):
        ou.train(
            cohort.load_all(),
            made / "interrupted",
            settings,
            cohort_name=cohort.name,
            label="shape",
            simulated=True,
            device="cpu",
            resume=True,
        )
