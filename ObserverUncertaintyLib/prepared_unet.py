"""A trained U-Net rearranged for many Monte Carlo passes on a CPU: the same numbers in less time.

What differs from `UNet.forward` in evaluation mode with dropout: batch normalisation and the scale of dropout are
multiplied into the convolutions, masks and activation functions work in place, and convolutions with many channels use
Winograd's algorithm in float32. Masks are drawn in the same order from the same generator, so the plain network is the
reference to compare with: the same seed and batches give the same result but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from ObserverUncertaintyLib.dropout import KeptActivations
from ObserverUncertaintyLib.settings import DropoutKind, FeatureNorm, UNetSettings
from ObserverUncertaintyLib.unet import UNet, pad_to_multiple
from ObserverUncertaintyLib.upsampling import transposed_kernel
from ObserverUncertaintyLib.winograd import WinogradConvolution

_WINOGRAD_CHANNELS = 192
"""With fewer channels than this on either side a direct convolution is quicker (AVX2, 2 cores)."""

_SMALL_IMAGE = 8
"""Rows or columns below which tiles of 2 waste less at the border than tiles of 4."""

_Operation = Callable[[Tensor], Tensor]


class PreparedUNet:
    """Draws of the foreground's logit, one for each call and slice, with dropout as in training.

    Weights are copied at construction: a network that changes afterwards must be prepared again.
    """

    def __init__(self, network: UNet, rows: int, columns: int, dtype: torch.dtype = torch.float32) -> None:
        """Fold and copy the weights.

        Args:
            network: one that `can_prepare` agrees to.
            rows: of the images; others work too, perhaps more slowly.
            columns: likewise.
            dtype: number format of weights and activations, float32 or bfloat16.
        """
        self._multiple = 2**network.settings.depth
        self._dtype = dtype
        # Rows or columns, whichever are fewer, at each level of the encoder.
        sides = [-(-min(rows, columns) // self._multiple) * 2**level for level in range(network.settings.depth, -1, -1)]
        with torch.no_grad():
            self._encoder = [
                _block(block, network, side, dtype) for block, side in zip(network.encoder, sides, strict=True)
            ]
            self._decoder = [
                _block(block, network, side, dtype) for block, side in zip(network.decoder, sides[-2::-1], strict=True)
            ]
            self._upsampling = [_upsampling(layers, dtype) for layers in network.upsampling]
            self._classifier = _direct(network.classifier.weight, network.classifier.bias, dtype)

    def __call__(self, images: Tensor, *, dropout: bool = True) -> Tensor:
        """Logits of one draw.

        Args:
            images: float32, shape (slice, sequence, row, column).
            dropout: without it, the logits of the network in evaluation mode.

        Returns:
            float32, shape (slice, 1, row, column).
        """
        rows, columns = images.shape[-2:]
        x = pad_to_multiple(images, self._multiple).to(self._dtype, memory_format=torch.channels_last)
        skipped = []
        for level, block in enumerate(self._encoder):
            x = _through(block, functional.max_pool2d(x, 2) if level else x, dropout)
            skipped.append(x)
        skipped.pop()
        for upsample, block in zip(self._upsampling, self._decoder, strict=True):
            x = _through(block, torch.cat([skipped.pop(), upsample(x)], dim=1), dropout)
        return self._classifier(x).float()[..., :rows, :columns]


def can_prepare(network: nn.Module) -> TypeGuard[UNet]:
    """Whether `PreparedUNet` takes this network: a U-Net on the CPU without instance normalisation."""
    return (
        isinstance(network, UNet)
        and network.classifier.weight.device.type == "cpu"
        and network.settings.feature_norm is not FeatureNorm.INSTANCE
    )


def _through(layers: Iterable[_Layer], x: Tensor, dropout: bool) -> Tensor:
    for layer in layers:
        x = layer(x, dropout)
    return x


def _block(block: nn.Module, network: UNet, side: int, dtype: torch.dtype) -> list[_Layer]:
    """The layers of a block, each a convolution with the dropout and normalisation that follow it."""
    modules = list(block.children())
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    norms: list[nn.BatchNorm2d | None] = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    norms = norms or [None] * len(convolutions)
    return [
        _Layer(convolution, norm, network.settings, side, dtype)
        for convolution, norm in zip(convolutions, norms, strict=True)
    ]


class _Layer:
    """Convolution, dropout, normalisation and ReLU.

    With the normalisation's scale s and shift t, an activation that is kept becomes relu(s (Wx + b) / (1 - p) + t), and
    one that is dropped relu(t). So the convolution uses sW / (1 - p) and sb / (1 - p), its result is multiplied by a
    mask of 0 and 1, and t is added.
    """

    def __init__(
        self, convolution: nn.Conv2d, norm: nn.BatchNorm2d | None, settings: UNetSettings, side: int, dtype: torch.dtype
    ) -> None:
        assert convolution.bias is not None
        scale, shift = _scale_and_shift(norm, convolution.out_channels)
        factor = scale / (1 - settings.dropout)
        weight, bias = convolution.weight * factor[:, None, None, None], convolution.bias * factor
        fewest = min(convolution.in_channels, convolution.out_channels)
        if dtype is torch.float32 and fewest >= _WINOGRAD_CHANNELS:
            self._convolution: _Operation = WinogradConvolution(weight, bias, tile=2 if side < _SMALL_IMAGE else 4)
        else:
            self._convolution = _direct(weight, bias, dtype)
        self._shift = shift.to(dtype)[None, :, None, None]
        # Without dropout every activation counts with the share that is kept otherwise.
        self._share = torch.tensor(1 - settings.dropout, dtype=dtype)
        self._kept = KeptActivations(settings.dropout, whole_channels=settings.dropout_kind is DropoutKind.CHANNEL)

    def __call__(self, x: Tensor, dropout: bool) -> Tensor:
        x = self._convolution(x)
        kept = self._kept.mask(x) if dropout else self._share
        return torch.addcmul(self._shift, x, kept, out=x).relu_()


def _scale_and_shift(norm: nn.BatchNorm2d | None, channels: int) -> tuple[Tensor, Tensor]:
    """The normalisation in evaluation mode as a factor and a summand of each channel."""
    if norm is None:
        return torch.ones(channels), torch.zeros(channels)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def _direct(weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> _Operation:
    """A convolution as torch computes it."""
    assert bias is not None
    kernel = weight.to(dtype, memory_format=torch.channels_last)
    return partial(functional.conv2d, weight=kernel, bias=bias.to(dtype), padding=weight.shape[-1] // 2)


def _upsampling(layers: nn.Module, dtype: torch.dtype) -> _Operation:
    """Upsampling and its convolution in one step, its kernel computed once."""
    (convolution,) = (layer for layer in layers.children() if isinstance(layer, nn.Conv2d))
    assert convolution.bias is not None
    kernel = transposed_kernel(convolution.weight).to(dtype, memory_format=torch.channels_last)
    return partial(functional.conv_transpose2d, weight=kernel, bias=convolution.bias.to(dtype), stride=2, padding=1)
