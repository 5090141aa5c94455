"""Calibrating a model to its experts: from cases with several raters to `calibration.json` in the model's folder."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import write_json
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.records import to_json
from ObserverUncertaintyLib.base.tables import without_nan
from ObserverUncertaintyLib.base.version import VERSION
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.fingerprints import content_digest
from ObserverUncertaintyLib.cohort.loading import LoadOptions
from ObserverUncertaintyLib.evaluation.scoring import read_probability
from ObserverUncertaintyLib.formats.prediction_files import ONE_HALF, PROBABILITY_FILE
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.calibration import (
    CALIBRATION_FILE,
    WORK_FOLDER,
    Calibration,
    CalibrationKind,
    CalibrationMap,
    remove_work,
)
from ObserverUncertaintyLib.model.description import ModelDescription, read_description, weights_digest
from ObserverUncertaintyLib.model.settings import PredictionSettings
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.raters.votes import Votes
from ObserverUncertaintyLib.scores.calibration import CalibrationBins
from ObserverUncertaintyLib.scores.case_scores import case_scores
from ObserverUncertaintyLib.scores.entropy import binary_entropy
from ObserverUncertaintyLib.scores.metrics import mean_of_defined
from ObserverUncertaintyLib.scores.region import around_raters, calibration_around_raters

FIGURES = ("ece_roi", "wme", "nll_roi", "brier_roi", "entropy_outside_disagreement")
"""Scores of a case that a calibration is judged by; `ece_roi_pooled` over the voxels of all cases comes before them."""

POOLED = "ece_roi_pooled"

MOST_FOLDS = 10

FEW_CASES = 5


@dataclass(frozen=True)
class CaseVoxels:
    """The voxels of a case that a map is fitted to: what any rater marked, and 5 mm around it.

    Attributes:
        probability: the model's mean foreground probability, not calibrated, float32, shape (voxel,).
        rater_mean: share of raters who marked each, same shape.
    """

    probability: NDArray[np.float32]
    rater_mean: NDArray[np.float32]

    @classmethod
    def of(cls, probability: NDArray[np.float32], raters: NDArray[np.bool_], grid: Grid) -> CaseVoxels:
        """The voxels of a case; arguments as for `around_raters`."""
        votes = Votes.of(raters)
        region = around_raters(votes, grid)
        rater_mean = votes.on_grid(votes.patterns.mean(axis=1).astype(np.float32))
        return cls(probability[region], rater_mean[region])


def fit_map(kind: CalibrationKind, cases: Sequence[CaseVoxels]) -> CalibrationMap:
    """The map that fits the voxels of all cases; each voxel counts alike."""
    return CalibrationMap.fitted(
        kind,
        np.concatenate([case.probability for case in cases]),
        np.concatenate([case.rater_mean for case in cases]),
    )


def cross_validated_maps(kind: CalibrationKind, cases: Sequence[CaseVoxels]) -> list[CalibrationMap]:
    """For each case the map that is fitted to others: to all of them, up to ten cases, else to nine tenths.

    Raises:
        InputError: there is one case only, or no increasing map fits.
    """
    if len(cases) < 2:
        raise InputError("One case cannot tell how a calibration does on others. Give two or more, better five.")
    fold = np.arange(len(cases)) % MOST_FOLDS
    maps = {
        part: fit_map(kind, [case for case, own in zip(cases, fold, strict=True) if own != part]) for part in {*fold}
    }
    return [maps[part] for part in fold]


def figures(
    case: Case, probability: NDArray[np.float32], calibration: CalibrationMap | None
) -> tuple[dict[str, float], CalibrationBins]:
    """The scores of a case that a calibration is judged by, and its bins around the raters.

    Args:
        case: with two raters or more.
        probability: not calibrated, shape (k, j, i).
        calibration: what is done to it first; None for nothing.
    """
    after = probability if calibration is None else calibration(probability).astype(np.float32)
    scores = case_scores(
        case.raters, case.rater_names, probability > ONE_HALF, binary_entropy(after), case.grid, after, wanted=FIGURES
    )
    return scores, calibration_around_raters(after, case.raters, case.grid)


def calibrate(
    model: str | Path,
    cohort: Cohort,
    kind: CalibrationKind = CalibrationKind.ISOTONIC,
    settings: PredictionSettings = PredictionSettings(),
    *,
    options: LoadOptions = LoadOptions(),
    device: str | torch.device = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Calibration:
    """Fit a calibration to cases with several raters that the model was not trained on, and keep it with the model.

    The cases are predicted without calibration; the same call goes on where one was interrupted. The map is fitted
    around what any rater marked. How well it does on other cases is found by cross-validation, and if it does not lower
    the calibration error and the negative log-likelihood there, nothing is kept.

    Args:
        model: the model's folder.
        cohort: the cases.
        kind: what the map may look like.
        settings: of the predictions.
        options: what may be done to files that do not lie on one grid.
        device: "auto", "cpu", "cuda:N", "mps", or one that was chosen already.
        overwrite: replace the calibration that the model has.
        progress: is told of every step, and can cancel.

    Raises:
        InputError: the model has a calibration already or its folder cannot be written to, a case has fewer than two
            raters, no mark at all, or was trained on, there are too few cases, or the map would do no good.
        DeviceError: the device is absent or ran out of memory.
    """
    model, progress = Path(model), progress or Progress()
    description = read_description(model)
    _prepare(model, cohort, overwrite)
    digests, numbers = _usable_cases(cohort, description, options, progress)
    work = model / f"{WORK_FOLDER}-{content_digest([weights_digest(model, description), to_json(settings)])[:8]}"
    remove_work(model, but=work)
    try:
        predict_cases(
            model,
            cohort.case_names,
            lambda name: cohort.load_images(name, options),
            work,
            settings,
            device=device,
            skull_stripped=cohort.manifest.skull_stripped,
            calibrated=False,
            resume=True,
            progress=progress,
        )
        mapping, summary = _fitted(kind, work, cohort, options, progress)
    except InputError:
        remove_work(model)  # nothing comes of it, and what another call needs is another thing
        raise
    calibration = Calibration(
        map=mapping,
        weights=weights_digest(model, description),
        cases=digests,
        raters=(min(numbers), max(numbers)),
        samples=settings.samples,
        figures=without_nan(summary),
        created=datetime.date.today().isoformat(),
        library_version=VERSION,
    )
    write_json(model / CALIBRATION_FILE, calibration.to_json())
    remove_work(model)
    if len(cohort) < FEW_CASES:
        progress.warning(
            f"{len(cohort)} cases are few to calibrate to: another few might give another map. Five or more are better"
        )
    return calibration


def _prepare(model: Path, cohort: Cohort, overwrite: bool) -> None:
    if (model / CALIBRATION_FILE).exists() and not overwrite:
        raise InputError(
            f"{model / CALIBRATION_FILE} exists already. Use it, or overwrite it to calibrate the model again."
        )
    if not os.access(model, os.W_OK):
        raise InputError(
            f"{model}: nothing can be written into this folder, where the calibration goes. Copy the model to a folder "
            "of yours, and calibrate the copy."
        )
    if len(cohort) < 2:
        raise InputError(
            f"{cohort.manifest.path}: {len(cohort)} case is named; a calibration takes two or more, better five. Name "
            "further cases with several raters that the model was not trained on."
        )


def _usable_cases(
    cohort: Cohort, description: ModelDescription, options: LoadOptions, progress: Progress
) -> tuple[tuple[str, ...], list[int]]:
    """Fingerprints of all cases' images and their numbers of raters, before anything is predicted."""
    digests: dict[str, str] = {}
    numbers = []
    progress.start("look at the cases", len(cohort))
    for name in cohort.case_names:
        progress.check_cancelled()
        case = cohort.load(name, options)
        digest = _usable(case, description)
        if digest in digests:
            raise InputError(
                f"{name} has the same images as {digests[digest]}, so that a case would be scored by a map that was "
                "fitted to it. Name each case once."
            )
        digests[digest] = name
        numbers.append(len(case.rater_names))
        progress.advance(1, name)
    return tuple(digests), numbers


def _fitted(
    kind: CalibrationKind, work: Path, cohort: Cohort, options: LoadOptions, progress: Progress
) -> tuple[CalibrationMap, dict[str, dict[str, float]]]:
    """The map that is fitted to all cases, and its figures by cross-validation.

    Raises:
        InputError: no map fits, or it would do no good.
    """

    def predicted(name: str) -> tuple[Case, NDArray[np.float32]]:
        progress.check_cancelled()
        case = cohort.load(name, options)
        return case, read_probability(work / name / PROBABILITY_FILE, case)

    voxels = [CaseVoxels.of(p, case.raters, case.grid) for case, p in map(predicted, cohort.case_names)]
    maps = cross_validated_maps(kind, voxels)
    progress.start("cross-validate", len(maps))
    found: dict[str, list[tuple[dict[str, float], CalibrationBins]]] = {"before": [], "after": []}
    for name, mapping in zip(cohort.case_names, maps, strict=True):
        case, probability = predicted(name)
        found["before"].append(figures(case, probability, None))
        found["after"].append(figures(case, probability, mapping))
        progress.advance(1, name)
    summary = {POOLED: {when: reduce(add, [bins for _, bins in each]).error() for when, each in found.items()}}
    summary |= {
        score: {when: mean_of_defined([scores[score] for scores, _ in each]) for when, each in found.items()}
        for score in FIGURES
    }
    error, likelihood = summary[POOLED], summary["nll_roi"]
    if not (error["after"] < error["before"] and likelihood["after"] <= likelihood["before"]):
        raise InputError(
            "Nothing is kept: on cases that the map was not fitted to, the calibration error would go from "
            f"{error['before']:.4f} to {error['after']:.4f} and the negative log-likelihood from "
            f"{likelihood['before']:.4f} to {likelihood['after']:.4f}, and both must fall. Use the model as it is, try "
            "another kind of map, or give more cases."
        )
    return fit_map(kind, voxels), summary


def _usable(case: Case, description: ModelDescription) -> str:
    """The fingerprint of a case's images; raises InputError for a case that a calibration must not be fitted to."""
    if len(case.rater_names) < 2:
        raise InputError(
            f"{case.name} has {len(case.rater_names)} rater; a calibration is fitted to the share of several. Name "
            "cases with two raters or more."
        )
    if not case.raters.any():
        raise InputError(f"{case.name}: no rater marked anything, so that nothing can be fitted to it. Leave it out.")
    description.check_case(case)
    digest = case.with_sequences(description.present(case.sequences)).image_digest
    if digest in description.training["case_images"]:
        raise InputError(
            f"{case.name} was in the model's training set, where it is surer than elsewhere, so that a calibration "
            "would be fitted to the wrong thing. Name cases that it was not trained on."
        )
    return digest
