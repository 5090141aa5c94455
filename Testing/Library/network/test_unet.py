from __future__ import annotations

import pytest
import torch
from torch import nn

from ObserverUncertaintyLib.model.settings import DropoutKind, FeatureNorm, UNetSettings
from ObserverUncertaintyLib.network.dropout import ElementDropout
from ObserverUncertaintyLib.network.unet import UNet, set_monte_carlo_mode


def layers(network: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, kind)]


@pytest.mark.parametrize(("rows", "columns"), [(32, 32), (33, 47), (5, 9), (1, 1)])
def test_output_has_the_size_of_the_input_whatever_it_is(rows: int, columns: int) -> None:
    network = UNet(3, UNetSettings(depth=3, filters=4)).eval()
    assert network(torch.zeros(2, 3, rows, columns)).shape == (2, 1, rows, columns)


def test_padding_does_not_change_an_input_that_needs_none() -> None:
    network = UNet(1, UNetSettings(depth=2, filters=4)).eval()
    images = torch.rand(1, 1, 30, 30)
    padded = nn.functional.pad(images, (0, 2, 0, 2), mode="replicate")
    assert torch.equal(network(images), network(padded)[..., :30, :30])


def test_cavity_network_has_the_parameters_that_the_widths_give() -> None:
    # Counted by hand: 3x3 convolutions with bias, two batch norm parameters a channel, the final 1x1 convolution.
    widths = [48 * 2**level for level in range(6)]

    def block(inputs: int, width: int) -> int:
        return (9 * inputs * width + width) + (9 * width * width + width) + 4 * width

    expected = sum(block(inputs, width) for inputs, width in zip([4, *widths[:-1]], widths, strict=True))
    expected += sum((9 * 2 * w * w + w) + block(2 * w, w) for w in widths[:-1]) + 48 + 1
    network = UNet(4, UNetSettings(depth=5, filters=48))
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize("depth", [0, 2, 5])
def test_dropout_follows_every_convolution_of_the_blocks_and_no_other(depth: int) -> None:
    network = UNet(1, UNetSettings(depth=depth, filters=2))
    blocks = [*network.encoder, *network.decoder]
    assert len(blocks) == 2 * depth + 1
    for block in blocks:
        kinds = [type(layer) for layer in block]
        assert kinds == [nn.Conv2d, ElementDropout, nn.BatchNorm2d, nn.ReLU] * 2
    assert len(layers(network, nn.Dropout)) == 2 * len(blocks)


def test_only_dropout_is_stochastic_in_monte_carlo_mode() -> None:
    network = UNet(1, UNetSettings(depth=1, filters=4))
    set_monte_carlo_mode(network)
    assert {type(module) for module in network.modules() if module.training} == {ElementDropout}
    images = torch.rand(1, 1, 16, 16)
    before = [norm.running_mean.clone() for norm in layers(network, nn.BatchNorm2d)]
    assert not torch.equal(network(images), network(images))
    after = [norm.running_mean for norm in layers(network, nn.BatchNorm2d)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_channel_dropout_drops_whole_channels() -> None:
    settings = UNetSettings(depth=0, filters=64, dropout=0.5, dropout_kind=DropoutKind.CHANNEL)
    network = UNet(1, settings)
    set_monte_carlo_mode(network)
    features = network.encoder[0][:2](torch.rand(1, 1, 8, 8) + 1)
    zero_share = (features == 0).float().mean(dim=(2, 3))[0]
    assert set(zero_share.tolist()) == {0.0, 1.0}


def test_element_dropout_drops_the_stated_share_of_single_values() -> None:
    network = UNet(1, UNetSettings(depth=0, filters=64, dropout=0.2))
    set_monte_carlo_mode(network)
    features = network.encoder[0][:2](torch.rand(1, 1, 64, 64) + 1)
    assert (features == 0).float().mean() == pytest.approx(0.2, abs=0.01)


def test_feature_norm_none_has_no_normalisation() -> None:
    network = UNet(1, UNetSettings(feature_norm=FeatureNorm.NONE))
    assert not layers(network, nn.BatchNorm2d)


@pytest.mark.parametrize("wrong", [{"depth": -1}, {"filters": 0}, {"dropout": 1.0}])
def test_impossible_shapes_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no such U-Net"):
        UNetSettings(**wrong)  # type: ignore[arg-type]


def test_a_network_without_input_images_is_refused() -> None:
    with pytest.raises(ValueError, match="no such U-Net"):
        UNet(0, UNetSettings())
