"""What lies in a job's folder: job.json, events.jsonl, heartbeat.json, cancel, log.txt and the results."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import write_json
from ObserverUncertaintyLib.jobs.requests import Request, request_from_json, request_to_json

JOB_FILE = "job.json"
EVENTS_FILE = "events.jsonl"
HEARTBEAT_FILE = "heartbeat.json"
CANCEL_FILE = "cancel"
LOG_FILE = "log.txt"
INPUTS_FOLDER = "inputs"
"""What the caller put there for the job before it started, such as exported images."""
RESULT_FOLDER = "result"

HEARTBEAT_SECONDS = 2.0
_LOG_PART = 1 << 16
_FORMAT = "observer-uncertainty job"
_FORMAT_VERSION = 1


@dataclass(frozen=True)
class JobRecord:
    """What was asked for, as `job.json` keeps it.

    Attributes:
        name: the job's name for people.
        request: what to do.
        keep_running: whether the job goes on when the program that started it ends.
        started: when, with time zone.
    """

    name: str
    request: Request
    keep_running: bool
    started: datetime

    def write(self, folder: Path) -> None:
        """Write `job.json`."""
        content = {
            "format": _FORMAT,
            "format_version": _FORMAT_VERSION,
            "name": self.name,
            "started": self.started.isoformat(),
            "keep_running": self.keep_running,
            "request": request_to_json(self.request),
        }
        write_json(folder / JOB_FILE, content)

    @classmethod
    def read(cls, folder: Path) -> JobRecord:
        """Read `job.json`; raises InputError if it is absent, damaged or of another version."""
        path = folder / JOB_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if (content["format"], content["format_version"]) != (_FORMAT, _FORMAT_VERSION):
                raise ValueError(f"format {content['format']!r}, version {content['format_version']!r}")
            return cls(
                name=str(content["name"]),
                request=request_from_json(content["request"]),
                keep_running=bool(content["keep_running"]),
                started=datetime.fromisoformat(content["started"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError) as error:
            raise InputError(
                f"{path} describes no job that this version can read: {error!r}. Expected a file of format version "
                f"{_FORMAT_VERSION}; use the version that wrote it, or delete the folder."
            ) from error


@dataclass(frozen=True)
class Heartbeat:
    """Which process does the job, and when it was last known to live.

    Attributes:
        pid: the worker's process id.
        identity: tells this process from a later one with the same id, see `process_identity.identity`.
        time: of the last sign of life, in seconds since 1970.
    """

    pid: int
    identity: str
    time: float

    @classmethod
    def read(cls, folder: Path) -> Heartbeat | None:
        """The job's heartbeat; None before its first."""
        path = folder / HEARTBEAT_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(int(content["pid"]), str(content["identity"]), path.stat().st_mtime)
        except (OSError, ValueError, KeyError, TypeError):
            return None


def write_heartbeat(folder: Path, pid: int, identity: str) -> None:
    """Write the first heartbeat; `touch_heartbeat` repeats it."""
    write_json(folder / HEARTBEAT_FILE, {"pid": pid, "identity": identity})


def touch_heartbeat(folder: Path) -> None:
    """Give a sign of life as the file's time, which needs no space on a full disk and replaces no open file."""
    now = time.time()  # not the file server's clock
    os.utime(folder / HEARTBEAT_FILE, (now, now))


def image_file(result: Path, number: int, sequence: str) -> Path:
    """The file of a sequence's new image: numbered, since sequences may have names that no file can have."""
    return result / f"{number}-{re.sub(r'[^A-Za-z0-9_.-]', '_', sequence)}.nrrd"


def end_of_log(log: Path) -> list[str]:
    """The lines with text in the last part of a log; none if it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_PART))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()]
