"""Upsampling and convolution in one step, against the two steps that define it."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from ObserverUncertaintyLib.cpu.upsampling import UpsamplingConvolution, transposed_kernel


def two_steps(layer: UpsamplingConvolution, x: torch.Tensor) -> torch.Tensor:
    """As it is defined: first upsampling, then the convolution."""
    return nn.Sequential.forward(layer, x)


@pytest.mark.parametrize(("slices", "rows", "columns"), [(1, 16, 16), (3, 17, 31), (256, 1, 1)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_one_step_equals_two(slices: int, rows: int, columns: int, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    layer = UpsamplingConvolution(6, 4).to(memory_format=memory_format)  # type: ignore[call-overload]
    x = torch.randn(slices, 6, rows, columns).to(memory_format=memory_format)
    one, two = layer(x), two_steps(layer, x)
    assert not torch.equal(one, two)  # or the fast way was not taken
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def test_gradients_of_image_weight_and_bias_are_those_of_the_two_steps() -> None:
    torch.manual_seed(1)
    layer = UpsamplingConvolution(3, 2).double()
    x = torch.randn(1, 3, 16, 20, dtype=torch.float64, requires_grad=True)
    target = torch.randn(1, 2, 32, 40, dtype=torch.float64)
    gradients = [
        torch.autograd.grad(((forward(x) - target) ** 2).sum(), [x, *layer.parameters()])
        for forward in (layer, partial(two_steps, layer))
    ]
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)


def test_the_kernel_of_ones_counts_how_often_a_pixel_is_met() -> None:
    # By hand, in one dimension: three taps of 1 over repeated pixels meet the own pixel twice and a neighbour once.
    kernel = transposed_kernel(torch.ones(1, 1, 3, 3))
    assert torch.equal(kernel[0, 0], torch.outer(torch.tensor([1.0, 2, 2, 1]), torch.tensor([1.0, 2, 2, 1])))


def test_tiny_inputs_take_the_two_steps() -> None:
    layer = UpsamplingConvolution(3, 2)
    x = torch.randn(1, 3, 15, 17)
    assert torch.equal(layer(x), two_steps(layer, x))


def test_the_parameters_keep_the_names_that_models_on_disk_have() -> None:
    assert set(UpsamplingConvolution(3, 2).state_dict()) == {"1.weight", "1.bias"}
