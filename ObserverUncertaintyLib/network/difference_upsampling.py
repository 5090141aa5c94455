"""Nearest-neighbour upsampling by two and a 3x3 convolution with 9 products for each pixel instead of 36.

In one dimension, with taps a, b, c and neighbours w, x, y, the two results that pixel x gives rise to are
a w + (b + c) x and (a + b) x + c y. With the sum s = a + b + c these are s x - a (x - w) and s x + c (y - x): s x
belongs to both, and a difference of neighbours to the pixels on both its sides. That leaves three products for each
pixel, in two dimensions nine, where a transposed convolution takes 16. Adding up the parts costs memory traffic, which
only layers with many channels make up for.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


class DifferenceUpsampling:
    """Upsampling and a convolution with a fixed 3x3 kernel and padding 1, prepared for many images."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Arrange the kernel.

        Args:
            weight: shape (output, input, 3, 3), of the convolution that follows the upsampling.
            bias: shape (output,).
        """
        # What the sum, a difference to the pixel before and one to the pixel after are multiplied with.
        parts = torch.stack([weight.sum(2), -weight[:, :, 0], weight[:, :, 2]])
        parts = torch.stack([parts.sum(3), -parts[..., 0], parts[..., 2]], dim=1)
        kernels = parts.permute(0, 1, 3, 2)  # (down, across, input, output)
        self._of_pixels = kernels[0, 0].contiguous()
        self._of_differences_down = _side_by_side(kernels[1:, 0])
        self._of_differences_across = _side_by_side(kernels[0, 1:])
        self._of_both = _side_by_side(kernels[1:, 1:].flatten(0, 1))
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        """Upsample and convolve.

        Args:
            x: shape (slice, input, row, column); fastest with channels last.

        Returns:
            Shape (slice, output, 2 row, 2 column), dense with channels last.
        """
        slices, inputs, rows, columns = x.shape
        outputs = len(self._bias)
        padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        down = padded[:, 1:] - padded[:, :-1]
        across = padded[:, 1:-1, 1:] - padded[:, 1:-1, :-1]
        both = down[:, :, 1:] - down[:, :, :-1]
        of_pixels = torch.addmm(self._bias, padded[:, 1:-1, 1:-1].reshape(-1, inputs), self._of_pixels)
        of_pixels = of_pixels.view(slices, rows, columns, outputs)
        # The last axis but one: which of the pixels beside the difference, before and after it, is meant.
        of_down = _product(down[:, :, 1:-1], self._of_differences_down, 2)
        of_across = _product(across, self._of_differences_across, 2)
        of_both = _product(both, self._of_both, 4)
        result = x.new_empty(slices, 2 * rows, 2 * columns, outputs)
        for row in (0, 1):
            of_row = of_pixels + of_down[:, row : rows + row, :, row]
            for column in (0, 1):
                part = result[:, row::2, column::2]
                torch.add(of_row, of_across[:, :, column : columns + column, column], out=part)
                part += of_both[:, row : rows + row, column : columns + column, 2 * row + column]
        return result.permute(0, 3, 1, 2)


def _side_by_side(kernels: Tensor) -> Tensor:
    """Kernels of shape (kernel, input, output) as one matrix (input, kernel and output)."""
    return kernels.permute(1, 0, 2).flatten(1).contiguous()


def _product(features: Tensor, kernels: Tensor, count: int) -> Tensor:
    """Features (slice, row, column, input) times each of the kernels: (slice, row, column, kernel, output)."""
    product = features.reshape(-1, features.shape[-1]) @ kernels
    return product.view(*features.shape[:3], count, -1)
