"""How many threads to compute with, and what they should do while they wait: on idle cores, and beside busy programs.

Training steps of three networks, each way in a process of its own that begins when the machine is as it will be: alone,
beside one program that keeps a core busy, and beside two. The ways take turns.

    python benchmarks/threads.py
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from measuring import Machine, Report, Series, Table, Target, parser, run

if TYPE_CHECKING:
    from ObserverUncertaintyLib.model.settings import UNetSettings

OURS = "one for each idle core"
WAYS: Mapping[str, Mapping[str, str]] = {
    "all cores (torch's default)": {},
    OURS: {},
    "all cores, asleep while they wait": {"OMP_WAIT_POLICY": "PASSIVE"},
    "all cores, asleep after 1000 turns": {"GOMP_SPINCOUNT": "1000"},
    "one": {"OMP_NUM_THREADS": "1"},
}
"""What is set before torch is loaded; ours is found out by the program itself."""

DEFAULT = next(iter(WAYS))
LOADS = (0, 1, 2)
SLOWED, LOST = 2.2, 0.08
"""Beside one busy program at most so many times the idle time; on idle cores at most this share is lost."""

_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")
_BUSY = "while True: pass"


def worker(way: str) -> None:
    """Answers each line of standard input, a network's name and a number of steps, with the seconds that they took."""
    import time

    from ObserverUncertaintyLib.base.threads import leave_busy_cores

    if way == OURS:
        leave_busy_cores()
    import torch

    from ObserverUncertaintyLib.base.process_memory import keep_freed_memory
    from ObserverUncertaintyLib.cpu.unet import unet_for_training
    from ObserverUncertaintyLib.model.devices import make_deterministic
    from ObserverUncertaintyLib.model.precision import choose_precision
    from ObserverUncertaintyLib.model.settings import Loss, Precision
    from ObserverUncertaintyLib.training.step import TrainingSteps, make_optimiser

    keep_freed_memory()
    make_deterministic()
    cpu = torch.device("cpu")
    made = {}
    for line in sys.stdin:
        name, count = line.split()
        if name not in made:
            settings, batch, rows, columns = networks()[name]
            torch.manual_seed(0)
            network = unet_for_training(4, settings, cpu).train()
            steps = TrainingSteps(
                network, make_optimiser(network, 1e-3), Loss.CROSS_ENTROPY, choose_precision(Precision.AUTO, cpu)
            )
            images = torch.randn(batch, 4, rows, columns).to(memory_format=torch.channels_last)
            made[name] = steps, images, (torch.rand(batch, 1, rows, columns) > 0.5).float()
        steps, images, target = made[name]
        started = time.perf_counter()
        for _ in range(int(count)):
            float(steps(images, target))
        print(time.perf_counter() - started, flush=True)


def networks() -> dict[str, tuple[UNetSettings, int, int, int]]:
    """Each network's settings, its batch size, and its slices' rows and columns."""
    from ObserverUncertaintyLib.model.description import read_description
    from ObserverUncertaintyLib.model.shipped import shipped_model
    from ObserverUncertaintyLib.studies.cavity.settings import TRAINING
    from ObserverUncertaintyLib.studies.demo.settings import DemoSettings

    shipped, demo = read_description(shipped_model()), DemoSettings()
    rows, columns = shipped.preprocessing.minimum_size or (120, 104)
    return {
        "demo": (demo.training.network, demo.batch_size, 72, 56),
        "shipped": (shipped.architecture, int(shipped.training["batch_size"]), rows, columns),
        "large": (TRAINING.network, TRAINING.batch_size, 192, 224),
    }


STEPS = {"demo": 40, "shipped": 15, "large": 1}


@contextmanager
def beside(programs: int) -> Iterator[None]:
    """So many programs keep a core busy each while the block runs."""
    busy = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(programs)]
    try:
        yield
    finally:
        for program in busy:
            program.kill()
            program.wait()


@contextmanager
def workers() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """A worker for each way, ready to work."""
    plain = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
    started = {}
    try:
        for name, way in WAYS.items():
            started[name] = subprocess.Popen(
                [sys.executable, __file__, "--worker", name],
                env={**plain, **way},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            # One after the other: one that begins must not be busy for the next.
            seconds(started[name], "demo", 1)
        yield started
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def seconds(process: subprocess.Popen[str], network: str, steps: int) -> float:
    """What so many steps take."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{network} {steps}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def measure(arguments: argparse.Namespace) -> Report:
    """Every network, way and load, in turn."""
    repetitions = 1 if arguments.quick else arguments.repetitions
    names = [name for name in STEPS if not (arguments.quick and name == "large")]
    found: dict[tuple[str, str, int], list[float]] = {}
    for load in LOADS:
        with beside(load), workers() as started:
            for network in names:
                for process in started.values():
                    seconds(process, network, 1)
                for _ in range(repetitions):
                    for way, process in started.items():
                        found.setdefault((network, way, load), []).append(seconds(process, network, STEPS[network]))
    series = {key: Series(f"{key[0]}, {key[1]}, beside {key[2]} (s)", tuple(values)) for key, values in found.items()}
    rows, targets = [], []
    for network in names:
        for way in WAYS:
            alone = series[network, way, 0]
            usual = series[network, DEFAULT, 0]
            ratios = [series[network, way, load].over(usual, "") for load in LOADS]
            rows.append(
                (
                    network,
                    way,
                    f"{1e3 * alone.median / STEPS[network]:.3g}",
                    *(f"{each.median:.2f} ({min(each.values):.2f} to {max(each.values):.2f})" for each in ratios),
                )
            )
            if way == OURS:
                targets += [
                    Target(
                        f"{network}: beside one busy program at most {SLOWED} times the idle time",
                        f"{ratios[1].median:.2f}",
                        ratios[1].median <= SLOWED,
                    ),
                    Target(
                        f"{network}: at most {LOST:.0%} lost on idle cores",
                        f"{ratios[0].median - 1:+.1%}",
                        ratios[0].median <= 1 + LOST,
                    ),
                ]
    header = (
        "network",
        "threads",
        "a step, idle (ms)",
        "idle",
        "beside 1",
        "beside 2",
    )
    return Report(
        "Threads on idle cores and beside busy programs",
        Machine.here(),
        (Table(header, tuple(rows)),),
        tuple(series.values()),
        (f"{repetitions} repetitions in turn: median (least to most). Ratios to torch's default on idle cores.",),
        tuple(targets),
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--repetitions", type=int, default=3, help="of which the median is taken")
    options.add_argument("--worker", help=argparse.SUPPRESS)
    if (way := options.parse_args().worker) is not None:
        worker(way)
    else:
        run(options, measure)
