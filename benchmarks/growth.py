"""How time and memory grow with slices, T, raters, filters and cases: the exponent of each step.

An exponent of 1 is linear, 0 is no growth. It is fitted to the logarithms by least squares, over the largest half of
the sizes, where fixed costs matter least; of steps that do little with each voxel this half exceeds the processor's
caches, beyond which a voxel takes longer whatever the method. A network's work grows with the square of its filters by
definition: there, time is fitted to its floating-point operations. Every size is measured in a process of its own that
keeps freed memory, as the command line does, and all sizes in turn, so that a slow spell of the machine meets them all:
time is the fastest of the repetitions (others are only disturbed), memory the peak of input and work above what the
process held before.

    python benchmarks/growth.py
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from growing_steps import Growth, growths
from measuring import CannotRunError, Machine, Report, Series, Table, Target, parser, run
from ObserverUncertaintyLib.base.process_memory import keep_freed_memory

WORSE_THAN_LINEAR = 1.1
QUICK_SIZES = 4
_ENOUGH_SECONDS = 0.4
"""Of measured work in a turn: short work is repeated until then."""

_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"
"""Written to /proc/self/clear_refs, it makes the peak begin anew; see proc_pid_clear_refs(5)."""


@dataclass(frozen=True)
class Point:
    """What one size takes: seconds of each repetition, and the peak memory in MiB."""

    seconds: tuple[float, ...]
    memory: float


@dataclass(frozen=True)
class Fit:
    """y = c x^exponent over the largest half of the points, and the share of the variance of log y that it explains."""

    exponent: float
    r_squared: float

    @classmethod
    def of(cls, x: Sequence[float], y: Sequence[float]) -> Fit:
        """Least squares on the logarithms; x ascending."""
        half = slice(len(x) // 2, None)
        log_x, log_y = np.log(x[half]), np.log(y[half])
        slope, offset = np.polyfit(log_x, log_y, 1)
        residual = float(((log_y - slope * log_x - offset) ** 2).sum())
        total = float(((log_y - log_y.mean()) ** 2).sum())
        return cls(float(slope), 1.0 - residual / total if total > 0 else 1.0)

    def __str__(self) -> str:
        return f"{self.exponent:.2f}{' worse than linear' if self.exponent > WORSE_THAN_LINEAR else ''}"


def point(growth: Growth, size: int) -> Point:
    """Measure one size in a process of its own."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_measure_here, args=(growth, size, sending))
    process.start()
    sending.close()
    try:
        return receiving.recv()
    except EOFError:
        raise RuntimeError(f"{growth.step} with {size} {growth.variable} failed; see above") from None
    finally:
        process.join()


def _measure_here(growth: Growth, size: int, sending: Connection) -> None:
    before = _memory("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        work = growth.prepare(size, Path(folder))
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
        seconds: list[float] = []
        while sum(seconds[1:]) < _ENOUGH_SECONDS:
            started = time.perf_counter()
            kept = work()
            seconds.append(time.perf_counter() - started)
            del kept
    sending.send(Point(tuple(seconds[1:]), _memory("VmHWM") - before))


def _together(turns: Sequence[Point]) -> Point:
    """All repetitions of one size, and the least of the peaks."""
    return Point(tuple(itertools.chain(*(turn.seconds for turn in turns))), min(turn.memory for turn in turns))


def _memory(name: str) -> float:
    """A line of this process's status in MiB."""
    line = next(line for line in _STATUS.read_text(encoding="utf-8").splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def measure(arguments: argparse.Namespace) -> Report:
    """Every step at every size."""
    if not sys.platform.startswith("linux"):
        raise CannotRunError("peak memory is read from /proc, which only Linux has")
    keep_freed_memory()
    torch.set_num_threads(1)  # growth is measured here, not speed: threads that wait for each other only disturb it
    rows, series, worse = [], [], []
    for growth in growths():
        sizes = growth.sizes[: QUICK_SIZES if arguments.quick else None]
        turns = [
            [point(growth, size) for size in sizes] for _ in range(1 if arguments.quick else arguments.repetitions)
        ]
        points = [_together(found) for found in zip(*turns, strict=True)]
        seconds, memory = [min(p.seconds) for p in points], [max(p.memory, 1.0) for p in points]
        amounts = [growth.operations(size) for size in sizes] if growth.operations else sizes
        fits = Fit.of(amounts, seconds), Fit.of(sizes, memory)
        name = f"{growth.step}, {growth.variable}"
        for size, found in zip(sizes, points, strict=True):
            series += [Series(f"{name} {size} (s)", found.seconds), Series(f"{name} {size} (MiB)", (found.memory,))]
        worse += [name for fit in fits if fit.exponent > WORSE_THAN_LINEAR]
        against = f"operations of {growth.variable}" if growth.operations else growth.variable
        half = len(sizes) // 2
        rows.append(
            (
                growth.step,
                against,
                f"{sizes[half]} to {sizes[-1]}",
                f"{1e3 * seconds[-1]:.3g}",
                str(fits[0]),
                f"{fits[0].r_squared:.3f}",
                f"{memory[-1]:.0f}",
                str(fits[1]),
                f"{fits[1].r_squared:.3f}",
            )
        )
    header = ("step", "against", "range", "ms at the end", "exponent", "R²", "MiB at the end", "exponent", "R²")
    wanted = f"no step worse than linear (exponent above {WORSE_THAN_LINEAR})"
    target = Target(wanted, ", ".join(dict.fromkeys(worse)) or "none", not worse)
    return Report(
        "Growth of time and memory",
        Machine.here("cpu (1 thread)"),
        (Table(header, tuple(rows)),),
        tuple(series),
        ("The exponent of memory is against the number of filters, not their operations.",),
        (target,),
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--repetitions", type=int, default=3, help="turns, of which the fastest repetition is taken")
    run(options, measure)
