"""Several models that predict together, and samples of mirrored slices."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from cohorts import disc_case

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.formats.prediction_samples import read_samples
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.settings import Augmentation, PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.prediction.ensemble import Ensemble
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.prediction.sums import MonteCarloSums
from ObserverUncertaintyLib.training.train import train

TRAINING = TrainingSettings(epochs=6, network=UNetSettings(depth=1, filters=4), learning_rate=5e-3, batch_size=2)
CASE = disc_case(9, slices=3)


class Heard(Progress):
    def __init__(self) -> None:
        self.tasks: list[tuple[str, int]] = []
        self.warnings: list[str] = []
        self.done = 0

    def start(self, task: str, steps: int, _done: int = 0) -> None:
        self.tasks.append((task, steps))

    def advance(self, steps: int = 1, _detail: str = "") -> None:
        self.done += steps

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for seed in (0, 1):
        train([disc_case(n, slices=3) for n in range(2)], folder / f"model{seed}", replace(TRAINING, seed=seed))
    return [folder / "model0", folder / "model1"]


def test_all_samples_of_all_models_count_alike_in_whatever_order_they_are_named(models):
    settings = PredictionSettings(samples=5, seed=7)
    heard, seen = Heard(), []
    found, report = Ensemble.read(models, torch.device("cpu")).predict(
        CASE, settings, keep_samples=4, progress=heard, on_sample=seen.append
    )
    sums = MonteCarloSums(CASE.grid.shape)
    in_order = sorted(models, key=lambda model: read_description(model).weights_digest)
    for number, (model, share) in enumerate(zip(in_order, (3, 2), strict=True)):
        own = PredictionSettings(samples=share, seed=7 + number)
        predict(*load_model(model), CASE, own, on_sample=sums.add)
    np.testing.assert_allclose(found.probability, sums.mean_probability(), atol=1e-6)
    np.testing.assert_allclose(found.uncertainty.mutual_information, sums.uncertainty().mutual_information, atol=1e-6)
    assert len(seen) == report["samples"] == 5
    np.testing.assert_allclose(found.kept_samples / 255, seen[:4], atol=1 / 500)
    assert len(heard.tasks) == 1
    assert heard.done == heard.tasks[0][1]


def test_models_disagree_more_than_one_does_with_itself(models):
    together = Ensemble.read(models, torch.device("cpu")).predict(CASE, PredictionSettings(samples=10))[0]
    alone = [
        Ensemble.read(each, torch.device("cpu")).predict(CASE, PredictionSettings(samples=10))[0] for each in models
    ]
    most = max(float(each.uncertainty.mutual_information.mean()) for each in alone)
    assert float(together.uncertainty.mutual_information.mean()) > most


def test_a_folder_of_an_ensemble_resumes_and_knows_its_models(models, tmp_path):
    def run(chosen, **options):
        heard = Heard()
        predict_cases(
            chosen, ["a"], lambda _name: CASE, tmp_path / "out", PredictionSettings(samples=4), device="cpu",
            save_samples=4, progress=heard, **options,
        )  # fmt: skip
        return heard

    run(models)
    report = json.loads((tmp_path / "out" / "a" / "prediction.json").read_text(encoding="utf-8"))
    assert len(report["ensemble"]) == 2
    assert len(read_samples(tmp_path / "out" / "a").probability) == 4
    assert not run(models[::-1], resume=True).done
    with pytest.raises(InputError, match="begun with other settings"):
        run(models[:1], resume=True)


def test_what_cannot_predict_together_is_refused(models, tmp_path):
    device = torch.device("cpu")
    with pytest.raises(InputError, match="same model as"):
        Ensemble.read([*models, models[0]], device)
    with pytest.raises(InputError, match="No model"):
        Ensemble.read([], device)
    train([disc_case(0, slices=3)], tmp_path / "other", replace(TRAINING, epochs=1), label="kidney")
    with pytest.raises(InputError, match="segments kidney"):
        Ensemble.read([models[0], tmp_path / "other"], device)
    train([disc_case(0, slices=3, sequences=2)], tmp_path / "two", replace(TRAINING, epochs=1))
    with pytest.raises(InputError, match="see the same sequences"):
        Ensemble.read([models[0], tmp_path / "two"], device)
    with pytest.raises(InputError, match="2 models share 1 samples"):
        predict_cases(models, ["a"], lambda _name: CASE, tmp_path / "out", PredictionSettings(samples=1))
    assert not (tmp_path / "out").exists()


def test_every_second_sample_is_that_of_the_mirrored_slices(models):
    network, description = load_model(models[0])
    description = replace(description, preprocessing=replace(description.preprocessing, crop="none"))
    mirrored = replace(CASE, images=CASE.images[..., ::-1].copy(), raters=CASE.raters[..., ::-1].copy())
    plain, flipped, of_mirrored = [], [], []
    for case, flip, seen in ((CASE, False, plain), (CASE, True, flipped), (mirrored, False, of_mirrored)):
        predict(network, description, case, PredictionSettings(samples=4, flip=flip), on_sample=seen.append)
    for number in range(4):
        expected = of_mirrored[number][..., ::-1] if number % 2 else plain[number]
        np.testing.assert_allclose(flipped[number], expected, atol=1e-5)


def test_a_model_that_was_never_shown_mirrored_slices_is_warned_of(models, tmp_path):
    found = predict(*load_model(models[0]), CASE, PredictionSettings(samples=2, flip=True))
    assert any("mirrored" in warning for warning in found.warnings)
    train([disc_case(0, slices=3)], tmp_path / "m", replace(TRAINING, epochs=1, augmentation=Augmentation.FLIP))
    found = predict(*load_model(tmp_path / "m"), CASE, PredictionSettings(samples=2, flip=True))
    assert not any("mirrored" in warning for warning in found.warnings)


def test_a_single_model_predicts_as_it_did(models, tmp_path):
    predict_cases(models[0], ["a"], lambda _name: CASE, tmp_path, PredictionSettings(samples=3), device="cpu")
    expected = predict(*load_model(models[0]), CASE, PredictionSettings(samples=3)).probability
    np.testing.assert_allclose(read_image(tmp_path / "a" / "probability.nii.gz").array, expected, atol=1e-6)
    report = json.loads((tmp_path / "a" / "prediction.json").read_text(encoding="utf-8"))
    assert "ensemble" not in report
