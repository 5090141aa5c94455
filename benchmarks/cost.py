"""What a network's work costs: its floating-point operations, and how many of them a device does in a second.

Together they give the floor: no program that does this work is faster than the operations divided by the rate of large
matrix products.
"""

from __future__ import annotations

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from ObserverUncertaintyLib.cpu.unet import cpu_unet
from ObserverUncertaintyLib.model.settings import Precision, UNetSettings
from ObserverUncertaintyLib.network.unet import UNet

_TYPES = {Precision.FLOAT32: torch.float32, Precision.BFLOAT16: torch.bfloat16}


def forward_flops(sequences: int, settings: UNetSettings, rows: int, columns: int, *, as_defined: bool = False) -> int:
    """Floating-point operations of one pass over one slice; a multiplication and an addition are two.

    Only convolutions are counted: everything else is less than a hundredth of them. Those of Winograd's algorithm count
    as if they were direct.

    Args:
        sequences: number of input images.
        settings: the network's shape.
        rows: of the slice.
        columns: of the slice.
        as_defined: count upsampling and its convolution as two steps, as every device but a CPU computes them, instead
            of one.
    """
    with torch.device("meta"):
        network = (UNet if as_defined else cpu_unet)(sequences, settings)
        image = torch.empty(1, sequences, rows, columns)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(image)
    # Adding up the weights of an upsampling is done once for many passes.
    return sum(count for operation, count in counter.get_flop_counts()["Global"].items() if "conv" in str(operation))


def matmul_rate(device: torch.device, precision: Precision, size: int | None = None, repetitions: int = 5) -> float:
    """Floating-point operations per second of a product of two square matrices: the fastest of some.

    Args:
        device: where to compute.
        precision: number format of the matrices, float32 or bfloat16.
        size: rows and columns; None takes as many as keep the device busy for long enough to be timed.
        repetitions: how often it is measured.
    """
    if size is None:
        size = 2048 if device.type == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device).to(_TYPES[precision]) for _ in range(2))
    fastest = float("inf")
    # The first product is not measured: it loads and prepares what the others need.
    for repetition in range(repetitions + 1):
        synchronise(device)
        started = time.perf_counter()
        torch.mm(a, b)
        synchronise(device)
        if repetition:
            fastest = min(fastest, time.perf_counter() - started)
    return 2.0 * size**3 / fastest


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
