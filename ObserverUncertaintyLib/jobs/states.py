"""What can be known about a job: its state, how far it is, and why it failed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError


class JobState(StrEnum):
    """Where a job is between its start and its end."""

    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        """Whether the job has ended, in whatever way."""
        return self in (JobState.DONE, JobState.CANCELLED, JobState.FAILED)


@dataclass(frozen=True)
class JobFailure:
    """Why a job has no result.

    Attributes:
        code: "input", "device", "out_of_memory", "dependency", "disk", "crash" or "error".
        text: what happened.
        advice: what to do about it.
        log: the lines of the job's log that may tell more; empty where the text says it all.
    """

    code: str
    text: str
    advice: str
    log: str = ""

    def __str__(self) -> str:
        """Everything in one text."""
        quoted = "".join(f"\n  {line}" for line in self.log.splitlines())
        return f"{self.text} {self.advice}" + (f"\nFrom its log:{quoted}" if quoted else "")


class JobError(ObserverUncertaintyError):
    """A job has no result; `failure` says why, and is None if it was cancelled or has not ended."""

    def __init__(self, text: str, failure: JobFailure | None = None) -> None:
        super().__init__(text)
        self.failure = failure


@dataclass(frozen=True)
class JobProgress:
    """How far a job's present task is.

    Attributes:
        task: what it does, such as "train"; empty before the first task.
        done: steps done.
        total: steps in all.
        detail: a short state, such as the epoch and the loss.
        already: steps that were done before the job began (a resumed training).
        seconds: from the task's begin to the time of `told`.
        told: when this was told, in seconds since 1970.
    """

    task: str = ""
    done: int = 0
    total: int = 0
    detail: str = ""
    already: int = 0
    seconds: float = 0.0
    told: float = 0.0

    @property
    def fraction(self) -> float:
        """The part of the steps that is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """The time left if the steps to come take as long as those of this job so far; None before the first."""
        fresh = self.done - self.already
        if fresh <= 0 or self.total <= 0:
            return None
        expected = self.seconds / fresh * (self.total - self.done)
        return max(0.0, expected - max(0.0, time.time() - self.told))
