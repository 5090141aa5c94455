"""The dropout U-Net of the paper: a 2-D U-Net with dropout after every 3x3 convolution of its blocks.

Source: Jungo et al. 2018, section 3.1, after Ronneberger et al., MICCAI 2015. What the paper leaves open (the order of
layers, the way of upsampling) follows the first author's later published code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from ObserverUncertaintyLib.model.settings import DropoutKind, FeatureNorm, UNetSettings
from ObserverUncertaintyLib.network.dropout import ChannelDropout, ElementDropout

Layer: TypeAlias = Callable[[Tensor], Tensor]

NewLayer: TypeAlias = Callable[[int, int], nn.Module]
"""Makes a layer with so many input and output channels."""


def convolution(inputs: int, outputs: int) -> nn.Module:
    """3x3, with padding 1."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def upsampling_convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Nearest-neighbour upsampling by two, and a 3x3 convolution."""
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(inputs, outputs, 3, padding=1))


class UNet(nn.Module):
    """Images in, one logit per pixel out; any image size, since padding is undone.

    Input shape (slice, sequence, row, column), output shape (slice, 1, row, column). One logit with a sigmoid is the
    binary form of the paper's softmax over two classes.
    """

    def __init__(
        self,
        sequences: int,
        settings: UNetSettings,
        convolve: NewLayer = convolution,
        upsample: NewLayer = upsampling_convolution,
    ) -> None:
        """A U-Net with random weights.

        Args:
            sequences: number of input images (channels).
            settings: its shape.
            convolve: makes the blocks' convolutions; others must have the same parameters.
            upsample: makes the steps from a level to the one above, likewise.
        """
        super().__init__()
        if sequences < 1:
            raise ValueError(f"no such U-Net: {sequences} input images")
        self.sequences = sequences
        self.settings = settings
        widths = [settings.filters * 2**level for level in range(settings.depth + 1)]
        self.encoder = nn.ModuleList(
            _block(channels, width, settings, convolve)
            for channels, width in zip([sequences, *widths[:-1]], widths, strict=True)
        )
        rising = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.upsampling = nn.ModuleList(upsample(deep, shallow) for deep, shallow in rising)
        self.decoder = nn.ModuleList(_block(2 * shallow, shallow, settings, convolve) for _, shallow in rising)
        self.classifier = nn.Conv2d(widths[0], 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the foreground; see the class for shapes."""
        return u_shaped_pass(images, self.encoder, list(self.upsampling), self.decoder, self.classifier)


def u_shaped_pass(
    images: Tensor,
    encoder: nn.ModuleList,
    upsampling: Sequence[Layer],
    decoder: nn.ModuleList,
    classifier: Layer,
) -> Tensor:
    """Down and up again through the parts of a U-Net.

    Args:
        images: shape (slice, sequence, row, column), padded while they are in the network.
        encoder: blocks, from the full image down.
        upsampling: from the deepest level up.
        decoder: blocks, likewise.
        classifier: the last convolution.

    Returns:
        Logits, shape (slice, 1, row, column).
    """
    rows, columns = images.shape[-2:]
    x = pad_to_multiple(images, 2 ** len(upsampling))
    skipped = []
    for level, block in enumerate(encoder):
        x = block(functional.max_pool2d(x, 2) if level else x)
        skipped.append(x)
    skipped.pop()
    for upsample, block in zip(upsampling, decoder, strict=True):
        x = block(torch.cat([skipped.pop(), upsample(x)], dim=1))
    return classifier(x)[..., :rows, :columns]


def set_monte_carlo_mode(network: nn.Module) -> None:
    """Prepare for Monte Carlo dropout: everything in evaluation mode except the dropout layers.

    Source: Gal and Ghahramani, ICML 2016; batch statistics stay those of training.
    """
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.train()


def _block(channels: int, width: int, settings: UNetSettings, convolve: NewLayer) -> nn.Sequential:
    """Two times convolution, dropout, normalisation, ReLU."""
    layers: list[nn.Module] = []
    for inputs in (channels, width):
        layers += [convolve(inputs, width), _dropout(width, settings), *_norm(width, settings)]
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _dropout(width: int, settings: UNetSettings) -> nn.Module:
    if settings.dropout_kind is DropoutKind.ELEMENT:
        return ElementDropout(settings.dropout)
    return ChannelDropout(settings.dropout, width)


def _norm(width: int, settings: UNetSettings) -> list[nn.Module]:
    match settings.feature_norm:
        case FeatureNorm.BATCH:
            return [nn.BatchNorm2d(width)]
        case FeatureNorm.INSTANCE:
            return [nn.InstanceNorm2d(width, affine=True)]
        case FeatureNorm.NONE:
            return []


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until `multiple` divides both; the network cuts its result back."""
    rows, columns = (-length % multiple for length in images.shape[-2:])
    return functional.pad(images, (0, columns, 0, rows), mode="replicate") if rows or columns else images
