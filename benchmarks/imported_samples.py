"""Sums and entropies of 20 samples of 240x240x155 that another program predicted, and what memory they take.

Every voxel of every sample has a probability of its own, which is the worst that can be met. Reading is not counted.
Beside it stand scipy's entropies of the same samples, added up in the same way, a whole volume at a time.

    python benchmarks/imported_samples.py
"""

from __future__ import annotations

import argparse
import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from drawn_raters import SHAPE
from measuring import Machine, Report, Target, interleaved, parser, run, spread
from ObserverUncertaintyLib.prediction.sums import MonteCarloSums
from ObserverUncertaintyLib.scores.entropy import Uncertainty, binary_entropy

SAMPLES = 20
LIMIT_SECONDS = 3.0
OURS, PLAIN = f"{SAMPLES} samples", "the same, a whole volume at a time"


def by_sums(samples: NDArray[np.float32], count: int) -> Uncertainty:
    """The library's: `count` samples, of which there are two in turn."""
    sums = MonteCarloSums(samples.shape[1:])
    for number in range(count):
        sums.add(samples[number % 2])
    return sums.uncertainty()


def by_definition(samples: NDArray[np.float32], count: int) -> Uncertainty:
    """The same by the definitions of `scores.entropy`."""
    probability, entropy = np.zeros(samples.shape[1:]), np.zeros(samples.shape[1:])
    for number in range(count):
        probability += samples[number % 2]
        entropy += binary_entropy(samples[number % 2])
    predictive, expected = binary_entropy(probability / count), entropy / count
    return Uncertainty(predictive, expected, predictive - expected)


def peak_mib(work: Callable[[], object]) -> float:
    """The most memory that work takes beyond what is there."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def measure(arguments: argparse.Namespace) -> Report:
    """Time of both, and memory for few samples and for many."""
    shape = tuple(size // 4 for size in SHAPE) if arguments.quick else SHAPE
    rng = np.random.default_rng(0)
    samples = np.stack([expit(rng.normal(-6, 4, shape)).astype(np.float32) for _ in range(2)])
    candidates = {OURS: partial(by_sums, samples, SAMPLES), PLAIN: partial(by_definition, samples, SAMPLES)}
    series = interleaved(candidates, 2 if arguments.quick else arguments.repetitions)
    ours, plain = by_sums(samples, 3), by_definition(samples, 3)
    pairs = zip(vars(ours).values(), vars(plain).values(), strict=True)
    gap = max(float(np.abs(one - other).max()) for one, other in pairs)
    few, many = (peak_mib(partial(by_sums, samples, count)) for count in (2, SAMPLES))
    seconds = next(found.median for found in series if found.name == OURS)
    targets = (
        Target(f"{SAMPLES} samples within {LIMIT_SECONDS:g} s", f"{seconds:.2f} s", seconds <= LIMIT_SECONDS),
        Target("memory does not grow with the samples", f"{few:.0f} and {many:.0f} MiB", many < 1.05 * few),
        Target("equal to the definitions within 1e-9 bits", f"{gap:.1e}", gap < 1e-9),
    )
    size = "x".join(map(str, shape[::-1]))
    title = f"Entropies of {SAMPLES} samples of {size}"
    return Report(title, Machine.here(), (spread("seconds", series),), series, (), targets)


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--repetitions", type=int, default=5)
    run(options, measure)
