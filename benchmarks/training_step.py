"""A training step of both networks of the paper, beside MONAI's DynUNet with the same filters, strides and dropout.

Forward pass, loss, backward pass and Adam, on the same batch, in the same number format, in turns. DynUNet runs in both
memory layouts, and the faster one counts; its Adam is torch's default. Freed memory is kept for both, as the command
line does. A second table has the roofline: what each layer takes at least, computing at the rate of large matrix
products and moving its data at the rate of a copy. MONAI has to be installed: pip install '.[bench]'.

    python benchmarks/training_step.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cost import matmul_rate
from measuring import CannotRunError, Machine, Report, Series, Table, Target, interleaved, parser, run
from ObserverUncertaintyLib.base.process_memory import keep_freed_memory
from ObserverUncertaintyLib.cpu.unet import cpu_unet, unet_for_training
from ObserverUncertaintyLib.model.devices import choose_device, describe_device, make_deterministic
from ObserverUncertaintyLib.model.precision import choose_precision
from ObserverUncertaintyLib.model.settings import Loss, Precision, UNetSettings
from ObserverUncertaintyLib.training.step import TrainingSteps, make_optimiser, training_step
from random_networks import CAVITY, CAVITY_SEQUENCES, SHAPES, Setup
from roofline import copy_rate, training_step_costs

FACTOR = 1.5
ROOFLINES = 2.0
ROOFLINE_HEADER = ("ours", "operations (ms)", "roofline (ms)", "step (ms)", "step / roofline", "of the matmul rate (%)")
OURS = "ours"

SETUPS = (
    Setup("shapes", 1, SHAPES, 64, 64, 8),
    Setup("shapes", 1, SHAPES, 128, 128, 8),
    Setup("cavity", CAVITY_SEQUENCES, CAVITY, 160, 192, 4),
)


def dynunet(sequences: int, settings: UNetSettings) -> nn.Module:
    """MONAI's network with our filters, strides and dropout."""
    from monai.networks.nets.dynunet import DynUNet

    levels = settings.depth + 1
    return DynUNet(
        spatial_dims=2,
        in_channels=sequences,
        out_channels=1,
        kernel_size=[3] * levels,
        strides=[1] + [2] * (levels - 1),
        upsample_kernel_size=[2] * (levels - 1),
        filters=[settings.filters * 2**level for level in range(levels)],
        dropout=settings.dropout,
        norm_name="batch",
        deep_supervision=False,
    )


def step_flops(make: Callable[[int, UNetSettings], nn.Module], setup: Setup) -> int:
    """Floating-point operations of the convolutions of a step, forward and backward, as if all were computed directly.

    Ours count upsampling and its convolution as the one step that they are on a CPU, 4/9 of their definition.
    """
    with torch.device("meta"):
        network = make(setup.sequences, setup.settings).train()
        images = torch.empty(setup.batch, setup.sequences, setup.rows, setup.columns)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    return sum(count for operation, count in counter.get_flop_counts()["Global"].items() if "conv" in str(operation))


def trainees(setup: Setup, device: torch.device, precision: Precision) -> dict[str, Callable[[], float]]:
    """A step of ours, and of DynUNet in both layouts, on a batch that they see again and again.

    Each returns its loss, which waits for the device.
    """
    torch.manual_seed(0)
    images = torch.randn(setup.batch, setup.sequences, setup.rows, setup.columns, device=device)
    target = (torch.rand(setup.batch, 1, setup.rows, setup.columns, device=device) > 0.5).float()
    network = unet_for_training(setup.sequences, setup.settings, device)
    steps = TrainingSteps(network, make_optimiser(network, 1e-3), Loss.CROSS_ENTROPY, precision)
    channels_last = images.to(memory_format=torch.channels_last)
    if device.type == "cuda":
        for _ in range(4):  # of which the last is recorded
            steps(channels_last, target)
    made = {OURS: lambda: float(steps(channels_last, target))}
    for name, layout in (("contiguous", torch.contiguous_format), ("channels last", torch.channels_last)):
        peer = dynunet(setup.sequences, setup.settings).to(device).to(memory_format=layout).train()  # type: ignore[call-overload]
        adam = torch.optim.Adam(peer.parameters(), 1e-3)
        arguments = (peer, adam, images.to(memory_format=layout), target, Loss.CROSS_ENTROPY, precision)
        made[f"DynUNet, {name}"] = lambda given=arguments: float(training_step(*given))  # type: ignore[misc]
    return made


def roofline(
    setup: Setup, device: torch.device, precision: Precision, rates: tuple[float, float], step: Series
) -> tuple[tuple[str, ...], list[Target]]:
    """A row of the second table; on a GPU also what was to be reached."""
    on_gpu = device.type != "cpu"
    costs = training_step_costs(
        setup.sequences,
        setup.settings,
        setup.batch,
        setup.rows,
        setup.columns,
        2 if precision is Precision.BFLOAT16 else 4,
        as_defined=on_gpu,
    )
    least = sum(layer.seconds(*rates) for layer in costs)
    computing = sum(layer.operations for layer in costs) / rates[0]
    ratio, share = step.median / least, computing / step.median
    figures = (1e3 * computing, 1e3 * least, 1e3 * step.median, ratio, 100 * share)
    target = Target(f"{setup}: within {ROOFLINES:g} times the roofline", f"{ratio:.2f}", ratio <= ROOFLINES)
    return (str(setup), *(f"{figure:.3g}" for figure in figures)), [target] if on_gpu else []


def compare(
    setup: Setup, device: torch.device, precision: Precision, rate: float, repetitions: int
) -> tuple[list[tuple[str, ...]], list[Series], list[Target]]:
    """The rows of the table, every repetition, and what was to be reached."""
    ours, *peers = interleaved(trainees(setup, device, precision), repetitions, warm=True)
    fastest = min(peers, key=lambda series: series.median)
    operations = {series.name: step_flops(dynunet, setup) for series in peers}
    operations[OURS] = step_flops(cpu_unet, setup)
    rows, kept = [], []
    for series in (ours, *peers):
        flops, gain = operations[series.name], series.over(ours, f"{setup}: {series.name} / ours")
        kept += [Series(f"{setup}: {series.name} (s)", series.values), gain]
        milliseconds = (1e3 * seconds for seconds in (series.median, min(series.values), max(series.values)))
        per_flop = series.median / flops
        figures = (flops / setup.batch / 1e9, *milliseconds, setup.batch / series.median, 1e12 * per_flop)
        ratios = (per_flop * rate, gain.median)
        rows.append((str(setup), series.name, *(f"{figure:.3g}" for figure in (*figures, *ratios))))
    throughput = fastest.over(ours, "").median
    per_flop = throughput * operations[OURS] / operations[fastest.name]
    targets = [
        Target(f"{setup}: at least as fast per FLOP as {fastest.name}", f"{per_flop:.2f} times", per_flop >= 1),
        Target(f"{setup}: at least {FACTOR} times its throughput", f"{throughput:.2f}", throughput >= FACTOR),
    ]
    return rows, kept, targets


def measure(arguments: argparse.Namespace) -> Report:
    """Both networks."""
    try:
        import monai  # noqa: F401
    except ModuleNotFoundError:
        raise CannotRunError("MONAI is not installed: pip install '.[bench]'") from None
    make_deterministic()
    keep_freed_memory()
    device = choose_device(arguments.device)
    precision = choose_precision(Precision.AUTO, device)
    rate, moved = matmul_rate(device, precision), copy_rate(device)
    rows, roofs, repetitions, targets = [], [], [], []
    for setup in SETUPS[:1] if arguments.quick else SETUPS:
        found = compare(setup, device, precision, rate, 2 if arguments.quick else arguments.repetitions)
        roof = roofline(setup, device, precision, (rate, moved), found[1][0])
        rows += found[0]
        roofs.append(roof[0])
        repetitions += found[1]
        targets += [*found[2], *roof[1]]
    header = ("batch", "network", "GFLOP a slice", "step (ms)", "least", "most", "slices/s", "ps/FLOP", "step / floor")
    return Report(
        "A training step beside MONAI's DynUNet",
        Machine.here(describe_device(device), ["monai"]),
        (Table((*header, "time / ours"), tuple(rows)), Table(ROOFLINE_HEADER, tuple(roofs))),
        tuple(repetitions),
        (
            f"Number format {precision.value}; floor: the operations at the rate of large matrix products, "
            f"{rate / 1e9:.0f} GFLOP/s.",
            f"Roofline: each layer takes the longer of its operations at that rate and its data at "
            f"{moved / 1e9:.1f} GB/s.",
            "Operations count as if every convolution were computed directly, so doing fewer shows as less time each.",
        ),
        tuple(targets),
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--device", default="auto")
    options.add_argument("--repetitions", type=int, default=5, help="of which the median is taken")
    run(options, measure)
