"""One topic's checks in a Slicer process; what is left after a crash or a hang is made in another one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULE_FOLDER = HERE.parents[1] / "ObserverUncertainty"
SILENCE_SECONDS = 420
"""So long without a sign of life the application is ended from outside; it ends itself sooner, with its stack."""
MOST_BROKEN = 3
"""After so many crashes or hangs a topic's other checks are not made."""
MARKER = "@@@"
TRACEBACK = "Traceback (most recent call last)"


@dataclass
class Outcome:
    """How a check went.

    Attributes:
        problems: what was wrong; empty if the check passed.
        told: lines that the check tells besides, such as what it measured.
    """

    topic: str
    check: str
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


class Session:
    """Makes one topic's checks.

    Args:
        slicer: the application.
        workerPython: runs the module's work in the background.
        topic: name of the file in `checks/`.
        home: a temporary folder for all that the application and the module keep.
        folder: for logs and pictures.
        display: the X display; None where the platform has none.
        task: what the checks are told besides.
    """

    def __init__(
        self, slicer: str, workerPython: str, topic: str, home: Path, folder: Path, display: str | None, task: dict
    ) -> None:
        self.slicer, self.workerPython, self.topic = slicer, workerPython, topic
        self.home, self.folder, self.display, self.task = home, folder, display, task
        self._processes = self._status = 0

    def make(self, names: list[str]) -> Iterator[Outcome]:
        """Makes the checks, each once, and one more for start and end of every process that was needed."""
        left, broken = list(names), 0
        while left:
            self._processes += 1
            outcomes, whole = self._oneProcess(left)
            yield from outcomes
            yield whole
            made = {outcome.check for outcome in outcomes}
            remaining = [name for name in left if name not in made]
            broken += self._status != 0
            if remaining == left or broken == MOST_BROKEN:  # little is gained by another attempt
                text = "not made: Slicer did not come so far"
                yield from (Outcome(self.topic, name, 0.0, [text]) for name in remaining)
                remaining = []
            left = remaining

    def _oneProcess(self, names: list[str]) -> tuple[list[Outcome], Outcome]:
        """The outcomes of the checks that were begun, and of the process as a whole."""
        folder = self.folder / f"slicer{self._processes}"
        folder.mkdir(parents=True)
        taskFile = folder / "task.json"
        task = {**self.task, "topic": self.topic, "checks": names, "folder": str(folder), "pictures": str(self.folder)}
        task["shared"] = str(self._made(self.home / "shared" / self.topic))
        taskFile.write_text(json.dumps(task), encoding="utf-8")
        began = time.monotonic()
        status = self._status = self._run(folder, taskFile)
        whole = Outcome(self.topic, f"start and end of Slicer {self._processes}", time.monotonic() - began)
        outcomes = []
        results = folder / "results.jsonl"
        lines = results.read_text(encoding="utf-8").splitlines() if results.is_file() else []
        begun: Outcome | None = None
        for entry in map(json.loads, lines):
            if entry["event"] == "begin":
                begun = Outcome(self.topic, entry["check"])
            elif entry["event"] == "tell" and begun is not None:
                begun.told.append(entry["text"])
            elif entry["event"] == "end" and begun is not None:
                begun.seconds, begun.problems = entry["seconds"], entry["problems"]
                outcomes.append(begun)
                begun = None
            elif entry["event"] == "start":
                whole.problems += entry["problems"]
        if begun is not None:
            stack = _tail(folder / "stack.txt")
            what = "hung" if stack.startswith("Timeout") else _ended(status)
            begun.problems.append(f"Slicer {what} in this check\n{stack}")
            outcomes.append(begun)
        elif status != 0:
            whole.problems.append(
                f"Slicer {_ended(status)}\n{_tail(folder / 'stack.txt')}\n{_tail(folder / 'slicer.log')}"
            )
        whole.problems += _tracebacksOutside(folder / "slicer.log")
        return outcomes, whole

    def _run(self, folder: Path, taskFile: Path) -> int:
        """Slicer's exit status; it is killed when it is silent for too long."""
        module = self.task.get("module", str(MODULE_FOLDER))
        arguments = [self.slicer, "--no-splash", "--disable-settings", "--additional-module-paths", module]
        with (folder / "slicer.log").open("wb") as log:
            process = subprocess.Popen(
                [*arguments, "--python-script", str(HERE / "inside.py")],
                cwd=folder,
                env=self._environment(folder, taskFile),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                while True:
                    try:
                        return process.wait(1)
                    except subprocess.TimeoutExpired:
                        if time.time() - max(path.stat().st_mtime for path in folder.iterdir()) > SILENCE_SECONDS:
                            _kill(process, getattr(signal, "SIGABRT", signal.SIGTERM))  # writes the stack
                            return process.wait()
            finally:
                if process.poll() is None:
                    _kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))
                    process.wait()

    def _environment(self, folder: Path, taskFile: Path) -> dict[str, str]:
        """The environment with a home of the run's own; a Python of the caller's would be mixed up with Slicer's."""
        home = self._made(self.home / "home")
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
        }
        folders = {
            "HOME": home,
            "XDG_CONFIG_HOME": home / ".config",
            "XDG_DATA_HOME": home / ".local" / "share",
            "XDG_CACHE_HOME": home / ".cache",
            "XDG_STATE_HOME": home / ".local" / "state",
            "XDG_RUNTIME_DIR": self.home / "run",
            "APPDATA": home / "AppData" / "Roaming",
            "LOCALAPPDATA": home / "AppData" / "Local",
            "TMPDIR": self.home / "tmp",
            "TEMP": self.home / "tmp",
            "TMP": self.home / "tmp",
            "OBSERVER_UNCERTAINTY_JOBS": self.home / "jobs" / f"{self.topic} {self._processes}",
        }
        for path in folders.values():
            self._made(path)
        environment.update({name: str(path) for name, path in folders.items()})
        environment["OBSERVER_UNCERTAINTY_DESKTOP_TASK"] = str(taskFile)
        environment["OBSERVER_UNCERTAINTY_PYTHON"] = self.workerPython
        environment["LC_ALL"] = "C.UTF-8"
        environment["PIP_NO_INDEX"] = "1"  # whatever is clicked, nothing is downloaded
        environment["QT_SCALE_FACTOR"] = str(self.task.get("scale", 1))
        if self.display is not None:
            environment["DISPLAY"] = self.display
        return environment

    @staticmethod
    def _made(folder: Path) -> Path:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


def _kill(process: subprocess.Popen, how: signal.Signals) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)


def _ended(status: int) -> str:
    number = -status if status < 0 else status - 128
    try:
        return f"crashed or was killed ({signal.Signals(number).name})"
    except ValueError:
        return f"ended with status {status}"


def _tail(path: Path, lines: int = 40) -> str:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    kept = [line for line in text.splitlines() if not line.startswith("Extension modules:")]
    return "\n".join(list(dict.fromkeys(kept))[-lines:])  # some lines come a hundred times


def _tracebacksOutside(log: Path) -> list[str]:
    """Python errors before the first and after the last check; those within are the checks' own to find."""
    text = log.read_text(encoding="utf-8", errors="replace")
    outside = re.sub(f"{MARKER} first check.*?(?:{MARKER} last check|\\Z)", "", text, flags=re.DOTALL)
    return [outside[at : at + 1500] for at in [outside.find(TRACEBACK)] if at >= 0]
