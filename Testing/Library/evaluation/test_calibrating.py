"""`calibrate`: from cases with several raters to a map in the model's folder, and what becomes of predictions then."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from cohorts import disc_case, write_discs

from ObserverUncertaintyLib.base.errors import Cancelled, InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.calibrating import (
    FIGURES,
    POOLED,
    CaseVoxels,
    calibrate,
    cross_validated_maps,
    fit_map,
)
from ObserverUncertaintyLib.evaluation.scoring import evaluate
from ObserverUncertaintyLib.formats import read_mask, write_mask
from ObserverUncertaintyLib.model.calibration import CALIBRATION_FILE, CalibrationKind, read_calibration
from ObserverUncertaintyLib.model.description import ModelError, read_description
from ObserverUncertaintyLib.model.settings import PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.review.cases import cases_to_review
from ObserverUncertaintyLib.review.predicted import read_predicted
from ObserverUncertaintyLib.scores.region import around_raters
from ObserverUncertaintyLib.training.train import train

SETTINGS = PredictionSettings(samples=4)
TRAINING = TrainingSettings(
    fusion=FusionMethod.UNION, epochs=15, network=UNetSettings(depth=1, filters=4), learning_rate=5e-3, batch_size=2
)
"""With the union as label a model is far too sure of what few raters drew."""


class Heard(Progress):
    def __init__(self, stops_after: int | None = None) -> None:
        self.warnings: list[str] = []
        self.messages: list[str] = []
        self.stops_after = stops_after

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def message(self, text: str) -> None:
        self.messages.append(text)

    def check_cancelled(self) -> None:
        if self.stops_after is not None:
            self.stops_after -= 1
            if self.stops_after < 0:
                raise Cancelled("stopped")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return Cohort.open(write_discs(tmp_path_factory.mktemp("discs"), 7, slices=3))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "model"
    train([disc_case(number, slices=3) for number in range(20, 24)], folder, TRAINING)
    return folder


@pytest.fixture
def model(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "model")


def predicted(model, cohort, folder, **options):
    predict_cases(model, cohort.case_names, cohort.load_images, folder, SETTINGS, device="cpu", **options)
    return folder


def test_a_calibrated_model_is_nearer_to_the_raters_and_keeps_its_contours(model, cohort, tmp_path):
    found = calibrate(model, cohort, CalibrationKind.ISOTONIC, SETTINGS, device="cpu")
    assert read_calibration(model, read_description(model)) == found
    assert list(found.figures) == [POOLED, *FIGURES]
    assert found.figures[POOLED]["after"] < 0.5 * found.figures[POOLED]["before"]
    assert found.raters == (3, 3)
    assert not list(model.glob("calibration-in-progress*"))
    with_map, without = (
        predicted(model, cohort, tmp_path / "a"),
        predicted(model, cohort, tmp_path / "b", calibrated=False),
    )
    scores = {folder: evaluate(folder, cohort) for folder in (with_map, without)}
    assert scores[with_map].summary["ece_roi"]["pooled"] < 0.5 * scores[without].summary["ece_roi"]["pooled"]
    for one, other in zip(scores[with_map].cases, scores[without].cases, strict=True):
        assert one["dice_majority"] == other["dice_majority"]
        assert one["volume_ml"] == other["volume_ml"]
        assert one["ece_roi"] != other["ece_roi"]
    name = cohort.case_names[0]
    np.testing.assert_array_equal(
        read_mask(with_map / name / "segmentation.nii.gz").array,
        read_mask(without / name / "segmentation.nii.gz").array,
    )
    report = json.loads((with_map / name / "prediction.json").read_text(encoding="utf-8"))
    assert "calibrated to 3 raters on 7 cases" in report["calibration"]
    maps = read_predicted(with_map / name)
    assert maps.level == report["segmentation_level"] != 0.5
    np.testing.assert_array_equal(
        maps.probability > maps.level, read_mask(with_map / name / "segmentation.nii.gz").array
    )
    listed = {case.case: case for case in cases_to_review(with_map).cases}
    assert listed[name].volume_ml == pytest.approx(report["volume_ml"])


def test_figures_before_are_those_of_the_uncalibrated_predictions(model, cohort, tmp_path):
    found = calibrate(model, cohort, CalibrationKind.TEMPERATURE, SETTINGS, device="cpu").figures
    summary = evaluate(predicted(model, cohort, tmp_path / "out", calibrated=False), cohort).summary
    assert found[POOLED]["before"] == pytest.approx(summary["ece_roi"]["pooled"])
    for score in FIGURES:
        assert found[score]["before"] == pytest.approx(summary[score]["mean"])


def test_each_case_is_scored_by_a_map_that_was_fitted_to_the_others():
    rng = np.random.default_rng(0)
    cases = [
        CaseVoxels(p, (rng.random(200) < p**2).astype(np.float32)) for p in rng.random((12, 200)).astype(np.float32)
    ]
    maps = cross_validated_maps(CalibrationKind.TEMPERATURE, cases)
    assert maps[3] == fit_map(CalibrationKind.TEMPERATURE, [case for n, case in enumerate(cases) if n != 3])
    # Of twelve cases in ten parts the first and the eleventh are one part.
    assert maps[0] == maps[10] == fit_map(CalibrationKind.TEMPERATURE, [c for n, c in enumerate(cases) if n % 10])
    with pytest.raises(InputError, match="two or more"):
        cross_validated_maps(CalibrationKind.TEMPERATURE, cases[:1])


def test_the_map_is_fitted_around_the_raters_alone():
    case = disc_case(0, slices=3)
    p = np.random.default_rng(0).random(case.grid.shape).astype(np.float32)
    voxels = CaseVoxels.of(p, case.raters, case.grid)
    region = around_raters(case.raters, case.grid)
    np.testing.assert_array_equal(voxels.probability, p[region])
    np.testing.assert_allclose(voxels.rater_mean, case.raters.mean(axis=0)[region], atol=1e-6)


def test_a_model_has_one_calibration_until_it_is_overwritten_or_trained_again(model, cohort):
    first = calibrate(model, cohort, CalibrationKind.ISOTONIC, SETTINGS, device="cpu")
    with pytest.raises(InputError, match="exists already"):
        calibrate(model, cohort, CalibrationKind.ISOTONIC, SETTINGS, device="cpu")
    second = calibrate(model, cohort, CalibrationKind.TEMPERATURE, SETTINGS, device="cpu", overwrite=True)
    assert second.map != first.map
    train([disc_case(30, slices=3)], model, replace(TRAINING, epochs=1), overwrite=True)
    assert not (model / CALIBRATION_FILE).exists()


def test_the_calibration_of_other_weights_is_refused_by_predict(model, cohort, tmp_path):
    calibrate(model, cohort, CalibrationKind.ISOTONIC, SETTINGS, device="cpu")
    train([disc_case(30, slices=3)], tmp_path / "other", replace(TRAINING, epochs=1))
    shutil.copy(model / CALIBRATION_FILE, tmp_path / "other")
    with pytest.raises(ModelError, match="calibrates other weights"):
        predicted(tmp_path / "other", cohort, tmp_path / "out")
    predicted(tmp_path / "other", cohort, tmp_path / "out", calibrated=False)


def test_predictions_made_before_are_made_again_after_a_calibration(model, cohort, tmp_path):
    predicted(model, cohort, tmp_path / "out")
    calibrate(model, cohort, CalibrationKind.ISOTONIC, SETTINGS, device="cpu")
    with pytest.raises(InputError, match="calibration"):
        predicted(model, cohort, tmp_path / "out", resume=True)
    (tmp_path / "out" / "settings.json").unlink()
    heard = Heard()
    predicted(model, cohort, tmp_path / "out", resume=True, progress=heard)
    assert sum("calibrated otherwise" in warning for warning in heard.warnings) == len(cohort)


def test_an_interrupted_calibration_goes_on_with_the_cases_that_are_complete(model, cohort):
    steps = Heard(stops_after=7 + 9)  # after the look at the seven cases
    with pytest.raises(Cancelled):
        calibrate(model, cohort, CalibrationKind.ISOTONIC, SETTINGS, device="cpu", progress=steps)
    assert not (model / CALIBRATION_FILE).exists()
    heard = Heard()
    calibrate(model, cohort, CalibrationKind.ISOTONIC, SETTINGS, device="cpu", progress=heard)
    assert any("complete already" in message for message in heard.messages)


def test_cases_that_say_nothing_of_other_cases_are_refused(model, cohort, tmp_path):
    seen = Cohort.open(write_discs(tmp_path / "seen", 24, slices=3), ["case21", "case22"])
    with pytest.raises(InputError, match="case21 was in the model's training set"):
        calibrate(model, seen, settings=SETTINGS, device="cpu")
    lonely = Cohort.open(write_discs(tmp_path / "lonely", 3, slices=3, raters=1))
    with pytest.raises(InputError, match="case01 has 1 rater"):
        calibrate(model, lonely, settings=SETTINGS, device="cpu")
    with pytest.raises(InputError, match="1 case is named"):
        calibrate(model, Cohort.open(cohort.manifest.path, ["case01"]), settings=SETTINGS, device="cpu")
    assert not (model / CALIBRATION_FILE).exists()


def test_few_cases_are_warned_of(model, cohort):
    heard = Heard()
    calibrate(
        model, Cohort.open(cohort.manifest.path, ["case01", "case02", "case03"]), CalibrationKind.TEMPERATURE, SETTINGS,
        device="cpu", progress=heard,
    )  # fmt: skip
    assert any("3 cases are few" in warning for warning in heard.warnings)


def test_a_map_that_does_no_good_is_not_kept(model, cohort, monkeypatch):
    """A map that changes nothing lowers no error; what would be fitted is another one."""
    from ObserverUncertaintyLib.evaluation import calibrating

    identity = calibrating.CalibrationMap(CalibrationKind.TEMPERATURE)
    monkeypatch.setattr(calibrating, "cross_validated_maps", lambda _kind, cases: [identity] * len(cases))
    with pytest.raises(InputError, match="Nothing is kept"):
        calibrate(model, cohort, settings=SETTINGS, device="cpu")
    assert not (model / CALIBRATION_FILE).exists()


def test_nothing_of_a_cases_maps_is_left_where_nothing_comes_of_it_or_another_call_follows(model, cohort):
    with pytest.raises(Cancelled):
        calibrate(model, cohort, settings=SETTINGS, device="cpu", progress=Heard(stops_after=16))
    (before,) = model.glob("calibration-in-progress*")
    with pytest.raises(Cancelled):
        calibrate(model, cohort, settings=replace(SETTINGS, samples=3), device="cpu", progress=Heard(stops_after=16))
    (after,) = model.glob("calibration-in-progress*")
    assert after != before
    train([disc_case(30, slices=3)], model, replace(TRAINING, epochs=1), overwrite=True)
    assert not list(model.glob("calibration-in-progress*"))


def test_cases_are_looked_at_before_anything_is_predicted(model, tmp_path):
    manifest = write_discs(tmp_path / "cohort", 3, slices=3)
    for rater in (1, 2, 3):
        file = tmp_path / "cohort" / "case03" / f"rater{rater}.nii.gz"
        mask = read_mask(file)
        write_mask(file, np.zeros_like(mask.array), mask.grid)
    with pytest.raises(InputError, match="case03: no rater marked anything"):
        calibrate(model, Cohort.open(manifest), settings=SETTINGS, device="cpu")
    shutil.rmtree(tmp_path / "cohort" / "case03")
    shutil.copytree(tmp_path / "cohort" / "case02", tmp_path / "cohort" / "case03")
    with pytest.raises(InputError, match="case03 has the same images as case02"):
        calibrate(model, Cohort.open(manifest), settings=SETTINGS, device="cpu")
    assert not list(model.glob("calibration-in-progress*"))


def test_a_calibration_is_left_out_where_it_was_not_fitted_to_and_this_is_told(model, cohort, tmp_path):
    calibrate(model, cohort, settings=SETTINGS, device="cpu")
    heard = Heard()
    predict_cases(
        model,
        ["case01"],
        cohort.load_images,
        tmp_path / "out",
        replace(SETTINGS, flip=True),
        device="cpu",
        progress=heard,
    )
    assert any("calibration is not applied" in warning for warning in heard.warnings)
    assert read_predicted(tmp_path / "out" / "case01").level == 0.5


def test_two_calibrations_of_one_model_in_a_folder_are_told_apart(model, cohort, tmp_path):
    for kind, name in ((CalibrationKind.ISOTONIC, "case01"), (CalibrationKind.TEMPERATURE, "case02")):
        calibrate(model, cohort, kind, SETTINGS, device="cpu", overwrite=True)
        predict_cases(model, [name], cohort.load_images, tmp_path / "out", SETTINGS, device="cpu", overwrite=True)
    (warning,) = evaluate(tmp_path / "out", cohort).warnings
    assert "2 settings" in warning
    assert warning.count("calibration ") == 2
