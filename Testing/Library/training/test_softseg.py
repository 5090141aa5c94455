"""SoftSeg: the adaptive wing loss and the normalised ReLU, in a step, in a training and in a prediction."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from cohorts import disc_case
from safetensors.torch import load_file, save

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.fingerprints import file_digest
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.settings import (
    FinalActivation,
    Loss,
    Precision,
    PredictionSettings,
    TrainingSettings,
    UNetSettings,
)
from ObserverUncertaintyLib.network.probability import foreground_probability
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.network.unet import UNet
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.prediction.sampling import Sampler, monte_carlo_samples, reference_samples
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.training.loop import TrainingError
from ObserverUncertaintyLib.training.step import adaptive_wing_loss, training_loss
from ObserverUncertaintyLib.training.train import train

SOFTSEG = TrainingSettings(
    fusion=FusionMethod.MEAN,
    loss=Loss.ADAPTIVE_WING,
    network=UNetSettings(depth=2, filters=8, final_activation=FinalActivation.NORMALISED_RELU),
    epochs=40,
    batch_size=2,
    learning_rate=5e-3,
)


def published_loss(p: float, y: float) -> float:
    """Equation 3 of Wang et al. 2019 for one pixel, with A and C as below it."""
    omega, theta, epsilon, alpha = 14, 0.5, 1, 2.1
    if abs(y - p) < theta:
        return omega * np.log(1 + (abs(y - p) / epsilon) ** (alpha - y))
    ratio = theta / epsilon
    a = omega * (1 / (1 + ratio ** (alpha - y))) * (alpha - y) * ratio ** (alpha - y - 1) / epsilon
    c = theta * a - omega * np.log(1 + ratio ** (alpha - y))
    return a * abs(y - p) - c


@pytest.mark.parametrize("target", [0.0, 1 / 3, 1.0])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.6, 1.0])
def test_the_adaptive_wing_loss_is_the_published_one(p, target):
    found = adaptive_wing_loss(*torch.tensor([[p], [target]], dtype=torch.float64))
    assert float(found) == pytest.approx(published_loss(p, target), abs=1e-9)


def test_the_adaptive_wing_loss_has_a_slope_wherever_the_probability_is_wrong_and_none_where_it_is_right():
    p = torch.linspace(0, 1, 11, dtype=torch.float64).requires_grad_()
    adaptive_wing_loss(p, torch.full_like(p, 0.4)).backward()
    assert torch.isfinite(p.grad).all()
    assert (p.grad[:4] < 0).all()
    assert (p.grad[5:] > 0).all()
    assert p.grad[4] == 0


def test_a_normalised_relu_is_the_share_of_the_largest_value_and_0_where_none_is_above_0():
    values = torch.tensor([[-2.0, 0.0, 1.0], [4.0, 2.0, -1.0]])
    found = foreground_probability(values, FinalActivation.NORMALISED_RELU)
    assert found.tolist() == [[0, 0, 0.25], [1, 0.5, 0]]
    assert not foreground_probability(values - 5, FinalActivation.NORMALISED_RELU).any()


def test_the_loss_of_a_batch_is_that_of_its_probability():
    values, target = torch.randn(2, 1, 5, 5), torch.rand(2, 1, 5, 5)
    found = training_loss(values, target, Loss.ADAPTIVE_WING, FinalActivation.NORMALISED_RELU)
    p = torch.relu(values) / values.max()
    assert float(found) == pytest.approx(float(adaptive_wing_loss(p, target)))


def test_a_sample_is_normalised_over_the_whole_case_whatever_the_batches():
    torch.manual_seed(0)
    network = UNet(1, SOFTSEG.network)
    images = torch.randn(5, 1, 16, 24)
    expected = list(reference_samples(network, images, 3, 1))
    for batch_size in (1, 2, 5):
        sampler = Sampler(network, 16, 24, Precision.FLOAT32)
        for one, other in zip(monte_carlo_samples(sampler, images, 3, 1, batch_size), expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
    assert all(sample.max() == 1 for sample in expected)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("softseg") / "model"
    train([disc_case(number) for number in range(8)], folder, SOFTSEG)
    return folder


def test_softseg_learns_the_raters_mean(trained):
    case = disc_case(20)
    found = predict(*load_model(trained), case, PredictionSettings(samples=10)).probability
    share = case.raters.mean(axis=0)
    near = np.isin(share, (1 / 3, 2 / 3))
    assert np.corrcoef(found.ravel(), share.ravel())[0, 1] > 0.9
    assert 0.2 < found[near].mean() < 0.8


def test_the_model_says_which_activation_it_has_and_one_without_a_word_has_a_sigmoid(trained):
    description = read_description(trained)
    assert description.architecture.final_activation is FinalActivation.NORMALISED_RELU
    content = description.to_json()
    del content["architecture"]["final_activation"]
    older = type(description).from_json(content)
    assert older.architecture.final_activation is FinalActivation.SIGMOID
    assert older.digest != description.digest


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"loss": Loss.CROSS_ENTROPY}, "infinite"),
        ({"loss": Loss.SUM}, "infinite"),
        ({"prior_bias": True}, "log-odds"),
    ],
)
def test_what_a_normalised_relu_cannot_be_trained_with_is_refused(changes, reason):
    with pytest.raises(InputError, match=reason):
        replace(SOFTSEG, **changes)


def test_a_network_whose_relu_is_0_everywhere_is_told_and_not_trained_on(tmp_path):
    """As happens to a training now and then: nothing moves such a network again, whatever the epochs."""
    train([disc_case(0)], tmp_path / "alive", replace(SOFTSEG, epochs=1))
    weights = load_file(tmp_path / "alive" / "weights.safetensors")
    weights["classifier.bias"] -= 1000
    (tmp_path / "alive" / "weights.safetensors").write_bytes(save(weights))
    content = json.loads((tmp_path / "alive" / "model.json").read_text(encoding="utf-8"))
    content["weights_digest"] = file_digest(tmp_path / "alive" / "weights.safetensors")
    (tmp_path / "alive" / "model.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(TrainingError, match="Nothing is learned any more in epoch 1"):
        train([disc_case(0)], tmp_path / "dead", replace(SOFTSEG, epochs=2), start_from=tmp_path / "alive")
    assert not (tmp_path / "dead" / "model.json").exists()
