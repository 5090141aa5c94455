"""3x3 convolution by Winograd's minimal filtering: the same result but for rounding, with fewer multiplications.

A tile of m x m outputs takes (m + 2)^2 products for each pair of channels instead of 9 m^2: 36 instead of 144 for
m = 4. Transforming tiles in and out costs additions and memory, which only layers with many channels make up for.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Transforms:
    """Matrices of F(m, 3) in one dimension: of the image tile, of the kernel, of the result."""

    image: Tensor
    kernel: Tensor
    result: Tensor


def _matrix(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


TRANSFORMS = {
    2: Transforms(
        _matrix([[1.0, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
        _matrix([[1.0, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
        _matrix([[1.0, 1, 1, 0], [0, 1, -1, -1]]),
    ),
    4: Transforms(
        _matrix(
            [
                [4.0, 0, -5, 0, 1, 0],
                [0, -4, -4, 1, 1, 0],
                [0, 4, -4, -1, 1, 0],
                [0, -2, -1, 2, 1, 0],
                [0, 2, -1, -2, 1, 0],
                [0, 4, 0, -5, 0, 1],
            ]
        ),
        _matrix(
            [
                [1 / 4, 0, 0],
                [-1 / 6, -1 / 6, -1 / 6],
                [-1 / 6, 1 / 6, -1 / 6],
                [1 / 24, 1 / 12, 1 / 6],
                [1 / 24, -1 / 12, 1 / 6],
                [0, 0, 1],
            ]
        ),
        _matrix([[1.0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]),
    ),
}


class WinogradConvolution:
    """A convolution with a fixed 3x3 kernel, padding 1 and stride 1, prepared for many images.

    The transformed kernel takes 4 times the memory of the kernel for tiles of 4, 16/9 times for tiles of 2.
    """

    def __init__(self, weight: Tensor, bias: Tensor, tile: int) -> None:
        """Transform the kernel.

        Args:
            weight: shape (output, input, 3, 3), float32 or float64.
            bias: shape (output,).
            tile: outputs in a tile's row, 2 or 4.
        """
        transforms = TRANSFORMS[tile]
        outputs, inputs = weight.shape[:2]
        both = torch.kron(transforms.kernel, transforms.kernel).to(weight)
        # One matrix (input, output) for each of the tile's (m + 2)^2 products.
        kernel = (both @ weight.reshape(outputs * inputs, 9).t()).view(-1, outputs, inputs)
        self._kernel = kernel.transpose(1, 2).contiguous()
        self._to_products = torch.kron(transforms.image, transforms.image).to(weight)
        self._to_outputs = torch.kron(transforms.result, transforms.result).to(weight)
        self._bias = bias
        self._tile = tile

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve features of shape (slice, input, row, column); the result is dense with channels last."""
        slices, inputs, rows, columns = x.shape
        tile, window = self._tile, self._tile + 2
        down, across = -(-rows // tile), -(-columns // tile)
        padding = (0, 0, 1, across * tile + 1 - columns, 1, down * tile + 1 - rows)
        padded = functional.pad(x.permute(0, 2, 3, 1), padding)
        tiles = padded.unfold(1, window, tile).unfold(2, window, tile)  # (slice, down, across, input, window, window)
        count = slices * down * across
        gathered = tiles.permute(4, 5, 0, 1, 2, 3).reshape(window**2, count * inputs)
        products = torch.bmm((self._to_products @ gathered).view(window**2, count, inputs), self._kernel)
        results = (self._to_outputs @ products.view(window**2, -1)).view(tile, tile, slices, down, across, -1)
        whole = results.permute(2, 3, 0, 4, 1, 5).reshape(slices, down * tile, across * tile, -1)
        result = x.new_empty(slices, rows, columns, whole.shape[-1])
        return torch.add(whole[:, :rows, :columns], self._bias, out=result).permute(0, 3, 1, 2)
