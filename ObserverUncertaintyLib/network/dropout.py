"""Dropout of single activations with masks from raw random bits.

On a CPU the usual way draws a floating-point number for every activation, which takes longer than the convolutions of
a small network. Here a 16-bit integer decides, four from each 64-bit draw.

Masks can be rotated: with the same random numbers u, sample j of n drops where (u + j / n) mod 1 is below p. Each mask
has the same distribution, and within n = 1 / p of them each activation is dropped once, so that in their mean most of
what the masks cause cancels.

Source of rotation: Fishman and Huang, Communications of the ACM 26 (1983) 964-971, "Antithetic variates revisited".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 2**16
_LEAST, _MOST = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Window:
    """Which part of whole slices a batch shows, so that its masks are those of the whole slices, cut.

    Attributes:
        top, left: the first row and column.
        rows, columns: of the whole slices.
    """

    top: int
    left: int
    rows: int
    columns: int

    def at(self, level: int) -> Window:
        """The same after `level` poolings, which divide all of it."""
        return Window(self.top >> level, self.left >> level, self.rows >> level, self.columns >> level)


def rotations(p: float) -> int:
    """How many rotated masks drop each activation at most once (keep it, if p is above one half); 1 if p is 0 or 1."""
    rare = min(p, 1 - p)
    return int(1 / rare + 1e-9) if rare > 0 else 1


class ElementDropout(nn.Dropout):
    """`torch.nn.Dropout`, several times as fast on a CPU; elsewhere it is torch's own.

    The probability is rounded to a multiple of 2**-16. Masks follow from the state of torch's default generator, one
    thread draws them, so the same seed gives the same masks whatever the number of threads.

    Attributes:
        generators: on a CPU, what each slice of a batch draws its masks from, so that they do not depend on the batch;
            None draws them for all slices from torch's default generator.
        rotation: of the masks, in [0, 1); None leaves them to torch where the device is not a CPU.
    """

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self.generators: Sequence[torch.Generator] | None = None
        self.rotation: float | None = None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Set activations to zero at random and scale the others by 1 / (1 - p); shape and strides stay."""
        if not self.training or self.p == 0:
            return input
        if input.device.type == "cpu":
            return input * scaled_mask(input, self.p, self.generators, self.rotation or 0.0)
        if self.rotation is None:
            return functional.dropout(input, self.p, training=True)
        return input * rotated_mask(input, self.p, self.rotation)


class ChannelDropout(nn.Dropout2d):
    """`torch.nn.Dropout2d` that can drop the same channels in all slices.

    Attributes:
        channels: how many there are.
        kept: bool, shape (channel,): which channels are kept now, whatever the slice; None draws them for each slice.
    """

    def __init__(self, p: float, channels: int) -> None:
        super().__init__(p)
        self.channels = channels
        self.kept: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Set channels to zero and scale the others by 1 / (1 - p)."""
        if not self.training or self.kept is None:
            return super().forward(input)
        return input * (self.kept / (1 - self.p)).to(input)[None, :, None, None]


def scaled_mask(
    like: Tensor, p: float, generators: Sequence[torch.Generator] | None = None, rotation: float = 0.0
) -> Tensor:
    """A mask that is 0 with probability p and 1 / (1 - p) elsewhere, with the shape, strides and type of `like`.

    Args:
        like: features; with generators, of shape (slice, channel, row, column), one slice after the other in memory.
        p: the probability.
        generators: one for each slice; None draws from torch's default generator.
        rotation: in [0, 1).
    """
    mask = torch.empty_like(like, dtype=torch.int16)
    for part, generator in _parts(mask, generators):
        _draw_kept(part, _random_bits(len(part), generator, rotation), p)
    scale = torch.tensor(1 / (1 - p), dtype=like.dtype)
    if like.element_size() == mask.element_size():
        # 1 times the scale's bits is the scale, 0 times them is 0: no conversion from integers is needed.
        mask.mul_(int(scale.view(torch.int16)))
        return mask.view(like.dtype)
    return mask.to(like.dtype).mul_(scale)


def rotated_mask(like: Tensor, p: float, rotation: float) -> Tensor:
    """The same from torch's floating-point numbers on any device, whose default generator gives them."""
    drawn = torch.rand(like.shape, device=like.device)
    return (drawn.add_(rotation).remainder_(1) >= p).to(like.dtype).mul_(1 / (1 - p))


class KeptActivations:
    """Masks of 0 and 1 for many passes, in memory that is used again; the same masks as `ElementDropout` draws."""

    def __init__(self, p: float) -> None:
        """Masks with probability p of 0."""
        self._p = p
        self._mask = torch.empty(0)

    def mask(
        self, like: Tensor, generators: Sequence[torch.Generator], window: Window | None = None, rotation: float = 0.0
    ) -> Tensor:
        """The next mask, with the shape, strides and type of `like`; the one before is lost.

        Args:
            like: features, shape (slice, channel, row, column), one slice after the other in memory.
            generators: what each slice's mask is drawn from.
            window: what `like` shows of whole slices, with channels last in memory; None if these are whole.
            rotation: in [0, 1).
        """
        if self._mask.shape != like.shape or self._mask.stride() != like.stride() or self._mask.dtype != like.dtype:
            self._mask = torch.empty_like(like)
        if window is not None:
            for number, own in enumerate(generators):
                self._mask[number] = _kept_in_window(like.shape[1:], own, self._p, window, rotation)
            return self._mask
        for part, generator in _parts(self._mask, generators):
            bits = _random_bits(len(part), generator, rotation)
            _draw_kept(bits, bits, self._p)
            part.copy_(bits)
        return self._mask


def _parts(
    mask: Tensor, generators: Sequence[torch.Generator] | None
) -> Iterator[tuple[Tensor, torch.Generator | None]]:
    """Each slice's memory with its generator, or all of it with None."""
    # Dense whatever the strides, so that it can be filled in any order.
    flat = mask.as_strided((mask.numel(),), (1,))
    if generators is None:
        return iter([(flat, None)])
    return zip(flat.view(len(mask), -1), generators, strict=True)


def _random_bits(count: int, generator: torch.Generator | None, rotation: float) -> Tensor:
    """`count` random numbers of 16 bits, four from each 64-bit draw, by a generator that torch's seeds; rotated.

    numpy's SFC64 draws four times as fast as the Mersenne twister of torch.
    """
    seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
    drawn = np.random.Generator(np.random.SFC64(seed)).integers(_LEAST, _MOST, -(-count // 4), np.int64, endpoint=True)
    bits = drawn.view(np.int16)[:count]
    if rotation:
        bits += np.uint16(round(rotation * _LEVELS) % _LEVELS).astype(np.int16)  # which wraps around
    return torch.from_numpy(bits)


def _kept_in_window(shape: torch.Size, generator: torch.Generator, p: float, window: Window, rotation: float) -> Tensor:
    """The part of a whole slice's mask that a window shows, shape (channel, row, column)."""
    channels, rows, columns = shape
    # What is drawn for the rows below would not be used.
    bits = _random_bits((window.top + rows) * window.columns * channels, generator, rotation)
    seen = bits.view(-1, window.columns, channels)[window.top :, window.left : window.left + columns]
    kept = torch.empty(seen.shape, dtype=torch.int16)
    _draw_kept(kept, seen, p)
    return kept.permute(2, 0, 1)


def _draw_kept(out: Tensor, bits: Tensor, p: float) -> None:
    """Write 1 with probability 1 - p and 0 elsewhere."""
    torch.ge(bits, round(p * _LEVELS) - _LEVELS // 2, out=out)
