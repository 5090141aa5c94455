"""How near few samples with balanced masks come to many samples, beside independent ones.

A simulated patient and the model that the module ships, or any model and a case of a manifest. Errors are mean absolute
differences of the entropies from those of many independent samples with other seeds; each row has several seeds.

    python benchmarks/balanced_masks.py
    python benchmarks/balanced_masks.py --model MODEL --manifest COHORT.toml --case case15
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from entropy_errors import UNSURE, entropy_errors

from cost import forward_flops, matmul_rate
from measuring import Floor, Machine, Report, Series, Table, parser, run
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.model.precision import choose_precision
from ObserverUncertaintyLib.model.settings import DropoutMasks, Precision, PredictionSettings
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.network.unet import UNet
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.simulation.cavities import CavitySettings, simulate_cavity_case

SHIPPED = shipped_model()
MANY = 200
USUAL = (DropoutMasks.INDEPENDENT, 20)
WAYS = (
    (DropoutMasks.INDEPENDENT, 5),
    USUAL,
    (DropoutMasks.BALANCED, 5),
    (DropoutMasks.BALANCED, 10),
    (DropoutMasks.BALANCED, 20),
)
ERRORS = ("predictive, whole grid", "predictive, where unsure", "expected, whole grid", "expected, where unsure")


def the_case(arguments: argparse.Namespace) -> Case:
    """The one that was asked for, or a simulated patient."""
    if arguments.manifest:
        return Cohort.open(arguments.manifest, (arguments.case,)).load_all()[0]
    made = simulate_cavity_case(arguments.seed, 0, CavitySettings(in_plane_spacing_mm=1.5, slice_thickness_mm=4.0))
    return Case("simulated", made.grid, made.sequences, made.images)


def measure(arguments: argparse.Namespace) -> Report:
    """Errors of every way, over a few seeds."""
    many, seeds = (10, 1) if arguments.quick else (MANY, 4)
    model = load_model(arguments.model, torch.device("cpu"))
    case = the_case(arguments)
    reference = predict(*model, case, PredictionSettings(many, arguments.seed + 1000)).uncertainty
    unsure = reference.predictive > UNSURE
    series, seconds = {}, []
    for masks, samples in WAYS:
        errors = []
        for seed in range(seeds):
            started = time.perf_counter()
            settings = PredictionSettings(samples, seed, dropout_masks=masks)
            found = predict(*model, case, settings).uncertainty
            if (masks, samples) == USUAL:
                seconds.append(time.perf_counter() - started)
            parts = (found.predictive, reference.predictive), (found.expected, reference.expected)
            errors.append([error for pair in parts for error in entropy_errors(*pair, unsure)])
        name = f"{samples} {masks.value}"
        series[name] = [
            Series(f"{name}: {what}", tuple(values))
            for what, values in zip(ERRORS, zip(*errors, strict=True), strict=True)
        ]
    usual = series[f"{USUAL[1]} {USUAL[0].value}"]
    rows = tuple(
        (name, *(f"{a.median:.5f} ({a.median / b.median:.2f})" for a, b in zip(own, usual, strict=True)))
        for name, own in series.items()
    )
    network, description = model
    assert isinstance(network, UNet)
    slices, *size = description.preprocessing.prepare(case.with_sequences(description.sequences)).path.shape
    cpu = torch.device("cpu")
    floor = Floor(
        f"{USUAL[1]} samples",
        forward_flops(network.sequences, network.settings, *size) * slices * USUAL[1],
        matmul_rate(cpu, choose_precision(Precision.AUTO, cpu)),
        Series(f"{USUAL[1]} samples (s)", tuple(seconds)),
    )
    architecture = description.architecture
    return Report(
        f"Balanced masks: {architecture.depth} poolings, {architecture.filters} filters, {arguments.model.name}",
        Machine.here(),
        (Table(("samples", *ERRORS), rows), Floor.table([floor])),
        (*(each for own in series.values() for each in own), floor.measured),
        (
            f"Errors in bits from {many} independent samples, medians of {seeds} seeds; in brackets as a multiple of "
            "those of 20 independent samples.",
            f"Unsure: where the predictive entropy exceeds {UNSURE} bits.",
        ),
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--model", type=Path, default=SHIPPED, help="folder of a trained model")
    options.add_argument("--manifest", type=Path, help="a cohort's manifest")
    options.add_argument("--case", default="case15", help="a case of the manifest")
    options.add_argument("--seed", type=int, default=99, help="of the simulated patient")
    run(options, measure)
