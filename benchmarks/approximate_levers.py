"""What fewer samples save, and how wrong they are, on a trained cavity network: the options of `predict` for that.

The network (5 poolings, 48 filters, slices of 1 mm) was trained on the first 14 simulated patients of the demo, which
`make bench` does before; the last three are predicted, on slices of 240x240, a repetition each. Errors are mean
absolute differences of the predictive entropy: from the exact levers' run with the same masks, and from one with other
masks. The difference of these two is the Monte Carlo noise of T = 20. Balanced masks have nothing in common with
either run. The naive loop (float32, whole slices one at a time) is scaled from some slices and passes. A second table
has the effect of bfloat16.

    python benchmarks/approximate_levers.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from entropy_errors import UNSURE, entropy_errors

from measuring import CannotRunError, Floor, Machine, Report, Series, Table, Target, parser, run
from monte_carlo import NaiveUNet, freed_memory
from ObserverUncertaintyLib.base.process_memory import keep_freed_memory
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.model.description import ModelDescription
from ObserverUncertaintyLib.model.devices import choose_precision, describe_device
from ObserverUncertaintyLib.model.preprocessing import Crop
from ObserverUncertaintyLib.model.settings import DropoutMasks, Economy, Precision
from ObserverUncertaintyLib.network.cost import forward_flops, matmul_rate
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.network.unet import UNet, set_monte_carlo_mode
from ObserverUncertaintyLib.prediction.inference import Prediction, predict
from ObserverUncertaintyLib.prediction.sampling import Sampler, summed_samples
from ObserverUncertaintyLib.scores.metrics import dice

FOLDER = Path(__file__).parents[1] / "study-output" / "bench"
TEST_CASES = ("case15", "case16", "case17")
SIDE = 240
NAIVE, EXACTLY, AGAIN = "naive, scaled", "exact", "exact, other masks"
BALANCED = 5
LEVERS: dict[str, dict[str, Any]] = {
    "--likely-only": {"economy": Economy(likely_only=True)},
    "--entropy-tolerance 0.015": {"economy": Economy(entropy_tolerance=0.015)},
    f"--dropout-masks balanced --samples {BALANCED}": {"dropout_masks": DropoutMasks.BALANCED, "samples": BALANCED},
    f"--dropout-masks balanced --samples {BALANCED} --likely-only": {
        "dropout_masks": DropoutMasks.BALANCED,
        "samples": BALANCED,
        "economy": Economy(likely_only=True),
    },
}
ERRORS = (
    "error (bits)",
    "where unsure (bits)",
    "error, other masks (bits)",
    "where unsure, other masks (bits)",
    "change of the volume (%)",
)

ROUNDING_ERRORS = ("whole slices (bits)", "where unsure (bits)", "largest (bits)")


def on_wide_slices(case: Case) -> Case:
    """The case on slices of 240x240, as the BraTS challenges have them; what is added is background."""
    columns, rows, slices = case.grid.size
    added = ((0, 0), (0, 0), (0, SIDE - rows), (0, SIDE - columns))
    grid = replace(case.grid, size=(SIDE, SIDE, slices))
    return replace(case, grid=grid, images=np.pad(case.images, added), raters=np.pad(case.raters, added), truth=None)


def errors_of(found: Prediction, same: Prediction, other: Prediction) -> tuple[float, ...]:
    """The columns of the table: compared with the run that has the same masks, and with one that has others."""
    entropy, expected = found.uncertainty.predictive, [each.uncertainty.predictive for each in (same, other)]
    volumes = [np.count_nonzero(each.segmentation) for each in (found, same)]
    return (
        *(error for each in expected for error in entropy_errors(entropy, each, each > UNSURE)),
        100 * abs(volumes[0] / volumes[1] - 1),
    )


def naive_seconds(model: tuple[UNet, ModelDescription], case: Case, samples: int) -> float:
    """Of the naive loop over a case, scaled from eight slices and two passes."""
    trained, description = model
    naive = NaiveUNet(trained.settings)
    naive.load_state_dict(trained.state_dict())
    set_monte_carlo_mode(naive)
    preprocessing = replace(description.preprocessing, crop=Crop.NONE, minimum_size=None)
    whole = preprocessing.prepare(case.with_sequences(description.sequences)).images
    some = torch.from_numpy(whole[(np.linspace(0.2, 0.8, 8) * len(whole)).astype(int)])
    with freed_memory(kept=False), torch.inference_mode():
        naive(some[:1])
        started = time.perf_counter()
        for _ in range(2):
            for image in torch.split(some, 1):
                torch.sigmoid(naive(image))
        seconds = time.perf_counter() - started
    keep_freed_memory()
    return seconds / (2 * len(some)) * samples * len(whole)


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
        values = (*entropy_errors(found, exact, exact > UNSURE), float(np.abs(found - exact).max()))
        rows.append((name, *map("{:.5f}".format, values)))
        series += [Series(f"{name}: {what}", (value,)) for what, value in zip(ROUNDING_ERRORS, values, strict=True)]
    title = f"difference from float32, {len(some)} slices, T = {samples}"
    return Table((title, *ROUNDING_ERRORS), tuple(rows)), series


def measure(arguments: argparse.Namespace) -> Report:
    """Every way over one patient after the other, and the naive loop beside them."""
    if not (arguments.model / "model.json").exists():
        raise CannotRunError(f"There is no trained model in {arguments.model}: `make bench` trains it.")
    samples, patients = (4, 1) if arguments.quick else (20, len(TEST_CASES))
    network, description = load_model(arguments.model, torch.device("cpu"))
    assert isinstance(network, UNet)
    model = network, description
    cases = [on_wide_slices(case) for case in Cohort.open(arguments.cohort, TEST_CASES[:patients]).load_all()]
    keep_freed_memory()
    seconds: dict[str, list[float]] = {name: [] for name in (NAIVE, EXACTLY, AGAIN, *LEVERS)}
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in (AGAIN, *LEVERS)}
    overlaps = []
    for case in cases:
        seconds[NAIVE].append(naive_seconds(model, case, samples))
        predictions = {}
        for name, settings in {EXACTLY: {}, AGAIN: {"seed": 1}, **LEVERS}.items():
            started = time.perf_counter()
            predictions[name] = predict(*model, case, **{"samples": samples, **settings})
            seconds[name].append(time.perf_counter() - started)
        for name, table in found.items():
            table.append(errors_of(predictions[name], predictions[EXACTLY], predictions[AGAIN]))
        overlaps.append(dice(predictions[EXACTLY].segmentation, np.mean(case.raters, axis=0) > 0.5))
    times = {name: Series(name, tuple(values)) for name, values in seconds.items()}
    gains = {name: times[NAIVE].over(each, f"naive / {name}") for name, each in times.items()}
    mistakes = {
        name: tuple(
            Series(f"{name}: {what}", tuple(values))
            for what, values in zip(ERRORS, zip(*table, strict=True), strict=True)
        )
        for name, table in found.items()
    }
    operations = statistics.median(
        forward_flops(network.settings, *shape[1:]) * shape[0] * samples
        for shape in (description.preprocessing.prepare(case).path.shape for case in cases)
    )
    rate = matmul_rate(torch.device("cpu"), choose_precision(Precision.AUTO, torch.device("cpu")))
    floor = Floor("all samples of everything", operations, rate, times[EXACTLY])
    rounding, rounding_series = bfloat16_table(model, cases[0], 1 if arguments.quick else 4)
    slices = cases[0].grid.size[2]
    return Report(
        f"Approximate levers: T = {samples} over {len(cases)} patients, {slices} slices of {SIDE}x{SIDE} each",
        Machine.here(describe_device(torch.device("cpu"))),
        (
            Table(
                ("way", "seconds", "naive / this"),
                tuple((n, _spread(times[n], "{:.0f}"), _spread(gains[n], "{:.1f}")) for n in times),
            ),
            Table(
                ("way", *ERRORS),
                tuple((name, *(_spread(each, "{:.4f}") for each in own)) for name, own in mistakes.items()),
            ),
            Floor.table([floor]),
            rounding,
        ),
        (*times.values(), *gains.values(), *(each for own in mistakes.values() for each in own), *rounding_series),
        (
            "Medians over the patients, from the least to the most in brackets.",
            f"The network: {description.training['steps']} steps of training, Dice {np.mean(overlaps):.2f} with the "
            "raters' majority on these patients.",
            "Seconds are those of `predict` from loaded images to entropies on the case's grid; of the naive loop, "
            "those of the network's passes.",
            "Errors are from the exact run with the same masks, or from that with other masks. Unsure: where the "
            f"entropy compared with exceeds {UNSURE} bits.",
        ),
        tuple(_target(name, gains[name], mistakes[name], mistakes[AGAIN]) for name in LEVERS),
    )


def _spread(series: Series, form: str) -> str:
    least, most = min(series.values), max(series.values)
    return f"{form.format(series.median)} ({form.format(least)} to {form.format(most)})"


def _target(name: str, gain: Series, own: Sequence[Series], noise: Sequence[Series]) -> Target:
    return Target(
        f"{name}: at least 20 times the naive loop, with entropy errors below the Monte Carlo noise",
        f"{gain.median:.1f} times; {own[0].median:.5f} beside {noise[0].median:.5f} bits over the whole grid, "
        f"{own[1].median:.5f} beside {noise[1].median:.5f} where unsure",
        gain.median >= 20 and all(each.median < other.median for each, other in zip(own[:2], noise[:2], strict=True)),
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--model", type=Path, default=FOLDER / "model", help="folder of the trained model")
    options.add_argument(
        "--cohort", type=Path, default=FOLDER / "cohort" / "cohort.toml", help="manifest of the cohort"
    )
    run(options, measure)
