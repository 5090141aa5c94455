"""How good the model is that ships with the program: fresh simulated patients, with all sequences and with T1c alone.

    python benchmarks/shipped_model.py
    python benchmarks/shipped_model.py --beside FOLDER    # another model, in the same table

A second call goes on. The patients are those of `observer-uncertainty simulate cavities --cases 30 --seed 900`, the
scores those of `observer-uncertainty evaluate`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from measuring import Machine, Report, Series, Table, Target, parser, run
from ObserverUncertaintyLib.base.machine import processes_that_fit
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.scoring import evaluate
from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE, REPORT_FILE
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.settings import PredictionSettings
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.simulation.cavities import (
    SIMULATION_BYTES,
    case_names,
    many_raters_mean,
    simulate_cavity_case,
)
from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort
from ObserverUncertaintyLib.simulation.settings import CavitySettings

SEED = 900
SCANNER = CavitySettings()
ALONE = ("T1c",)
DRAWINGS = 20
"""Of each of the three raters, for what somebody says who knows them."""

SCORES = ("dice_majority", "dice_truth", "wme", "entropy_outside_disagreement")
HEADER = (
    "model",
    "sequences",
    "Dice (majority), median",
    "least",
    "Dice (truth), median",
    "WME",
    "entropy where raters agree",
    "ECE around the contours, pooled",
    "told to be unlike",
)
DICE, DICE_ALONE, CALIBRATION, SHARE_OF_ENTROPY = 0.85, 0.75, 0.03, 0.5


def fresh_patients(folder: Path, cases: int, seed: int = SEED, scanner: CavitySettings = SCANNER) -> Cohort:
    """The patients, made or taken up."""
    write_cohort(
        folder,
        partial(simulate_cavity_case, seed=seed, settings=scanner),
        case_names(cases),
        {"seed": seed, **asdict(scanner)},
        name="Simulated post-operative cavities",
        label="resection cavity",
        skull_stripped=True,
        processes=processes_that_fit(SIMULATION_BYTES),
        resume=True,
    )
    return Cohort.open(folder / "cohort.toml")


def scored(model: Path, cohort: Cohort, sequences: Sequence[str], samples: int, folder: Path) -> dict[str, list[float]]:
    """Predict all patients from these sequences, and score them."""

    def load(name: str) -> Case:
        return cohort.load_images(name).with_sequences(sequences)

    predict_cases(
        model,
        cohort.case_names,
        load,
        folder,
        PredictionSettings(samples=samples),
        device="cpu",
        skull_stripped=True,
        resume=True,
    )
    reports = [json.loads((folder / name / REPORT_FILE).read_text(encoding="utf-8")) for name in cohort.case_names]
    unlike = [float(bool(report.get("unlike_training"))) for report in reports]
    return scores_of(folder, cohort) | {"unlike": unlike}


def scored_forecaster(cohort: Cohort, folder: Path) -> dict[str, list[float]]:
    """The scores of somebody who knows the true cavity and how the raters draw, but not what they drew."""
    for number, name in enumerate(cohort.case_names):
        file = folder / name / PROBABILITY_FILE
        if not file.exists():
            write_image(file, many_raters_mean(number, SEED, DRAWINGS), cohort.load_images(name).grid)
    return scores_of(folder, cohort)


def scores_of(folder: Path, cohort: Cohort) -> dict[str, list[float]]:
    """The scores that are shown, a value for each patient."""
    evaluation = evaluate(folder, cohort)
    return {
        **{score: [float(row[score]) for row in evaluation.cases] for score in SCORES},
        "ece_roi": [evaluation.summary["ece_roi"]["pooled"]],
    }


def measure(arguments: argparse.Namespace) -> Report:
    """Every model with all sequences, and with T1c alone where it may be."""
    cases, samples = (2, 2) if arguments.quick else (arguments.patients, arguments.samples)
    cohort = fresh_patients(arguments.out / f"{cases}-patients", cases)
    models = {"shipped": shipped_model(), **{folder.name: folder for folder in arguments.beside}}
    rows, figures, found = [], [], {}
    for name, model in models.items():
        for sequences in (cohort.sequences, ALONE):
            shown = ", ".join(sequences)
            description = read_description(model)
            if not set(description.lacking(sequences)) <= set(description.may_be_missing):
                rows.append((name, shown, "cannot be predicted", *["-"] * (len(HEADER) - 3)))
                continue
            folder = arguments.out / f"{cases}-patients-{name}-{len(sequences)}-sequences-T{samples}"
            scores = found[name, sequences] = scored(model, cohort, sequences, samples, folder)
            rows.append((name, shown, *summary(scores), f"{sum(scores['unlike']):.0f}"))
            figures += [Series(f"{name}, {shown}: {score}", tuple(each)) for score, each in scores.items()]
    knowing = scored_forecaster(cohort, arguments.out / f"{cases}-patients-known")
    rows.append(("who knows the cavity and the raters", "", *summary(knowing), "-"))
    return Report(
        f"The shipped model on {cases} fresh simulated patients",
        Machine.here(),
        (Table(HEADER, tuple(rows)),),
        tuple(figures),
        (
            f"T = {samples}. Entropies in bits, means over the patients; ECE over the voxels of all of them within the "
            "raters' union and 5 mm around.",
        ),
        tuple(targets(found, cohort.sequences, tuple(models))),
    )


def summary(scores: dict[str, list[float]]) -> tuple[str, ...]:
    """The columns of scores in the table."""
    dice = scores["dice_majority"]
    values = (
        statistics.median(dice),
        min(dice),
        statistics.median(scores["dice_truth"]),
        statistics.mean(scores["wme"]),
        statistics.mean(scores["entropy_outside_disagreement"]),
        scores["ece_roi"][0],
    )
    return tuple(f"{value:.3g}" for value in values)


def targets(
    found: dict[tuple[str, tuple[str, ...]], dict[str, list[float]]], every: tuple[str, ...], models: Sequence[str]
) -> list[Target]:
    """What the shipped model was to reach, where it was measured."""
    four, alone = found["shipped", every], found.get(("shipped", ALONE))
    dice, calibration = statistics.median(four["dice_majority"]), four["ece_roi"][0]
    wanted = [
        Target(f"median Dice with all sequences at least {DICE}", f"{dice:.3f}", dice >= DICE),
        Target(f"ECE around the contours at most {CALIBRATION}", f"{calibration:.4f}", calibration <= CALIBRATION),
        Target("no patient told to be unlike", f"{sum(four['unlike']):.0f}", not any(four["unlike"])),
    ]
    if alone:
        dice = statistics.median(alone["dice_majority"])
        wanted.append(Target(f"median Dice with T1c alone at least {DICE_ALONE}", f"{dice:.3f}", dice >= DICE_ALONE))
    for other in models[1:]:
        ours, theirs = (
            statistics.mean(found[name, every]["entropy_outside_disagreement"]) for name in ("shipped", other)
        )
        wanted.append(
            Target(
                f"entropy where raters agree at most {SHARE_OF_ENTROPY:.0%} of that of {other}",
                f"{ours / theirs:.0%}",
                ours <= SHARE_OF_ENTROPY * theirs,
            )
        )
    return wanted


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--beside", type=Path, nargs="*", default=[], metavar="FOLDER", help="further models")
    options.add_argument("--patients", type=int, default=30, help="how many, from the first one")
    options.add_argument("--samples", type=int, default=20, help="Monte Carlo samples of each")
    options.add_argument("--out", type=Path, default=Path("study-output/shipped-model"), help="for what is made")
    run(options, measure)
