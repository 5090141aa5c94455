"""One unit of the study: an arm with one seed, trained, predicted and scored in its own folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ObserverUncertaintyLib.base.output_files import written_atomically
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.records import to_json
from ObserverUncertaintyLib.base.tables import without_nan
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.model.description import ModelDescription
from ObserverUncertaintyLib.model.devices import choose_device, describe_device
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.simulation.shapes import many_observers_mean
from ObserverUncertaintyLib.studies.synthetic import predictors
from ObserverUncertaintyLib.studies.synthetic.arms import ENSEMBLE_SIZE, Method, ShapesArm
from ObserverUncertaintyLib.studies.synthetic.samples import (
    FIRST_TEST,
    LABEL,
    calibration_samples,
    test_samples,
    training_samples,
)
from ObserverUncertaintyLib.studies.synthetic.scores import reliability, sample_scores
from ObserverUncertaintyLib.studies.units import TRAINING_COST, Unit, write_result
from ObserverUncertaintyLib.training.train import train

MAPS_FILE = "maps.npz"
MODEL_FOLDER = "model"
SHOWN_SAMPLES = 6
"""The first test samples' probabilities are kept, for figures."""

MANY_RATERS = 100
_MEMBER_SEED = 1000
"""Added for each further member of an ensemble: no other training has that seed."""


def unit_of(arm: ShapesArm, seed: int, test: int) -> Unit:
    """The unit of an arm and a seed; its cost is in passes over an image of 64 x 64 pixels."""
    training = TRAINING_COST * arm.training.epochs * arm.train
    match arm.method:
        case Method.RATER_MEAN | Method.MANY_RATERS:
            cost = test
        case Method.ENSEMBLE:
            cost = (ENSEMBLE_SIZE - 1) * training + ENSEMBLE_SIZE * test
        case Method.DETERMINISTIC:
            cost = test
        case Method.DROPOUT_ENSEMBLE:
            cost = ENSEMBLE_SIZE * arm.samples * test
        case Method.AUGMENTATION:
            cost = predictors.AUGMENTATIONS * test
        case _:
            cost = arm.samples * test + (0 if arm.base else training)
    needs = tuple(unit_name(needed, seed) for needed in (arm.base, arm.members) if needed)
    return Unit(unit_name(arm.name, seed), cost * arm.pixels, needs)


def unit_name(arm: str, seed: int) -> str:
    """Folder of an arm and a seed below the study's folder."""
    return f"seed{seed}/{arm}"


def run_unit(arm: ShapesArm, seed: int, test: int, study: Path, device: str, progress: Progress) -> None:
    """Train what the arm needs, predict the test samples, and write scores and some maps."""
    _Work(arm, seed, test, study, device, progress).run()


class _Work:
    def __init__(self, arm: ShapesArm, seed: int, test: int, study: Path, device: str, progress: Progress) -> None:
        self.arm = arm
        self.seed = seed
        self.test = test
        self.study = study
        self.device = choose_device(device)
        self.progress = progress
        self.folder = study / unit_name(arm.name, seed)
        self.notes: dict[str, Any] = {}

    def run(self) -> None:
        started = time.monotonic()
        cases = test_samples(self.seed, self.arm.test_shapes, self.test)
        probability = self._probability(cases)
        with written_atomically(self.folder / MAPS_FILE) as temporary:
            np.savez_compressed(temporary, probability=probability[:SHOWN_SAMPLES].astype(np.float32))
        write_result(
            self.folder,
            {
                "arm": self.arm.name,
                "part": self.arm.part,
                "state": self.arm.state,
                "fusion": self.arm.fusion,
                "method": self.arm.method,
                "parameter": self.arm.parameter,
                "value": self.arm.value,
                "seed": self.seed,
                "width": self.arm.shapes.width,
                "train": self.arm.train,
                "samples": self.arm.samples,
                "training": to_json(self.arm.training),
                "device": describe_device(self.device),
                "torch": torch.__version__,
                "seconds": round(time.monotonic() - started, 1),
                **self.notes,
                "scores": [
                    {"sample": case.name, **without_nan(sample_scores(case, p[None]))}
                    for case, p in zip(cases, probability, strict=True)
                ],
                "reliability": reliability(cases, probability),
            },
        )

    def _probability(self, cases: Sequence[Case]) -> NDArray[np.float64]:
        """The arm's foreground probability for each test sample, shape (sample, row, column)."""
        arm = self.arm
        match arm.method:
            case Method.RATER_MEAN:
                return np.stack([case.raters.mean(axis=0)[0] for case in cases])
            case Method.MANY_RATERS:
                return self._many_raters(len(cases))
        network, description = self._model(arm.base or arm.name)
        images = self._prepared(cases, description)
        match arm.method:
            case Method.DETERMINISTIC:
                return predictors.deterministic(network, images, self._passed)
            case Method.AUGMENTATION:
                return predictors.augmented_mean(network, images, self.seed, self._passed)
            case Method.ENSEMBLE:
                networks = [network, *(self._member(number) for number in range(1, ENSEMBLE_SIZE))]
                return predictors.ensemble(networks, images, self._passed)
            case Method.DROPOUT_ENSEMBLE:
                networks = [network, *(self._member(number) for number in range(1, ENSEMBLE_SIZE))]
                drawn = [
                    predictors.dropout_mean(each, images, arm.samples, self.seed, self._passed) for each in networks
                ]
                return np.asarray(np.mean(drawn, axis=0))
            case Method.TEMPERATURE | Method.ISOTONIC:
                return self._calibrated(network, description, images)
        return predictors.dropout_mean(network, images, arm.samples, self.seed, self._passed)

    def _model(self, arm: str) -> tuple[nn.Module, ModelDescription]:
        """The arm's own model, trained if it is not yet, or the model of its base."""
        folder = self.study / unit_name(arm, self.seed) / MODEL_FOLDER
        if arm == self.arm.name:
            self._train(folder, self.seed)
        return load_model(folder, self.device)

    def _member(self, number: int) -> nn.Module:
        """A further member of the ensemble: of another arm, or trained here if it is not yet."""
        owner = self.study / unit_name(self.arm.members or self.arm.name, self.seed)
        folder = owner / f"member{number}"
        if not self.arm.members:
            self._train(folder, self.seed + _MEMBER_SEED * number)
        return load_model(folder, self.device)[0]

    def _train(self, folder: Path, training_seed: int) -> None:
        arm = self.arm
        cases = training_samples(self.seed, arm.shapes, arm.train)
        result = train(
            [case.with_sequences([arm.state]) for case in cases],
            folder,
            replace(arm.training, seed=training_seed),
            cohort_name="Synthetic shapes",
            label=LABEL,
            simulated=True,
            device=self.device,
            resume=True,
            progress=_Counted(self.progress, TRAINING_COST * arm.training.batch_size * arm.pixels),
        )
        self.notes["training_seconds"] = round(self.notes.get("training_seconds", 0.0) + result.seconds, 1)

    def _prepared(self, cases: Sequence[Case], description: ModelDescription) -> Tensor:
        images = [description.preprocessing.prepare(case.with_sequences([self.arm.state])).images for case in cases]
        return torch.from_numpy(np.concatenate(images))

    def _calibrated(self, network: nn.Module, description: ModelDescription, images: Tensor) -> NDArray[np.float64]:
        """Probabilities corrected by what the raters of further samples say."""
        held_out = calibration_samples(self.seed, self.arm.test_shapes)
        prepared = self._prepared(held_out, description)
        seen = predictors.dropout_mean(network, prepared, self.arm.samples, self.seed, lambda _count: None)
        raters = np.stack([case.raters.mean(axis=0)[0] for case in held_out])
        drawn = predictors.dropout_mean(network, images, self.arm.samples, self.seed, self._passed)
        if self.arm.method is Method.ISOTONIC:
            return predictors.isotonic(seen, raters)(drawn)
        temperature = predictors.fitted_temperature(seen, raters)
        self.notes["temperature"] = temperature
        return predictors.with_temperature(drawn, temperature)

    def _many_raters(self, count: int) -> NDArray[np.float64]:
        means = []
        for number in range(FIRST_TEST, FIRST_TEST + count):
            self._passed(1)
            means.append(many_observers_mean(number, self.seed, MANY_RATERS, self.arm.test_shapes))
        return np.stack(means)

    def _passed(self, images: int) -> None:
        self.progress.check_cancelled()
        self.progress.advance(images * self.arm.pixels)


class _Counted(Progress):
    """Tells of steps in another measure, and hides the details."""

    def __init__(self, whole: Progress, factor: int) -> None:
        self._whole = whole
        self._factor = factor

    def start(self, _task: str, _steps: int, done: int = 0) -> None:
        if done:
            self._whole.advance(done * self._factor)

    def advance(self, steps: int = 1, detail: str = "") -> None:
        self._whole.advance(steps * self._factor, detail)

    def warning(self, text: str) -> None:
        self._whole.warning(text)

    def check_cancelled(self) -> None:
        self._whole.check_cancelled()
