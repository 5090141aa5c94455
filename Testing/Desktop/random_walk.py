"""A walk of random actions with an inspection after each; its log replays it."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import dialogs
import qt
import slicer
from actions import Actions
from desktop import MODULE, Desktop
from inspection import Fault, Inspection

ACTION_SECONDS = 180
"""An action that takes longer hangs."""
_FEW_SAMPLES = 3
_JOB_SECONDS = 40
_MOSTLY = 0.75
_WIDTHS = (450, 500, 540)
_ENDINGS = (".seg.nrrd", ".nrrd", ".nii.gz", ".txt", "")


class Walk:
    """Does what a user might do, and finds what must not come of it.

    Every action has random numbers of its own, drawn from the seed and the action's number: what a job's end or a
    replay changes before it does not change its choices.

    Attributes:
        faults: what must not be, and after which action.
        actions: what it does.
        reached: in how many actions there was what the later steps need.

    Args:
        desktop: the application.
        seed: same seed, same walk, as far as the application allows.
        log: one line an action, written before it is done.
    """

    def __init__(self, desktop: Desktop, seed: int, log: Path) -> None:
        self.desktop, self.seed = desktop, seed
        self.faults: list[tuple[int, Fault]] = []
        self.reached: Counter[str] = Counter()
        self._log = log.open("w", encoding="utf-8", buffering=1)
        self._cases = Path(desktop.task["cohort"]).parent
        self._work = Path(tempfile.mkdtemp(prefix="walk"))
        self.actions = Actions(desktop, self._work)
        self._random = Random(seed)
        self._number = 0
        desktop.panelWidth = _WIDTHS[1]
        self.inspection = Inspection(desktop)
        desktop.dialogs.decide = self._answer
        desktop.dialogs.decideFile = self._file

    def go(self, count: int) -> None:
        """Walk on by so many random actions."""
        for _ in range(count):
            self._begin(self._number + 1)
            name, argument = self.actions.next(self._random, self._number == 1)
            self._step(name, argument)
        self._log.write(f"# {dict(self.reached)}\n")

    def replay(self, lines: Sequence[str]) -> None:
        """Do the actions of a log, or of some lines of one, again."""
        for line in lines:
            if line[:1].isdigit():
                number, name, argument = line.split("\t", 2)
                self._begin(int(number))
                self._step(name, argument)

    def _begin(self, number: int) -> None:
        self._number = number
        self._random = Random(f"{self.seed} {number}")

    def _step(self, name: str, argument: str) -> None:
        self._log.write(f"{self._number}\t{name}\t{argument}\n")
        self.desktop.limit(ACTION_SECONDS)
        began = time.monotonic()
        random = Random(f"{self.seed} {self._number} {name}")
        self._limitWork()
        self.inspection.acting = True
        try:
            self.actions.all[name].do(argument, random)
        except Exception:
            self._note(Fault("error", traceback.format_exc()))
        finally:
            self.inspection.acting = False
        self._setWidth(name, random)
        self.desktop.settle(0.1)
        self._waitForJobs(random)
        for fault in self.inspection.new():
            self._note(fault)
        self._count()
        took = time.monotonic() - began
        if took > 10:
            self._log.write(f"# took {took:.0f} s\n")

    def _count(self) -> None:
        parameters = self.desktop.panel.parameters
        self.reached["actions"] += 1
        self.reached["with a prediction"] += parameters.predictiveEntropy is not None
        self.reached["side by side"] += self.desktop.panel.compare.views is not None
        self.reached["correcting"] += parameters.workingCopy is not None

    def _note(self, fault: Fault) -> None:
        self.faults.append((self._number, fault))
        self._log.write(f"# FAULT {fault.kind}: {fault.text}".replace("\n", "\n#   ") + "\n")

    def _setWidth(self, name: str, random: Random) -> None:
        """After another module, which may have needed more room, the user gives the panel the width that suits."""
        if name == "module" and slicer.util.selectedModule() == MODULE:
            self.inspection.panelWidth = random.choice(_WIDTHS)
            self.desktop.panelWidth = self.inspection.panelWidth

    def _limitWork(self) -> None:
        """Predictions of a few samples only, so that a walk takes minutes."""
        if self.desktop.panel is not None:
            self.desktop.panel.uncertainty.ui.samplesSpin.maximum = _FEW_SAMPLES

    def _waitForJobs(self, random: Random) -> None:
        """Mostly wait for work in the background, so that later steps are reached; sometimes go on beside it."""
        if random.random() < _MOSTLY:
            end = time.monotonic() + _JOB_SECONDS
            polling = self.desktop.panel.polling
            self.desktop.wait(lambda: not polling.isActive or time.monotonic() > end)

    def _answer(self, dialog, text: str) -> None:
        self._log.write(f"# {dialog.className()}: {text}".replace("\n", "\n#   ") + "\n")
        self.inspection.box(dialog, text)
        buttons = []
        if dialog.inherits("QMessageBox"):
            roles = (qt.QMessageBox.ActionRole, qt.QMessageBox.HelpRole, qt.QMessageBox.ResetRole)
            buttons = [button for button in dialog.buttons() if dialog.buttonRole(button) not in roles]
        if buttons:
            self._random.choice(buttons).click()
            return
        entries = dialogs.entries(dialog)
        if entries:
            dialogs.chooseEntry(dialog, self._random.choice(entries))
        if self._random.random() > _MOSTLY or not dialogs.agree(dialog):
            dialogs.dismiss(dialog)

    def _file(self, dialog) -> str | None:
        if self._random.random() > _MOSTLY:
            return None
        if dialog.acceptMode == qt.QFileDialog.AcceptSave:
            return str(self._work / "export") + self._random.choice(_ENDINGS)
        if dialog.fileMode in (qt.QFileDialog.Directory, qt.QFileDialog.DirectoryOnly):
            return str(self._random.choice(sorted(path for path in self._cases.iterdir() if path.is_dir())))
        return str(self._cases / "cohort.toml")
