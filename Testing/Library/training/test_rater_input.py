"""A network that is told whose drawing it sees: it draws as each rater, and as all of them in turn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cohorts import disc_case

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.model.description import ModelError, read_description
from ObserverUncertaintyLib.model.settings import Precision, PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.network.rater_input import with_rater
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.network.unet import UNet
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.prediction.sampling import DrawsAs, Sampler, monte_carlo_samples, reference_samples
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.training.train import train

SETTINGS = TrainingSettings(
    rater_input=True, network=UNetSettings(depth=2, filters=8), epochs=40, batch_size=2, learning_rate=5e-3
)


def drawn_by(case: Case, names: list[str]) -> Case:
    """A case that only these raters drew, in this order."""
    return replace(case, rater_names=tuple(names), raters=case.raters[[int(name[-1]) - 1 for name in names]])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rater-input") / "model"
    # Not every rater drew every case, and not in the same order.
    orders = [
        ["rater1", "rater2", "rater3"],
        ["rater3", "rater1"],
        ["rater2", "rater3"],
        ["rater3", "rater2", "rater1"],
    ]
    train([drawn_by(disc_case(number), orders[number % 4]) for number in range(8)], folder, SETTINGS)
    return folder


def test_the_rater_is_an_image_of_ones_after_the_sequences():
    images = torch.randn(2, 3, 4, 5)
    found = with_rater(images, torch.tensor([1, 0]), 2)
    assert torch.equal(found[:, :3], images)
    assert found[:, 3:].mean(dim=(2, 3)).tolist() == [[0, 1], [1, 0]]
    assert set(found[:, 3:].unique().tolist()) == {0, 1}


def test_it_draws_as_each_rater_would(model):
    """The raters of the discs differ in radius alone: the first draws the smallest."""
    loaded, cases = load_model(model), [disc_case(number) for number in range(20, 26)]
    volumes = {
        rater: [predict(*loaded, case, PredictionSettings(samples=5, rater=rater)).segmentation.sum() for case in cases]
        for rater in read_description(model).imitates
    }
    assert set(volumes) == {"rater1", "rater2", "rater3"}
    truths = np.array([[mask.sum() for mask in case.raters] for case in cases]).T
    for number, rater in enumerate(sorted(volumes)):
        assert np.mean(volumes[rater]) == pytest.approx(truths[number].mean(), rel=0.12)
    assert np.mean(volumes["rater1"]) < np.mean(volumes["rater2"]) < np.mean(volumes["rater3"])


def test_without_a_rater_the_samples_draw_as_each_in_turn(model):
    network, description = load_model(model)
    case, seen = disc_case(30), []
    mixture = predict(network, description, case, PredictionSettings(samples=6), on_sample=seen.append)
    alone = {
        number: predict(network, description, case, PredictionSettings(samples=6, rater=rater)).probability
        for number, rater in enumerate(description.imitates)
    }
    np.testing.assert_allclose(np.mean(seen, axis=0), mixture.probability, atol=1e-6)
    areas = [sample.sum() for sample in seen]
    of_rater = [np.mean(areas[number::3]) for number in range(3)]
    assert np.argsort(of_rater).tolist() == np.argsort([alone[number].sum() for number in range(3)]).tolist()
    # Where only some raters draw, the mixture is unsure, and each rater's own prediction is less so.
    disputed = case.raters.any(axis=0) & ~case.raters.all(axis=0)
    sure = np.mean([np.abs(p[disputed] - 0.5).mean() for p in alone.values()])
    assert np.abs(mixture.probability[disputed] - 0.5).mean() < sure


def test_the_fast_samples_are_those_of_the_plain_network():
    torch.manual_seed(0)
    network, images, draws_as = UNet(3, UNetSettings(depth=1, filters=4)), torch.randn(3, 1, 8, 8), DrawsAs(2)
    sampler = Sampler(network, 8, 8, Precision.FLOAT32, draws_as=draws_as)
    fast = list(monte_carlo_samples(sampler, images, 4, 1, 2))
    for one, other in zip(fast, reference_samples(network, images, 4, 1, draws_as=draws_as), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_rater_that_the_model_does_not_know_is_refused(model, tmp_path):
    with pytest.raises(ModelError, match='cannot draw as "dr who": it knows rater'):
        predict(*load_model(model), disc_case(30), PredictionSettings(samples=1, rater="dr who"))
    plain = replace(SETTINGS, rater_input=False, epochs=1)
    train([disc_case(0)], tmp_path / "plain", plain)
    with pytest.raises(ModelError, match="was not told whose drawings"):
        predict(*load_model(tmp_path / "plain"), disc_case(30), PredictionSettings(samples=1, rater="rater1"))


def test_fused_raters_are_nobody_to_be_told_of():
    with pytest.raises(InputError, match="drawing of nobody"):
        replace(SETTINGS, fusion=FusionMethod.MAJORITY)


def test_training_goes_on_from_a_model_with_its_raters_and_refuses_others(model, tmp_path):
    settings = replace(SETTINGS, epochs=1)
    result = train([drawn_by(disc_case(40), ["rater2"])], tmp_path / "on", settings, start_from=model)
    assert result.description.imitates == read_description(model).imitates
    stranger = replace(disc_case(41, raters=1), rater_names=("dr who",))
    with pytest.raises(InputError, match="no input for dr who"):
        train([stranger], tmp_path / "stranger", settings, start_from=model)
    with pytest.raises(ModelError, match="rater_input: the model has True, the training False"):
        train([disc_case(42)], tmp_path / "other", replace(settings, rater_input=False), start_from=model)


def test_validation_takes_the_raters_in_turn(tmp_path):
    result = train([disc_case(0)], tmp_path / "model", replace(SETTINGS, epochs=2), validation=[disc_case(1, raters=2)])
    assert np.isfinite(result.description.training["validation_losses"]).all()
