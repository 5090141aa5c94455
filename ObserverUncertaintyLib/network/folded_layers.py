"""A U-Net's trained layers as few operations: normalisation and dropout's scale folded into the convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from ObserverUncertaintyLib.model.settings import FeatureNorm, UNetSettings
from ObserverUncertaintyLib.network.unet import UNet, pad_to_multiple
from ObserverUncertaintyLib.network.upsampling import transposed_kernel
from ObserverUncertaintyLib.network.winograd import Filtering, FixedConvolution

_WINOGRAD_CHANNELS = 96
_WINOGRAD_PAIRS = 96 * 192
"""With fewer channels on either side, or fewer pairs of an input and an output, a direct convolution is quicker (AVX2,
2 cores)."""

_UPSAMPLED_CHANNELS = 384
"""With fewer input channels than this a transposed convolution is quicker (AVX2, 2 cores)."""

_SMALL_IMAGE = 8
"""Rows or columns below which tiles of 2 waste less at the border than tiles of 4."""

Operation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FoldedLayer:
    """Convolution, dropout and normalisation of a block in Monte Carlo mode, before the ReLU.

    With the normalisation's scale s and shift t, an activation that is kept becomes s (Wx + b) / (1 - p) + t, and one
    that is dropped t.

    Attributes:
        weight: sW / (1 - p), shape (output, input, 3, 3).
        bias: sb / (1 - p), shape (output,).
        shift: t, shape (output,).
    """

    weight: Tensor
    bias: Tensor
    shift: Tensor


def can_fold(network: nn.Module) -> TypeGuard[UNet]:
    """Whether this is a U-Net on the CPU without instance normalisation, which depends on the image."""
    return (
        isinstance(network, UNet)
        and network.classifier.weight.device.type == "cpu"
        and network.settings.feature_norm is not FeatureNorm.INSTANCE
    )


def folded_block(block: nn.Module, settings: UNetSettings) -> list[FoldedLayer]:
    """The layers of an encoder's or decoder's block, in order."""
    modules = list(block.children())
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    norms: list[nn.BatchNorm2d | None] = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    norms = norms or [None] * len(convolutions)
    layers = []
    for convolution, norm in zip(convolutions, norms, strict=True):
        assert convolution.bias is not None
        scale, shift = _scale_and_shift(norm, convolution.out_channels)
        factor = scale / (1 - settings.dropout)
        layers.append(FoldedLayer(convolution.weight * factor[:, None, None, None], convolution.bias * factor, shift))
    return layers


def _scale_and_shift(norm: nn.BatchNorm2d | None, channels: int) -> tuple[Tensor, Tensor]:
    """The normalisation in evaluation mode as a factor and a summand of each channel."""
    if norm is None:
        return torch.ones(channels), torch.zeros(channels)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def level_sides(settings: UNetSettings, rows: int, columns: int) -> list[int]:
    """Rows or columns, whichever are fewer, at each level of the encoder, from the full image down."""
    deepest = -(-min(rows, columns) // 2**settings.depth)
    return [deepest * 2**level for level in range(settings.depth, -1, -1)]


def convolution(weight: Tensor, bias: Tensor, side: int, dtype: torch.dtype) -> Operation:
    """A 3x3 convolution in the quickest way for its channels and an image with `side` rows or columns."""
    outputs, inputs = weight.shape[:2]
    many = min(outputs, inputs) >= _WINOGRAD_CHANNELS and outputs * inputs >= _WINOGRAD_PAIRS
    if dtype is torch.float32 and many:
        return FixedConvolution(Filtering.convolution(2 if side < _SMALL_IMAGE else 4), weight, bias)
    return direct(weight, bias, dtype)


def direct(weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Operation:
    """A convolution as torch computes it."""
    kernel = weight.to(dtype, memory_format=torch.channels_last)
    return partial(functional.conv2d, weight=kernel, bias=bias.to(dtype), padding=weight.shape[-1] // 2)


def upsampling(weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Operation:
    """Nearest-neighbour upsampling by two and a 3x3 convolution with `weight`, in one step."""
    if dtype is torch.float32 and weight.shape[1] >= _UPSAMPLED_CHANNELS:
        return FixedConvolution(Filtering.upsampling(4), weight, bias)
    kernel = transposed_kernel(weight).to(dtype, memory_format=torch.channels_last)
    return partial(functional.conv_transpose2d, weight=kernel, bias=bias.to(dtype), stride=2, padding=1)


def parameters(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that a layer is, or holds."""
    (found,) = (module for module in layer.modules() if isinstance(module, nn.Conv2d))
    assert found.bias is not None
    return found.weight, found.bias


def logits(
    images: Tensor,
    encoder: Sequence[Operation],
    upsamplings: Sequence[Operation],
    decoder: Sequence[Operation],
    classifier: Operation,
    dtype: torch.dtype,
) -> Tensor:
    """What `UNet.forward` does, with a block or layer for each operation.

    Args:
        images: float32, shape (slice, sequence, row, column).
        encoder: blocks, from the full image down.
        upsamplings: from the deepest level up.
        decoder: blocks, likewise.
        classifier: the last convolution.
        dtype: number format of the operations.

    Returns:
        float32, shape (slice, 1, row, column).
    """
    rows, columns = images.shape[-2:]
    x = pad_to_multiple(images, 2 ** len(decoder)).to(dtype, memory_format=torch.channels_last)
    skipped = []
    for level, block in enumerate(encoder):
        x = block(functional.max_pool2d(x, 2) if level else x)
        skipped.append(x)
    skipped.pop()
    for upsample, block in zip(upsamplings, decoder, strict=True):
        x = block(torch.cat([skipped.pop(), upsample(x)], dim=1))
    return classifier(x).float()[..., :rows, :columns]
