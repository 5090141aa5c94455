"""From a network's last values to foreground probabilities."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ObserverUncertaintyLib.model.settings import FinalActivation
from ObserverUncertaintyLib.network.unet import UNet


def final_activation(network: nn.Module) -> FinalActivation:
    """What makes a probability of a network's last values; of any other than a U-Net a sigmoid."""
    return network.settings.final_activation if isinstance(network, UNet) else FinalActivation.SIGMOID


def foreground_probability(values: Tensor, activation: FinalActivation) -> Tensor:
    """The foreground probability of the network's last values.

    Args:
        values: any shape; with a normalised ReLU those of all slices that share the largest value.
        activation: what makes a probability of them.

    Returns:
        Same shape, in [0, 1]; with a normalised ReLU 0 everywhere if no value is above 0.
    """
    if activation is FinalActivation.SIGMOID:
        return torch.sigmoid(values)
    return share_of_largest(torch.relu(values), values.max())


def share_of_largest(rectified: Tensor, largest: Tensor) -> Tensor:
    """Rectified values as a share of the largest one, of any sign, in [0, 1]."""
    return rectified / largest.clamp_min(torch.finfo(rectified.dtype).tiny)
