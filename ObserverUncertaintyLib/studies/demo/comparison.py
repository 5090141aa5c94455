"""Both ways of training on one simulated cohort: a model without fusion and one with majority vote, compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.output_files import write_text
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.tables import aligned, number, write_csv
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.figures import comparison_figure
from ObserverUncertaintyLib.evaluation.scoring import Evaluation, evaluate, read_probability
from ObserverUncertaintyLib.evaluation.tables import write_scores
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE
from ObserverUncertaintyLib.model.description import NOTICE
from ObserverUncertaintyLib.model.settings import DropoutMasks, PredictionSettings
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.scores.entropy import binary_entropy, expert_entropy
from ObserverUncertaintyLib.simulation.cavities import case_names, simulate_cavity_case
from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort
from ObserverUncertaintyLib.studies.demo.settings import DemoSettings
from ObserverUncertaintyLib.training.train import train

ARMS = (FusionMethod.NONE, FusionMethod.MAJORITY)
SHOWN_SCORES = ("wme", "me", "dice_majority", "dice_truth", "ece_roi")
BACKGROUND = "T1c"


@dataclass
class Comparison:
    """The demo's comparison, part by part; see `run_demo` for the arguments.

    Attributes:
        evaluations: the scores of the arms that were predicted.
    """

    folder: Path
    settings: DemoSettings
    device: str
    resume: bool
    overwrite: bool
    progress: Progress
    evaluations: dict[FusionMethod, Evaluation] = field(default_factory=dict)

    def simulate(self, processes: int) -> None:
        """Make the cohort."""
        settings, scanner = self.settings, self.settings.scanner
        write_cohort(
            self.folder / "cohort",
            partial(simulate_cavity_case, seed=settings.seed, settings=scanner),
            case_names(settings.training_cases + settings.test_cases),
            {"seed": settings.seed, **asdict(scanner)},
            name="Simulated post-operative cavities",
            label="resection cavity",
            skull_stripped=True,
            processes=processes,
            progress=self.progress,
            resume=self.resume,
            overwrite=self.overwrite,
        )

    @cached_property
    def manifest(self) -> Path:
        """Of the cohort."""
        return self.folder / "cohort" / "cohort.toml"

    def train(self, arm: FusionMethod) -> None:
        """Train an arm's model on the first cases."""
        cohort = Cohort.open(self.manifest, Cohort.open(self.manifest).case_names[: self.settings.training_cases])
        train(
            cohort.load_all(),
            self.folder / "models" / arm,
            replace(self.settings.training, fusion=arm),
            cohort_name=cohort.name,
            label=cohort.manifest.label,
            skull_stripped=True,
            simulated=cohort.manifest.simulated,
            device=self.device,
            progress=self.progress,
            resume=self.resume,
            overwrite=self.overwrite,
        )

    @cached_property
    def test(self) -> Cohort:
        """The cases that no model has seen."""
        return Cohort.open(self.manifest, Cohort.open(self.manifest).case_names[self.settings.training_cases :])

    def predict(self, arm: FusionMethod) -> None:
        """Predict the test cases with an arm's model, and score them."""
        settings = self.settings
        predict_cases(
            self.folder / "models" / arm,
            self.test.case_names,
            self.test.load_images,
            self.folder / "predictions" / arm,
            PredictionSettings(
                samples=settings.samples,
                seed=settings.seed,
                precision=settings.precision,
                dropout_masks=DropoutMasks.BALANCED,
            ),
            device=self.device,
            skull_stripped=True,
            progress=self.progress,
            resume=self.resume,
            overwrite=self.overwrite,
        )
        self.evaluations[arm] = evaluate(self.folder / "predictions" / arm, self.test, progress=self.progress)
        write_scores(self.folder / "scores" / f"{arm}.csv", self.evaluations[arm])

    def table(self) -> str:
        """Write the table of both arms, `comparison.csv` and `.txt`; returns the text."""
        folder, evaluations = self.folder, self.evaluations
        rows = [
            {"fusion": fusion.value}
            | {
                f"{score}_{key}": evaluation.summary[score][key]
                for score in SHOWN_SCORES
                for key in evaluation.summary[score]
            }
            for fusion, evaluation in evaluations.items()
        ]
        write_csv(folder / "comparison.csv", rows)
        titles = {
            "wme": "WME",
            "me": "ME",
            "dice_majority": "Dice (majority)",
            "dice_truth": "Dice (truth)",
            "ece_roi": "ECE around the contours",
        }
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
            "WME: the model's entropy where the experts disagree (higher is better at equal Dice). "
            "ME: over all voxels.\n"
            f"Simulated data. {NOTICE}"
        )
        write_text(folder / "comparison.txt", text + "\n")
        return text

    def figure(self) -> Path:
        """Draw the two test cases whose raters disagree most, `comparison.png`."""
        folder = self.folder
        cases = sorted(self.test.load_all(), key=lambda case: -float(expert_entropy(case.raters).sum()))[:2]
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


def _mean_and_deviation(evaluation: Evaluation, score: str) -> str:
    value = evaluation.summary[score]
    return f"{number(value['mean'])} ± {number(value['std'])}"


def _predictive_entropy(folder: Path, fusion: FusionMethod, case: Case) -> NDArray[np.float64]:
    return binary_entropy(read_probability(folder / "predictions" / fusion / case.name / PROBABILITY_FILE, case))
