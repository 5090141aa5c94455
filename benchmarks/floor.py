"""How near a Monte Carlo pass comes to the floor: the network's operations at the rate of large matrix products.

Both of the paper's networks with random weights, in each number format that this machine computes in.

    python benchmarks/floor.py
"""

from __future__ import annotations

import argparse
import itertools
import time

import torch

from cost import forward_flops, matmul_rate
from measuring import Machine, Report, Series, Table, parser, run
from ObserverUncertaintyLib.model.devices import choose_device, describe_device
from ObserverUncertaintyLib.model.precision import choose_precision
from ObserverUncertaintyLib.model.settings import Precision
from ObserverUncertaintyLib.network.unet import UNet
from ObserverUncertaintyLib.prediction.sampling import Sampler, monte_carlo_samples
from random_networks import CAVITY, CAVITY_SEQUENCES, SHAPES, Setup

SETUPS = (
    Setup("shapes: 2 poolings, 16 filters", 1, SHAPES, 128, 128, 8),
    Setup("cavity: 5 poolings, 48 filters", CAVITY_SEQUENCES, CAVITY, 192, 224, 4),
)


def passes(setup: Setup, device: torch.device, precision: Precision, repetitions: int) -> Series:
    """Seconds of a Monte Carlo pass over one slice; the first two passes are not counted."""
    network = UNet(setup.sequences, setup.settings).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(setup.batch, setup.sequences, setup.rows, setup.columns)
    ended = [time.perf_counter()]
    sampler = Sampler(network, setup.rows, setup.columns, precision)
    for _ in monte_carlo_samples(sampler, images, repetitions + 2, 0, setup.batch):
        ended.append(time.perf_counter())
    seconds = [(end - start) / setup.batch for start, end in itertools.pairwise(ended)]
    size = f"{setup.rows}x{setup.columns}"
    return Series(f"{setup.name}, {size}, {precision.value}", tuple(seconds[2:]))


def measure(arguments: argparse.Namespace) -> Report:
    """Both networks in each number format."""
    device = choose_device(arguments.device)
    repetitions = 2 if arguments.quick else arguments.repetitions
    rows, series = [], []
    for precision in dict.fromkeys([Precision.FLOAT32, choose_precision(Precision.AUTO, device)]):
        rate = matmul_rate(device, precision)
        for setup in SETUPS:
            operations = forward_flops(
                setup.sequences, setup.settings, setup.rows, setup.columns, as_defined=device.type != "cpu"
            )
            timed, floor = passes(setup, device, precision, repetitions), operations / rate
            figures = (operations / 1e9, rate / 1e9, 1e3 * floor, 1e3 * timed.median, timed.median / floor)
            rows.append((timed.name, *(f"{figure:.3g}" for figure in figures)))
            series.append(timed)
    header = ("network", "GFLOP a slice", "matmul GFLOP/s", "floor (ms)", "pass (ms)", "pass / floor")
    machine = Machine.here(describe_device(device))
    return Report(
        "The floor beside a Monte Carlo pass over a slice", machine, (Table(header, tuple(rows)),), tuple(series)
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--device", default="auto")
    options.add_argument("--repetitions", type=int, default=5, help="of which the median is taken")
    run(options, measure)
