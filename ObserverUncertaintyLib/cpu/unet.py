"""The U-Net from layers that a CPU computes with fewer multiplications: the same parameters under the same names."""

from __future__ import annotations

import torch
from torch import nn

from ObserverUncertaintyLib.cpu.convolution import Convolution, is_wide
from ObserverUncertaintyLib.cpu.upsampling import UpsamplingConvolution
from ObserverUncertaintyLib.model.settings import UNetSettings
from ObserverUncertaintyLib.network.unet import UNet


def cpu_unet(sequences: int, settings: UNetSettings) -> UNet:
    """A U-Net that equals `UNet(sequences, settings)` but for rounding, its first weights included."""
    return UNet(sequences, settings, Convolution, UpsamplingConvolution)


def unet_for_training(sequences: int, settings: UNetSettings, device: torch.device) -> UNet:
    """A new U-Net on its device, in the memory layout in which training is fastest there.

    That is channels last, but for the weights of wide 3x3 convolutions on a CPU: filtering makes their gradients
    contiguous, and the optimiser copies what is laid out otherwise.
    """
    on_cpu = device.type == "cpu"
    network = (cpu_unet if on_cpu else UNet)(sequences, settings).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in network.modules():
        if on_cpu and isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and is_wide(module):
            module.weight.data = module.weight.data.contiguous()
    return network
