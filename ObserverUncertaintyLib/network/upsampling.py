"""Nearest-neighbour upsampling by two and a 3x3 convolution, computed as one step.

Upsampling repeats every pixel, so the nine products of the convolution meet only four different pixels. Adding up the
weights that meet the same pixel gives a transposed convolution with a 4x4 kernel and stride 2: the same result but for
rounding, with 4/9 of the multiplications, and without writing the upsampled image to memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ObserverUncertaintyLib.network.convolution import train_convolution, trains_faster

_SMALLEST_INPUT = 256
"""Pixels of all slices together below which adding up the weights takes longer than it saves (2 cores, 48 to 1536
channels)."""

_TAPS = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
"""In one dimension: row t of the 3-tap kernel takes part in these of the four taps."""


class UpsamplingConvolution(nn.Sequential):
    """`Upsample(2, "nearest")` and `Conv2d(3x3, padding 1)`, with the parameters of these two under their names.

    Input shape (slice, channel, row, column), output shape (slice, channel, 2 row, 2 column). On a CPU both are one
    transposed convolution, unless the input is tiny or there is a faster way for training.

    Attributes:
        as_defined: whether they are two steps whatever the device.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.as_defined = False

    def forward(self, x: Tensor) -> Tensor:
        """The upsampled and convolved features."""
        if self.as_defined:
            return self.two_steps(x)
        convolution = self[1]
        assert isinstance(convolution, nn.Conv2d)
        if trains_faster(convolution, x):
            return train_convolution(convolution, x, upsample=True)
        pixels = x.shape[0] * x.shape[2] * x.shape[3]
        # "meta" tensors only count operations: those of a CPU.
        if x.device.type not in ("cpu", "meta") or pixels < _SMALLEST_INPUT:
            return self.two_steps(x)
        kernel = transposed_kernel(convolution.weight)
        return functional.conv_transpose2d(x, kernel, convolution.bias, stride=2, padding=1)

    def two_steps(self, x: Tensor) -> Tensor:
        """The same as it is defined: first upsampling, then the convolution."""
        for layer in self:
            x = layer(x)
        return x


def upsample_as_defined(network: nn.Module) -> None:
    """Let a network upsample and convolve in two steps, to compare with or to count."""
    for module in network.modules():
        if isinstance(module, UpsamplingConvolution):
            module.as_defined = True


def transposed_kernel(weight: Tensor) -> Tensor:
    """The 4x4 kernel of the transposed convolution that equals upsampling and a convolution with `weight`.

    Args:
        weight: shape (output, input, 3, 3).

    Returns:
        Shape (input, output, 4, 4), as `conv_transpose2d` takes it with stride 2 and padding 1.
    """
    outputs, inputs = weight.shape[:2]
    taps = _TAPS.to(weight)
    both = torch.einsum("ri,cj->rcij", taps, taps).reshape(9, 16)
    return (weight.transpose(0, 1).reshape(inputs * outputs, 9) @ both).view(inputs, outputs, 4, 4)
