"""A training step of both networks of the paper, beside MONAI's DynUNet with the same filters, strides and dropout.

Both see the same batch in the same number format, in turns: forward pass, loss, backward pass, Adam. MONAI has to be
installed: pip install '.[bench]'.

    python benchmarks/training_step.py

Operations are those of the convolutions that a step really does, forward and backward. "ours, layer by layer" is our
network without what makes it faster, with PyTorch's default Adam.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ObserverUncertaintyLib.convolution_block import ConvolutionBlock
from ObserverUncertaintyLib.cost import matmul_rate
from ObserverUncertaintyLib.devices import choose_device, choose_precision, describe_device, make_deterministic
from ObserverUncertaintyLib.report.tables import aligned
from ObserverUncertaintyLib.settings import Loss, Precision, UNetSettings
from ObserverUncertaintyLib.training import make_optimiser, training_step
from ObserverUncertaintyLib.unet import UNet
from ObserverUncertaintyLib.upsampling import UpsamplingConvolution

DROPOUT = 0.2


@dataclass(frozen=True)
class Setup:
    """A network with the batch that it is given."""

    name: str
    settings: UNetSettings
    rows: int
    columns: int
    batch: int


SETUPS = (
    Setup("shapes", UNetSettings(sequences=1, dropout=DROPOUT), 64, 64, 8),
    Setup("shapes", UNetSettings(sequences=1, dropout=DROPOUT), 128, 128, 8),
    Setup("cavity", UNetSettings(sequences=4, depth=5, filters=48, dropout=DROPOUT), 160, 192, 4),
)


@dataclass(frozen=True)
class Measurement:
    """What one way of training took.

    Attributes:
        setup: the network and its batch.
        way: whose network, and how it was run.
        parameters: of the network.
        operations: floating-point operations of a step, a multiplication and an addition are two.
        seconds: of each repetition.
    """

    setup: str
    way: str
    parameters: int
    operations: int
    slices: int
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median seconds of a step."""
        return float(np.median(self.seconds))


def dynunet(setup: Setup) -> nn.Module:
    """MONAI's network with our filters, strides and dropout."""
    from monai.networks.nets import DynUNet

    levels = setup.settings.depth + 1
    return DynUNet(
        spatial_dims=2,
        in_channels=setup.settings.sequences,
        out_channels=1,
        kernel_size=[3] * levels,
        strides=[1] + [2] * (levels - 1),
        upsample_kernel_size=[2] * (levels - 1),
        filters=[setup.settings.filters * 2**level for level in range(levels)],
        dropout=setup.settings.dropout,
        norm_name="batch",
        deep_supervision=False,
    )


class Trainee:
    """A network with its optimiser, and the steps it made."""

    def __init__(
        self, network: nn.Module, device: torch.device, memory_format: torch.memory_format, *, our_optimiser: bool
    ) -> None:
        self.network = network.to(device).to(memory_format=memory_format).train()  # type: ignore[call-overload]
        self.memory_format = memory_format
        self.optimiser = (
            make_optimiser(self.network, 1e-3) if our_optimiser else torch.optim.Adam(self.network.parameters(), 1e-3)
        )
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.seconds: list[float] = []
        self.operations = 0

    def step(self, images: Tensor, target: Tensor, precision: Precision) -> None:
        """Make one step and note its time."""
        images = images.contiguous(memory_format=self.memory_format)
        started = time.perf_counter()
        training_step(self.network, self.optimiser, images, target, Loss.CROSS_ENTROPY, precision).item()
        self.seconds.append(time.perf_counter() - started)

    def warm_up(self, images: Tensor, target: Tensor, precision: Precision) -> None:
        """Two steps that are not timed; the first one counts the operations."""
        with FlopCounterMode(display=False) as counter:
            self.step(images, target, precision)
        self.operations = int(counter.get_total_flops())
        self.step(images, target, precision)
        self.seconds.clear()


class PlainTrainee(Trainee):
    """Our network as it is defined, one layer after the other."""

    def step(self, images: Tensor, target: Tensor, precision: Precision) -> None:
        """Make one step and note its time."""
        with (
            mock.patch.object(ConvolutionBlock, "forward", ConvolutionBlock.layer_by_layer),
            mock.patch.object(UpsamplingConvolution, "forward", UpsamplingConvolution.two_steps),
        ):
            super().step(images, target, precision)


def measure(setup: Setup, device: torch.device, precision: Precision, repetitions: int) -> list[Measurement]:
    """Train all ways in turns on one random batch."""
    torch.manual_seed(0)
    last, first = torch.channels_last, torch.contiguous_format
    ways: dict[str, Callable[[], Trainee]] = {
        "ours": lambda: Trainee(UNet(setup.settings), device, last, our_optimiser=True),
        "ours, layer by layer": lambda: PlainTrainee(UNet(setup.settings), device, last, our_optimiser=False),
        "DynUNet": lambda: Trainee(dynunet(setup), device, first, our_optimiser=False),
        "DynUNet, channels last": lambda: Trainee(dynunet(setup), device, last, our_optimiser=False),
    }
    images = torch.randn(setup.batch, setup.settings.sequences, setup.rows, setup.columns, device=device)
    target = (torch.rand(setup.batch, 1, setup.rows, setup.columns, device=device) > 0.5).float()
    trainees = {way: make() for way, make in ways.items()}
    for trainee in trainees.values():
        trainee.warm_up(images, target, precision)
    for _ in range(repetitions):
        for trainee in trainees.values():
            trainee.step(images, target, precision)
    name = f"{setup.name}, {setup.rows}x{setup.columns}"
    return [
        Measurement(name, way, trainee.parameters, trainee.operations, setup.batch, tuple(trainee.seconds))
        for way, trainee in trainees.items()
    ]


def table(measurements: list[Measurement], rate: float, title: str) -> str:
    """One line for each way, with ours relative to the others."""
    ours = {measurement.setup: measurement for measurement in measurements if measurement.way == "ours"}
    rows = []
    for measurement in measurements:
        reference, seconds, operations = ours[measurement.setup], measurement.median, measurement.operations
        spread = f"{1e3 * min(measurement.seconds):.0f} to {1e3 * max(measurement.seconds):.0f}"
        per_operation = seconds / operations
        figures = (
            operations / measurement.slices / 1e9,
            1e3 * seconds,
            measurement.slices / seconds,
            1e12 * per_operation,
            per_operation * rate,
            seconds / reference.median,
            per_operation / (reference.median / reference.operations),
        )
        figures_text = [f"{figure:.3g}" for figure in figures]
        rows.append([measurement.setup, measurement.way, *figures_text[:2], spread, *figures_text[2:]])
    header = [title, "", "GFLOP a slice", "step (ms)", "spread (ms)", "slices/s", "ps/FLOP", "step / floor"]
    return aligned([*header, "time / ours", "time per FLOP / ours"], rows)


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="the small networks only, three repetitions")
    parser.add_argument("--json", type=Path, help="write machine, settings and every repetition here")
    arguments = parser.parse_args()
    try:
        import monai
    except ModuleNotFoundError:
        print("The comparison needs MONAI, which is not installed: pip install '.[bench]'", file=sys.stderr)
        return 1
    make_deterministic()
    device = choose_device(arguments.device)
    precision = choose_precision(Precision.AUTO, device)
    repetitions = 3 if arguments.quick else arguments.repetitions
    rate = matmul_rate(device, precision)
    measurements: list[Measurement] = []
    for setup in SETUPS[: 2 if arguments.quick else None]:
        measurements += measure(setup, device, precision, repetitions)
    title = f"{describe_device(device)}, {precision.value}, matmul {rate / 1e9:.0f} GFLOP/s"
    print(table(measurements, rate, title))
    if arguments.json:
        report = {
            "benchmark": Path(__file__).stem,
            "machine": {"device": describe_device(device), "processor": platform.processor() or platform.machine()},
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "monai": monai.__version__},
            "precision": precision.value,
            "matmul_operations_per_second": rate,
            "setups": [asdict(setup) for setup in SETUPS],
            "measurements": [asdict(measurement) for measurement in measurements],
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
