"""Dropout of single activations with masks from raw random bits.

On a CPU the usual way draws a floating-point number for every activation, which takes longer than the convolutions of
a small network. Here a 16-bit integer decides, four from each 64-bit draw.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 2**16
_LEAST, _MOST = -(2**63), 2**63 - 1


class ElementDropout(nn.Dropout):
    """`torch.nn.Dropout`, several times as fast on a CPU; elsewhere it is torch's own.

    The probability is rounded to a multiple of 2**-16. Masks follow from the state of torch's default generator, one
    thread draws them, so the same seed gives the same masks whatever the number of threads.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Set activations to zero at random and scale the others by 1 / (1 - p); shape and strides stay."""
        if not self.training or self.p == 0:
            return input
        if input.device.type != "cpu":
            return functional.dropout(input, self.p, training=True)
        return input * scaled_mask(input, self.p)


def scaled_mask(like: Tensor, p: float) -> Tensor:
    """A mask that is 0 with probability p and 1 / (1 - p) elsewhere, with the shape, strides and type of `like`."""
    # Dense whatever the strides of `like`, so that its memory can be filled in any order.
    mask = torch.empty_like(like, dtype=torch.int16)
    _draw_kept(mask.as_strided((like.numel(),), (1,)), _random_bits(like.numel()), p)
    scale = torch.tensor(1 / (1 - p), dtype=like.dtype)
    if like.element_size() == mask.element_size():
        # 1 times the scale's bits is the scale, 0 times them is 0: no conversion from integers is needed.
        mask.mul_(int(scale.view(torch.int16)))
        return mask.view(like.dtype)
    return mask.to(like.dtype).mul_(scale)


class KeptActivations:
    """Masks of 0 and 1 for many passes, in memory that is used again.

    The same generator gives the same masks as `ElementDropout`, or as `torch.nn.Dropout2d` for whole channels.
    """

    def __init__(self, p: float, *, whole_channels: bool) -> None:
        """Masks with probability p of 0; for single activations, or for whole channels of each slice."""
        self._p = p
        self._whole_channels = whole_channels
        self._mask = torch.empty(0)

    def mask(self, like: Tensor) -> Tensor:
        """The next mask, of the type of `like`, to be multiplied with it; the one before is lost.

        Args:
            like: activations, shape (slice, channel, row, column).

        Returns:
            The shape and strides of `like`, or shape (slice, channel, 1, 1) for whole channels.
        """
        if self._p == 0:
            return torch.ones((), dtype=like.dtype)
        if self._whole_channels:
            return like.new_empty(*like.shape[:2], 1, 1).bernoulli_(1 - self._p)
        if self._mask.shape != like.shape or self._mask.stride() != like.stride() or self._mask.dtype != like.dtype:
            self._mask = torch.empty_like(like)
        flat = self._mask.as_strided((like.numel(),), (1,))
        bits = _random_bits(like.numel())
        _draw_kept(bits, bits, self._p)
        flat.copy_(bits)
        return self._mask


def _random_bits(count: int) -> Tensor:
    """`count` random numbers of 16 bits, four from each 64-bit draw, by a generator that torch's seeds.

    numpy's SFC64 draws four times as fast as the Mersenne twister of torch.
    """
    seed = int(torch.empty((), dtype=torch.int64).random_())
    drawn = np.random.Generator(np.random.SFC64(seed)).integers(_LEAST, _MOST, -(-count // 4), np.int64, endpoint=True)
    return torch.from_numpy(drawn).view(torch.int16)[:count]


def _draw_kept(out: Tensor, bits: Tensor, p: float) -> None:
    """Write 1 with probability 1 - p and 0 elsewhere."""
    torch.ge(bits, round(p * _LEVELS) - _LEVELS // 2, out=out)
