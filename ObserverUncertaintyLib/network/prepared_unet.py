"""A trained U-Net rearranged for many Monte Carlo passes on a CPU: the same numbers in less time.

What differs from `UNet.forward` in Monte Carlo mode: batch normalisation and the scale of dropout are multiplied into
the convolutions, masks and activation functions work in place, and convolutions with many channels use Winograd's
algorithm in float32. Masks are drawn in the same order from the same generators, so the plain network is the reference
to compare with: the same seeds give the same result but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from ObserverUncertaintyLib.network.dropout import KeptActivations, Window
from ObserverUncertaintyLib.network.folded_layers import (
    FoldedLayer,
    Operation,
    convolution,
    direct,
    folded_block,
    level_sides,
    logits,
    parameters,
    upsampling,
)
from ObserverUncertaintyLib.network.unet import UNet


class PreparedUNet:
    """Draws of the foreground's logit, one for each call and slice, with dropout as in training.

    Weights are copied at construction: a network that changes afterwards must be prepared again.
    """

    @torch.no_grad()
    def __init__(self, network: UNet, rows: int, columns: int, dtype: torch.dtype = torch.float32) -> None:
        """Fold and copy the weights.

        Args:
            network: one that `can_fold` agrees to.
            rows: of the images; others work too, perhaps more slowly.
            columns: likewise.
            dtype: number format of weights and activations, float32 or bfloat16.
        """
        self._dtype = dtype
        sides = level_sides(network.settings, rows, columns)
        self._encoder, self._decoder = (
            [
                [
                    _Layer(layer, network.settings.dropout, side, dtype)
                    for layer in folded_block(block, network.settings)
                ]
                for block, side in zip(blocks, block_sides, strict=True)
            ]
            for blocks, block_sides in ((network.encoder, sides), (network.decoder, sides[-2::-1]))
        )
        self._upsampling = [upsampling(*parameters(layer), dtype) for layer in network.upsampling]
        self._classifier = direct(*parameters(network.classifier), dtype)

    def __call__(
        self,
        images: Tensor,
        generators: Sequence[torch.Generator] | None,
        window: Window | None = None,
        rotation: float = 0.0,
    ) -> Tensor:
        """Logits of one draw.

        Args:
            images: float32, shape (slice, sequence, row, column).
            generators: what each slice draws its masks from; with None, the logits of the network in evaluation mode.
            window: what the images show of whole slices, from which they were cut between the poolings' squares; None
                if they are whole. The draw is that of whole slices, but for what the network sees beyond the edge.
            rotation: of the masks, in [0, 1).

        Returns:
            float32, shape (slice, 1, row, column).
        """

        def drawn(block: list[_Layer], level: int) -> Operation:
            part = window.at(level) if window else None
            return lambda x: reduce(lambda features, layer: layer(features, generators, part, rotation), block, x)

        encoder = [drawn(block, level) for level, block in enumerate(self._encoder)]
        decoder = [drawn(block, len(self._decoder) - 1 - number) for number, block in enumerate(self._decoder)]
        return logits(images, encoder, self._upsampling, decoder, self._classifier, self._dtype)


class _Layer:
    """Convolution, dropout, normalisation and ReLU: the mask of 0 and 1 and the shift come after the convolution."""

    def __init__(self, folded: FoldedLayer, p: float, side: int, dtype: torch.dtype) -> None:
        self._convolution = convolution(folded.weight, folded.bias, side, dtype)
        self._shift = folded.shift.to(dtype)[None, :, None, None]
        # Without dropout every activation counts with the share that is kept otherwise.
        self._share = torch.tensor(1 - p, dtype=dtype)
        self._kept = KeptActivations(p)

    def __call__(
        self, x: Tensor, generators: Sequence[torch.Generator] | None, window: Window | None, rotation: float
    ) -> Tensor:
        x = self._convolution(x)
        kept = self._share if generators is None else self._kept.mask(x, generators, window, rotation)
        return torch.addcmul(self._shift, x, kept, out=x).relu_()
