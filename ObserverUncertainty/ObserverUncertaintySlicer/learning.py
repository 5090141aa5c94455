"""Learning from the list's reviews in the background: a new model beside the old one, and what was gained and lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.reviews import read_reviews
from ObserverUncertaintyLib.jobs import LearnRequest
from ObserverUncertaintyLib.model.settings import DEFAULT_LEARNING, LearningSettings
from ObserverUncertaintySlicer.backgroundJobs import SceneJob, startSceneJob
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.modelCards import readCard

_COHORT = "cohort"
"""What learning makes first in its folder."""


@dataclass(frozen=True)
class Learned:
    """What came of a learning.

    Attributes:
        model: the new model's folder.
        comparison: it beside the old one, as `Comparison.to_json` of the library gives it.
    """

    model: Path
    comparison: Mapping[str, Any]


def learnFromReviews(
    manifestPath: str | Path,
    reviewsFolder: str | Path,
    modelPath: str | Path,
    outFolder: str | Path,
    *,
    device: str = "auto",
    keepRunning: bool = False,
    settings: LearningSettings = DEFAULT_LEARNING,
) -> SceneJob:
    """Start to train a model on with reviewed cases in another process, and to compare both models.

    Nothing is replaced: each reviewer is a further rater in a new cohort, and the model is trained on in a new folder.

    Args:
        manifestPath: the cohort's manifest.
        reviewsFolder: the reviews; see `caseList.reviewsFolder`.
        modelPath: the model to train on; it is only read.
        outFolder: for the new cohort, the new model and the comparison: new or empty; where the same was begun, it is
            gone on with.
        device: "auto", "cpu", "cuda:N" or "mps".
        keepRunning: whether the job goes on when Slicer closes.
        settings: what decides the learning.

    Returns:
        A job whose result is what was learned.

    Raises:
        InputError: the manifest, a review, the model or the folder cannot be used.
    """
    cohort = Cohort.open(manifestPath)  # wrong input is told at once, not by a job that fails
    found = read_reviews(reviewsFolder)
    readCard(modelPath)
    request = LearnRequest(
        manifest=str(manifestPath),
        reviews=str(reviewsFolder),
        model=str(modelPath),
        out=str(outFolder),
        settings=settings,
        device=device,
        resume=isBegunIn(outFolder),
    ).resolved()
    name = _("learn from {count} reviews of {cohort}").format(count=len(found.latest), cohort=cohort.name)
    return startSceneJob(request, learned, name=name, keepRunning=keepRunning)


def isBegunIn(folder: str | Path) -> bool:
    """Whether a learning was begun in a folder; raises InputError if it holds something else."""
    folder = Path(folder)
    try:
        isFilled = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise InputError(
            _("{folder} cannot be looked into: {error}. Choose another folder.").format(folder=folder, error=error)
        ) from error
    if isFilled and not (folder / _COHORT).is_dir():
        raise InputError(_("{folder} is not empty. Choose a new or an empty folder.").format(folder=folder))
    return isFilled


def learned(artifacts: Mapping[str, Path]) -> Learned:
    """What a job that learned has to show.

    Raises:
        InputError: the comparison cannot be read.
    """
    file = artifacts["comparison"]
    try:
        comparison = dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise InputError(
            _("{file} cannot be read: {error}. The new model is in {model}.").format(
                file=file, error=error, model=artifacts["model"]
            )
        ) from error
    return Learned(artifacts["model"], comparison)
