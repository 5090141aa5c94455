"""The U-Net's block: two times convolution, dropout, normalisation, ReLU; on a CPU trained in fewer passes over memory.

Run one after the other, each of these layers writes a tensor of its own and keeps floating-point copies for its
gradient, which costs a small network as much time as its convolutions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ObserverUncertaintyLib.dropout import ElementDropout, binary_mask
from ObserverUncertaintyLib.settings import DropoutKind, FeatureNorm, UNetSettings
from ObserverUncertaintyLib.weight_gradient import products_are_faster, weight_gradient


class ConvolutionBlock(nn.Sequential):
    """Two times convolution, dropout, normalisation, ReLU.

    Input shape (slice, input, row, column), output shape (slice, output, row, column). In training on a CPU, in float32
    and with batch normalisation and dropout of single activations, the four layers are one step: the same masks, and
    the same result but for rounding.
    """

    def __init__(self, inputs: int, outputs: int, settings: UNetSettings) -> None:
        dropout = ElementDropout if settings.dropout_kind is DropoutKind.ELEMENT else nn.Dropout2d
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), dropout(settings.dropout)]
            layers += [*_norm(outputs, settings), nn.ReLU(inplace=True)]
        super().__init__(*layers)
        self._in_one_step = (
            settings.feature_norm is FeatureNorm.BATCH
            and settings.dropout_kind is DropoutKind.ELEMENT
            and settings.dropout > 0
        )

    def forward(self, x: Tensor) -> Tensor:
        """The features after the block."""
        if not (self._in_one_step and self.training and x.device.type == "cpu" and x.dtype is torch.float32):
            return self.layer_by_layer(x)
        if torch.is_autocast_enabled("cpu"):
            return self.layer_by_layer(x)
        for first in range(0, len(self), 4):
            convolution, dropout, norm = self[first], self[first + 1], self[first + 2]
            assert isinstance(convolution, nn.Conv2d)
            assert isinstance(dropout, nn.Dropout)
            assert isinstance(norm, nn.BatchNorm2d)
            x = _one_step(x, convolution, dropout.p, norm)
        return x

    def layer_by_layer(self, x: Tensor) -> Tensor:
        """The same as it is defined: one layer after the other."""
        for layer in self:
            x = layer(x)
        return x


def _norm(width: int, settings: UNetSettings) -> list[nn.Module]:
    match settings.feature_norm:
        case FeatureNorm.BATCH:
            return [nn.BatchNorm2d(width)]
        case FeatureNorm.INSTANCE:
            return [nn.InstanceNorm2d(width, affine=True)]
        case FeatureNorm.NONE:
            return []


def _one_step(x: Tensor, convolution: nn.Conv2d, p: float, norm: nn.BatchNorm2d) -> Tensor:
    """Convolution, dropout, batch normalisation and ReLU; brings the norm's running statistics up to date."""
    scale = 1 / (1 - p)
    features, mean, variance = _OneStep.apply(  # type: ignore[no-untyped-call]
        x, convolution.weight, convolution.bias, norm.weight, norm.bias, p, norm.eps / scale**2
    )
    assert norm.num_batches_tracked is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.momentum is not None
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean * scale, norm.momentum)
    norm.running_var.lerp_(variance * scale**2, norm.momentum)
    return features


class _OneStep(torch.autograd.Function):
    """Convolution, dropout without its scaling, batch normalisation and ReLU.

    Normalisation undoes the scaling by 1 / (1 - p), if its epsilon is divided by the scale's square.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, p: float, epsilon: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The features, and mean and variance of the thinned convolution's result."""
        thinned = functional.conv2d(x, weight, bias, padding=1)
        mask = binary_mask(thinned, p)
        thinned.mul_(mask)
        mean, variance = torch.zeros_like(beta), torch.zeros_like(beta)
        # A momentum of 1 leaves this batch's statistics in the buffers.
        features, *saved = torch.native_batch_norm(thinned, gamma, beta, mean, variance, True, 1.0, epsilon)
        features.relu_()
        ctx.save_for_backward(x, weight, thinned, mask, features, gamma, *saved)
        ctx.epsilon = epsilon
        ctx.mark_non_differentiable(mean, variance)
        return features, mean, variance

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the input and the four parameters."""
        x, weight, thinned, mask, features, gamma, *saved = ctx.saved_tensors
        aten = torch.ops.aten
        gradient = aten.threshold_backward(gradient, features, 0)
        gradient, of_gamma, of_beta = aten.native_batch_norm_backward(
            gradient, thinned, gamma, None, None, *saved, True, ctx.epsilon, [True, True, True]
        )
        gradient.mul_(mask)
        products = products_are_faster(x, gradient)
        of_x, of_weight, of_bias = aten.convolution_backward(
            gradient, x, weight, [len(weight)], [1, 1], [1, 1], [1, 1], False, [0, 0], 1,
            [ctx.needs_input_grad[0], not products, not products],
        )  # fmt: skip
        if products:
            of_weight, of_bias = weight_gradient(x, gradient), gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias, of_gamma, of_beta, None, None
