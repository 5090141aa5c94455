"""Gradients of convolution weights as matrix products.

For channels-last features, oneDNN computes these gradients on processors with AVX2 but without AVX-512 at a quarter to
a half of the rate of its other convolutions. Here each tap of the kernel is a product of two matrices (pixels by
channels), the second one shifted by a number of pixels: about twice as fast, and already in channels-last memory.
"""

from __future__ import annotations

import torch
from torch import Tensor

_FEWEST_CHANNELS = 32
"""Channels on either side below which oneDNN is as fast (2 cores of an AMD EPYC with AVX2)."""

_STRIP = 2048
"""Pixels that one core multiplies at a time: few enough for its cache."""

_SMALLEST_IN_STRIPS = 2**15
"""Pixels of all slices together from which strips are faster than one large product."""


def products_are_faster(x: Tensor, gradient: Tensor) -> bool:
    """Whether the functions of this module are faster for these features; measured on AVX2 and float32 only."""
    return (
        x.device.type == "cpu"
        and x.dtype is torch.float32
        and gradient.dtype is torch.float32
        and min(x.shape[1], gradient.shape[1]) >= _FEWEST_CHANNELS
        and torch.backends.cpu.get_cpu_capability() == "AVX2"
    )


def weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of the weights of a 3x3 convolution with padding 1.

    Args:
        x: the convolution's input, shape (slice, input, row, column); fastest in channels-last memory.
        gradient: that of its output, shape (slice, output, row, column).

    Returns:
        Shape (output, input, 3, 3) in channels-last memory.
    """
    pixels, of_output = _Pixels(x), _Pixels(gradient)
    result = x.new_empty(gradient.shape[1], 3, 3, x.shape[1])
    for row in range(3):
        for column in range(3):
            pixels.multiply(of_output, row - 1, column - 1, result[:, row, column])
    return result.permute(0, 3, 1, 2)


def transposed_weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of the kernel of a transposed 4x4 convolution with stride 2 and padding 1.

    Args:
        x: its input, shape (slice, input, row, column); fastest in channels-last memory.
        gradient: that of its output, shape (slice, output, 2 row, 2 column).

    Returns:
        Shape (input, output, 4, 4).
    """
    pixels = _Pixels(x)
    result = x.new_empty(4, 4, gradient.shape[1], x.shape[1])
    # An even row of the output meets its own row of the input and the one before, an odd row its own and the one after.
    meetings = [(parity, shift) for parity in (0, 1) for shift in (0, 2 * parity - 1)]
    planes = {(row, column): _Pixels(gradient[:, :, row::2, column::2]) for row in (0, 1) for column in (0, 1)}
    for row, down in meetings:
        for column, right in meetings:
            pixels.multiply(planes[row, column], down, right, result[row - 2 * down + 1, column - 2 * right + 1])
    return result.permute(3, 2, 0, 1)


class _Pixels:
    """The pixels of all slices as rows of a matrix, with a zero pixel after each row and a zero row after each slice.

    Shifting this list then shifts the images, with zeros from outside.
    """

    def __init__(self, features: Tensor) -> None:
        slices, channels, rows, columns = features.shape
        count = slices * (rows + 1) * (columns + 1)
        self.line = columns + 1
        self.margin = columns + 2
        self.strip = _STRIP if count >= _SMALLEST_IN_STRIPS else count
        self.length = -(-count // self.strip) * self.strip
        self.matrix = features.new_empty(self.margin + self.length + self.margin, channels)
        self.matrix[: self.margin].zero_()
        self.matrix[self.margin + count :].zero_()
        grid = self.matrix[self.margin : self.margin + count].view(slices, rows + 1, columns + 1, channels)
        grid[:, :rows, :columns] = features.permute(0, 2, 3, 1)
        grid[:, :rows, columns].zero_()
        grid[:, rows].zero_()

    def strips(self, shift: int = 0) -> Tensor:
        """Shape (strip, pixel, channel), beginning `shift` pixels later."""
        start = self.margin + shift
        return self.matrix[start : start + self.length].view(-1, self.strip, self.matrix.shape[1])

    def multiply(self, other: _Pixels, down: int, right: int, out: Tensor) -> None:
        """The products of `other`'s channels with these, `down` rows and `right` columns away, summed over all pixels.

        `out` has the shape (channel of `other`, channel of these).
        """
        left, shifted = other.strips().transpose(1, 2), self.strips(down * self.line + right)
        if len(left) == 1:
            torch.mm(left[0], shifted[0], out=out)
        else:
            torch.sum(torch.bmm(left, shifted), 0, out=out)
