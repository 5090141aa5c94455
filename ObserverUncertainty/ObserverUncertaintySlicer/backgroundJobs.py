"""Work in the background as the scene sees it: a library job whose result becomes nodes."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.output_files import prepare_output_folder
from ObserverUncertaintyLib.jobs import (
    INPUTS_FOLDER,
    Job,
    JobFailure,
    JobProgress,
    JobState,
    LearnRequest,
    PredictCohortRequest,
    Request,
    TrainRequest,
    find_jobs,
    start_job,
)
from ObserverUncertaintySlicer.host import (
    asFileName,
    jobsFolder,
    processEvents,
    showStatus,
    workerEnvironment,
    workerPython,
)
from ObserverUncertaintySlicer.progressTexts import progressText

Loader = Callable[[Mapping[str, Path]], Any]


class SceneJob:
    """A job in another process; its `result()` is what the step returns, such as nodes.

    Args:
        job: the library's job.
        load: turns the job's artifacts (name to file) into the result; called once, on the interface's thread.

    Attributes:
        notes: what was done to the scene's data on its way to the job.
        exportWarnings: what the user should know about that data.
    """

    def __init__(self, job: Job, load: Loader) -> None:
        self.job = job
        self.notes: tuple[str, ...] = ()
        self.exportWarnings: tuple[str, ...] = ()
        self._load = load
        self._result: list[Any] = []

    @property
    def name(self) -> str:
        """What the job list calls it."""
        return self.job.name

    @property
    def state(self) -> JobState:
        """Where it stands; asking is cheap and never blocks."""
        return self.job.state

    @property
    def progress(self) -> JobProgress:
        """The task it is at, steps done and in all, and the seconds left."""
        return self.job.progress

    @property
    def failure(self) -> JobFailure | None:
        """Why it failed, and what to do about it."""
        return self.job.failure

    @property
    def warnings(self) -> list[str]:
        """What the user should know, of the data and of the job so far."""
        return [*self.exportWarnings, *self.job.warnings]

    @property
    def keptIn(self) -> Path | None:
        """Where a training or a queue that was cancelled leaves what can be gone on with; None for another job."""
        request = self.job.request
        if isinstance(request, LearnRequest | PredictCohortRequest):
            return Path(request.out)
        return Path(request.model) if isinstance(request, TrainRequest) else None

    def cancel(self) -> None:
        """Ask it to stop; what is complete is kept."""
        self.job.cancel()

    def wait(self, timeout: float | None = None) -> JobState:
        """Wait until it ends or the seconds are over; the interface stays live, the status bar tells how far it is."""
        return self.job.wait(timeout, each=self._live)

    def _live(self) -> None:
        showStatus(f"{self.name}: {progressText(self.progress)}")
        processEvents()

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the job and bring its result into the scene; a second call gives the same nodes.

        Raises:
            JobError: it failed or was cancelled; the text says what to do.
            TimeoutError: it still runs after `timeout` seconds.
        """
        if not self._result:
            if not self.wait(timeout).finished:
                raise TimeoutError(f"{self.name} still runs after {timeout:g} s; wait for it again, or cancel it")
            artifacts = self.job.result()
            self._result.append(self._load(artifacts))
            # The exported images are the patient's; once the result is there nobody needs them.
            shutil.rmtree(self.job.folder / INPUTS_FOLDER, ignore_errors=True)
        return self._result[0]


def newJobFolder(name: str) -> Path:
    """An empty folder for a job, named by time and job, below the folder of the job folders."""
    stamp = datetime.datetime.now().strftime("%Y-%m-%d %H-%M-%S")
    plain = asFileName(name).strip(" .")[:60]
    number = 1
    while (folder := jobsFolder() / f"{stamp} {plain}{f' {number}' if number > 1 else ''}").exists():
        number += 1
    prepare_output_folder(folder, resume=False, overwrite=False)
    return folder


@contextmanager
def jobFolder(name: str) -> Iterator[Path]:
    """A new folder to export to and start a job in; it is removed again if either fails, since images are a patient's.

    Args:
        name: of the job.
    """
    folder = newJobFolder(name)
    try:
        yield folder
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def startSceneJob(
    request: Request, load: Loader, *, name: str, folder: Path | None = None, keepRunning: bool = False
) -> SceneJob:
    """Start a job in Slicer's Python (or the one that the environment names).

    Args:
        request: what to do.
        load: turns the job's artifacts into the result.
        name: what the job list calls it.
        folder: the job's folder where inputs were exported to already; a new one if None.
        keepRunning: whether it goes on when Slicer closes.
    """
    job = start_job(
        request,
        folder or newJobFolder(name),
        name=name,
        python=workerPython(),
        keep_running=keepRunning,
        environment=workerEnvironment(),
    )
    return SceneJob(job, load)


def knownJobs() -> list[Job]:
    """Every job whose folder is still there, newest first, also those of earlier sessions."""
    return find_jobs(jobsFolder()) if jobsFolder().is_dir() else []
