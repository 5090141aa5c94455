"""The prepared network against the plain one: the same masks, the same result."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ObserverUncertaintyLib.model.settings import FeatureNorm, UNetSettings
from ObserverUncertaintyLib.network.folded_layers import can_fold
from ObserverUncertaintyLib.network.prepared_unet import PreparedUNet
from ObserverUncertaintyLib.network.unet import UNet, set_monte_carlo_mode


def network(**settings: object) -> UNet:
    """A U-Net in Monte Carlo mode, with normalisations as after a training."""
    torch.manual_seed(0)
    made = UNet(UNetSettings(sequences=4, **settings)).to(memory_format=torch.channels_last)  # type: ignore[arg-type]
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, -1, 2)
            nn.init.normal_(module.bias)
    set_monte_carlo_mode(made)
    return made


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(7 + number) for number in range(count)]


def drawn(network: nn.Module | PreparedUNet, images: torch.Tensor) -> torch.Tensor:
    """By the plain network one slice at a time, with torch's generator as the slice's own."""
    with torch.inference_mode():
        if isinstance(network, PreparedUNet):
            return network(images, generators(len(images)))
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
    prepared = drawn(PreparedUNet(plain, rows, columns), images)
    torch.testing.assert_close(prepared, expected, atol=1e-5, rtol=1e-5)


def test_another_image_size_than_prepared_for_gives_the_same_too() -> None:
    plain = network(depth=3, filters=32)
    images = torch.randn(2, 4, 128, 128)
    torch.testing.assert_close(
        drawn(PreparedUNet(plain, 16, 16), images), drawn(plain, images), atol=1e-5, rtol=1e-5
    )  # fmt: skip


def test_without_dropout_it_is_the_network_in_evaluation_mode() -> None:
    plain = network(depth=1, filters=4, dropout=0.0)
    images = torch.randn(2, 4, 16, 16)
    torch.testing.assert_close(drawn(PreparedUNet(plain, 16, 16), images), drawn(plain.eval(), images))


def test_two_draws_differ_and_the_first_is_not_overwritten_by_the_second() -> None:
    prepared = PreparedUNet(network(depth=2, filters=4), 16, 16)
    images = torch.randn(2, 4, 16, 16)
    with torch.inference_mode():
        each = generators(2)
        first = prepared(images, each)
        kept = first.clone()
        assert not torch.equal(prepared(images, each), kept)
    assert torch.equal(first, kept)


def test_bfloat16_differs_by_rounding_only() -> None:
    plain = network(depth=3, filters=32)
    images = torch.randn(2, 4, 64, 64)
    exact = torch.sigmoid(drawn(plain, images))
    rounded = torch.sigmoid(drawn(PreparedUNet(plain, 64, 64, torch.bfloat16), images))
    assert rounded.dtype is torch.float32
    assert (rounded - exact).abs().max() < 0.03


def test_instance_normalisation_is_left_to_the_plain_network() -> None:
    assert can_fold(network())
    assert not can_fold(network(feature_norm=FeatureNorm.INSTANCE))
    assert not can_fold(nn.Conv2d(1, 1, 1))


def test_the_network_is_left_as_it_was() -> None:
    plain = network(depth=2, filters=4)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    images = torch.randn(1, 4, 16, 16)
    drawn(PreparedUNet(plain, 16, 16), images)
    assert all(torch.equal(value, before[name]) for name, value in plain.state_dict().items())
