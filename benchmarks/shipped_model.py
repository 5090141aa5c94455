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
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.scoring import evaluate
from ObserverUncertaintyLib.formats.prediction_files import REPORT_FILE
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.settings import PredictionSettings
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.simulation.cavities import SIMULATION_BYTES, case_names, simulate_cavity_case
from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort
from ObserverUncertaintyLib.simulation.settings import CavitySettings

SEED = 900
ALONE = ("T1c",)
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


def fresh_patients(folder: Path, cases: int) -> Cohort:
    """The patients, made or taken up."""
    write_cohort(
        folder,
        partial(simulate_cavity_case, seed=SEED, settings=CavitySettings()),
        case_names(cases),
        {"seed": SEED, **asdict(CavitySettings())},
        name="Simulated post-operative cavities",
        label="resection cavity",
        skull_stripped=True,
        processes=processes_that_fit(SIMULATION_BYTES),
        resume=True,
    )
    return Cohort.open(folder / "cohort.toml")


def scored(model: Path, cohort: Cohort, sequences: Sequence[str], samples: int, folder: Path) -> dict[str, list[float]]:
    """Predict all patients from these sequences; the scores that are shown, a value for each patient."""

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
        progress=Progress(),
    )
    evaluation = evaluate(folder, cohort)
    reports = [json.loads((folder / name / REPORT_FILE).read_text(encoding="utf-8")) for name in cohort.case_names]
    columns = ("dice_majority", "dice_truth", "wme", "entropy_outside_disagreement")
    return {
        **{column: [float(row[column]) for row in evaluation.cases] for column in columns},
        "ece_roi": [evaluation.summary["ece_roi"]["pooled"]],
        "unlike": [float(bool(report.get("unlike_training"))) for report in reports],
    }


def measure(arguments: argparse.Namespace) -> Report:
    """Every model with all sequences, and with T1c alone where it may be."""
    cases, samples = (2, 2) if arguments.quick else (30, 20)
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
            dice = scores["dice_majority"]
            values = (
                statistics.median(dice),
                min(dice),
                statistics.median(scores["dice_truth"]),
                statistics.mean(scores["wme"]),
                statistics.mean(scores["entropy_outside_disagreement"]),
                scores["ece_roi"][0],
            )
            rows.append((name, shown, *(f"{value:.3g}" for value in values), f"{sum(scores['unlike']):.0f}"))
            figures += [Series(f"{name}, {shown}: {score}", tuple(each)) for score, each in scores.items()]
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
    options.add_argument("--out", type=Path, default=Path("study-output/shipped-model"), help="for what is made")
    run(options, measure)
