"""How the 3x3 convolutions of the U-Net, with upsampling before them or without, are trained on a CPU in float32.

Layers with many channels use minimal filtering throughout, those with fewer only for the gradient of the weights, which
oneDNN computes at a third of the rate of its other convolutions on processors without AVX-512.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ObserverUncertaintyLib.cpu.winograd import Filtering

_FEWEST_CHANNELS = 48
"""On either side, from which the weight's gradient is faster by filtering, and after upsampling everything (AVX2, 2
cores)."""

_MANY_CHANNELS = 96
"""On either side, from which everything is."""

_SMALL_RESULT = 16
"""Rows or columns below which transforming kernels for tiles of 4 takes longer than it saves."""

_FACTORS = 2**21
"""Factors of an image that are made at a time, so that they stay in the cache."""


class Convolution(nn.Conv2d):
    """A 3x3 convolution with padding 1; wide ones train on a CPU with fewer multiplications, equal but for rounding."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Convolve features of shape (slice, input, row, column)."""
        if trains_faster(self, input):
            return train_convolution(self, input)
        return super().forward(input)


def is_wide(convolution: nn.Conv2d) -> bool:
    """Whether there are so many channels that filtering makes the weight's gradient faster."""
    return min(convolution.in_channels, convolution.out_channels) >= _FEWEST_CHANNELS


def trains_faster(convolution: nn.Conv2d, x: Tensor) -> bool:
    """Whether to use `train_convolution`: in training, in float32 on a CPU, with many channels."""
    return (
        is_wide(convolution)
        and convolution.training
        and torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype is torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


def train_convolution(convolution: nn.Conv2d, x: Tensor, *, upsample: bool = False) -> Tensor:
    """The result of a 3x3 convolution with padding 1; minimal filtering computes its gradients, and if wide itself.

    Args:
        convolution: with a bias.
        x: shape (slice, channel, row, column); fastest in channels-last memory.
        upsample: repeat every pixel in both directions first.
    """
    result: Tensor = _Convolution.apply(x, convolution.weight, convolution.bias, upsample)  # type: ignore[no-untyped-call]
    return result


class _Convolution(torch.autograd.Function):
    """A 3x3 convolution with padding 1, perhaps after upsampling by two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, upsample: bool) -> Tensor:
        """The result, in channels-last memory."""
        ctx.save_for_backward(x, weight)
        ctx.upsample = upsample
        if not _filtered(weight, upsample):
            return functional.conv2d(x, weight, bias, padding=1)
        filtering, shape = _filtering_for(x, upsample), _result_shape(x, weight, upsample)
        result = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        kernels = filtering.to_kernels(weight).transpose(1, 2)
        for part in filtering.parts(x, _FACTORS):
            filtering.results(x[part], kernels, bias, result[part])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the image, the weight and the bias."""
        x, weight = ctx.saved_tensors
        filtering = _filtering_for(x, ctx.upsample)
        of_x: Tensor | None = None
        kernels: Tensor | None = None
        if ctx.needs_input_grad[0] and _filtered(weight, ctx.upsample):
            of_x, kernels = torch.empty_like(x), filtering.to_kernels(weight)
        elif ctx.needs_input_grad[0]:
            of_x = _gradient_of_image(gradient, x, weight)
        of_kernels: Tensor | None = None
        for part in filtering.parts(x, _FACTORS):
            # Shape (product, window, channel).
            of_products = filtering.to_products(gradient[part]).transpose(0, 1)
            windows, transposed = filtering.to_windows(x[part]).transpose(0, 1), of_products.transpose(1, 2)
            if of_kernels is None:
                of_kernels = torch.bmm(transposed, windows)
            else:
                of_kernels.baddbmm_(transposed, windows)
            if kernels is not None and of_x is not None:
                of_windows = torch.bmm(of_products, kernels).transpose(0, 1)
                of_x[part] = filtering.from_windows(of_windows, len(x[part]), *x.shape[2:])
        assert of_kernels is not None
        return of_x, filtering.from_kernels(of_kernels), gradient.sum((0, 2, 3)), None


def _filtered(weight: Tensor, upsample: bool) -> bool:
    """Whether the result and the image's gradient are computed by filtering, or as torch does."""
    return upsample or min(weight.shape[:2]) >= _MANY_CHANNELS


def _gradient_of_image(gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """As torch computes it."""
    of_x: Tensor = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, False, False]
    )[0]
    return of_x


def _result_shape(x: Tensor, weight: Tensor, upsample: bool) -> tuple[int, int, int, int]:
    scale = 2 if upsample else 1
    return len(x), len(weight), x.shape[2] * scale, x.shape[3] * scale


def _filtering_for(x: Tensor, upsample: bool) -> Filtering:
    side = min(x.shape[2:]) * (2 if upsample else 1)
    return _filtering(2 if side < _SMALL_RESULT else 4, upsample)


@cache
def _filtering(tile: int, upsample: bool) -> Filtering:
    return Filtering.upsampling(tile) if upsample else Filtering.convolution(tile)
