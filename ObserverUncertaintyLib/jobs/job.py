"""A job as the program sees it that started or found it: everything is polled, nothing blocks, no thread runs."""

from __future__ import annotations

import logging
import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ObserverUncertaintyLib.jobs import events, failures, processes
from ObserverUncertaintyLib.jobs.artifacts import artifact_problem
from ObserverUncertaintyLib.jobs.events import Event, EventReader
from ObserverUncertaintyLib.jobs.folder import CANCEL_FILE, EVENTS_FILE, LOG_FILE, Heartbeat, JobRecord
from ObserverUncertaintyLib.jobs.process_identity import identity
from ObserverUncertaintyLib.jobs.states import JobError, JobFailure, JobProgress, JobState

GRACE_SECONDS = 10.0
"""How long a cancelled job may take to stop by itself before it is killed."""
STARTUP_SECONDS = 120.0
"""How long a worker that another program started may take to its first heartbeat; a cold disk takes long."""
STALE_SECONDS = 30.0
"""A living process with an older heartbeat is called hung."""

_WAIT_INTERVAL = 0.05
_KILL_AGAIN_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Job:
    """A job that runs or has run: made by `start_job`, or by `find_jobs` for one that another program started.

    Attributes:
        folder: the job's folder, with its log, events and results.
        name: its name for people.
        request: what it was asked to do.
        started: when, with time zone.
        keeps_running: whether it goes on when the program that started it ends.
        progress: how far it is, as of the last poll, like all that follows.
        warnings: what the user should know, oldest first.
        messages: what the user may want to know, oldest first.
        losses: a training's loss, one an epoch, those before a resumption included.
        validation_losses: the same of the validation cases, if there are any.
        failure: why it failed; None unless the state is FAILED.
        unreadable: the number of lines in the events file that were no events; they are kept in the log.
        responding: False if the process exists but has given no sign of life for long; it can still be cancelled.
    """

    def __init__(self, folder: Path, record: JobRecord, process: subprocess.Popen[bytes] | None = None) -> None:
        self.folder = folder
        self.name = record.name
        self.request = record.request
        self.started = record.started
        self.keeps_running = record.keep_running
        self.progress = JobProgress()
        self.warnings: list[str] = []
        self.messages: list[str] = []
        self.losses: list[float] = []
        self.validation_losses: list[float] = []
        self.failure: JobFailure | None = None
        self.unreadable = 0
        self.responding = True
        self._process = process
        self._reader = EventReader(folder / EVENTS_FILE)
        self._state = JobState.STARTING
        self._news: list[Event] = []
        self._task_began = 0.0
        self._artifacts: dict[str, Event] = {}
        self._end: Event | None = None
        self._kill_at = math.inf
        self._ours = process is not None

    @property
    def log(self) -> Path:
        """The file with all that the worker printed."""
        return self.folder / LOG_FILE

    @property
    def state(self) -> JobState:
        """The state at this moment; looks, and never blocks."""
        self.look()
        return self._state

    def poll(self) -> list[Event]:
        """The events since the last call; looks, and never blocks."""
        self.look()
        news, self._news = self._news, []
        return news

    def cancel(self, grace: float = GRACE_SECONDS) -> None:
        """Ask the job to stop, keeping what is complete; does not wait.

        Args:
            grace: seconds after which its process tree is killed, at a later look at the job; 0 kills it at once.
        """
        if self.state.finished:
            return
        try:
            (self.folder / CANCEL_FILE).touch()
        except OSError:  # the worker cannot be asked, so there is no use in waiting
            grace = 0.0
        self._state = JobState.CANCELLING
        self._kill_at = min(self._kill_at, time.monotonic() + grace)
        self._kill_if_due()

    def wait(self, timeout: float | None = None, each: Callable[[], None] | None = None) -> JobState:
        """Look at the job until it ends.

        Args:
            timeout: seconds after which the state is returned whatever it is; None waits as long as it takes.
            each: called about 20 times a second, for example to let an interface process its events.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while not self.state.finished and time.monotonic() < deadline:
            if each is not None:
                each()
            time.sleep(_WAIT_INTERVAL)
        return self._state

    def result(self) -> dict[str, Path]:
        """The artifacts by name; raises JobError unless the job is done."""
        state = self.state
        if state is not JobState.DONE:
            if self.failure is not None:
                raise JobError(f"{self.name} failed: {self.failure}", self.failure)
            what = "was cancelled" if state is JobState.CANCELLED else "has not ended yet"
            raise JobError(f"{self.name} has no result: it {what}.")
        return {name: self.folder / event.data["path"] for name, event in self._artifacts.items()}

    def close(self) -> None:
        """Let go of the job: one that keeps running is left to itself, any other is ended."""
        process, self._process = self._process, None
        if process is None or self._state.finished:
            return
        if self.keeps_running:
            _abandoned.append(process)
            return
        self._process = process
        self.cancel(grace=0.0)
        try:
            process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:  # in the middle of a system call; it ends when that returns
            _abandoned.append(process)
        self.look()

    def look(self) -> None:
        """Bring everything up to date, as `state` and `poll` do; never blocks."""
        if self._state.finished:
            return
        _reap_abandoned()
        # Whether the worker has ended is asked first: what it wrote before its end is then read in full.
        heartbeat = Heartbeat.read(self.folder)
        ended, exit_code = self._has_ended(heartbeat)
        self._read_events()
        if self._state is JobState.STARTING and (self._news or heartbeat is not None):
            self._state = JobState.RUNNING
        if ended:
            self._settle(exit_code)
        else:
            self._kill_if_due()

    def _has_ended(self, heartbeat: Heartbeat | None) -> tuple[bool, int | None]:
        """Whether the worker has ended, and its exit code where that is known."""
        if self._process is not None:
            code = processes.exit_code(self._process)
            if code is not None:
                if self._process.stdin is not None:
                    self._process.stdin.close()
                return True, code
        elif heartbeat is None:
            return time.time() - self.started.timestamp() > STARTUP_SECONDS, None
        elif identity(heartbeat.pid) != heartbeat.identity:
            return True, None
        self._notice_silence(heartbeat)
        return False, None

    def _notice_silence(self, heartbeat: Heartbeat | None) -> None:
        silent = 0.0 if heartbeat is None else time.time() - heartbeat.time
        if silent > STALE_SECONDS and self.responding:
            text = f"The job has given no sign of life for {silent:.0f} s and may hang. Wait, or cancel it."
            self._take(Event(events.WARNING, time.time(), {"text": text}))
        self.responding = silent <= STALE_SECONDS

    def _read_events(self) -> None:
        for event in self._reader.read():
            self._take(event)
        garbage = self._reader.garbage
        self.unreadable += len(garbage)
        if garbage and self._ours:
            try:
                with self.log.open("a", encoding="utf-8") as log:
                    log.writelines(f"[unreadable line in {EVENTS_FILE}] {line}\n" for line in garbage)
            except OSError as error:
                _log.warning("%s: %s unreadable lines could not be kept: %s", self.log, len(garbage), error)

    def _take(self, event: Event) -> None:
        self._news.append(event)
        data = event.data
        if event.kind == events.PROGRESS:
            # What is skipped before the first step, such as complete cases, says nothing about the time left.
            is_begun = data["done"] > data["already"]
            if data["task"] != self.progress.task or data["done"] < self.progress.done or not is_begun:
                self._task_began = event.time
            self.progress = JobProgress(
                data["task"],
                data["done"],
                data["total"],
                data["detail"],
                data["already"],
                event.time - self._task_began,
                event.time,
            )
        elif event.kind == events.METRIC:
            curve = {"loss": self.losses, "validation_loss": self.validation_losses}.get(data["name"])
            if curve is not None:
                curve.append(math.nan if data["value"] is None else float(data["value"]))
        elif event.kind == events.MESSAGE:
            self.messages.append(data["text"])
        elif event.kind == events.WARNING:
            self.warnings.append(data["text"])
        elif event.kind == events.ARTIFACT:
            self._artifacts[data["name"]] = event
        elif self._end is None or self._end.kind != events.DONE:
            self._end = event

    def _kill_if_due(self) -> None:
        if time.monotonic() < self._kill_at:
            return
        self._kill_at = time.monotonic() + _KILL_AGAIN_SECONDS
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            processes.kill_tree(self._process.pid)
            return
        heartbeat = Heartbeat.read(self.folder)
        if heartbeat is not None and identity(heartbeat.pid) == heartbeat.identity:
            processes.kill_tree(heartbeat.pid)

    def _settle(self, exit_code: int | None) -> None:
        """Decide how the job ended, from its last event, its exit code (None: unknown) and its artifacts."""
        end = self._end
        if end is not None and end.kind == events.DONE and exit_code in (0, None):
            self.failure = self._artifacts_failure()
        elif end is not None and end.kind == events.ERROR:
            if end.data["code"] == events.CANCELLED:
                self.messages.append(end.data["text"])
                self._state = JobState.CANCELLED
                return
            self.failure = JobFailure(end.data["code"], end.data["text"], end.data["advice"])
        elif (self.folder / CANCEL_FILE).exists() or exit_code == failures.EXIT_CANCELLED:
            self._state = JobState.CANCELLED
            return
        else:
            self.failure = failures.silent_end(self.folder, exit_code)
        self._state = JobState.DONE if self.failure is None else JobState.FAILED

    def _artifacts_failure(self) -> JobFailure | None:
        problems = [
            artifact_problem(self.folder / event.data["path"], event.data["bytes"])
            for event in self._artifacts.values()
        ]
        found = [problem for problem in problems if problem is not None]
        return failures.failure(failures.DISK, " ".join(found)) if found else None


_abandoned: list[subprocess.Popen[bytes]] = []


def _reap_abandoned() -> None:
    """Leave no zombie of a job that was let go and has ended since."""
    _abandoned[:] = [process for process in _abandoned if process.poll() is None]
