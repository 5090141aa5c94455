"""The jobs of earlier and other programs, found again by their folders."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.jobs.folder import JOB_FILE, JobRecord
from ObserverUncertaintyLib.jobs.job import Job

_log = logging.getLogger(__name__)


def find_jobs(root: Path) -> list[Job]:
    """Every job below a folder, newest first, as it is now; those that still run can be polled and cancelled.

    A job folder that cannot be read is left out and named in Python's log. Folders inside a job's are not searched.
    """
    jobs = []
    for folder, below, files in os.walk(Path(root).absolute()):
        if JOB_FILE not in files:
            continue
        below.clear()
        try:
            job = Job(Path(folder), JobRecord.read(Path(folder)))
        except InputError as error:
            _log.warning("%s", error)
            continue
        job.look()
        jobs.append(job)
    return sorted(jobs, key=lambda job: job.started, reverse=True)


def remove_job(job: Job) -> None:
    """Delete the folder of a job that has ended, results included; raises InputError while it runs."""
    if not job.state.finished:
        raise InputError(f"{job.name} is still running; cancel it before removing {job.folder}.")
    job.close()
    try:
        shutil.rmtree(job.folder)
    except OSError as error:
        raise InputError(
            f"{job.folder} could not be removed: {error}. Close the programs that use its files, then try again."
        ) from error
