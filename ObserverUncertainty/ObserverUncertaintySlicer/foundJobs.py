"""Jobs of earlier sessions, taken up again: what their results are in the scene."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.jobs import Job, LearnRequest, PredictCohortRequest, PredictRequest, TrainRequest
from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.learning import learned
from ObserverUncertaintySlicer.modelCards import readCard
from ObserverUncertaintySlicer.prediction import loadPrediction
from ObserverUncertaintySlicer.predictionQueue import queueOf


def takeUp(job: Job) -> SceneJob:
    """A prediction, training, learning or queue of another session as a job of this one.

    Args:
        job: of `knownJobs`; the results of other kinds mean nothing without the scene they were started from.

    Returns:
        A job whose result is the prediction's nodes, the trained model's folder, what was learned, or how a queue of
        predictions stands.
    """

    def load(artifacts: Mapping[str, Path]) -> Any:
        if isinstance(job.request, TrainRequest):
            return artifacts["model"]
        if isinstance(job.request, LearnRequest):
            return learned(artifacts)
        if isinstance(job.request, PredictCohortRequest):
            return queueOf(job)
        isSimulated = isinstance(job.request, PredictRequest) and _isSimulated(job.request.model)
        return loadPrediction(artifacts, job.request.case_name, isSimulated=isSimulated)

    return SceneJob(job, load)


def _isSimulated(model: str) -> bool:
    try:
        return readCard(model).isSimulated
    except InputError:  # the model is gone, and with it what it said
        return False
