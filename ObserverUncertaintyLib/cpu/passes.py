"""A trained U-Net rearranged for many Monte Carlo passes on a CPU: the same numbers in less time.

What differs from `UNet` in Monte Carlo mode: batch normalisation and the scale of dropout are multiplied into the
convolutions, masks and activation functions work in place, and convolutions with many channels use Winograd's
algorithm in float32. Masks are drawn in the same order from the same generators, so the plain network is the reference
to compare with: the same seeds give the same result but for rounding.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ObserverUncertaintyLib.cpu.unet import cpu_unet
from ObserverUncertaintyLib.cpu.upsampling import transposed_kernel
from ObserverUncertaintyLib.cpu.winograd import Filtering, FixedConvolution
from ObserverUncertaintyLib.model.settings import DropoutKind, FeatureNorm
from ObserverUncertaintyLib.network.dropout import ElementDropout, fill_with_kept
from ObserverUncertaintyLib.network.unet import Layer, UNet, u_shaped_pass

_WINOGRAD_CHANNELS = 96
_WINOGRAD_PAIRS = 96 * 192
"""With fewer channels on either side, or fewer pairs of an input and an output, a direct convolution is quicker (AVX2,
2 cores)."""

_UPSAMPLED_CHANNELS = 384
"""With fewer input channels than this a transposed convolution is quicker (AVX2, 2 cores)."""

_SMALL_IMAGE = 8
"""Rows or columns below which tiles of 2 waste less at the border than tiles of 4."""


@torch.no_grad()
def prepare_passes(network: nn.Module, rows: int, columns: int, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A network for many passes that gives the same: a U-Net on a CPU rearranged, any other one as it is.

    A network that changes afterwards must be prepared again.

    Args:
        network: any; it is left as it is.
        rows: of the images; others work too, perhaps more slowly.
        columns: likewise.
        dtype: number format of a U-Net's weights and activations, float32 or bfloat16.
    """
    if not isinstance(network, UNet) or network.classifier.weight.device.type != "cpu":
        return network
    settings = network.settings
    # Instance normalisation depends on the image. Whole channels are dropped by torch's own layer.
    if settings.feature_norm is not FeatureNorm.INSTANCE and settings.dropout_kind is DropoutKind.ELEMENT:
        return _FoldedUNet(network, rows, columns, dtype)
    with torch.device("meta"):
        made = cpu_unet(network.sequences, settings)
    made.load_state_dict(network.state_dict(), assign=True)
    return made


class _FoldedUNet(nn.Module):
    """A U-Net whose blocks are `_FoldedLayer`s, in a number format of its own."""

    def __init__(self, network: UNet, rows: int, columns: int, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype
        depth, p = network.settings.depth, network.settings.dropout
        # Rows or columns, whichever are fewer, at each level of the encoder, from the full image down.
        deepest = -(-min(rows, columns) // 2**depth)
        sides = [deepest * 2**level for level in range(depth, -1, -1)]
        self._encoder, self._decoder = (
            nn.ModuleList(_folded_block(block, p, side, dtype) for block, side in zip(blocks, block_sides, strict=True))
            for blocks, block_sides in ((network.encoder, sides), (network.decoder, sides[-2::-1]))
        )
        self._upsampling = [_upsampling(*_parameters(layer), dtype) for layer in network.upsampling]
        self._classifier = _direct(*_parameters(network.classifier), dtype)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32, shape (slice, 1, row, column), of images of shape (slice, sequence, row, column)."""
        x = images.to(self._dtype, memory_format=torch.channels_last)
        with torch.autocast("cpu", enabled=False):  # everything has its format
            return u_shaped_pass(x, self._encoder, self._upsampling, self._decoder, self._classifier).float()


class _FoldedLayer(ElementDropout):
    """Convolution, dropout, normalisation and ReLU of a block.

    With the normalisation's scale s and shift t, an activation that is kept becomes s (Wx + b) / (1 - p) + t, and one
    that is dropped t: the mask of 0 and 1 and the shift come after a convolution with sW / (1 - p) and sb / (1 - p).
    """

    def __init__(
        self, convolution: nn.Conv2d, norm: nn.BatchNorm2d | None, p: float, side: int, dtype: torch.dtype
    ) -> None:
        super().__init__(p)
        weight, bias = _parameters(convolution)
        scale, shift = _scale_and_shift(norm, len(bias))
        factor = scale / (1 - p)
        self._convolution = _convolution(weight * factor[:, None, None, None], bias * factor, side, dtype)
        self._shift = shift.to(dtype)[None, :, None, None]
        # Without dropout every activation counts with the share that is kept otherwise.
        self._share = torch.tensor(1 - p, dtype=dtype)
        self._mask = torch.empty(0)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Everything at once, shape (slice, channel, row, column)."""
        x = self._convolution(input)
        kept = self._kept_of(x) if self.training else self._share
        return torch.addcmul(self._shift, x, kept, out=x).relu_()

    def _kept_of(self, x: Tensor) -> Tensor:
        """The next mask, in the memory of the one before."""
        if self._mask.shape != x.shape or self._mask.stride() != x.stride():
            self._mask = torch.empty_like(x)
        fill_with_kept(self._mask, self.p, self.generators, self.rotation or 0.0)
        return self._mask


def _folded_block(block: nn.Module, p: float, side: int, dtype: torch.dtype) -> nn.Sequential:
    """The layers of an encoder's or decoder's block, in order."""
    convolutions = [module for module in block.children() if isinstance(module, nn.Conv2d)]
    norms: list[nn.BatchNorm2d | None] = [module for module in block.children() if isinstance(module, nn.BatchNorm2d)]
    layers = zip(convolutions, norms or [None] * len(convolutions), strict=True)
    return nn.Sequential(*(_FoldedLayer(convolution, norm, p, side, dtype) for convolution, norm in layers))


def _parameters(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that a layer is, or holds."""
    (found,) = (module for module in layer.modules() if isinstance(module, nn.Conv2d))
    assert found.bias is not None
    return found.weight, found.bias


def _scale_and_shift(norm: nn.BatchNorm2d | None, channels: int) -> tuple[Tensor, Tensor]:
    """The normalisation in evaluation mode as a factor and a summand of each channel."""
    if norm is None:
        return torch.ones(channels), torch.zeros(channels)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def _convolution(weight: Tensor, bias: Tensor, side: int, dtype: torch.dtype) -> Layer:
    """A 3x3 convolution in the quickest way for its channels and an image with `side` rows or columns."""
    outputs, inputs = weight.shape[:2]
    many = min(outputs, inputs) >= _WINOGRAD_CHANNELS and outputs * inputs >= _WINOGRAD_PAIRS
    if dtype is torch.float32 and many:
        return FixedConvolution(Filtering.convolution(2 if side < _SMALL_IMAGE else 4), weight, bias)
    return _direct(weight, bias, dtype)


def _direct(weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Layer:
    """A convolution as torch computes it."""
    kernel = weight.to(dtype, memory_format=torch.channels_last)
    return partial(functional.conv2d, weight=kernel, bias=bias.to(dtype), padding=weight.shape[-1] // 2)


def _upsampling(weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Layer:
    """Nearest-neighbour upsampling by two and a 3x3 convolution, in one step."""
    if dtype is torch.float32 and weight.shape[1] >= _UPSAMPLED_CHANNELS:
        return FixedConvolution(Filtering.upsampling(4), weight, bias)
    kernel = transposed_kernel(weight).to(dtype, memory_format=torch.channels_last)
    return partial(functional.conv_transpose2d, weight=kernel, bias=bias.to(dtype), stride=2, padding=1)
