"""Dialogs that do not wait: what they show is recorded, what they return comes from the test.

    dialogs.answer("getExistingDirectory", "/folder")
    dialogs.answer("message", qt.QMessageBox.Ok)
    dialogs.answer("dialog", lambda dialog: dialog.findChild(qt.QListWidget, "caseList").setCurrentRow(1) or 1)

A dialog that no answer waits for fails the test, except a message that only has an OK button.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from PySide6 import QtGui, QtWidgets

FILE_GETTERS = ("getOpenFileName", "getExistingDirectory")


@dataclass
class Message:
    """A message box as it was shown."""

    text: str
    title: str = ""
    details: str = ""
    icon: Any = None
    buttons: Any = None


@dataclass
class Dialogs:
    """What was shown, and what will be answered; each test has its own."""

    messages: list[Message] = field(default_factory=list)
    asked: list[tuple] = field(default_factory=list)
    openedUrls: list[str] = field(default_factory=list)
    answers: dict[str, deque] = field(default_factory=dict)

    def answer(self, kind: str, value) -> None:
        """Queues an answer: `message`, `dialog`, or the name of a getter of QFileDialog."""
        kinds = ("message", "dialog", *FILE_GETTERS)
        if kind not in kinds:
            raise ValueError(f"{kind} is no kind of dialog; expected one of {', '.join(kinds)}")
        self.answers.setdefault(kind, deque()).append(value)

    def take(self, kind: str, described: str):
        """The next answer; AssertionError where the test gave none."""
        waiting = self.answers.get(kind)
        if not waiting:
            raise AssertionError(f"{kind}: the test gives no answer to {described}")
        return waiting.popleft()


class _Current:
    dialogs = Dialogs()


def current() -> Dialogs:
    """The dialogs of the test that runs."""
    return _Current.dialogs


def reset() -> Dialogs:
    """A new record without answers."""
    _Current.dialogs = Dialogs()
    return _Current.dialogs


def _executeMessageBox(box, *_arguments):
    dialogs = current()
    message = Message(box.text, box.windowTitle.strip(), box.detailedText, box.icon, box.standardButtons)
    dialogs.messages.append(message)
    ok = QtWidgets.QMessageBox.StandardButton.Ok
    if not dialogs.answers.get("message") and message.buttons in (ok, QtWidgets.QMessageBox.StandardButton.NoButton):
        return ok
    return dialogs.take("message", message.text)


def _executeDialog(dialog, *_arguments):
    if isinstance(dialog, QtWidgets.QMessageBox):
        return _executeMessageBox(dialog)
    answer = current().take("dialog", f"{dialog.className()} {dialog.windowTitle!r}")
    # The test may do something in the dialog, and says with what result it was closed.
    return answer(dialog) if callable(answer) else answer


def _getter(name):
    def get(*arguments):
        current().asked.append((name, *arguments))
        return current().take(name, f"{arguments[1:]}")

    return staticmethod(get)


class QFileDialog(QtWidgets.QFileDialog):
    """`qt.QFileDialog` with its static getters answered; PythonQt gives the path alone, not a path and a filter."""


class QDesktopServices(QtGui.QDesktopServices):
    """`qt.QDesktopServices`, which records instead of opening."""

    @staticmethod
    def openUrl(url):
        """Records the address."""
        current().openedUrls.append(url if isinstance(url, str) else url.toString())
        return True


def install() -> None:
    """Changes how Qt's dialogs are executed, once a process."""
    for name in FILE_GETTERS:
        setattr(QFileDialog, name, _getter(name))
    for class_ in (QtWidgets.QDialog, QtWidgets.QMessageBox, QtWidgets.QProgressDialog, QtWidgets.QFileDialog):
        class_.exec = class_.exec_ = _executeDialog
