"""Answers what the application asks: message boxes, other dialogs, file dialogs; what nobody expected is a problem."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
import slicer

_TICK_MILLISECONDS = 50
_TICKS_TO_CLOSE = 60
ANSWERED = "ofTheDesktopTest"


class Dialogs:
    """Looks for a modal dialog some times a second, also while the code that opened it waits for its answer.

    Attributes:
        problems: what nobody expected, and what stayed open.
        texts: of all boxes since the check began.
        expected: texts of those that were expected.
        decide: answers message boxes and other dialogs, given the dialog and its text, in place of what was expected;
            menus are closed then.
        decideFile: chooses a file, given the dialog, in place of what was prepared.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.texts: list[str] = []
        self.expected: list[str] = []
        self.decide: Callable[[object, str], None] | None = None
        self.decideFile: Callable[[object], str | None] | None = None
        self._boxes: list[tuple[str, str]] = []
        self._files: list[tuple[str | None, str]] = []
        self._timer = qt.QTimer(slicer.app)
        self._timer.setInterval(_TICK_MILLISECONDS)
        self._timer.connect("timeout()", self._look)
        self._timer.start()

    def expectBoxes(self, *answers: tuple[str, str]) -> None:
        """Expect boxes, in any order: a part of the text, and the button to click or the entry to choose."""
        self._boxes += answers

    def expectFiles(self, *answers: str | Path | tuple[str | Path, str] | None) -> None:
        """Prepare answers of file dialogs, in their order: a path, a path and a part of a file type, None to cancel."""
        for answer in answers:
            path, kind = answer if isinstance(answer, tuple) else (answer, "")
            self._files.append((None if path is None else str(path), kind))

    def reset(self) -> list[str]:
        """Forget everything; the problems, of which one is an expected dialog that never came."""
        problems = [
            *self.problems,
            *(f"the expected box never came: {text}" for text, _answer in self._boxes),
            *(f"the file dialog never came: {path}" for path, _kind in self._files),
        ]
        self.problems, self.texts, self.expected, self._boxes, self._files = [], [], [], [], []
        self.decide = self.decideFile = None
        return problems

    def _look(self) -> None:
        menu = slicer.app.activePopupWidget()
        if menu is not None and self.decide is not None:
            menu.close()
            return
        dialog = slicer.app.activeModalWidget()
        if dialog is None or dialog.inherits("QProgressDialog"):
            return
        ticks = int(dialog.property(ANSWERED) or 0) + 1
        dialog.setProperty(ANSWERED, ticks)
        if ticks == 1:
            answer = self._answerFile if dialog.inherits("QFileDialog") else self._answerBox
            # Outside this timer's call, in which it would not fire again: an answer may bring another question.
            qt.QTimer.singleShot(0, lambda: answer(dialog))
        elif ticks % _TICKS_TO_CLOSE == 0:
            if self.decideFile is None or not dialog.inherits("QFileDialog"):
                self.problems.append(f"the dialog did not close: {textOf(dialog)}")
            dismiss(dialog)

    def _answerBox(self, dialog) -> None:
        text = textOf(dialog)
        self.texts.append(text)
        if self.decide is not None:
            self.expected.append(text)
            self.decide(dialog, text)
            return
        for expected in self._boxes:
            if expected[0] in text:
                self._boxes.remove(expected)
                self.expected.append(text)
                if not choose(dialog, expected[1]):
                    self.problems.append(f"the box has no {expected[1]!r}: {text}")
                    dismiss(dialog)
                return
        details = str(getattr(dialog, "detailedText", "") or "")
        self.problems.append(f"an unexpected {dialog.className()}: {text}\n{details[-1500:]}".rstrip())
        dismiss(dialog)

    def _answerFile(self, dialog) -> None:
        if self.decideFile is not None:
            path, kind = self.decideFile(dialog), ""
        elif self._files:
            path, kind = self._files.pop(0)
        else:
            path, kind = None, ""
            self.problems.append(f"an unexpected file dialog: {dialog.windowTitle}")
        if path is None:
            dismiss(dialog)
            return
        if kind:
            types = dialog.findChild(qt.QComboBox, "fileTypeCombo")
            entries = [types.itemText(index) for index in range(types.count)]
            found = [index for index, entry in enumerate(entries) if kind in entry]
            if not found:
                self.problems.append(f"the file dialog has no type {kind!r}: {entries}")
                dismiss(dialog)
                return
            types.setCurrentIndex(found[0])
            types.activated(found[0])
        dialog.findChild(qt.QLineEdit, "fileNameEdit").setText(path)
        if not agree(dialog):
            if self.decideFile is None:
                self.problems.append(f"the file dialog does not take {path}: {dialog.windowTitle}")
            dismiss(dialog)


def textOf(dialog) -> str:
    """What a dialog says: its text, or its title and labels."""
    if dialog.inherits("QMessageBox"):
        return str(dialog.text)
    labels = [str(label.text) for label in dialog.findChildren(qt.QLabel) if label.visible]
    return "\n".join([str(dialog.windowTitle), *labels])


def choose(dialog, answer: str) -> bool:
    """Click the button of that text; or choose the entry of a list and agree; False if the dialog has neither."""
    for button in dialog.findChildren(qt.QPushButton):
        if str(button.text).replace("&", "") == answer:
            button.click()
            return True
    return chooseEntry(dialog, answer) and agree(dialog)


def entries(dialog) -> list[str]:
    """What a dialog's first list offers."""
    for combo in dialog.findChildren(qt.QComboBox):
        return [str(combo.itemText(index)) for index in range(combo.count)]
    for view in dialog.findChildren(qt.QListWidget):
        return [str(view.item(row).text()) for row in range(view.count)]
    return []


def chooseEntry(dialog, answer: str) -> bool:
    """Choose the first entry that begins so, of a dialog's first list."""
    found = [index for index, entry in enumerate(entries(dialog)) if entry.startswith(answer)]
    if not found:
        return False
    combos = dialog.findChildren(qt.QComboBox)
    if combos:
        combos[0].setCurrentIndex(found[0])
    else:
        dialog.findChildren(qt.QListWidget)[0].setCurrentRow(found[0])
    return True


def agree(dialog) -> bool:
    """Click the button that agrees, such as OK or Save; False if there is none, or it cannot be clicked."""
    for box in dialog.findChildren(qt.QDialogButtonBox):
        for button in box.buttons():
            if box.buttonRole(button) == qt.QDialogButtonBox.AcceptRole and button.enabled:
                button.click()
                return True
    return False


def dismiss(dialog) -> None:
    """Close a dialog without agreeing to anything."""
    if hasattr(dialog, "reject"):
        dialog.reject()
    else:
        dialog.close()
