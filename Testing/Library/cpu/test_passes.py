"""The prepared network against the plain one: the same masks, the same result."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ObserverUncertaintyLib.cpu.passes import prepare_passes
from ObserverUncertaintyLib.model.settings import DropoutKind, FeatureNorm, UNetSettings
from ObserverUncertaintyLib.network.dropout import ElementDropout
from ObserverUncertaintyLib.network.unet import UNet, set_monte_carlo_mode


def network(**settings: object) -> UNet:
    """A U-Net in Monte Carlo mode, with normalisations as after a training."""
    torch.manual_seed(0)
    made = UNet(4, UNetSettings(**settings)).to(memory_format=torch.channels_last)  # type: ignore[arg-type]
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, -1, 2)
            nn.init.normal_(module.bias)
    set_monte_carlo_mode(made)
    return made


def seeded(network: nn.Module, count: int) -> None:
    """Let the masks of each slice follow from a seed of its own."""
    generators = [torch.Generator().manual_seed(7 + number) for number in range(count)]
    for module in network.modules():
        if isinstance(module, ElementDropout):
            module.generators = generators


def prepared(network: UNet, rows: int, columns: int, dtype: torch.dtype = torch.float32) -> nn.Module:
    made = prepare_passes(network, rows, columns, dtype)
    assert made is not network
    set_monte_carlo_mode(made)
    return made


def drawn(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """By the plain network one slice at a time, with torch's generator as the slice's own."""
    with torch.inference_mode():
        if not isinstance(network, UNet):
            seeded(network, len(images))
            return network(images)
        logits = []
        for number, image in enumerate(images):
            torch.manual_seed(7 + number)
            logits.append(network(image[None].to(memory_format=torch.channels_last)))
        return torch.cat(logits)


@pytest.mark.parametrize("norm", [FeatureNorm.BATCH, FeatureNorm.NONE])
@pytest.mark.parametrize(("slices", "rows", "columns"), [(3, 64, 48), (1, 50, 70)])
def test_same_masks_same_result(norm: FeatureNorm, slices: int, rows: int, columns: int) -> None:
    # The deepest of 48 filters after 3 poolings has 384 channels: Winograd's algorithm computes it, and its upsampling.
    plain = network(depth=3, filters=48, feature_norm=norm)
    images = torch.randn(slices, 4, rows, columns)
    expected = drawn(plain, images)
    assert expected.std() > 1e-3
    found = drawn(prepared(plain, rows, columns), images)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_another_image_size_than_prepared_for_gives_the_same_too() -> None:
    plain = network(depth=3, filters=32)
    images = torch.randn(2, 4, 128, 128)
    torch.testing.assert_close(drawn(prepared(plain, 16, 16), images), drawn(plain, images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_in_evaluation_mode_it_is_the_network_in_evaluation_mode(dropout: float) -> None:
    plain = network(depth=1, filters=4, dropout=dropout)
    images = torch.randn(2, 4, 16, 16)
    torch.testing.assert_close(drawn(prepared(plain, 16, 16).eval(), images), drawn(plain.eval(), images))


def test_two_draws_differ_and_the_first_is_not_overwritten_by_the_second() -> None:
    made = prepared(network(depth=2, filters=4), 16, 16)
    images = torch.randn(2, 4, 16, 16)
    with torch.inference_mode():
        seeded(made, 2)
        first = made(images)
        kept = first.clone()
        assert not torch.equal(made(images), kept)
    assert torch.equal(first, kept)


def test_bfloat16_differs_by_rounding_only() -> None:
    plain = network(depth=3, filters=32)
    images = torch.randn(2, 4, 64, 64)
    exact = torch.sigmoid(drawn(plain, images))
    rounded = torch.sigmoid(drawn(prepared(plain, 64, 64, torch.bfloat16), images))
    assert rounded.dtype is torch.float32
    assert (rounded - exact).abs().max() < 0.03


@pytest.mark.parametrize("settings", [{"feature_norm": FeatureNorm.INSTANCE}, {"dropout_kind": DropoutKind.CHANNEL}])
def test_what_cannot_be_folded_upsamples_in_one_step_with_the_same_weights(settings: dict[str, object]) -> None:
    plain = network(depth=2, filters=8, **settings)
    made = prepared(plain, 32, 32)
    shared = [value.data_ptr() == made.get_parameter(name).data_ptr() for name, value in plain.named_parameters()]
    assert all(shared)
    images = torch.randn(2, 4, 32, 32)
    found, expected = drawn(made, images), drawn(plain, images)
    assert not torch.equal(found, expected)  # or the fast way was not taken
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_other_networks_are_left_as_they_are() -> None:
    other = nn.Conv2d(1, 1, 1)
    assert prepare_passes(other, 16, 16) is other


def test_the_network_is_left_as_it_was() -> None:
    plain = network(depth=2, filters=4)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    images = torch.randn(1, 4, 16, 16)
    drawn(prepared(plain, 16, 16), images)
    assert all(torch.equal(value, before[name]) for name, value in plain.state_dict().items())
