"""The U-Net from layers for a CPU, against the plain one."""

from __future__ import annotations

import pytest
import torch

from ObserverUncertaintyLib.cpu.unet import cpu_unet, unet_for_training
from ObserverUncertaintyLib.model.settings import DropoutKind, FeatureNorm, UNetSettings
from ObserverUncertaintyLib.network.unet import UNet

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", list(DropoutKind))
@pytest.mark.parametrize("norm", list(FeatureNorm))
def test_it_begins_with_the_weights_that_the_plain_one_has_under_the_same_names(
    norm: FeatureNorm, kind: DropoutKind
) -> None:
    settings, states = UNetSettings(depth=2, filters=5, feature_norm=norm, dropout_kind=kind), []
    for make in (UNet, cpu_unet, lambda *given: unet_for_training(*given, CPU)):
        torch.manual_seed(3)
        states.append(make(2, settings).state_dict())
    for state in states[1:]:
        assert list(state) == list(states[0])
        assert all(torch.equal(value, state[name]) for name, value in states[0].items())


@pytest.mark.parametrize("filters", [8, 48])
def test_it_has_the_plain_ones_result_and_gradients_in_training(filters: int) -> None:
    found = []
    for make in (UNet, cpu_unet):
        torch.manual_seed(0)
        network = make(2, UNetSettings(depth=2, filters=filters, feature_norm=FeatureNorm.NONE))
        network.train().to(memory_format=torch.channels_last)  # in which the filtered results are, and so the masks
        logits = network(torch.randn(2, 2, 32, 32).to(memory_format=torch.channels_last))
        logits.square().sum().backward()
        found.append([logits, *(parameter.grad for parameter in network.parameters())])
    assert not torch.equal(found[0][0], found[1][0])  # or the fast way was not taken
    for plain, fast in zip(*found, strict=True):
        assert float((fast - plain).detach().norm() / plain.detach().norm()) < 1e-3


def test_wide_weights_are_contiguous_for_training_and_the_others_channels_last() -> None:
    network = unet_for_training(2, UNetSettings(depth=1, filters=48), CPU)
    wide, first = network.encoder[0][4].weight, network.encoder[0][0].weight
    assert wide.is_contiguous()
    assert first.is_contiguous(memory_format=torch.channels_last)


def test_a_step_of_a_wide_network_is_the_same_for_the_same_seed() -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(0)
        network = unet_for_training(2, UNetSettings(depth=1, filters=96), CPU)
        network(torch.randn(2, 2, 16, 16)).square().sum().backward()
        weights.append([parameter.grad for parameter in network.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
