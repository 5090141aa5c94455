"""Nearest-neighbour upsampling by two and a 3x3 convolution, computed as one step.

Upsampling repeats every pixel, so the nine products of the convolution meet only four different pixels. Adding up the
weights that meet the same pixel gives a transposed convolution with a 4x4 kernel and stride 2: the same result but for
rounding, with 4/9 of the multiplications, and without writing the upsampled image to memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ObserverUncertaintyLib.cpu.convolution import train_convolution, trains_faster
from ObserverUncertaintyLib.network.unet import upsampling_convolution

_SMALLEST_INPUT = 256
"""Pixels of all slices together below which adding up the weights takes longer than it saves (2 cores, 48 to 1536
channels)."""

_TAPS = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
"""In one dimension: row t of the 3-tap kernel takes part in these of the four taps."""


class UpsamplingConvolution(nn.Sequential):
    """The same as `unet.upsampling_convolution`: one transposed convolution, unless the input is tiny.

    Input shape (slice, channel, row, column), output shape (slice, channel, 2 row, 2 column). In training there may be
    a faster way.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(*upsampling_convolution(inputs, outputs))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """The upsampled and convolved features."""
        convolution = self[1]
        assert isinstance(convolution, nn.Conv2d)
        if trains_faster(convolution, input):
            return train_convolution(convolution, input, upsample=True)
        if len(input) * input.shape[2] * input.shape[3] < _SMALLEST_INPUT:
            return convolution(self[0](input))
        kernel = transposed_kernel(convolution.weight)
        return functional.conv_transpose2d(input, kernel, convolution.bias, stride=2, padding=1)


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
