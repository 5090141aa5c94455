"""A cohort's cases predicted as one queue in the background, overnight if need be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.formats.prediction_files import SETTINGS_FILE
from ObserverUncertaintyLib.jobs import Job, PredictCohortRequest
from ObserverUncertaintyLib.jobs.outcome import CohortOutcome, outcome_file
from ObserverUncertaintyLib.model.settings import DEFAULT_SAMPLES, DropoutMasks
from ObserverUncertaintySlicer.backgroundJobs import SceneJob, knownJobs, startSceneJob
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.modelCards import readCard


@dataclass(frozen=True)
class Queue:
    """How a queue of predictions stands.

    Attributes:
        manifest: the cohort's.
        folder: the folder of the predictions.
        complete: the names of the cases that are predicted.
        leftOut: why a case was not, by its name.
        isRunning: whether further cases will come.
    """

    manifest: Path
    folder: Path
    complete: tuple[str, ...]
    leftOut: Mapping[str, str]
    isRunning: bool

    def withReasons(self, leftOut: Mapping[str, str]) -> dict[str, str]:
        """Why cases have no place in a list: what is still to come is not among them.

        Args:
            leftOut: as the folder alone tells it.
        """
        known = self.leftOut if self.isRunning else leftOut
        return {name: self.leftOut.get(name, reason) for name, reason in leftOut.items() if name in known}


def predictCases(
    manifestPath: str | Path,
    modelPath: str | Path,
    outFolder: str | Path,
    samples: int | None = None,
    device: str = "auto",
    *,
    seed: int = 0,
    keepRunning: bool = False,
    balancedMasks: bool = False,
    calibrated: bool = True,
) -> SceneJob:
    """Start Monte Carlo dropout on all cases of a cohort, one after the other in another process.

    A case that cannot be predicted is left out. Images that do not lie on the grid of the first one are resampled onto
    it, and the prediction says so.

    Args:
        manifestPath: the cohort's manifest.
        modelPath: the model's folder.
        outFolder: for the predictions, as `listCases` takes it: new or empty; where predictions were begun, they are
            gone on with, and cases that are complete stay.
        samples: T; the paper's 20 if None.
        device: "auto", "cpu", "cuda:N" or "mps".
        seed: of the dropout masks.
        keepRunning: whether the job goes on when Slicer closes.
        balancedMasks: whether every neuron is dropped equally often; 10 samples are then as good as 20.
        calibrated: whether the model's calibration to its experts is applied, if it has one.

    Returns:
        A job whose result is a `Queue`, which says what was predicted and what was not.

    Raises:
        InputError: the manifest, the model or the folder cannot be used, or another job predicts into the folder.
    """
    cohort = Cohort.open(manifestPath, incomplete=True)  # wrong input is told at once, not by a job that fails
    readCard(modelPath)
    request = PredictCohortRequest(
        manifest=str(manifestPath),
        model=str(Path(modelPath).resolve()),
        out=str(outFolder),
        samples=DEFAULT_SAMPLES if samples is None else samples,
        seed=seed,
        device=device,
        dropout_masks=DropoutMasks.BALANCED if balancedMasks else DropoutMasks.INDEPENDENT,
        calibrated=calibrated,
        resume=isBegunIn(outFolder),
        resample=True,
    ).resolved()
    if (other := runningQueue(outFolder)) is not None:
        raise InputError(
            _("{name} writes to {folder} already. Wait until it ends, or cancel it.").format(
                name=other.name, folder=outFolder
            )
        )
    name = _("predict {count} cases of {cohort}").format(count=len(cohort), cohort=cohort.name)
    started: list[Job] = []
    job = startSceneJob(request, lambda _artifacts: queueOf(started[0]), name=name, keepRunning=keepRunning)
    started.append(job.job)
    return job


def isBegunIn(folder: str | Path) -> bool:
    """Whether predictions were begun in a folder; raises InputError if it holds something else."""
    folder = Path(folder)
    try:
        isFilled = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        isOfPredictions = isFilled and (folder / SETTINGS_FILE).is_file()
    except OSError as error:
        raise InputError(
            _("{folder} cannot be looked into: {error}. Choose another folder.").format(folder=folder, error=error)
        ) from error
    if isFilled and not isOfPredictions:
        raise InputError(
            _("{folder} holds other files than predictions. Choose a new or an empty folder.").format(folder=folder)
        )
    return isOfPredictions


def runningQueue(folder: str | Path) -> Job | None:
    """The job, also of another session, that predicts into a folder now."""
    out = Path(folder).absolute()
    for job in knownJobs():
        if isinstance(job.request, PredictCohortRequest) and Path(job.request.out) == out and not job.state.finished:
            return job
    return None


def queueOf(job: Job) -> Queue:
    """How the queue of a job stands, whether it runs or not; raises InputError if its record is damaged."""
    isRunning = not job.state.finished  # asked first: what is read then is the whole outcome
    outcome = CohortOutcome.read(outcome_file(job.folder))
    request = job.request
    assert isinstance(request, PredictCohortRequest)
    return Queue(Path(request.manifest), Path(request.out), outcome.complete, outcome.left_out, isRunning)
