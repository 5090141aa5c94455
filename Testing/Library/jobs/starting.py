"""Starting jobs with a worker that misbehaves, and looking at the system's processes."""

from __future__ import annotations

import sys
from pathlib import Path

from ObserverUncertaintyLib.jobs import Job, Request, SimulateRequest
from ObserverUncertaintyLib.jobs.start import launch

WORKER = Path(__file__).with_name("worker_of_tests.py")


def start(
    mode: str,
    folder: Path,
    *,
    request: Request | None = None,
    keep_running: bool = False,
    python: str = sys.executable,
) -> Job:
    return launch(request or SimulateRequest(), folder, mode, python, keep_running, {}, (str(WORKER), mode))


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
