"""The events of a job: one JSON object a line in `events.jsonl`, written by the worker, read by any supervisor."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.privacy import without_uids

PROGRESS, METRIC, MESSAGE, WARNING = "progress", "metric", "message", "warning"
ARTIFACT, ERROR, DONE = "artifact", "error", "done"
CANCELLED = "cancelled"
"""The `code` of the error event of a job that stopped because it was asked to."""

_TEXTS = ("text", "advice", "detail")
"""What is for people, and may quote a file."""

_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class Event:
    """One thing that a job told.

    Attributes:
        kind: "progress", "metric", "message", "warning", "artifact", "error" or "done".
        time: when, in seconds since 1970.
        data: what, by kind: progress {task, done, total, already, detail}; metric {name, value or null}; message and
            warning {text}; artifact {name, path, bytes}; error {code, text, advice}; done {}.
    """

    kind: str
    time: float
    data: dict[str, Any]


class EventWriter:
    """Appends events to a file, from any thread; what a full disk refuses is tried again with the next event."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        self._lock = threading.Lock()
        self._pending = b""

    def write(self, kind: str, **data: Any) -> None:
        """Append one event; raises OSError if it cannot be written and is an artifact or the job's end."""
        data |= {name: without_uids(data[name]) for name in _TEXTS if name in data}
        line = json.dumps({"kind": kind, "time": time.time(), "data": data}, allow_nan=False).encode() + b"\n"
        with self._lock:
            if kind != PROGRESS or not self._pending:
                self._pending += line
            try:
                while self._pending:
                    self._pending = self._pending[os.write(self._file, self._pending) :]
            except OSError:
                if kind in (ARTIFACT, ERROR, DONE):
                    raise


class EventReader:
    """Reads what was appended since the last time; keeps half a last line for the next time.

    Attributes:
        garbage: the lines since the last `read` that are no events.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        self.garbage: list[str] = []

    def read(self) -> list[Event]:
        """The events that are new; none if the file is absent or cannot be read at this moment."""
        self.garbage = []
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return []
        self._offset += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        events = []
        for line in lines:
            event = _parsed(line)
            if event is not None:
                events.append(event)
            elif line.strip():
                self.garbage.append(line[:500].decode("utf-8", "backslashreplace"))
        return events


def _parsed(line: bytes) -> Event | None:
    """The event that a line holds; None if it is no event, or lacks what its kind must have."""
    try:
        content = json.loads(line)
        event = Event(content["kind"], float(content["time"]), content["data"])
        return event if _complete(event) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _complete(event: Event) -> bool:
    needed: dict[str, dict[str, type | tuple[type, ...]]] = {
        PROGRESS: {"task": str, "done": int, "total": int, "already": int, "detail": str},
        METRIC: {"name": str, "value": (int, float, type(None))},
        MESSAGE: {"text": str},
        WARNING: {"text": str},
        ARTIFACT: {"name": str, "path": str, "bytes": (int, type(None))},
        ERROR: {"code": str, "text": str, "advice": str},
        DONE: {},
    }
    fields = needed.get(event.kind)
    return (
        fields is not None
        and isinstance(event.data, dict)
        and all(isinstance(event.data.get(name), kind) for name, kind in fields.items())
    )
