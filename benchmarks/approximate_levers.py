"""What `predict --likely-only` and `--entropy-tolerance` save, and how wrong they are, on a trained cavity network.

The network (5 poolings, 48 filters) was trained on the first 14 simulated patients of the demo, which `make bench` does
before; the last three are predicted. Errors are mean absolute differences of the predictive entropy from a run of the
exact levers with other masks; beside them stands the same for a second such run, which is the Monte Carlo noise of
T = 20. The naive loop (float32, whole slices one at a time) is scaled from some slices and passes.

    python benchmarks/approximate_levers.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from measuring import CannotRunError, Machine, Report, Series, Table, Target, parser, run
from monte_carlo import NaiveUNet, freed_memory
from ObserverUncertaintyLib.cases import Case, Cohort
from ObserverUncertaintyLib.devices import describe_device
from ObserverUncertaintyLib.inference import Prediction, predict
from ObserverUncertaintyLib.memory import keep_freed_memory
from ObserverUncertaintyLib.metrics import dice
from ObserverUncertaintyLib.model_file import ModelDescription, load_model
from ObserverUncertaintyLib.network.unet import UNet, set_monte_carlo_mode
from ObserverUncertaintyLib.preprocessing import Crop
from ObserverUncertaintyLib.settings import EXACT, Economy

FOLDER = Path(__file__).parents[1] / "study-output" / "bench"
TEST_CASES = ("case15", "case16", "case17")
UNSURE = 0.05
WAYS = {
    "exact": EXACT,
    "--likely-only": Economy(likely_only=True),
    "--entropy-tolerance 0.02": Economy(entropy_tolerance=0.02),
    "both": Economy(likely_only=True, entropy_tolerance=0.02),
}


@dataclass(frozen=True)
class Drawn:
    """Predictions of all cases in one way: seconds of each repetition, and those of the last."""

    seconds: Series
    predictions: tuple[Prediction, ...]

    def errors(self, reference: Drawn) -> tuple[float, float]:
        """Mean absolute difference of the entropy in bits: over the whole grid, and where the reference is unsure."""
        found = _entropies(self.predictions)
        expected = _entropies(reference.predictions)
        difference = np.abs(found - expected)
        return float(difference.mean()), float(difference[expected > UNSURE].mean())


def _entropies(predictions: Sequence[Prediction]) -> NDArray[np.float64]:
    return np.concatenate([each.uncertainty.predictive.ravel() for each in predictions]).astype(np.float64)


def draw(name: str, model: tuple[UNet, ModelDescription], cases: Sequence[Case], seed: int, samples: int) -> Drawn:
    """Predict all cases in one way."""
    started = time.perf_counter()
    made = [predict(*model, case, samples=samples, seed=seed, economy=WAYS[name]) for case in cases]
    return Drawn(Series(name, (time.perf_counter() - started,)), tuple(made))


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


def measure(arguments: argparse.Namespace) -> Report:
    """Every way in turn, the errors of the last repetition, and the naive loop beside them."""
    if not (arguments.model / "model.json").exists():
        raise CannotRunError(f"There is no trained model in {arguments.model}: `make bench` trains it.")
    samples, repetitions = (2, 1) if arguments.quick else (20, 3)
    network, description = load_model(arguments.model, torch.device("cpu"))
    assert isinstance(network, UNet)
    model = network, description
    cohort = Cohort.open(arguments.cohort / "cohort.toml", TEST_CASES[: 1 if arguments.quick else None])
    cases = cohort.load_all()
    keep_freed_memory()
    reference = draw("exact", model, cases, 1, samples)
    naive, ways = [], {name: [] for name in WAYS}
    for seed in range(2, 2 + repetitions):
        naive.append(naive_seconds(model, cases, samples))
        for name in WAYS:
            ways[name].append(draw(name, model, cases, seed, samples))
    baseline = Series("naive, scaled", tuple(naive))
    overlap = np.mean(
        [
            dice(each.segmentation, np.mean(case.raters, axis=0) > 0.5)
            for each, case in zip(reference.predictions, cases, strict=True)
        ]
    )
    rows, series = [("naive, scaled", f"{baseline.median:.0f}", "1.0", "", "", "")], [baseline]
    errors: dict[str, tuple[float, float]] = {}
    gains: dict[str, float] = {}
    for name, drawn in ways.items():
        seconds = Series(name, tuple(each.seconds.values[0] for each in drawn))
        faster = baseline.over(seconds, f"naive / {name}")
        pairs = np.array([each.errors(reference) for each in drawn])
        errors[name], gains[name] = tuple(np.median(pairs, axis=0)), faster.median
        series += [
            seconds,
            faster,
            *(Series(f"{name}: {what}", tuple(pairs[:, at])) for at, what in enumerate(_ERRORS)),
        ]
        volume = _largest_volume_change(drawn[-1], reference)
        rows.append(
            (name, f"{seconds.median:.0f}", f"{faster.median:.1f}", *map("{:.4f}".format, errors[name]), volume)
        )
    header = ("way", "seconds", "naive / this", *_ERRORS, "largest change of a volume")
    noise, found, gain = errors["exact"], errors["--likely-only"], gains["--likely-only"]
    steps = f"{description.training['epochs']} epochs of training"
    return Report(
        f"Approximate levers: T = {samples} over {len(cases)} patients of the demo's cohort",
        Machine.here(describe_device(torch.device("cpu"))),
        (Table(header, tuple(rows)),),
        tuple(series),
        (
            f"The network: {steps}, Dice {overlap:.2f} with the raters' majority on the predicted patients.",
            'The row "exact" is another run of all samples: its differences are the Monte Carlo noise.',
            "Seconds are those of `predict` from loaded images to entropies on the case's grid.",
        ),
        (
            Target("--likely-only: at least 20 times the naive loop", f"{gain:.1f}", gain >= 20),
            Target(
                "--likely-only: entropy error over the whole grid below the Monte Carlo noise",
                f"{found[0]:.4f} beside {noise[0]:.4f} bits",
                found[0] <= noise[0],
            ),
            Target(
                f"--likely-only: the same where the entropy exceeds {UNSURE} bits",
                f"{found[1]:.4f} beside {noise[1]:.4f} bits",
                found[1] <= noise[1],
            ),
        ),
    )


_ERRORS = ("error, whole grid (bits)", "error where unsure (bits)")


def _largest_volume_change(drawn: Drawn, reference: Drawn) -> str:
    changes = [
        abs(np.count_nonzero(each.segmentation) / np.count_nonzero(other.segmentation) - 1)
        for each, other in zip(drawn.predictions, reference.predictions, strict=True)
    ]
    return f"{100 * max(changes):.1f} %"


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--model", type=Path, default=FOLDER / "model", help="folder of the trained model")
    options.add_argument("--cohort", type=Path, default=FOLDER / "cohort", help="folder of the simulated cohort")
    run(options, measure)
