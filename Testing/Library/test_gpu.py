"""What a CUDA device computes, against the CPU and against the plain way on the same device; skipped where none is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cancelling import CancelAfter
from cohorts import discs

from ObserverUncertaintyLib.base.errors import Cancelled
from ObserverUncertaintyLib.cpu.unet import unet_for_training
from ObserverUncertaintyLib.model.devices import make_deterministic
from ObserverUncertaintyLib.model.settings import (
    DropoutKind,
    DropoutMasks,
    Loss,
    Precision,
    PredictionSettings,
    TrainingSettings,
    UNetSettings,
)
from ObserverUncertaintyLib.network.dropout import ChannelDropout, ElementDropout, rotations
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.network.unet import UNet
from ObserverUncertaintyLib.prediction.drawn_sums import drawn_sums
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.prediction.sampling import Sampler, monte_carlo_samples, reference_samples
from ObserverUncertaintyLib.prediction.sums import MonteCarloSums
from ObserverUncertaintyLib.training.step import TrainingSteps, make_optimiser, training_step
from ObserverUncertaintyLib.training.train import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

GPU = torch.device("cuda:0")
IMAGES = torch.randn(6, 2, 32, 48, generator=torch.Generator().manual_seed(0))
TARGET = (IMAGES[:, :1] > 0.5).float()


def network(device: torch.device, **settings: Any) -> UNet:
    torch.manual_seed(0)
    return unet_for_training(2, UNetSettings(depth=2, filters=8, **settings), device)


def batches(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Of four slices, and now and then one of three."""
    rng = np.random.default_rng(0)
    chosen = [rng.integers(0, len(IMAGES), 3 if number % 5 == 4 else 4) for number in range(count)]
    return [(IMAGES[own].to(GPU, memory_format=torch.channels_last), TARGET[own].to(GPU)) for own in chosen]


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.BFLOAT16])
def test_recorded_steps_change_the_weights_as_plain_ones_do(precision: Precision) -> None:
    make_deterministic()
    losses, states = [], []
    for recorded in (False, True):
        trained = network(GPU).train()
        optimiser = make_optimiser(trained, 1e-2)
        steps = TrainingSteps(trained, optimiser, Loss.SUM, precision)
        torch.manual_seed(1)
        found = []
        for images, target in batches(14):
            if recorded:
                found.append(float(steps(images, target)))
            else:
                found.append(float(training_step(trained, optimiser, images, target, Loss.SUM, precision)))
        losses.append(found)
        states.append(trained.state_dict())
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 14
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    settings = TrainingSettings(epochs=4, network=UNetSettings(depth=1, filters=4), batch_size=2)
    cases = discs(3, slices=3)
    train(cases, tmp_path / "whole", settings, device="cuda")
    with pytest.raises(Cancelled):
        train(cases, tmp_path / "parts", settings, device="cuda", progress=CancelAfter(13))
    train(cases, tmp_path / "parts", settings, device="cuda", resume=True)
    whole, parts = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts


def test_it_learns_as_well_as_on_the_cpu(tmp_path: Path) -> None:
    settings = TrainingSettings(epochs=20, network=UNetSettings(depth=1, filters=8), batch_size=1, learning_rate=1e-2)
    last = []
    for device in ("cpu", "cuda"):
        result = train(discs(4), tmp_path / device, settings, device=device)
        last.append(result.description.training["losses"][-1])
    assert last[1] == pytest.approx(last[0], rel=0.25)


@pytest.mark.parametrize("kind", list(DropoutKind))
def test_without_dropout_the_result_is_the_cpus(kind: DropoutKind) -> None:
    torch.backends.cudnn.allow_tf32 = False
    found = [
        Sampler(network(device, dropout_kind=kind), 32, 48, Precision.FLOAT32).deterministic(IMAGES)
        for device in (torch.device("cpu"), GPU)
    ]
    assert found[1].numpy() == pytest.approx(found[0].numpy(), abs=1e-5)


@pytest.mark.parametrize("masks", list(DropoutMasks))
@pytest.mark.parametrize("kind", list(DropoutKind))
def test_samples_have_the_cpus_mean_and_spread(kind: DropoutKind, masks: DropoutMasks) -> None:
    samples, found = 400, []
    for device in (torch.device("cpu"), GPU):
        sampler = Sampler(network(device, dropout_kind=kind), 32, 48, Precision.FLOAT32, masks)
        found.append(np.stack(list(monte_carlo_samples(sampler, IMAGES, samples, 0, 6))))
    cpu, gpu = found
    error = np.sqrt((cpu.var(axis=0) + gpu.var(axis=0)) / samples)
    z = (gpu.mean(axis=0) - cpu.mean(axis=0)) / error
    # Balanced masks leave less; independent ones a standard normal deviation. Neighbouring pixels share masks.
    assert np.sqrt((z**2).mean()) < 1.3
    assert gpu.std(axis=0).mean() == pytest.approx(cpu.std(axis=0).mean(), rel=0.1)


def test_the_same_seed_gives_the_same_samples_and_another_gives_others() -> None:
    sampler = Sampler(network(GPU), 32, 48, Precision.BFLOAT16)
    first, again, other = (np.stack(list(monte_carlo_samples(sampler, IMAGES, 3, seed, 4))) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 0.001


def test_sums_made_on_the_device_are_those_of_its_samples() -> None:
    sampler = Sampler(network(GPU), 32, 48, Precision.FLOAT32)
    summed, apart = drawn_sums(sampler, IMAGES, 5, 0, 4), MonteCarloSums((6, 32, 48))
    for sample in monte_carlo_samples(sampler, IMAGES, 5, 0, 4):
        apart.add(sample)
    assert summed.mean_probability() == pytest.approx(apart.mean_probability(), abs=1e-7)
    assert summed.uncertainty().expected == pytest.approx(apart.uncertainty().expected, abs=1e-6)


def test_bfloat16_changes_the_entropy_by_little() -> None:
    entropies = []
    for precision in (Precision.FLOAT32, Precision.BFLOAT16):
        sampler = Sampler(network(GPU), 32, 48, precision)
        entropies.append(drawn_sums(sampler, IMAGES, 20, 0, 6).uncertainty().predictive)
    assert np.abs(entropies[0] - entropies[1]).mean() < 0.003


def test_balanced_masks_drop_each_activation_once_in_a_group() -> None:
    layer, group = ElementDropout(0.2).train(), rotations(0.2)
    ones, dropped = torch.ones(2, 3, 16, 16, device=GPU), torch.zeros(2, 3, 16, 16, device=GPU)
    for number in range(group):
        torch.manual_seed(7)
        layer.rotation = number / group
        dropped += layer(ones) == 0
    assert torch.equal(dropped, ones)


def test_channels_are_dropped_alike_in_all_slices() -> None:
    layer = ChannelDropout(0.2, 8).train()
    layer.kept = torch.tensor([True, False] * 4)
    result = layer(torch.ones(3, 8, 4, 4, device=GPU))
    assert torch.equal(result[0, :, 0, 0].cpu(), torch.tensor([1.25, 0.0] * 4))
    assert torch.equal(result, result[:1, :, :1, :1].expand_as(result))


def test_the_reference_loop_runs_there_too() -> None:
    drawn = np.stack(list(reference_samples(network(GPU), IMAGES, 2, 0)))
    assert drawn.shape == (2, 6, 32, 48)
    assert 0 < np.ptp(drawn, axis=0).max() < 1


def test_a_model_trained_there_predicts_on_the_cpu(tmp_path: Path) -> None:
    settings = TrainingSettings(epochs=10, network=UNetSettings(depth=1, filters=8), batch_size=1, learning_rate=1e-2)
    cases = discs(4)
    train(cases, tmp_path / "model", replace(settings, seed=3), device="cuda")
    found = [
        predict(*load_model(tmp_path / "model", device), cases[0], PredictionSettings(samples=50)).probability
        for device in (torch.device("cpu"), GPU)
    ]
    assert np.abs(found[0] - found[1]).mean() < 0.02
