"""How near a Monte Carlo pass comes to the floor: the network's operations at the rate of large matrix products.

Both of the paper's networks with random weights, in each number format that this machine computes in.

    python benchmarks/floor.py
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch

from ObserverUncertaintyLib.cost import forward_flops, matmul_rate
from ObserverUncertaintyLib.devices import choose_device, choose_precision, describe_device
from ObserverUncertaintyLib.inference import monte_carlo_samples
from ObserverUncertaintyLib.report.tables import aligned
from ObserverUncertaintyLib.settings import Precision, UNetSettings
from ObserverUncertaintyLib.unet import UNet


@dataclass(frozen=True)
class Setup:
    """A network with the slices that it is given."""

    name: str
    settings: UNetSettings
    rows: int
    columns: int
    batch: int


SETUPS = (
    Setup("shapes: 2 poolings, 16 filters", UNetSettings(sequences=1), 128, 128, 8),
    Setup("cavity: 5 poolings, 48 filters", UNetSettings(sequences=4, depth=5, filters=48), 192, 224, 4),
)


def pass_seconds(setup: Setup, device: torch.device, precision: Precision, repetitions: int) -> float:
    """Median seconds of a Monte Carlo pass over one slice."""
    network = UNet(setup.settings).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(setup.batch, setup.settings.sequences, setup.rows, setup.columns)
    times = []
    started = time.perf_counter()
    for _ in monte_carlo_samples(network, images, repetitions + 2, 0, setup.batch, precision):
        times.append(time.perf_counter() - started)
        started = time.perf_counter()
    return float(np.median(times[2:])) / setup.batch


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    formats = dict.fromkeys([Precision.FLOAT32, choose_precision(Precision.AUTO, device)])
    rows = []
    for precision in formats:
        rate = matmul_rate(device, precision)
        for setup in SETUPS:
            operations = forward_flops(setup.settings, setup.rows, setup.columns)
            seconds, floor = pass_seconds(setup, device, precision, arguments.repetitions), operations / rate
            size = f"{setup.rows}x{setup.columns}"
            figures = (operations / 1e9, rate / 1e9, 1e3 * floor, 1e3 * seconds, seconds / floor)
            rows.append([f"{setup.name}, {size}, {precision.value}", *(f"{figure:.3g}" for figure in figures)])
    header = [describe_device(device), "GFLOP a slice", "matmul GFLOP/s", "floor (ms)", "pass (ms)", "pass / floor"]
    print(aligned(header, rows))


if __name__ == "__main__":
    main()
