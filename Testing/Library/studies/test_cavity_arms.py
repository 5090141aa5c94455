"""Arms of several models: what each is trained on, and that they predict together."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cohorts import write_discs
from test_cavity import TINY, rows_of

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.settings import FinalActivation, Loss, PredictionSettings, TrainingSettings, shares
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.simulation.cavities import many_raters_mean
from ObserverUncertaintyLib.simulation.settings import CavitySettings
from ObserverUncertaintyLib.studies.cavity.arms import (
    ARM_TITLES,
    ENSEMBLE_SIZE,
    Several,
    Variant,
    models_of,
    read_arm,
    seen_by,
    training_of,
)
from ObserverUncertaintyLib.studies.cavity.study import run_cavity
from ObserverUncertaintyLib.studies.cavity.work import study_tasks
from ObserverUncertaintyLib.studies.units import StudyError
from ObserverUncertaintyLib.training.train import train

SETTINGS = replace(
    TINY,
    arms=(FusionMethod.NONE, FusionMethod.MAJORITY, Several.ENSEMBLE, Several.PER_RATER),
    samples=7,
    training=replace(TINY.training, epochs=1),
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_discs(tmp_path_factory.mktemp("cohort"), 4)


@pytest.fixture(scope="module")
def study(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arms") / "study"
    run_cavity(folder, SETTINGS, cohort, device="cpu", threads=1)
    return folder


def weights(model: Path) -> bytes:
    return (model / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(("samples", "models"), [(20, 1), (20, 3), (20, 5), (7, 5), (2, 5)])
def test_samples_are_shared_evenly_and_every_model_draws(samples: int, models: int) -> None:
    found = shares(samples, models)
    assert len(found) == models
    assert max(found) - min(found) <= 1
    assert sum(found) == max(samples, models)


def test_arms_are_read_by_their_names_and_have_titles() -> None:
    assert read_arm("ensemble") is Several.ENSEMBLE
    assert read_arm("majority") is FusionMethod.MAJORITY
    assert read_arm("softseg") is Variant.SOFTSEG
    assert set(ARM_TITLES) == {*FusionMethod, *Several, *Variant}
    with pytest.raises(ValueError, match="ensembel"):
        read_arm("ensembel")


def test_only_an_ensembles_models_have_seeds_of_their_own() -> None:
    training = TrainingSettings(epochs=3)
    for arm in (FusionMethod.MEAN, Several.PER_RATER):
        assert {training_of(arm, model, training, 4).seed for model in range(3)} == {4}
    seeds = [training_of(Several.ENSEMBLE, model, training, 4).seed for model in range(ENSEMBLE_SIZE)]
    assert seeds[0] == 4
    assert len(set(seeds)) == ENSEMBLE_SIZE
    assert training_of(FusionMethod.MEAN, 0, training, 4).fusion is FusionMethod.MEAN
    assert training_of(Several.PER_RATER, 1, training, 4) == replace(training, seed=4)


def test_an_ensemble_shares_the_model_without_fusion_and_every_prediction_waits_for_its_models(cohort: Path) -> None:
    tasks = {task.name: task for task in study_tasks(SETTINGS, {0: Cohort.open(cohort)})}
    trainings = [name for name, task in tasks.items() if task.case is None]
    # Two folds of: none, majority, four further models of the ensemble, three raters.
    assert len(trainings) == 2 * (1 + 1 + ENSEMBLE_SIZE - 1 + 3)
    for task in tasks.values():
        assert set(task.models) <= set(trainings)
        assert len(task.models) == (models_of(task.arm, 3) if task.case else 0)
    (first, *others) = next(task for task in tasks.values() if task.arm is Several.ENSEMBLE and task.case).models
    assert first == "seed0/none/fold1"
    assert others == [f"seed0/ensemble/fold1/model{number}" for number in range(2, 6)]


def test_a_raters_model_is_trained_on_what_this_rater_drew(study: Path, cohort: Path, tmp_path: Path) -> None:
    result = json.loads((study / "seed0/per-rater/fold1/model2/result.json").read_text(encoding="utf-8"))
    raters = list(Cohort.open(cohort).manifest.raters)
    cases = [
        replace(case, rater_names=(raters[1],), raters=case.raters[[1]])
        for case in Cohort.open(cohort, result["training_cases"]).load_all()
    ]
    torch.set_num_threads(1)
    train(cases, tmp_path / "alone", replace(SETTINGS.training, seed=0), device="cpu")
    assert weights(tmp_path / "alone") == weights(study / "seed0/per-rater/fold1/model2/model")
    assert weights(study / "seed0/per-rater/fold1/model1/model") != weights(tmp_path / "alone")


@pytest.mark.parametrize(("arm", "counts"), [(Several.ENSEMBLE, [2, 2, 1, 1, 1]), (Several.PER_RATER, [3, 2, 2])])
def test_the_models_samples_count_alike(study: Path, cohort: Path, arm: Several, counts: list[int]) -> None:
    tasks = study_tasks(SETTINGS, {0: Cohort.open(cohort)})
    task = next(task for task in tasks if task.arm is arm and task.case)
    case = Cohort.open(cohort).load(str(task.case))
    total = np.zeros(case.grid.shape)
    in_order = sorted(task.models, key=lambda name: read_description(study / name / "model").weights_digest)
    for number, (name, count) in enumerate(zip(in_order, counts, strict=True)):
        made = predict(*load_model(study / name / "model"), case, PredictionSettings(count, number))
        total += count * made.probability
    found = read_image(study / task.name / "probability.nii.gz").array
    assert found == pytest.approx(total / 7, abs=1e-5)
    report = json.loads((study / task.name / "prediction.json").read_text(encoding="utf-8"))
    assert (len(report["ensemble"]), report["samples"]) == (len(counts), sum(counts))


def test_tables_and_report_have_all_arms(study: Path) -> None:
    rows = rows_of(study / "summary.csv")
    assert [row["arm"] for row in rows] == ["none", "majority", "ensemble", "per-rater"]
    text = (study / "report.md").read_text(encoding="utf-8")
    assert "| no fusion minus Ensemble of 5 | no fusion minus A model a rater |" in text


def test_a_rater_who_drew_none_of_the_training_cases_has_no_model(cohort: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    shutil.copytree(cohort.parent, folder)
    raters = list(Cohort.open(cohort).manifest.raters)
    case = Cohort.open(cohort).load(Cohort.open(cohort).case_names[0])
    assert seen_by(Several.PER_RATER, 2, [*raters[:2], "absent"], case) is None
    for name in Cohort.open(cohort).case_names[1:]:
        for path in (folder / name).glob(f"{raters[2]}.*"):
            path.unlink()
    settings = replace(SETTINGS, arms=(FusionMethod.NONE, Several.PER_RATER))
    with pytest.raises(StudyError, match=rf"per-rater/fold\d/model3: {raters[2]} drew none of the training cases"):
        run_cavity(tmp_path / "study", settings, folder / cohort.name, device="cpu", threads=1)


def test_softseg_and_the_rater_as_an_input_are_trained_in_their_own_way() -> None:
    training = TrainingSettings(epochs=3, prior_bias=True)
    softseg = training_of(Variant.SOFTSEG, 0, training, 4)
    assert (softseg.fusion, softseg.loss, softseg.prior_bias) == (FusionMethod.MEAN, Loss.ADAPTIVE_WING, False)
    assert softseg.network.final_activation is FinalActivation.NORMALISED_RELU
    told = training_of(Variant.RATER_INPUT, 0, training, 4)
    assert told == replace(training, rater_input=True, seed=4)


def test_an_ideal_forecaster_is_scored_beside_the_models_of_simulated_patients(tmp_path: Path) -> None:
    settings = replace(
        SETTINGS,
        patients=2,
        arms=(FusionMethod.NONE, Variant.SOFTSEG, Variant.RATER_INPUT, Variant.FORECASTER),
        scanner=CavitySettings(in_plane_spacing_mm=6.0, slice_thickness_mm=10.0),
        samples=3,
    )
    run_cavity(tmp_path / "study", settings, device="cpu", threads=1)
    rows = rows_of(tmp_path / "study" / "per_case.csv")
    assert len(rows) == 8
    means = {
        arm: np.mean([float(row["dice_truth"]) for row in rows if row["arm"] == arm]) for arm in ("none", "forecaster")
    }
    assert means["forecaster"] > 0.8 > means["none"]
    expected = many_raters_mean(1, 0, 20, settings.scanner)
    found = read_image(tmp_path / "study/seed0/forecaster/cases/case02/probability.nii.gz").array
    np.testing.assert_allclose(found, expected, atol=1e-6)
    text = (tmp_path / "study" / "report.md").read_text(encoding="utf-8")
    assert "Ideal forecaster" in text
    assert "ECE where raters disagree" in text


def test_nobody_knows_how_the_raters_of_a_manifest_draw(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="known of simulated patients only"):
        run_cavity(tmp_path / "s", replace(SETTINGS, arms=(FusionMethod.NONE, Variant.FORECASTER)), cohort)
    assert not (tmp_path / "s").exists()
