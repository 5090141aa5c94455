"""Nearest-neighbour upsampling by two and a 3x3 convolution, computed as one step.

Upsampling repeats every pixel, so the nine products of the convolution meet only four different pixels. Adding up the
weights that meet the same pixel gives a transposed convolution with a 4x4 kernel and stride 2: the same result but for
rounding, with 4/9 of the multiplications, and without writing the upsampled image to memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ObserverUncertaintyLib.weight_gradient import products_are_faster, transposed_weight_gradient

_SMALLEST_INPUT = 256
"""Pixels of all slices together below which adding up the weights takes longer than it saves (2 cores, 48 to 1536
channels)."""

_TAPS = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
"""In one dimension: row t of the 3-tap kernel takes part in these of the four taps."""


class UpsamplingConvolution(nn.Sequential):
    """`Upsample(2, "nearest")` and `Conv2d(3x3, padding 1)`, with the parameters of these two under their names.

    Input shape (slice, channel, row, column), output shape (slice, channel, 2 row, 2 column). On a CPU both are one
    transposed convolution, unless the input is tiny.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(inputs, outputs, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """The upsampled and convolved features."""
        pixels = x.shape[0] * x.shape[2] * x.shape[3]
        if x.device.type != "cpu" or pixels < _SMALLEST_INPUT:
            return self.two_steps(x)
        convolution = self[1]
        assert isinstance(convolution, nn.Conv2d)
        if torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu"):
            result: Tensor = _OneStep.apply(x, convolution.weight, convolution.bias)  # type: ignore[no-untyped-call]
            return result
        kernel = transposed_kernel(convolution.weight)
        return functional.conv_transpose2d(x, kernel, convolution.bias, stride=2, padding=1)

    def two_steps(self, x: Tensor) -> Tensor:
        """The same as it is defined: first upsampling, then the convolution."""
        for layer in self:
            x = layer(x)
        return x


class _OneStep(torch.autograd.Function):
    """The transposed convolution, with a faster gradient of its kernel where there is one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The upsampled and convolved features."""
        kernel = transposed_kernel(weight)
        ctx.save_for_backward(x, kernel)
        return functional.conv_transpose2d(x, kernel, bias, stride=2, padding=1)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the input, the weight and the bias."""
        x, kernel = ctx.saved_tensors
        products = products_are_faster(x, gradient)
        of_x, of_kernel, of_bias = torch.ops.aten.convolution_backward(
            gradient, x, kernel, [kernel.shape[1]], [2, 2], [1, 1], [1, 1], True, [0, 0], 1,
            [ctx.needs_input_grad[0], not products, not products],
        )  # fmt: skip
        if products:
            of_kernel, of_bias = transposed_weight_gradient(x, gradient), gradient.sum((0, 2, 3))
        return of_x, _weight_of(of_kernel), of_bias


def transposed_kernel(weight: Tensor) -> Tensor:
    """The 4x4 kernel of the transposed convolution that equals upsampling and a convolution with `weight`.

    Args:
        weight: shape (output, input, 3, 3).

    Returns:
        Shape (input, output, 4, 4), as `conv_transpose2d` takes it with stride 2 and padding 1.
    """
    outputs, inputs = weight.shape[:2]
    return (weight.transpose(0, 1).reshape(inputs * outputs, 9) @ _both_taps(weight)).view(inputs, outputs, 4, 4)


def _weight_of(kernel: Tensor) -> Tensor:
    """The adjoint of `transposed_kernel`: from the kernel's gradient to the weight's."""
    inputs, outputs = kernel.shape[:2]
    weight = kernel.permute(1, 0, 2, 3).reshape(outputs * inputs, 16) @ _both_taps(kernel).t()
    return weight.view(outputs, inputs, 3, 3)


def _both_taps(like: Tensor) -> Tensor:
    """Which of the 9 products of the convolution take part in which of the kernel's 16, shape (9, 16)."""
    taps = _TAPS.to(like)
    return torch.einsum("ri,cj->rcij", taps, taps).reshape(9, 16)
