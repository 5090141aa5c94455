"""The study's units: training the model of a fold and an arm, and predicting and scoring a case with it."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import write_json
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.records import to_json
from ObserverUncertaintyLib.base.tables import without_nan
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.scoring import score_case
from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE, REPORT_FILE
from ObserverUncertaintyLib.model.devices import choose_device, describe_device
from ObserverUncertaintyLib.model.settings import PredictionSettings, shares
from ObserverUncertaintyLib.prediction.ensemble import Ensemble
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.scores.metrics import dice
from ObserverUncertaintyLib.scores.multi_rater_metrics import EnergyDistance
from ObserverUncertaintyLib.scores.region import calibration_around_raters
from ObserverUncertaintyLib.simulation.cavities import case_names, many_raters_mean
from ObserverUncertaintyLib.studies.cavity.arms import CavityArm, Several, Variant, models_of, seen_by, training_of
from ObserverUncertaintyLib.studies.cavity.folds import split_into_folds
from ObserverUncertaintyLib.studies.cavity.settings import CavityStudySettings
from ObserverUncertaintyLib.studies.units import TRAINING_COST, Unit, write_result
from ObserverUncertaintyLib.training.train import train

MODEL_FOLDER = "model"

_DRAWINGS = 20
"""By each rater, of which an ideal forecast is the mean."""

_SHARE_WITH_STRUCTURE = 0.25
"""About how many of a case's slices show a cavity; decides only how fast the progress moves."""


@dataclass(frozen=True)
class Task:
    """What one unit does: train a model of a fold and an arm, or predict and score a case with all of them.

    Attributes:
        seed, arm, fold: whose model; folds count from 0.
        manifest: the seed's cohort.
        training_cases: the cases that the model is trained on.
        model: which of the arm's models is trained, from 0; most arms have one.
        case: the case to predict; None for a training.
        models: of a prediction, the units that train its models.
    """

    seed: int
    arm: CavityArm
    fold: int
    manifest: Path
    training_cases: tuple[str, ...]
    model: int = 0
    case: str | None = None
    models: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The unit's name: its folder below the study's."""
        if self.case is not None:
            return case_folder(self.seed, self.arm, self.case)
        single = f"seed{self.seed}/{self.arm}/fold{self.fold + 1}"
        return f"{single}/model{self.model + 1}" if isinstance(self.arm, Several) else single

    def unit(self, settings: CavityStudySettings) -> Unit:
        """The unit, with its cost in passes over a case."""
        if self.case is not None:
            cost = sum(shares(settings.samples, len(self.models)))
            return Unit(self.name, max(cost, 1), needs=self.models)
        training = settings.training
        background = training.background_slices
        seen = 1.0 if background is None else min(1.0, _SHARE_WITH_STRUCTURE * (1 + background))
        cost = round(TRAINING_COST * training.epochs * len(self.training_cases) * seen)
        return Unit(self.name, max(cost, 1))


def case_folder(seed: int, arm: str, case: str) -> str:
    """Folder of an arm's prediction of a case, below the study's folder."""
    return f"seed{seed}/{arm}/cases/{case}"


def study_tasks(settings: CavityStudySettings, cohorts: Mapping[int, Cohort]) -> Iterator[Task]:
    """All tasks, fold by fold, so that a study that is stopped holds whole folds of every arm.

    Args:
        settings: the study's settings.
        cohorts: each seed's cohort.
    """
    for seed, cohort in cohorts.items():
        raters = len(cohort.manifest.raters)
        for fold, tested in enumerate(split_into_folds(cohort.case_names, settings.folds, seed)):
            trained = tuple(name for name in cohort.case_names if name not in tested)
            for arm in settings.arms:
                training = Task(seed, arm, fold, cohort.manifest.path.absolute(), trained)
                trainings = [replace(training, model=model) for model in range(models_of(arm, raters))]
                if arm is Several.ENSEMBLE:
                    # Its first model is the one without fusion, which every study has.
                    trainings[0] = replace(training, arm=FusionMethod.NONE)
                yield from (task for task in trainings if task.arm == arm)
                models = tuple(task.name for task in trainings)
                yield from (replace(training, case=name, models=models) for name in tested)


@dataclass(frozen=True)
class CavityWork:
    """Does any unit of the study; plain values only, so that it can be sent to another process.

    Attributes:
        study: the study's folder.
        settings: the study's settings.
        tasks: each unit's task.
        device: "auto", "cpu", "cuda:N" or "mps".
        threads: torch's threads; None leaves the choice to torch. Another number may round otherwise.
    """

    study: Path
    settings: CavityStudySettings
    tasks: Mapping[str, Task]
    device: str
    threads: int | None

    def __call__(self, unit: Unit, folder: Path, progress: Progress) -> None:
        """Do one unit in its folder and write its result there last."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        task, device = self.tasks[unit.name], choose_device(self.device)
        started = time.monotonic()
        if task.case is None:
            content = self._train(task, folder, device, _Share(progress, unit.cost))
        elif task.arm is Variant.FORECASTER:
            content = self._forecast(task, folder)
            progress.advance(unit.cost)
        else:
            content = self._predict(task, folder, device, progress)
        identity = {"seed": task.seed, "arm": task.arm, "fold": task.fold + 1, "case": task.case}
        made = {
            "device": describe_device(device),
            "torch": torch.__version__,
            "seconds": round(time.monotonic() - started, 1),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        write_result(folder, {**identity, **made, **content})

    def _train(self, task: Task, folder: Path, device: torch.device, progress: Progress) -> dict[str, Any]:
        cohort = Cohort.open(task.manifest, task.training_cases)
        settings = training_of(task.arm, task.model, self.settings.training, task.seed)
        raters = list(cohort.manifest.raters)
        seen = (seen_by(task.arm, task.model, raters, case) for case in cohort.load_all(self.settings.loading))
        cases = [case for case in seen if case is not None]
        if not cases:
            raise InputError(f"{raters[task.model]} drew none of the training cases of this fold.")
        train(
            cases,
            folder / MODEL_FOLDER,
            settings,
            cohort_name=cohort.name,
            label=cohort.manifest.label,
            skull_stripped=cohort.manifest.skull_stripped,
            simulated=cohort.manifest.simulated,
            device=device,
            resume=True,
            progress=progress,
        )
        return {"training_cases": [case.name for case in cases], "training": to_json(settings)}

    def _predict(self, task: Task, folder: Path, device: torch.device, progress: Progress) -> dict[str, Any]:
        assert task.case is not None
        cohort = Cohort.open(task.manifest, [task.case])
        case = cohort.load(task.case, self.settings.loading)
        distance = EnergyDistance(case.raters)
        ensemble = Ensemble.read([self.study / name / MODEL_FOLDER for name in task.models], device)
        prediction, report = ensemble.predict(
            case,
            PredictionSettings(self.settings.samples, task.seed, self.settings.prediction_batch),
            skull_stripped=cohort.manifest.skull_stripped,
            progress=_Share(progress, sum(shares(self.settings.samples, len(task.models)))),
            on_sample=distance.add,
        )
        write_json(folder / REPORT_FILE, report)
        return _scored(case, prediction.probability, folder, report["warnings"], distance.squared())

    def _forecast(self, task: Task, folder: Path) -> dict[str, Any]:
        """The forecast of somebody who knows a simulated patient's cavity and how the raters draw."""
        assert task.case is not None
        case = Cohort.open(task.manifest, [task.case]).load(task.case)
        index = case_names(self.settings.patients).index(task.case)
        return _scored(case, many_raters_mean(index, task.seed, _DRAWINGS, self.settings.scanner), folder)


def _scored(
    case: Case,
    probability: NDArray[np.float32],
    folder: Path,
    given: Sequence[str] = (),
    energy_distance: float = float("nan"),
) -> dict[str, Any]:
    """Keep a case's probability, and say how good it is."""
    write_image(folder / PROBABILITY_FILE, probability, case.grid)
    scores = score_case(case, probability)
    del scores["case"]
    warnings = list(dict.fromkeys([*scores.pop("warnings"), *given]))
    scores["ged"] = energy_distance
    return {
        "scores": without_nan(scores),
        "calibration": calibration_around_raters(probability, case.raters, case.grid).to_json(),
        "warnings": warnings,
        "rater_dice": without_nan(_rater_dice(case)),
    }


def predicted_by(folder: Path) -> list[str]:
    """Fingerprints of the weights that predicted a unit's case; none if its report does not tell."""
    try:
        report = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
        if "ensemble" in report:
            return list(map(str, report["ensemble"]))
        return [each["weights"] for each in report.get("models", [report])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _rater_dice(case: Case) -> dict[str, float]:
    """Dice of every two raters, by their names."""
    raters = zip(case.rater_names, case.raters, strict=True)
    return {f"{a} and {b}": dice(first, second) for (a, first), (b, second) in combinations(raters, 2)}


class _Share(Progress):
    """Tells of the steps of a training, or of a prediction, in the unit's measure of cost."""

    def __init__(self, whole: Progress, cost: int) -> None:
        self._whole = whole
        self._cost = cost
        self._steps = self._done = self._told = 0

    def start(self, _task: str, steps: int, done: int = 0) -> None:
        self._steps, self._done = steps, done
        self.advance(0)

    def advance(self, steps: int = 1, detail: str = "") -> None:
        self._done += steps
        told = self._cost * min(self._done, self._steps) // max(self._steps, 1)
        self._whole.advance(max(told - self._told, 0), detail)
        self._told = max(told, self._told)

    def warning(self, text: str) -> None:
        self._whole.warning(text)

    def check_cancelled(self) -> None:
        self._whole.check_cancelled()
