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

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 2**16
_LEAST, _MOST = -(2**63), 2**63 - 1


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
    fill_with_kept(mask, p, generators, rotation)
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


def fill_with_kept(
    mask: Tensor, p: float, generators: Sequence[torch.Generator] | None = None, rotation: float = 0.0
) -> None:
    """Fill a mask with 0 with probability p and 1 elsewhere: the masks of `ElementDropout`, before they are scaled.

    Args:
        mask: as `like` of `scaled_mask`.
        p: the probability.
        generators: one for each slice; None draws from torch's default generator.
        rotation: in [0, 1).
    """
    for part, generator in _parts(mask, generators):
        bits = _random_bits(len(part), generator, rotation)
        kept = torch.ge(bits, round(p * _LEVELS) - _LEVELS // 2, out=part if part.dtype is bits.dtype else bits)
        if kept is not part:
            part.copy_(kept)


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
