"""The command line as a user meets it: a process of its own, its exit code, and what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

PROGRAM = [sys.executable, "-m", "ObserverUncertaintyLib.cli"]


def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the program and check its exit code; wrong input must never show a traceback."""
    done = subprocess.run([*PROGRAM, *map(str, arguments)], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one machine-readable result on standard output."""
    (line,) = done.stdout.splitlines()
    content: dict[str, Any] = json.loads(line)
    return content
