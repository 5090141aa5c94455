"""The process that does a job: `python -u -X faulthandler -m ObserverUncertaintyLib.jobs.worker JOB_FOLDER`.

`start_job` starts it in the job's folder and passes ".". It tells everything through files there; what it or a library
prints goes to the log.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TextIO

from ObserverUncertaintyLib.base.errors import Cancelled, ObserverUncertaintyError
from ObserverUncertaintyLib.base.privacy import traceback_without_messages, without_uids
from ObserverUncertaintyLib.base.process_memory import keep_freed_memory
from ObserverUncertaintyLib.jobs import events, processes
from ObserverUncertaintyLib.jobs.events import EventWriter
from ObserverUncertaintyLib.jobs.failures import DISK, EXIT_CANCELLED, EXIT_DISK, EXIT_FAILED, classify
from ObserverUncertaintyLib.jobs.folder import (
    CANCEL_FILE,
    EVENTS_FILE,
    HEARTBEAT_SECONDS,
    JobRecord,
    touch_heartbeat,
    write_heartbeat,
)
from ObserverUncertaintyLib.jobs.process_identity import identity
from ObserverUncertaintyLib.jobs.requests import Request
from ObserverUncertaintyLib.jobs.work import Reporter, do

Work = Callable[[Request, Path, Reporter], None]

_SHORTEST_INTERVAL, _LONGEST_INTERVAL = 0.2, 2.0
"""Seconds between two events of progress: the longer a job runs the fewer, so that its events stay a small file."""


class EventProgress(Reporter):
    """Progress as events; asked to stop by the `cancel` file."""

    def __init__(self, writer: EventWriter, folder: Path) -> None:
        self._writer = writer
        self._folder = folder
        self._began = time.monotonic()
        self._told = -math.inf
        self._task, self._done, self._total, self._already, self._detail = "", 0, 0, 0, ""

    def start(self, task: str, steps: int, done: int = 0) -> None:
        """Tell of a new task at once; or of one that goes on, in which some steps were skipped."""
        goes_on = (task, steps) == (self._task, self._total) and done >= self._done
        # What was done before the skipped steps still tells the time left.
        self._already = self._already + done - self._done if goes_on else done
        self._task, self._done, self._total, self._detail = task, done, steps, ""
        self._tell()

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """Tell of steps done, unless the last event is too recent and others will follow; of a detail alone at once."""
        self._done += steps
        self._detail = detail
        now = time.monotonic()
        interval = min(_LONGEST_INTERVAL, max(_SHORTEST_INTERVAL, (now - self._began) / 500))
        if not steps or self._done == self._total or now - self._told >= interval:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        self._writer.write(
            events.PROGRESS,
            task=self._task,
            done=self._done,
            total=self._total,
            already=self._already,
            detail=self._detail,
        )

    def message(self, text: str) -> None:
        """Pass a message on."""
        self._writer.write(events.MESSAGE, text=text)

    def warning(self, text: str) -> None:
        """Pass a warning on."""
        self._writer.write(events.WARNING, text=text)

    def metric(self, name: str, value: float) -> None:
        """Pass a number of a curve on."""
        # JSON has no not-a-number.
        self._writer.write(events.METRIC, name=name, value=value if math.isfinite(value) else None)

    def artifact(self, name: str, path: Path) -> None:
        """Tell of a file or folder that is complete and in place."""
        inside = path.is_relative_to(self._folder)
        self._writer.write(
            events.ARTIFACT,
            name=name,
            path=path.relative_to(self._folder).as_posix() if inside else str(path),
            bytes=None if path.is_dir() else path.stat().st_size,
        )

    def check_cancelled(self) -> None:
        """Stop if the `cancel` file is there."""
        if (self._folder / CANCEL_FILE).exists():
            raise Cancelled("Stopped as asked. What was complete is kept.")


def run(folder: Path, work: Work) -> int:
    """Do the job of a folder; returns the exit code."""
    writer = EventWriter(folder / EVENTS_FILE)
    try:
        write_heartbeat(folder, os.getpid(), identity(os.getpid()) or "")
        threading.Thread(target=_beat, args=(folder,), daemon=True).start()
        record = JobRecord.read(folder)
        if not record.keep_running:
            threading.Thread(target=_end_with_starter, args=(writer,), daemon=True).start()
        progress = EventProgress(writer, folder)
        _pass_on_device_warnings(progress)
        work(record.request, folder, progress)
        writer.write(events.DONE)
    except Cancelled as stop:
        return _last_words(writer, EXIT_CANCELLED, events.CANCELLED, str(stop), "")
    except Exception as error:  # noqa: BLE001  (whatever it was, the supervisor must be told)
        if not isinstance(error, ObserverUncertaintyError):
            _log(traceback_without_messages(error))
        failure = classify(error)
        exit_code = EXIT_DISK if failure.code == DISK else EXIT_FAILED
        return _last_words(writer, exit_code, failure.code, failure.text, failure.advice)
    return 0


def _last_words(writer: EventWriter, exit_code: int, code: str, text: str, advice: str) -> int:
    _log(f"{without_uids(text)}\n")
    with contextlib.suppress(OSError):  # the exit code still tells of a full disk
        writer.write(events.ERROR, code=code, text=text, advice=advice)
    return exit_code


def _log(text: str) -> None:
    with contextlib.suppress(OSError):  # the log lies on the disk that may be full
        sys.stderr.write(text)
        sys.stderr.flush()


def _beat(folder: Path) -> None:
    while True:
        with contextlib.suppress(OSError):  # such as a file server that is away for a while
            touch_heartbeat(folder)
        time.sleep(HEARTBEAT_SECONDS)


def _end_with_starter(writer: EventWriter) -> None:
    processes.wait_for_end_of_input()
    with contextlib.suppress(OSError):
        writer.write(
            events.ERROR,
            code=events.CANCELLED,
            text="The program that started the job ended, so it was ended.",
            advice="",
        )
    processes.end_own_tree(EXIT_CANCELLED)


def _pass_on_device_warnings(progress: EventProgress) -> None:
    """Show what torch only prints: that it cannot use a GPU which is there, such as for an old driver."""
    shown_before = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        shown_before(message, category, filename, lineno, file, line)
        if "CUDA" in str(message) or "NVIDIA" in str(message):
            progress.warning(str(message))

    warnings.showwarning = show


def main(folder: Path, work: Work = do) -> NoReturn:
    """Do the job of a folder and end the process, without the clean-up in which GPU libraries crash at times."""
    keep_freed_memory()
    exit_code = run(folder.absolute(), work)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
