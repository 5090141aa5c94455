"""The main job in small: a simulated cohort, trained without fusion and with majority vote, predicted and compared.

Source: the question of Jungo et al. 2018, section 3.3, on simulated patients: it shows that the whole path works and
what the pictures mean, and says nothing about real patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.output_files import prepare_output_folder, write_text
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.tables import aligned, number, write_csv
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.figures import comparison_figure
from ObserverUncertaintyLib.evaluation.scoring import Evaluation, evaluate, read_probability
from ObserverUncertaintyLib.evaluation.tables import write_scores
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE
from ObserverUncertaintyLib.model.description import NOTICE
from ObserverUncertaintyLib.model.settings import PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.scores.entropy import binary_entropy, expert_entropy
from ObserverUncertaintyLib.simulation.cavities import CavitySettings, case_names, simulate_cavity_case
from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort
from ObserverUncertaintyLib.training.train import train

ARMS = (FusionMethod.NONE, FusionMethod.MAJORITY)
SHOWN_SCORES = ("wme", "me", "dice_majority", "dice_truth", "ece")
BACKGROUND = "T1c"


@dataclass(frozen=True)
class DemoSettings:
    """Size of the demo; the defaults take 5 to 16 minutes on two cores.

    Attributes:
        training_cases: simulated patients to train on.
        test_cases: further patients to predict.
        slice_thickness_mm: distance of the axial slices, as in many clinical exams.
        network_spacing_mm: in-plane spacing that the network works at; its output comes back on the case's own grid.
        epochs: passes over the training slices.
        batch_size: slices in a step; small ones make more steps of the little time there is.
        background_slices: slices without a cavity in an epoch, as a multiple of those with one.
        depth: pooling steps of the U-Net.
        samples: T, Monte Carlo samples.
        seed: of everything.
    """

    training_cases: int = 14
    test_cases: int = 3
    slice_thickness_mm: float = 4.0
    network_spacing_mm: float = 2.0
    epochs: int = 18
    batch_size: int = 2
    background_slices: float = 0.6
    depth: int = 4
    samples: int = 20
    seed: int = 0


@dataclass(frozen=True)
class DemoResult:
    """What the demo wrote, and its table as text."""

    folder: Path
    figure: Path
    table: str
    evaluations: Mapping[FusionMethod, Evaluation]


def run_demo(
    folder: str | Path,
    settings: DemoSettings = DemoSettings(),
    *,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    processes: int = 1,
    progress: Progress | None = None,
) -> DemoResult:
    """Simulate a cohort, train both arms, predict, score, and draw the comparison; every step can be resumed.

    Args:
        folder: for everything that is made.
        settings: the demo's settings.
        device: "auto", "cpu", "cuda:N" or "mps".
        resume: go on in a folder that holds a demo with the same settings.
        overwrite: write into a folder that holds files.
        processes: how many patients are simulated at a time.
        progress: is told of every step, and can cancel.

    Raises:
        InputError: the folder is not empty, or a resumed run has other settings.
        DeviceError: the device is absent or ran out of memory.
    """
    folder, progress = Path(folder), progress or Progress()
    prepare_output_folder(folder, resume=resume, overwrite=overwrite)
    # The parts look after themselves: each goes on where it stopped, and refuses other settings than it began with.
    resume = not overwrite
    scanner = CavitySettings(slice_thickness_mm=settings.slice_thickness_mm)
    manifest = write_cohort(
        folder / "cohort",
        partial(simulate_cavity_case, seed=settings.seed, settings=scanner),
        case_names(settings.training_cases + settings.test_cases),
        {"seed": settings.seed, **asdict(scanner)},
        name="Simulated post-operative cavities",
        label="resection cavity",
        skull_stripped=True,
        processes=processes,
        progress=progress,
        resume=resume,
        overwrite=overwrite,
    )
    everyone = Cohort.open(manifest)
    training = Cohort.open(manifest, everyone.case_names[: settings.training_cases])
    test = Cohort.open(manifest, everyone.case_names[settings.training_cases :])
    training_cases = training.load_all()
    base = TrainingSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        background_slices=settings.background_slices,
        network=UNetSettings(depth=settings.depth),
        spacing=(settings.network_spacing_mm, settings.network_spacing_mm),
        seed=settings.seed,
    )
    evaluations = {}
    for fusion in ARMS:
        progress.message(f"{fusion.title}: training on {len(training)} cases, predicting {len(test)}")
        train(
            training_cases,
            folder / "models" / fusion,
            replace(base, fusion=fusion),
            cohort_name=training.name,
            label=training.manifest.label,
            skull_stripped=True,
            simulated=training.manifest.simulated,
            device=device,
            progress=progress,
            resume=resume,
            overwrite=overwrite,
        )
        predict_cases(
            folder / "models" / fusion,
            test.case_names,
            test.load_images,
            folder / "predictions" / fusion,
            PredictionSettings(samples=settings.samples, seed=settings.seed),
            device=device,
            skull_stripped=True,
            progress=progress,
            resume=resume,
            overwrite=overwrite,
        )
        evaluations[fusion] = evaluate(folder / "predictions" / fusion, test, progress=progress)
        write_scores(folder / "scores" / f"{fusion}.csv", evaluations[fusion])
    figure = _figure(folder, test)
    table = _table(folder, evaluations)
    return DemoResult(folder, figure, table, evaluations)


def _table(folder: Path, evaluations: Mapping[FusionMethod, Evaluation]) -> str:
    """Write the table of both arms as CSV and text; returns the text."""
    rows = [
        {"fusion": fusion.value}
        | {f"{score}_{key}": evaluation.summary[score][key] for score in SHOWN_SCORES for key in ("mean", "std", "n")}
        for fusion, evaluation in evaluations.items()
    ]
    write_csv(folder / "table.csv", rows)
    titles = {"wme": "WME", "me": "ME", "dice_majority": "Dice (majority)", "dice_truth": "Dice (truth)", "ece": "ECE"}
    text = aligned(
        ["", *(titles[score] for score in SHOWN_SCORES)],
        [
            [fusion.title, *(_mean_and_deviation(evaluation, score) for score in SHOWN_SCORES)]
            for fusion, evaluation in evaluations.items()
        ],
    )
    cases = len(next(iter(evaluations.values())).cases)
    text += (
        f"\n\nMean ± standard deviation over {cases} simulated test cases; entropies in bits.\n"
        "WME: the model's entropy where the experts disagree (higher is better at equal Dice). ME: over all voxels.\n"
        f"Simulated data. {NOTICE}"
    )
    write_text(folder / "table.txt", text + "\n")
    return text


def _mean_and_deviation(evaluation: Evaluation, score: str) -> str:
    value = evaluation.summary[score]
    return f"{number(value['mean'])} ± {number(value['std'])}"


def _figure(folder: Path, test: Cohort) -> Path:
    """Draw the two test cases whose raters disagree most."""
    cases = sorted(test.load_all(), key=lambda case: -float(expert_entropy(case.raters).sum()))[:2]
    columns: dict[str, list[NDArray[np.float64]]] = {
        "Expert entropy": [expert_entropy(case.raters) for case in cases],
        **{
            f"Predictive entropy\n{fusion.title}": [_predictive_entropy(folder, fusion, case) for case in cases]
            for fusion in ARMS
        },
    }
    path = folder / "comparison.png"
    comparison_figure(
        path,
        cases,
        BACKGROUND,
        columns,
        title="Where the experts disagree, and where the model is unsure",
        footer=f"Simulated data. {NOTICE}",
    )
    return path


def _predictive_entropy(folder: Path, fusion: FusionMethod, case: Case) -> NDArray[np.float64]:
    return binary_entropy(read_probability(folder / "predictions" / fusion / case.name / PROBABILITY_FILE, case))
