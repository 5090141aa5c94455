"""Starting jobs with a worker that misbehaves, and looking at the system's processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from ObserverUncertaintyLib.jobs import Job, Request, SimulateRequest
from ObserverUncertaintyLib.jobs.start import launch

WORKER = Path(__file__).with_name("worker_of_tests.py")
PATIENCE = 60.0


def start(
    mode: str,
    folder: Path,
    *,
    request: Request | None = None,
    keep_running: bool = False,
    python: str = sys.executable,
) -> Job:
    return launch(request or SimulateRequest(), folder, mode, python, keep_running, {}, (str(WORKER), mode))


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


def members(group: int) -> list[int]:
    """Every process of a group, zombies too."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[2]) == group:
                found.append(int(entry.name))
    return found
