"""Long work in a process of its own, so that the program that asked for it stays alive, responsive and light.

`start_job` starts a worker on a folder; the `Job` it returns is polled, cancelled and asked for results. Everything
that a job tells lies in its folder, so `find_jobs` takes up jobs that another program started.
"""

from ObserverUncertaintyLib.base.errors import Cancelled
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.jobs.events import Event
from ObserverUncertaintyLib.jobs.folder import INPUTS_FOLDER
from ObserverUncertaintyLib.jobs.history import find_jobs, remove_job
from ObserverUncertaintyLib.jobs.job import Job
from ObserverUncertaintyLib.jobs.requests import (
    BrainExtractionRequest,
    ImportRequest,
    LearnRequest,
    PredictCohortRequest,
    PredictRequest,
    ProbeRequest,
    RegisterRequest,
    Request,
    SimulateRequest,
    TrainRequest,
)
from ObserverUncertaintyLib.jobs.start import start_job
from ObserverUncertaintyLib.jobs.states import JobError, JobFailure, JobProgress, JobState

__all__ = [
    "INPUTS_FOLDER",
    "BrainExtractionRequest",
    "Cancelled",
    "Event",
    "ImportRequest",
    "Job",
    "JobError",
    "JobFailure",
    "JobProgress",
    "JobState",
    "LearnRequest",
    "PredictCohortRequest",
    "PredictRequest",
    "ProbeRequest",
    "Progress",
    "RegisterRequest",
    "Request",
    "SimulateRequest",
    "TrainRequest",
    "find_jobs",
    "remove_job",
    "start_job",
]
