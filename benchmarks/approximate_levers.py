"""What `predict --likely-only` and `--entropy-tolerance` save, and how wrong they are, on a trained cavity network.

The network (5 poolings, 48 filters) was trained on the first 14 simulated patients of the demo, which `make bench`
does before; the last three are predicted. Errors are mean absolute differences of the predictive entropy. A lever is
compared with the exact levers' run with the same masks; beside it stands the difference of two exact runs with other
masks, which is the Monte Carlo noise of T = 20. Both are compared with many more samples, too, which have other masks.
The naive loop (float32, whole slices one at a time) is scaled from some slices and passes. A second table has the
effect of bfloat16.

    python benchmarks/approximate_levers.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from measuring import CannotRunError, Machine, Report, Series, Table, Target, parser, run
from monte_carlo import NaiveUNet, freed_memory
from ObserverUncertaintyLib.cases import Case, Cohort
from ObserverUncertaintyLib.devices import describe_device
from ObserverUncertaintyLib.entropy import binary_entropy
from ObserverUncertaintyLib.inference import Prediction, predict
from ObserverUncertaintyLib.memory import keep_freed_memory
from ObserverUncertaintyLib.metrics import dice
from ObserverUncertaintyLib.model_file import ModelDescription, load_model
from ObserverUncertaintyLib.network.unet import UNet, set_monte_carlo_mode
from ObserverUncertaintyLib.preprocessing import Crop
from ObserverUncertaintyLib.sampling import Sampler, summed_samples
from ObserverUncertaintyLib.settings import EXACT, Economy, Precision

FOLDER = Path(__file__).parents[1] / "study-output" / "bench"
TEST_CASES = ("case15", "case16", "case17")
UNSURE = 0.05
EXACTLY = "exact"
ECONOMIES = {
    "--likely-only": Economy(likely_only=True),
    "--entropy-tolerance 0.02": Economy(entropy_tolerance=0.02),
    "both": Economy(likely_only=True, entropy_tolerance=0.02),
}
WAYS = {EXACTLY: EXACT, **ECONOMIES}

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """Predictions of all cases in one way, and the seconds that they took."""

    seconds: float
    predictions: tuple[Prediction, ...]

    @property
    def probability(self) -> Floats:
        """Of all voxels of all cases."""
        return np.concatenate([each.probability.ravel() for each in self.predictions]).astype(np.float64)


def errors(found: Floats, expected: Floats) -> tuple[float, float]:
    """Mean absolute difference of two entropies in bits: over the whole grid, and where the expected one is unsure."""
    difference = np.abs(found - expected)
    return float(difference.mean()), float(difference[expected > UNSURE].mean())


def draw(name: str, model: tuple[UNet, ModelDescription], cases: Sequence[Case], seed: int, samples: int) -> Drawn:
    """Predict all cases in one way."""
    started = time.perf_counter()
    made = tuple(predict(*model, case, samples=samples, seed=seed, economy=WAYS[name]) for case in cases)
    return Drawn(time.perf_counter() - started, made)


def naive_seconds(model: tuple[UNet, ModelDescription], cases: Sequence[Case], samples: int) -> float:
    """Of the naive loop over all cases, scaled from eight slices of the first and two passes."""
    trained, description = model
    naive = NaiveUNet(trained.settings)
    naive.load_state_dict(trained.state_dict())
    set_monte_carlo_mode(naive)
    preprocessing = replace(description.preprocessing, crop=Crop.NONE, minimum_size=None)
    whole = [preprocessing.prepare(case.with_sequences(description.sequences)).images for case in cases]
    some = torch.from_numpy(whole[0][(np.linspace(0.2, 0.8, 8) * len(whole[0])).astype(int)])
    with freed_memory(kept=False), torch.inference_mode():
        naive(some[:1])
        started = time.perf_counter()
        for _ in range(2):
            for image in torch.split(some, 1):
                torch.sigmoid(naive(image))
        seconds = time.perf_counter() - started
    keep_freed_memory()
    return seconds / (2 * len(some)) * samples * sum(map(len, whole))


def bfloat16_table(model: tuple[UNet, ModelDescription], case: Case, samples: int) -> tuple[Table, list[Series]]:
    """Entropies of some slices in bfloat16 beside those in float32, with the same masks."""
    network, description = model
    images = torch.from_numpy(description.preprocessing.prepare(case.with_sequences(description.sequences)).images)
    some = images[len(images) // 2 - 4 : len(images) // 2 + 4]
    formats = (Precision.FLOAT32, Precision.BFLOAT16)
    samplers = [Sampler(network, *images.shape[-2:], precision) for precision in formats]
    exact, rounded, again = (
        summed_samples(sampler, some, samples, seed, len(some)).uncertainty().predictive
        for sampler, seed in ((samplers[0], 0), (samplers[1], 0), (samplers[0], 1))
    )
    rows, series = [], []
    for name, found in (("bfloat16, same masks", rounded), ("float32, other masks", again)):
        values = (*errors(found, exact), float(np.abs(found - exact).max()))
        rows.append((name, *map("{:.5f}".format, values)))
        series += [Series(f"{name}: {what}", (value,)) for what, value in zip(_BFLOAT16_ERRORS, values, strict=True)]
    title = f"difference from float32, {len(some)} slices, T = {samples}"
    return Table((title, *_BFLOAT16_ERRORS), tuple(rows)), series


def measure(arguments: argparse.Namespace) -> Report:
    """Every way in turn, its errors in each repetition, and the naive loop beside them."""
    if not (arguments.model / "model.json").exists():
        raise CannotRunError(f"There is no trained model in {arguments.model}: `make bench` trains it.")
    samples, repetitions = (2, 1) if arguments.quick else (20, arguments.repetitions)
    network, description = load_model(arguments.model, torch.device("cpu"))
    assert isinstance(network, UNet)
    model = network, description
    cohort = Cohort.open(arguments.cohort / "cohort.toml", TEST_CASES[: 1 if arguments.quick else None])
    cases = cohort.load_all()
    keep_freed_memory()
    exact = [draw(EXACTLY, model, cases, 0, samples)]
    naive: list[float] = []
    ways: dict[str, list[Drawn]] = {name: [] for name in WAYS}
    for seed in range(repetitions):
        naive.append(naive_seconds(model, cases, samples))
        exact.append(draw(EXACTLY, model, cases, seed + 1, samples))
        ways[EXACTLY].append(exact[-1])
        for name in ECONOMIES:
            ways[name].append(draw(name, model, cases, seed, samples))
    baseline = Series("naive, scaled", tuple(naive))
    rows, series = [("naive, scaled", f"{baseline.median:.0f}", "1.0", *[""] * 5)], [baseline]
    found: dict[str, list[float]] = {}
    gains: dict[str, float] = {}
    for name, drawn in ways.items():
        seconds = Series(name, tuple(each.seconds for each in drawn))
        faster = baseline.over(seconds, f"naive / {name}")
        table = [_errors_of(each, seed, name, exact) for seed, each in enumerate(drawn)]
        own = [
            Series(f"{name}: {what}", values) for what, values in zip(_ERRORS, zip(*table, strict=True), strict=True)
        ]
        found[name], gains[name] = [each.median for each in own], faster.median
        series += [seconds, faster, *own]
        volume = max(_largest_volume_change(each, exact[seed]) for seed, each in enumerate(drawn))
        errors_text = [f"{value:.5f}" for value in found[name]]
        rows.append((name, f"{seconds.median:.0f}", f"{faster.median:.1f}", *errors_text, f"{100 * volume:.1f} %"))
    header = ("way", "seconds", "naive / this", *_ERRORS, "largest change of a volume")
    rounding, rounding_series = bfloat16_table(model, cases[0], 1 if arguments.quick else 4)
    overlap = np.mean(
        [
            dice(each.segmentation, np.mean(case.raters, axis=0) > 0.5)
            for each, case in zip(exact[0].predictions, cases, strict=True)
        ]
    )
    steps = f"{description.training['epochs']} epochs of training"
    return Report(
        f"Approximate levers: T = {samples} over {len(cases)} patients of the demo's cohort",
        Machine.here(describe_device(torch.device("cpu"))),
        (Table(header, tuple(rows)), rounding),
        (*series, *rounding_series),
        (
            f"The network: {steps}, Dice {overlap:.2f} with the raters' majority on the predicted patients.",
            'The row "exact" is another run of all samples: its differences are the Monte Carlo noise. The other rows '
            "have the masks of the run that they are compared with.",
            f"Errors from many are from the mean probability of {samples * repetitions} samples with other masks.",
            f"Unsure: where the entropy compared with exceeds {UNSURE} bits.",
            "Seconds are those of `predict` from loaded images to entropies on the case's grid.",
        ),
        tuple(_targets(name, gains[name], found[name], found[EXACTLY]) for name in ("--likely-only", "both")),
    )


_ERRORS = (
    "error, whole grid (bits)",
    "error where unsure (bits)",
    "error from many, whole grid (bits)",
    "error from many where unsure (bits)",
)
_BFLOAT16_ERRORS = ("whole slices (bits)", "where unsure (bits)", "largest (bits)")


def _errors_of(drawn: Drawn, seed: int, name: str, exact: Sequence[Drawn]) -> tuple[float, ...]:
    """Errors from the exact run with a seed, and from all exact runs whose masks this one does not share."""
    own = seed + 1 if name == EXACTLY else seed
    others = np.mean([each.probability for number, each in enumerate(exact) if number != own], axis=0)
    entropy = binary_entropy(drawn.probability)
    return (*errors(entropy, binary_entropy(exact[seed].probability)), *errors(entropy, binary_entropy(others)))


def _targets(name: str, gain: float, found: Sequence[float], noise: Sequence[float]) -> Target:
    return Target(
        f"{name}: at least 20 times the naive loop, with entropy errors below the Monte Carlo noise",
        f"{gain:.1f} times; {found[0]:.5f} beside {noise[0]:.5f} bits over the whole grid, "
        f"{found[1]:.5f} beside {noise[1]:.5f} where unsure",
        gain >= 20 and found[0] < noise[0] and found[1] < noise[1],
    )


def _largest_volume_change(drawn: Drawn, reference: Drawn) -> float:
    return max(
        abs(np.count_nonzero(each.segmentation) / np.count_nonzero(other.segmentation) - 1)
        for each, other in zip(drawn.predictions, reference.predictions, strict=True)
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--model", type=Path, default=FOLDER / "model", help="folder of the trained model")
    options.add_argument("--cohort", type=Path, default=FOLDER / "cohort", help="folder of the simulated cohort")
    options.add_argument("--repetitions", type=int, default=3, help="of every way")
    run(options, measure)
