"""What went wrong in the application: Python errors, and error lines of its log."""

from __future__ import annotations

import sys

import slicer

# What Slicer itself logs as an error without the module, each line with its reason.
EXCUSED: dict[str, str] = {
    "updateAllSegmentsFromMRML(vtkMRMLSegmentationNode*) : Unable to find subject hierarchy item": (
        "closing a scene in which any node refers to a segmentation: its hierarchy item goes before its display node"
    ),
}

_LEVELS = ("Error", "Critical", "Fatal")
_LEVEL_COLUMN = 2
_TRACEBACK = "Traceback (most recent call last)"


class _Listener:
    """In place of `sys.stderr`: passes on what is written, and keeps it."""

    def __init__(self, stream) -> None:
        self.stream, self.text = stream, ""

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text: str) -> None:
        self.stream.write(text)
        self.text += text


class ErrorWatch:
    """Tells of each error once.

    Attributes:
        expected: beginnings of lines that belong to an error box that was expected, since Slicer logs what it shows.
    """

    def __init__(self) -> None:
        self.expected: list[str] = []
        self._model = slicer.app.errorLogModel()
        self._row, self._length = 0, 0
        self._listener = sys.stderr = _Listener(sys.stderr)

    def new(self) -> list[str]:
        """The errors since the last call, or since the application started."""
        found = []
        written, self._listener.text = self._listener.text, ""
        if _TRACEBACK in written:
            found.append(written[written.index(_TRACEBACK) :].strip())
        found += [text for level, text in self._logged() if level in _LEVELS and self._counts(text, written)]
        return found

    def _logged(self) -> list[tuple[str, str]]:
        """Level and text of what was logged since; Slicer appends to its last entry what follows within a second."""
        model, entries = self._model, []
        count = model.logEntryCount()
        for row in range(max(0, self._row - 1), count):
            text = str(model.logEntryDescription(row))
            seen = self._length if row == self._row - 1 else 0
            if text[seen:].strip():
                entries.append((str(model.data(model.index(row, _LEVEL_COLUMN))), text[seen:].strip()))
            self._length = len(text)
        self._row = count
        return entries

    def _counts(self, text: str, written: str) -> bool:
        if any(excused in text for excused in EXCUSED) or text in written:
            return False
        return not any(text.startswith(expected[:80]) for expected in self.expected if expected)
