"""3x3 convolutions with fewer multiplications: the result, and the gradients of image and weight.

Winograd's algorithm cuts the image into windows that overlap, transforms windows and kernel, multiplies them, and
transforms the products into tiles of the result. F(4x4, 3x3) takes 36 products for each pair of channels where the
definition takes 144. Transforming costs additions and memory, which only layers with many channels make up for. All of
it is linear in the image and in the kernel, so each gradient is the same chain backwards, with as few multiplications.

Upsampling by two before the convolution fits in: every pixel is there twice, so the polynomial that the window stands
for has the factor 1 + t, and the product at the point -1 is 0 and left out. In both directions together that leaves 25
of 36 products for 16 results.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_FACTORS = 2**23
"""Factors of an image that `FixedConvolution` makes at a time: more take no less time, and memory."""


@dataclass(frozen=True)
class _Transforms:
    """Matrices of F(m, 3) in one dimension: of the image tile, of the kernel, of the result."""

    image: Tensor
    kernel: Tensor
    result: Tensor


def _matrix(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


_TRANSFORMS = {
    2: _Transforms(
        _matrix([[1.0, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
        _matrix([[1.0, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
        _matrix([[1.0, 1, 1, 0], [0, 1, -1, -1]]),
    ),
    4: _Transforms(
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


@dataclass(frozen=True)
class Filtering:
    """A convolution with a 3x3 kernel and padding 1, tile by tile; matrices act on both directions at once.

    Attributes:
        image: from a window's pixels to the products, shape (product, window^2).
        kernel: from the kernel to the products, shape (product, 9).
        result: from the products to a tile of the result, shape (tile^2, product).
        step: pixels from one window to the next; a window is two pixels longer.
        tile: rows of the result that a window gives.
    """

    image: Tensor
    kernel: Tensor
    result: Tensor
    step: int
    tile: int

    @classmethod
    def convolution(cls, tile: int) -> Filtering:
        """Without upsampling; `tile` is 2 or 4."""
        made = _TRANSFORMS[tile]
        return cls(_both(made.image), _both(made.kernel), _both(made.result), tile, tile)

    @classmethod
    def upsampling(cls, tile: int) -> Filtering:
        """With nearest-neighbour upsampling by two before the convolution; `tile` is 2 or 4."""
        made = _TRANSFORMS[tile]
        step = tile // 2
        # Which pixel each of the upsampled window's is a copy of.
        pixel = torch.arange(-1, tile + 1).div(2, rounding_mode="floor") + 1
        image = made.image @ functional.one_hot(pixel, step + 2).to(made.image)
        used = image.any(dim=1)
        return cls(_both(image[used]), _both(made.kernel[used]), _both(made.result[:, used]), step, tile)

    def to_windows(self, image: Tensor) -> Tensor:
        """An image, shape (slice, channel, row, column), as factors of the products: (window, product, channel)."""
        slices, channels, rows, columns = image.shape
        down, across = self._windows(rows, columns)
        padding = (0, 0, 1, across * self.step + 1 - columns, 1, down * self.step + 1 - rows)
        padded = functional.pad(image.permute(0, 2, 3, 1), padding)
        size = self.step + 2
        windows = padded.unfold(1, size, self.step).unfold(2, size, self.step).permute(0, 1, 2, 4, 5, 3)
        return self.image.to(image) @ windows.reshape(slices * down * across, size**2, channels)

    def from_windows(self, factors: Tensor, slices: int, rows: int, columns: int) -> Tensor:
        """The adjoint of `to_windows`: what the image's pixels get from all windows that they lie in."""
        down, across = self._windows(rows, columns)
        size, channels = self.step + 2, factors.shape[-1]
        windows = (self.image.to(factors).t() @ factors).view(slices, down, across, size, size, channels)
        padded = factors.new_zeros(slices, down * self.step + 2, across * self.step + 2, channels)
        for row in range(size):
            for column in range(size):
                down_here = slice(row, row + down * self.step, self.step)
                across_here = slice(column, column + across * self.step, self.step)
                padded[:, down_here, across_here] += windows[:, :, :, row, column]
        return padded[:, 1 : rows + 1, 1 : columns + 1].permute(0, 3, 1, 2)

    def from_products(self, products: Tensor, bias: Tensor, out: Tensor) -> None:
        """Write the result of products of shape (window, product, channel) to (slice, channel, row, column)."""
        slices, channels, rows, columns = out.shape
        down, across = -(-rows // self.tile), -(-columns // self.tile)
        tiles = (self.result.to(products) @ products).view(slices, down, across, self.tile, self.tile, channels)
        pixels = out.permute(0, 2, 3, 1)
        shape = (slices, down, self.tile, across, self.tile, channels)
        fits = pixels.is_contiguous() and (rows, columns) == (down * self.tile, across * self.tile)
        whole = pixels.view(shape) if fits else out.new_empty(shape)
        torch.add(tiles, bias, out=whole.transpose(2, 3))
        if not fits:
            whole = whole.view(slices, down * self.tile, across * self.tile, channels)
            pixels.copy_(whole[:, :rows, :columns])

    def to_products(self, result: Tensor) -> Tensor:
        """The adjoint of `from_products` without the bias, from a gradient of shape (slice, channel, row, column)."""
        slices, channels, rows, columns = result.shape
        down, across = -(-rows // self.tile), -(-columns // self.tile)
        padding = (0, 0, 0, across * self.tile - columns, 0, down * self.tile - rows)
        padded = functional.pad(result.permute(0, 2, 3, 1), padding)
        tiles = padded.view(slices, down, self.tile, across, self.tile, channels).transpose(2, 3)
        return self.result.to(result).t() @ tiles.reshape(slices * down * across, self.tile**2, channels)

    def parts(self, image: Tensor, most: int) -> Iterator[slice]:
        """As many slices at a time as have `most` factors, evenly many; one at least."""
        down, across = self._windows(*image.shape[2:])
        at_once = max(1, most // (len(self.image) * down * across * image.shape[1]))
        count = -(-len(image) // (-(-len(image) // at_once)))
        for start in range(0, len(image), count):
            yield slice(start, start + count)

    def results(self, image: Tensor, kernels: Tensor, bias: Tensor, out: Tensor) -> None:
        """Convolve.

        Args:
            image: shape (slice, input, row, column); fastest with channels last.
            kernels: of `to_kernels`, turned to (product, input, output).
            bias: shape (output,).
            out: where the result goes, shape (slice, output, row, column), twice the rows and columns with upsampling.
        """
        products = torch.bmm(self.to_windows(image).transpose(0, 1), kernels)
        self.from_products(products.transpose(0, 1), bias, out)

    def to_kernels(self, weight: Tensor) -> Tensor:
        """A kernel, shape (output, input, 3, 3), as factors of the products: (product, output, input)."""
        outputs, inputs = weight.shape[:2]
        return (self.kernel.to(weight) @ weight.reshape(outputs, inputs, 9).transpose(1, 2)).transpose(0, 1)

    def from_kernels(self, factors: Tensor) -> Tensor:
        """The adjoint of `to_kernels`, contiguous."""
        outputs, inputs = factors.shape[1:]
        flat = self.kernel.to(factors).t() @ factors.reshape(len(factors), -1)
        return flat.view(3, 3, outputs, inputs).permute(2, 3, 0, 1).contiguous()

    def _windows(self, rows: int, columns: int) -> tuple[int, int]:
        return -(-rows // self.step), -(-columns // self.step)


class FixedConvolution:
    """A convolution with a fixed kernel, which is transformed once for many images.

    With tiles of 4 it takes 4 times the memory of the kernel.
    """

    def __init__(self, filtering: Filtering, weight: Tensor, bias: Tensor) -> None:
        """Transform the kernel.

        Args:
            filtering: with upsampling before the convolution or without.
            weight: shape (output, input, 3, 3), float32 or float64.
            bias: shape (output,).
        """
        self._filtering = filtering
        self._kernels = filtering.to_kernels(weight).transpose(1, 2)
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve features of shape (slice, input, row, column); the result is dense with channels last."""
        scale = self._filtering.tile // self._filtering.step
        shape = (len(x), len(self._bias), x.shape[2] * scale, x.shape[3] * scale)
        result = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        for part in self._filtering.parts(x, _FACTORS):
            self._filtering.results(x[part], self._kernels, self._bias, result[part])
        return result


def _both(matrix: Tensor) -> Tensor:
    """A transform of one direction as that of both."""
    return torch.kron(matrix, matrix)
