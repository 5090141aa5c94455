"""The first thing to see: one simulated patient, where the raters disagree, and where the shipped model is unsure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ObserverUncertaintyLib.base.output_files import write_text
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.tables import aligned, number, write_csv
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.figures import comparison_figure
from ObserverUncertaintyLib.evaluation.scoring import read_probability, score_case
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE
from ObserverUncertaintyLib.model.description import NOTICE
from ObserverUncertaintyLib.model.settings import DropoutMasks, PredictionSettings
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.raters import fusion
from ObserverUncertaintyLib.scores.entropy import binary_entropy, expert_entropy
from ObserverUncertaintyLib.scores.metrics import dice
from ObserverUncertaintyLib.simulation.cavities import case_names, simulate_cavity_case
from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort

BACKGROUND = "T1c"


@dataclass(frozen=True)
class FirstLook:
    """What was made: the picture's file and the table as text."""

    figure: Path
    table: str


def first_look(
    folder: Path, samples: int, seed: int, *, device: str, resume: bool, overwrite: bool, progress: Progress
) -> FirstLook:
    """Simulate a patient, predict it with the shipped model, and write `first_look.png`, `.csv` and `.txt`.

    Args:
        folder: the demo's; the patient and the prediction go to its folder "first_look".
        samples: Monte Carlo samples, with balanced masks.
        seed: of the patient and of the dropout masks.
        device: "auto", "cpu", "cuda:N" or "mps".
        resume: keep what is complete.
        overwrite: write over what is there.
        progress: is told of two tasks, and can cancel.
    """
    manifest = write_cohort(
        folder / "first_look" / "cohort",
        partial(simulate_cavity_case, seed=seed),
        case_names(1),
        {"seed": seed},
        name="Simulated post-operative cavity",
        label="resection cavity",
        skull_stripped=True,
        progress=progress,
        resume=resume,
        overwrite=overwrite,
    )
    cohort = Cohort.open(manifest)
    predictions = folder / "first_look" / "prediction"
    predict_cases(
        shipped_model(),
        cohort.case_names,
        cohort.load_images,
        predictions,
        PredictionSettings(samples=samples, seed=seed, dropout_masks=DropoutMasks.BALANCED),
        device=device,
        skull_stripped=True,
        progress=progress,
        resume=resume,
        overwrite=overwrite,
    )
    case = cohort.load(cohort.case_names[0])
    probability = read_probability(predictions / case.name / PROBABILITY_FILE, case)
    expert = expert_entropy(case.raters)
    figure = folder / "first_look.png"
    comparison_figure(
        figure,
        [case],
        BACKGROUND,
        {
            "Where the raters disagree\n(expert entropy)": [expert],
            "Where the model is unsure\n(predictive entropy)": [binary_entropy(probability)],
        },
        title="One patient: the raters' disagreement, and the shipped model's uncertainty",
        footer=f"Simulated data. {NOTICE}",
    )
    rows = _rows(case, probability > 0.5)
    write_csv(folder / "first_look.csv", rows)
    text = _text(case, rows, score_case(case, probability))
    write_text(folder / "first_look.txt", text + "\n")
    return FirstLook(figure, text)


def _rows(case: Case, segmented: np.ndarray[Any, np.dtype[np.bool_]]) -> list[dict[str, Any]]:
    majority, voxel = fusion.majority(case.raters), case.grid.voxel_volume_ml
    contours = {**dict(zip(case.rater_names, case.raters, strict=True)), "shipped model": segmented}
    return [
        {
            "contour": name,
            "volume_ml": float(np.count_nonzero(mask)) * voxel,
            "dice_majority": dice(mask, majority),
        }
        for name, mask in contours.items()
    ]


def _text(case: Case, rows: list[dict[str, Any]], scores: Mapping[str, Any]) -> str:
    disputed = float(np.count_nonzero(expert_entropy(case.raters))) * case.grid.voxel_volume_ml
    table = aligned(
        ["contour", "volume (mL)", "Dice with the raters' majority"],
        [[row["contour"], number(row["volume_ml"], 1), number(row["dice_majority"], 2)] for row in rows],
    )
    inside, outside = scores["entropy_inside_disagreement"], scores["entropy_outside_disagreement"]
    return (
        f"{table}\n\n"
        f"The raters disagree about {disputed:.1f} mL; "
        f"the Dice of two of them is {scores['dice_between_raters']:.2f} on average.\n"
        f"The model's entropy, from 0 (sure) to 1 bit, is {inside:.2f} on average where the raters disagree, and "
        f"{outside:.3f} elsewhere."
    )
