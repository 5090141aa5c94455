"""The roofline of a training step: what each layer takes at least, of a device's two rates.

A layer computes its operations no faster than large matrix products, and moves its features and weights no faster than
a copy of much memory. It takes the longer of these times; a step takes their sum, for layers run one after the other.

Source: Williams, Waterman and Patterson, Roofline: an insightful visual performance model, Communications of the ACM 52
(2009) 65-76.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cost import synchronise
from ObserverUncertaintyLib.cpu.unet import cpu_unet
from ObserverUncertaintyLib.cpu.upsampling import UpsamplingConvolution
from ObserverUncertaintyLib.model.settings import UNetSettings
from ObserverUncertaintyLib.network.unet import UNet

_OPTIMISER_BYTES = 7 * 4
"""For each parameter: Adam reads it, its gradient and both moments, and writes all but the gradient, in float32."""

_MASK_BYTES = 1


@dataclass(frozen=True)
class LayerCost:
    """What a layer does in a training step, forward and backward.

    Attributes:
        name: which layer.
        operations: floating-point operations; a multiplication and an addition are two.
        bytes: read from memory or written to it, each tensor once for each time that it is needed.
    """

    name: str
    operations: float
    bytes: float

    def seconds(self, operations_per_second: float, bytes_per_second: float) -> float:
        """The longer of the time to compute and the time to move."""
        return max(self.operations / operations_per_second, self.bytes / bytes_per_second)


def training_step_costs(
    sequences: int,
    settings: UNetSettings,
    batch: int,
    rows: int,
    columns: int,
    element_bytes: int,
    *,
    as_defined: bool = False,
) -> list[LayerCost]:
    """Every layer of a training step, and the optimiser.

    Args:
        sequences: number of input images.
        settings: the network's shape.
        batch: slices of a step.
        rows: of a slice.
        columns: of a slice.
        element_bytes: of an activation: 4 in float32, 2 in bfloat16.
        as_defined: upsampling and its convolution are two steps, as every device but a CPU computes them.
    """
    costs: list[LayerCost] = []
    with torch.device("meta"):
        network = (UNet if as_defined else cpu_unet)(sequences, settings)
        images = torch.empty(batch, sequences, rows, columns)
    whole = set() if as_defined else set(network.upsampling)
    parts = {part for layer in whole for part in layer.children()}
    for name, module in network.named_modules():
        if module in whole or not (list(module.children()) or module in parts):
            module.register_forward_hook(_noted(name, element_bytes, costs))
    for number, block in enumerate(network.encoder):
        if number:
            # Four values are read and one is written, and the reverse.
            block.register_forward_pre_hook(_input_noted(f"encoder.{number}, pooling", 10 * element_bytes, costs))
    for number, block in enumerate(network.decoder):
        # Joining two levels' features copies them in both directions.
        block.register_forward_pre_hook(_input_noted(f"decoder.{number}, joining", 4 * element_bytes, costs))
    with torch.no_grad():
        network(images)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return [*costs, LayerCost("optimiser", 0, _OPTIMISER_BYTES * parameters)]


def copy_rate(device: torch.device, size: int = 2**28, repetitions: int = 5) -> float:
    """Bytes per second of a copy of so many bytes, reading and writing counted: the fastest of some."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    fastest = math.inf
    for _ in range(repetitions + 1):
        synchronise(device)
        started = time.perf_counter()
        target.copy_(source)
        synchronise(device)
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * size / fastest


def _noted(name: str, element_bytes: int, costs: list[LayerCost]) -> Callable[..., None]:
    def note(module: nn.Module, inputs: tuple[Tensor, ...], result: Tensor) -> None:
        # The images' gradient is needed by nobody.
        costs.append(_cost(name, module, inputs[0], result, element_bytes, first=not costs))

    return note


def _cost(name: str, module: nn.Module, x: Tensor, result: Tensor, element_bytes: int, *, first: bool) -> LayerCost:
    if isinstance(module, (nn.Conv2d, UpsamplingConvolution)):
        convolution: Any = module[1] if isinstance(module, UpsamplingConvolution) else module
        weights = convolution.weight.numel()
        products = weights * (result.numel() // result.shape[1])
        if isinstance(module, UpsamplingConvolution):
            products = products * 4 // 9
        times = 2 if first else 3  # the result, the gradient of the weight, the gradient of the features
        moved = times * (x.numel() + result.numel() + weights)
        return LayerCost(name, 2 * times * products, element_bytes * moved)
    size = x.numel()
    match module:
        case nn.BatchNorm2d() | nn.InstanceNorm2d():
            # Statistics come first: each way the features are read twice, backward with their gradient.
            moved = 3 * size + 5 * size
        case nn.ReLU():
            moved = 2 * size + 3 * size
        case nn.Upsample():
            moved = 2 * (size + result.numel())
        case _:  # dropout
            return LayerCost(name, 0, 4 * size * element_bytes + 2 * size * _MASK_BYTES)
    return LayerCost(name, 0, moved * element_bytes)


def _input_noted(name: str, bytes_each: int, costs: list[LayerCost]) -> Callable[..., None]:
    """What makes a block's input moves so many bytes for each of its values."""

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        costs.append(LayerCost(name, 0, bytes_each * inputs[0].numel()))

    return note
