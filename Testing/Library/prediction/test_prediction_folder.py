"""A folder of predictions that is taken up again: what is kept, what is predicted again, and what is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cohorts import disc_case, discs, write_discs

from ObserverUncertaintyLib.base.errors import Cancelled, InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.loading import load_case
from ObserverUncertaintyLib.evaluation.scoring import evaluate
from ObserverUncertaintyLib.evaluation.tables import write_scores
from ObserverUncertaintyLib.formats import read_image, write_image
from ObserverUncertaintyLib.model.settings import PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.training.train import train

SETTINGS = PredictionSettings(samples=2)
NAMES = ["case01", "case02"]


class Heard(Progress):
    """Remembers warnings, and stops where asked."""

    def __init__(self, stops: bool = False) -> None:
        self.warnings: list[str] = []
        self.stops = stops

    def warning(self, text: str) -> None:
        if "empty" not in text or "predicted again" in text:
            self.warnings.append(text)

    def check_cancelled(self) -> None:
        if self.stops:
            raise Cancelled("stopped")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models of one architecture."""
    folder = tmp_path_factory.mktemp("models")
    for seed in (0, 1):
        settings = TrainingSettings(epochs=1, network=UNetSettings(depth=1, filters=4), seed=seed)
        train([disc_case(7), disc_case(8)], folder / f"model{seed}", settings)
    return folder / "model0", folder / "model1"


@pytest.fixture
def folder(models: tuple[Path, Path], tmp_path: Path) -> Path:
    """Both cases, predicted by the first model."""
    predict(models[0], tmp_path / "out")
    return tmp_path / "out"


def case_named(name: str) -> Case:
    return disc_case(int(name[-2:]) - 1)


def predict(
    model: Path,
    folder: Path,
    load: Callable[[str], Case] = case_named,
    *,
    names: list[str] = NAMES,
    stops: bool = False,
    **options: bool,
) -> list[str]:
    """Predict, and return the warnings."""
    heard = Heard(stops)
    predict_cases(model, names, load, folder, SETTINGS, device="cpu", progress=heard, **options)
    return heard.warnings


def written(folder: Path) -> dict[str, int]:
    return {name: (folder / name / "prediction.json").stat().st_mtime_ns for name in NAMES}


def change_report(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "case02" / "prediction.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def test_what_was_made_from_the_same_is_kept(models: tuple[Path, Path], folder: Path) -> None:
    before = written(folder)
    assert predict(models[0], folder, resume=True) == []
    assert written(folder) == before


def other_images(name: str) -> Case:
    case = case_named(name)
    return replace(case, images=-case.images) if name == "case02" else case


def other_place(name: str) -> Case:
    case = case_named(name)
    return replace(case, grid=replace(case.grid, origin=(5.0, 0.0, 0.0))) if name == "case02" else case


@pytest.mark.parametrize(
    ("load", "told"), [(other_images, "not those that it was predicted from"), (other_place, "lie elsewhere")]
)
def test_another_patient_or_a_corrected_image_is_predicted_anew(
    models: tuple[Path, Path], folder: Path, tmp_path: Path, load: Callable[[str], Case], told: str
) -> None:
    before = written(folder)
    (warning,) = predict(models[0], folder, load, resume=True)
    assert warning.startswith("case02 is predicted again: its images")
    assert told in warning
    after = written(folder)
    assert (after["case01"] == before["case01"], after["case02"] == before["case02"]) == (True, False)
    predict(models[0], tmp_path / "afresh", load)
    resumed, afresh = (read_image(each / "case02" / "probability.nii.gz") for each in (folder, tmp_path / "afresh"))
    assert np.array_equal(resumed.array, afresh.array)
    assert resumed.grid == afresh.grid


def test_an_interrupted_second_prediction_leaves_nothing_of_the_first(models: tuple[Path, Path], folder: Path) -> None:
    with pytest.raises(Cancelled):
        predict(models[0], folder, other_images, names=["case02"], resume=True, stops=True)
    assert list((folder / "case02").iterdir()) == []
    assert (folder / "case01" / "prediction.json").exists()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda case: (case / "probability.nii.gz").unlink(), "probability is missing"),
        (lambda case: (case / "segmentation.nii.gz").write_bytes(b""), "segmentation is missing, empty"),
        (lambda case: cut(case / "probability.nii.gz"), "probability is missing, empty or damaged"),
        (lambda case: (case / "prediction.json").write_text("", encoding="utf-8"), "cannot be read"),
        (lambda case: (case / "prediction.json").write_text("[1]", encoding="utf-8"), "cannot be read"),
    ],
)
def test_what_is_empty_or_half_is_predicted_anew(
    models: tuple[Path, Path], folder: Path, damage: Callable[[Path], object], told: str
) -> None:
    whole = read_image(folder / "case02" / "probability.nii.gz").array
    damage(folder / "case02")
    (warning,) = predict(models[0], folder, resume=True)
    assert warning.startswith("case02 is predicted again")
    assert told in warning
    assert np.array_equal(read_image(folder / "case02" / "probability.nii.gz").array, whole)


def test_another_models_predictions_are_refused_or_predicted_anew(models: tuple[Path, Path], folder: Path) -> None:
    with pytest.raises(InputError, match="weights: it began with"):
        predict(models[1], folder, resume=True)
    # Without the folder's own note, each prediction is compared by itself.
    (folder / "settings.json").unlink()
    assert predict(models[1], folder, resume=True) == [
        f"{name} is predicted again: it was predicted by another model" for name in NAMES
    ]
    assert predict(models[1], folder, resume=True) == []


def test_other_settings_are_known_from_each_report(models: tuple[Path, Path], folder: Path) -> None:
    (folder / "settings.json").unlink()
    change_report(folder, lambda report: report["made_from"]["settings"].update(samples=20))
    assert predict(models[0], folder, resume=True) == [
        "case02 is predicted again: it was predicted with other settings"
    ]


def test_a_damaged_note_of_the_settings_is_named(models: tuple[Path, Path], folder: Path) -> None:
    for text in ("", "{", "[]3", "7"):
        (folder / "settings.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"settings\.json cannot be read"):
            predict(models[0], folder, resume=True)


def test_predictions_of_an_earlier_version_are_kept_with_a_warning(models: tuple[Path, Path], folder: Path) -> None:
    change_report(folder, lambda report: report.pop("made_from"))
    note = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    del note["model"]
    (folder / "settings.json").write_text(json.dumps(note), encoding="utf-8")
    before = written(folder)
    (warning,) = predict(models[0], folder, resume=True)
    assert "case02 is kept, but carries no fingerprint" in warning
    assert written(folder) == before
    # Which model it is of, it always told.
    change_report(folder, lambda report: report.update(weights="of another"))
    (warning,) = predict(models[0], folder, resume=True)
    assert warning == "case02 is predicted again: it was predicted by another model"


NOTHING_SAVED = {"likely_only": False, "entropy_tolerance": None}


@pytest.mark.parametrize(
    ("economy", "told"),
    [
        (NOTHING_SAVED, []),
        ({"likely_only": True, "entropy_tolerance": None}, ["case02 is predicted again: it was predicted with other"]),
        ({"likely_only": False, "entropy_tolerance": 0.0}, ["case02 is predicted again: it was predicted with other"]),
    ],
)
def test_of_predictions_that_name_an_economy_only_those_are_kept_that_saved_nothing(
    models: tuple[Path, Path], folder: Path, economy: dict[str, Any], told: list[str]
) -> None:
    note = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    (folder / "settings.json").write_text(json.dumps({**note, "economy": NOTHING_SAVED}), encoding="utf-8")
    change_report(folder, lambda report: report["made_from"]["settings"].update(economy=economy))
    before = written(folder)
    assert [text.removesuffix(" settings") for text in predict(models[0], folder, resume=True)] == told
    assert (written(folder) == before) is (not told)


def test_a_folder_that_was_begun_with_an_economy_is_not_resumed(models: tuple[Path, Path], folder: Path) -> None:
    note = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    note["economy"] = {"likely_only": True, "entropy_tolerance": None}
    (folder / "settings.json").write_text(json.dumps(note), encoding="utf-8")
    with pytest.raises(InputError, match=r"economy\.likely_only: it began with True"):
        predict(models[0], folder, resume=True)


@pytest.mark.parametrize(("likely_only", "groups"), [(False, 1), (True, 2)])
def test_scores_of_predictions_with_an_economy_are_told_apart_from_those_without(
    models: tuple[Path, Path], tmp_path: Path, likely_only: bool, groups: int
) -> None:
    cohort = Cohort.open(write_discs(tmp_path / "cohort", 2))
    predict(models[0], tmp_path / "out", cohort.load_images)
    change_report(tmp_path / "out", lambda report: report.update(economy={**NOTHING_SAVED, "likely_only": likely_only}))
    found = [f"{groups} settings" in text for text in evaluate(tmp_path / "out", cohort).warnings]
    assert found == [True] * (groups - 1)


def test_a_folder_with_predictions_of_two_models_is_told_and_not_averaged_silently(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    manifest = write_discs(tmp_path / "cohort", 2)
    cohort = Cohort.open(manifest)
    out = tmp_path / "out"
    predict(models[0], out, cohort.load_images)
    (warning,) = predict(models[1], out, cohort.load_images, names=["case01"], overwrite=True)
    assert "also holds predictions of another model, from an earlier call: case02." in warning
    heard = Heard()
    evaluation = evaluate(out, cohort, progress=heard)
    (told,) = [text for text in heard.warnings if "2 models" in text]
    assert evaluation.warnings == (told,)
    _csv, file = write_scores(tmp_path / "scores.csv", evaluation)
    assert json.loads(file.read_text(encoding="utf-8"))["warnings"] == [told]
    predict(models[1], out, cohort.load_images, overwrite=True)
    assert evaluate(out, cohort).warnings == ()


def test_scores_tell_of_a_prediction_from_other_images_and_of_an_earlier_version(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    cohort = Cohort.open(write_discs(tmp_path / "cohort", 2))
    out = tmp_path / "out"
    predict(models[0], out, cohort.load_images)
    image = read_image(tmp_path / "cohort" / "case02" / "S1.nii.gz")
    write_image(tmp_path / "cohort" / "case02" / "S1.nii.gz", -image.array, image.grid)
    first, second = evaluate(out, cohort).cases
    assert not any("other images" in text for text in first["warnings"])
    assert any("case02: its prediction was made from other images" in text for text in second["warnings"])
    change_report(out, lambda report: report.pop("made_from"))
    (warning,) = evaluate(out, cohort).warnings
    assert "1 of 2 predictions carry no fingerprint" in warning


def test_predictions_of_several_models_together_are_scored(models: tuple[Path, Path], tmp_path: Path) -> None:
    cohort = Cohort.open(write_discs(tmp_path / "cohort", 2))
    out = tmp_path / "out"
    predict(models[0], out, cohort.load_images)
    for name in NAMES:
        file = out / name / "prediction.json"
        report = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps({"models": [report, {**report, "weights": "another"}]}), encoding="utf-8")
    assert evaluate(out, cohort).warnings == ()


def test_weights_of_another_model_of_the_same_architecture_are_not_taken(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(models[0], tmp_path / "mixed")
    shutil.copy(models[1] / "weights.safetensors", tmp_path / "mixed")
    with pytest.raises(InputError, match=r"weights\.safetensors holds other weights"):
        predict(tmp_path / "mixed", tmp_path / "out")
    content = json.loads((tmp_path / "mixed" / "model.json").read_text(encoding="utf-8"))
    del content["weights_digest"]
    (tmp_path / "mixed" / "model.json").write_text(json.dumps(content), encoding="utf-8")
    (warning,) = predict(tmp_path / "mixed", tmp_path / "out")
    assert "carries no fingerprint of the weights" in warning


def test_an_image_of_one_value_is_said(tmp_path: Path) -> None:
    case = discs(1, slices=3, sequences=2)[0]
    for sequence, image in zip(case.sequences, (case.images[0], np.full(case.grid.shape, 7.0)), strict=True):
        write_image(tmp_path / f"{sequence}.nii.gz", image, case.grid)
    loaded = load_case("p", {name: tmp_path / f"{name}.nii.gz" for name in case.sequences}, {})
    assert [text for text in loaded.warnings if "image S2 has the same value everywhere (7)" in text]
    assert not [text for text in loaded.warnings if "image S1 has" in text]
