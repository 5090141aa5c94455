"""Convolutions trained by minimal filtering, against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ObserverUncertaintyLib.cpu import convolution
from ObserverUncertaintyLib.cpu.convolution import Convolution, train_convolution
from ObserverUncertaintyLib.cpu.upsampling import UpsamplingConvolution
from ObserverUncertaintyLib.cpu.winograd import Filtering

CHANNELS_LAST = torch.channels_last


def as_defined(layer: nn.Conv2d, x: Tensor, *, upsample: bool) -> Tensor:
    return nn.Conv2d.forward(layer, functional.interpolate(x, scale_factor=2) if upsample else x)


def gradients(result: Tensor, layer: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    torch.manual_seed(1)
    return torch.autograd.grad(result, [x, *layer.parameters()], torch.randn(result.shape, dtype=result.dtype))


@pytest.mark.parametrize("upsample", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(4, 5), (7, 9), (16, 16), (18, 21)])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("slices_at_a_time", [1, 3])
def test_result_and_gradients_are_those_of_the_definition(
    rows: int, columns: int, upsample: bool, narrow: bool, slices_at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "_MANY_CHANNELS", 100 if narrow else 1)
    monkeypatch.setattr(convolution, "_FACTORS", 1 if slices_at_a_time == 1 else 2**30)
    torch.manual_seed(0)
    layer = Convolution(3, 5).double()
    x = torch.randn(3, 3, rows, columns, dtype=torch.float64).to(memory_format=CHANNELS_LAST).requires_grad_()
    fast, defined = train_convolution(layer, x, upsample=upsample), as_defined(layer, x, upsample=upsample)
    torch.testing.assert_close(fast, defined)
    for one, other in zip(gradients(fast, layer, x), gradients(defined, layer, x), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("upsample", [False, True])
def test_gradients_agree_with_finite_differences(upsample: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_MANY_CHANNELS", 1)
    torch.manual_seed(0)
    layer = Convolution(2, 2).double()
    x = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, *_: train_convolution(layer, x, upsample=upsample), (x, *layer.parameters())
    )


@pytest.mark.parametrize("upsample", [False, True])
@pytest.mark.parametrize("channels", [48, 96])
def test_float32_differs_by_rounding_only(channels: int, upsample: bool) -> None:
    torch.manual_seed(0)
    layer = UpsamplingConvolution(channels, channels) if upsample else Convolution(channels, channels)
    conv = layer[1] if isinstance(layer, UpsamplingConvolution) else layer
    x = torch.randn(4, channels, 64, 64).to(memory_format=CHANNELS_LAST).requires_grad_()
    fast = layer(x)
    assert "_Convolution" in type(fast.grad_fn).__name__  # or the fast way was not taken
    assert fast.is_contiguous(memory_format=CHANNELS_LAST)
    found, exact = gradients(fast, layer, x), gradients(as_defined(conv, x, upsample=upsample), layer, x)
    for one, other in zip(found, exact, strict=True):
        assert float((one - other).abs().max()) < 1e-4 * float(other.abs().max())


def test_without_an_image_that_wants_a_gradient_the_weights_still_get_theirs() -> None:
    torch.manual_seed(0)
    layer, x = Convolution(96, 96), torch.randn(1, 96, 16, 16)
    layer(x).square().sum().backward()
    assert layer.weight.grad is not None
    expected = torch.autograd.grad(as_defined(layer, x, upsample=False).square().sum(), layer.weight)[0]
    torch.testing.assert_close(layer.weight.grad, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("case", ["evaluation", "no gradient", "autocast", "float64", "narrow"])
def test_otherwise_the_convolution_is_torchs_own(case: str) -> None:
    torch.manual_seed(0)
    channels = 16 if case == "narrow" else 96
    layer, x = Convolution(channels, channels), torch.randn(1, channels, 16, 16)
    if case == "float64":
        layer, x = layer.double(), x.double()
    layer.train(case != "evaluation")
    with torch.set_grad_enabled(case != "no gradient"), torch.autocast("cpu", torch.bfloat16, case == "autocast"):
        assert torch.equal(layer(x), nn.Conv2d.forward(layer, x))


def test_upsampling_needs_25_products_for_16_results() -> None:
    filtering = Filtering.upsampling(4)
    assert (len(filtering.image), len(filtering.result)) == (25, 16)
    assert len(Filtering.convolution(4).image) == 36
