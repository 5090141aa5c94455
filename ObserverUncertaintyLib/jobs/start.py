"""Starting a job: its folder, its record and its worker process."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.jobs import processes
from ObserverUncertaintyLib.jobs.environment import worker_environment
from ObserverUncertaintyLib.jobs.folder import INPUTS_FOLDER, JOB_FILE, LOG_FILE, JobRecord
from ObserverUncertaintyLib.jobs.job import Job
from ObserverUncertaintyLib.jobs.requests import Request

_WORKER = ("-m", "ObserverUncertaintyLib.jobs.worker")


def start_job(
    request: Request,
    folder: Path,
    *,
    name: str,
    python: str = sys.executable,
    keep_running: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Job:
    """Start a worker process on a new job folder.

    Args:
        request: what to do; relative paths in it count from the present folder.
        folder: the job's folder; it must not exist, be empty, or hold the inputs' folder only.
        name: the job's name for people.
        python: the interpreter that runs the worker, such as Slicer's PythonSlicer.
        keep_running: let the job go on when this program ends; else it ends with it.
        environment: variables for the worker, with the last word over those that `worker_environment` makes.

    Raises:
        InputError: the folder cannot be used, or the interpreter cannot be started.
    """
    return launch(request, folder, name, python, keep_running, environment or {}, _WORKER)


def launch(
    request: Request,
    folder: Path,
    name: str,
    python: str,
    keep_running: bool,
    environment: Mapping[str, str],
    worker: Sequence[str],
) -> Job:
    """`start_job` with another worker program: what stands after `python -u -X faulthandler`."""
    folder = Path(folder).absolute()
    record = JobRecord(name, request.resolved(), keep_running, datetime.now().astimezone())
    _make_folder(folder)
    try:
        record.write(folder)
        log = (folder / LOG_FILE).open("ab")
    except OSError as error:
        raise InputError(
            f"{folder}: the job's folder cannot be written to ({error.strerror or error}). Expected a folder with "
            "write permission and free space; choose another one."
        ) from error
    # Not the folder's path: the launcher of Slicer 5.10 on Windows damages letters that are not ASCII.
    command = [python, "-u", "-X", "faulthandler", *worker, "."]
    with log:
        try:
            process = processes.start(
                command, folder, worker_environment(python, environment), log, detached=keep_running
            )
        except OSError as error:
            for name in (JOB_FILE, LOG_FILE):
                (folder / name).unlink()
            raise InputError(
                f"{python}: this Python cannot be started ({error.strerror or error}). Expected an executable Python "
                "interpreter; give another one."
            ) from error
    return Job(folder, record, process)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        filled = any(path.name != INPUTS_FOLDER for path in folder.iterdir())
    except OSError as error:
        raise InputError(
            f"{folder}: the job's folder cannot be made or read ({error.strerror or error}). Expected a place with "
            "write permission; choose another folder."
        ) from error
    if filled:
        raise InputError(f"{folder} is not empty; a job needs a folder of its own. Choose a new one.")
