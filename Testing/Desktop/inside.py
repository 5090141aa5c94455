"""Runs in Slicer (`--python-script`): makes the checks of one topic in turn, and writes down how they went."""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path

import qt
import slicer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what all tests share
sys.path.insert(0, str(Path(__file__).resolve().parent))

from declared import PREFIX
from desktop import MODULE, Desktop

CHECK_SECONDS = 300
"""A check that takes longer hangs: the application ends itself, with the stack. A check's `seconds` gives it more."""
HEARTBEAT_MILLISECONDS = 5000


class Maker:
    """Makes checks, and writes an entry a line: the process outside reads them, also after a crash."""

    def __init__(self) -> None:
        self.task = json.loads(Path(os.environ["OBSERVER_UNCERTAINTY_DESKTOP_TASK"]).read_text(encoding="utf-8"))
        folder = Path(self.task["folder"])
        self._results = (folder / "results.jsonl").open("w", encoding="utf-8", buffering=1)
        self._stack = (folder / "stack.txt").open("w", encoding="utf-8")
        faulthandler.enable(self._stack)
        self.desktop = Desktop(self.task)
        self.desktop.limit = self._limit
        self.desktop.tell = lambda text: self._write(event="tell", text=text)
        self._heart = qt.QTimer(slicer.app)
        self._heart.connect("timeout()", (folder / "heartbeat").touch)
        self._heart.start(HEARTBEAT_MILLISECONDS)

    def run(self) -> None:
        """Make the checks, then leave the application."""
        try:
            self._makeAll()
        except BaseException:
            self._write(event="start", problems=["the tester itself failed:\n" + traceback.format_exc()])
        self._say("last check")
        faulthandler.cancel_dump_traceback_later()
        slicer.util.exit(0)

    def _makeAll(self) -> None:
        desktop = self.desktop
        desktop.wait(lambda: desktop.window is not None and desktop.window.visible, "the main window")
        slicer.util.selectModule(MODULE)
        desktop.settle(1)
        self._write(event="start", problems=[f"when Slicer started:\n{error}" for error in desktop.errors()])
        self._say("first check")
        module = importlib.import_module(f"{self.task['room']}.{self.task['topic']}")
        for number, name in enumerate(self.task["checks"]):
            check = getattr(module, PREFIX + name)
            if number and getattr(check, "newSlicer", False):
                break  # the process outside starts another Slicer for this check and those after it
            self._make(name, check)

    def _make(self, name: str, check) -> None:
        self._write(event="begin", check=name)
        began, problems = time.monotonic(), []
        self._limit(getattr(check, "seconds", CHECK_SECONDS))
        try:
            self.desktop.begin(name)
            check(self.desktop)
        except Exception:
            problems.append(traceback.format_exc())
        problems += self.desktop.end()
        if problems:
            self.desktop.shot("failed")
        faulthandler.cancel_dump_traceback_later()
        self._write(event="end", check=name, problems=problems, seconds=round(time.monotonic() - began, 1))

    def _limit(self, seconds: float) -> None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=self._stack)

    def _write(self, **entry) -> None:
        self._results.write(json.dumps(entry) + "\n")

    @staticmethod
    def _say(text: str) -> None:
        os.write(1, f"@@@ {text}\n".encode())


maker = Maker()
qt.QTimer.singleShot(0, maker.run)
