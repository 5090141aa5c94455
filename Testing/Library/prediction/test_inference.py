from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from cohorts import disc_case, discs
from torch import nn

from ObserverUncertaintyLib.base.errors import Cancelled, InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.formats import read_image, read_mask
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.images.orientation import Reorientation
from ObserverUncertaintyLib.jobs import Progress
from ObserverUncertaintyLib.model.description import ModelDescription
from ObserverUncertaintyLib.model.preprocessing import Crop
from ObserverUncertaintyLib.model.settings import Precision, PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.prediction.sampling import reference_samples
from ObserverUncertaintyLib.scores.entropy import binary_entropy
from ObserverUncertaintyLib.training.train import train

Model = tuple[nn.Module, ModelDescription]
FLOAT32 = Precision.FLOAT32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("models") / "model"
    settings = TrainingSettings(
        epochs=8, network=UNetSettings(depth=2, filters=8), batch_size=2, learning_rate=5e-3, crop=Crop.NONE
    )
    train(discs(4, slices=4), folder, settings, device="cpu")
    return load_model(folder)


def test_prediction_equals_the_slow_loop_over_stacked_samples(model: Model) -> None:
    network, description = model
    case = disc_case(9, slices=4)
    prediction = predict(
        network, description, case, PredictionSettings(samples=5, seed=3, batch_size=1, precision=FLOAT32)
    )
    images = torch.from_numpy(description.preprocessing.prepare(case).images)
    stack = np.stack(list(reference_samples(network, images, 5, 3))).astype(np.float64)
    assert np.ptp(stack, axis=0).max() > 0.1
    assert prediction.probability == pytest.approx(stack.mean(axis=0), abs=1e-6)
    assert prediction.uncertainty.predictive == pytest.approx(binary_entropy(stack.mean(axis=0)), abs=1e-5)
    assert prediction.uncertainty.expected == pytest.approx(binary_entropy(stack).mean(axis=0), abs=1e-5)


@pytest.mark.parametrize("spacing", [1.0, 1.5])  # on the model's grid, and interpolated back from it
def test_the_samples_that_are_told_of_are_those_of_the_mean(model: Model, spacing: float) -> None:
    network, description = model
    case = disc_case(9, slices=4)
    case = replace(case, grid=replace(case.grid, spacing=(spacing, spacing, 3.0)))
    told: list[np.ndarray] = []
    prediction = predict(network, description, case, PredictionSettings(samples=3), on_sample=told.append)
    assert [sample.shape for sample in told] == [case.grid.shape] * 3
    assert np.mean(told, axis=0) == pytest.approx(prediction.probability, abs=1e-6)


def test_predictive_entropy_is_the_sum_of_its_parts(model: Model) -> None:
    parts = predict(*model, disc_case(9, slices=4), PredictionSettings(samples=4)).uncertainty
    assert parts.predictive == pytest.approx(parts.expected + parts.mutual_information, abs=1e-6)
    assert parts.mutual_information.min() >= 0
    assert parts.mutual_information.max() > 1e-4


def test_the_model_has_learned_the_disc(model: Model) -> None:
    case = disc_case(9, slices=4)
    prediction = predict(*model, case, PredictionSettings(samples=4))
    assert case.truth is not None
    agreement = (prediction.segmentation == case.truth).mean()
    assert agreement > 0.9


def test_same_seed_same_prediction_and_torch_generator_is_left_alone(model: Model) -> None:
    case = disc_case(9, slices=4)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = predict(*model, case, PredictionSettings(samples=2, seed=1))
    assert torch.equal(torch.rand(3), expected)
    assert np.array_equal(first.probability, predict(*model, case, PredictionSettings(samples=2, seed=1)).probability)
    assert not np.array_equal(
        first.probability, predict(*model, case, PredictionSettings(samples=2, seed=2)).probability
    )


@pytest.mark.parametrize("code", ["RAS", "PIR", "SAL"])
def test_prediction_comes_back_on_the_cases_own_grid(model: Model, code: str) -> None:
    """The same patient stored with other axes gives the same prediction at each place."""
    case = disc_case(9, slices=4)
    turned_grid = Reorientation.to(case.grid, code)
    turned = Case("turned", turned_grid.target, case.sequences, turned_grid.apply(case.images[0])[None])
    straight = predict(*model, case, PredictionSettings(samples=2, precision=FLOAT32)).probability
    assert predict(*model, turned, PredictionSettings(samples=2, precision=FLOAT32)).probability == pytest.approx(
        turned_grid.apply(straight), abs=1e-6
    )


def test_another_spacing_is_resampled_and_said(model: Model) -> None:
    case = disc_case(9, slices=4)
    finer = Grid((64, 64, 4), (0.5, 0.5, 3.0), (-0.25, -0.25, 0.0))
    image = sitk.GetArrayFromImage(
        sitk.Resample(
            case.grid.to_sitk(case.images[0]), finer.to_sitk(np.zeros(finer.shape, np.uint8)), sitk.Transform(),
            sitk.sitkLinear, 50.0,
        )
    )  # fmt: skip
    fine_case = Case("fine", finer, case.sequences, image[None].astype(np.float32))
    prediction = predict(*model, fine_case, PredictionSettings(samples=4))
    assert prediction.probability.shape == finer.shape
    assert "resampled in-plane to the model's 1 x 1 mm" in prediction.notes[0]
    (warning,) = prediction.warnings
    assert "0.5 x 0.5 mm" in warning
    assert case.truth is not None
    expected = case.truth.repeat(2, axis=1).repeat(2, axis=2)
    assert (prediction.segmentation == expected).mean() > 0.9


def test_outside_the_crop_nothing_is_predicted(tmp_path: Path) -> None:
    cases = [replace(case, images=np.where(case.raters[-1], case.images, 0)) for case in discs(2, slices=4, size=56)]
    train(cases, tmp_path / "model", TrainingSettings(epochs=1, network=UNetSettings(depth=1, filters=4)))
    network, description = load_model(tmp_path / "model")
    prediction = predict(network, description, cases[0], PredictionSettings(samples=2))
    outside = np.ones(cases[0].grid.shape, bool)
    outside[description.preprocessing.prepare(cases[0]).path.crop] = False
    assert outside.any()
    assert not prediction.probability[outside].any()
    assert not prediction.uncertainty.predictive[outside].any()
    assert prediction.not_looked_at is not None
    assert np.array_equal(prediction.not_looked_at, outside)


def test_a_folder_says_where_the_network_did_not_look(tmp_path: Path) -> None:
    cases = [replace(case, images=np.where(case.raters[-1], case.images, 0)) for case in discs(2, slices=4, size=56)]
    train(cases, tmp_path / "model", TrainingSettings(epochs=1, network=UNetSettings(depth=1, filters=4)))
    names = {case.name: case for case in cases}
    predict_cases(tmp_path / "model", list(names), names.__getitem__, tmp_path / "out", PredictionSettings(samples=2))
    for name, case in names.items():
        report = json.loads((tmp_path / "out" / name / "prediction.json").read_text(encoding="utf-8"))
        mask = read_mask(tmp_path / "out" / name / report["not_looked_at"])
        assert mask.grid == case.grid
        assert report["not_looked_at_ml"] == pytest.approx(np.count_nonzero(mask.array) * case.grid.voxel_volume_ml)
        assert not read_image(tmp_path / "out" / name / "predictive_entropy.nii.gz").array[mask.array].any()


def test_a_case_whose_grid_a_prediction_cannot_be_written_on_is_refused_at_once(tmp_path: Path) -> None:
    case = disc_case(9, slices=4)
    sheared = replace(case, grid=replace(case.grid, direction=(1, 0.2, 0, 0, 0.98, 0, 0, 0, 1)))
    train(
        [case, disc_case(8, slices=4)],
        tmp_path / "model",
        TrainingSettings(epochs=1, network=UNetSettings(depth=1, filters=4)),
    )
    with pytest.raises(InputError, match="sheared"):
        predict_cases(tmp_path / "model", ["case10"], lambda _: sheared, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.nii.gz"))


def test_a_network_that_sees_everything_has_no_place_where_it_did_not_look(model: Model) -> None:
    assert predict(*model, disc_case(9, slices=4), PredictionSettings(samples=2)).not_looked_at is None


def test_cancel_is_heard_between_batches(model: Model) -> None:
    class Cancel(Progress):
        calls = 0

        def check_cancelled(self) -> None:
            self.calls += 1
            if self.calls == 3:
                raise Cancelled("stop")

    cancel = Cancel()
    with pytest.raises(Cancelled):
        predict(*model, disc_case(9, slices=4), PredictionSettings(samples=50, batch_size=1), progress=cancel)
    assert cancel.calls == 3


def test_progress_counts_every_batch_of_every_sample(model: Model) -> None:
    class Count(Progress):
        done = steps = 0

        def start(self, task: str, steps: int, done: int = 0) -> None:
            self.task, self.steps, self.done = task, steps, done

        def advance(self, steps: int = 1, detail: str = "") -> None:
            self.done, self.detail = self.done + steps, detail

    count = Count()
    predict(*model, disc_case(9, slices=4), PredictionSettings(samples=3, batch_size=3), progress=count)
    assert (count.done, count.steps, count.detail) == (6, 6, "sample 3/3")


def test_bfloat16_changes_the_prediction_by_little(model: Model) -> None:
    case = disc_case(9, slices=4)
    exact = predict(*model, case, PredictionSettings(samples=3, precision=FLOAT32)).probability
    rounded = predict(*model, case, PredictionSettings(samples=3, precision=Precision.BFLOAT16)).probability
    assert rounded == pytest.approx(exact, abs=0.03)
    assert not np.array_equal(rounded, exact)
