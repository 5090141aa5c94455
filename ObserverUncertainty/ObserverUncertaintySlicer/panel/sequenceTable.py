"""The table of sequences in step 1: their names, which can be edited, and their volumes, the reference first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ObserverUncertaintySlicer.caseFolder import meantSequences
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.panel.tables import fitHeight, setCell, setUpTable


class SequenceTable:
    """Shows sequences by name.

    Args:
        table: the QTableWidget.
    """

    def __init__(self, table) -> None:
        self.table = table
        self._names: list[str] = []
        setUpTable(table, [_("Sequence"), _("Volume")], stretched=1)

    def show(self, sequences: Mapping[str, Any]) -> None:
        """Show sequence names and volume nodes."""
        self._names = list(sequences)
        self.table.setRowCount(len(sequences))
        self.table.setVisible(bool(sequences))
        for row, (name, node) in enumerate(sequences.items()):
            setCell(self.table, row, 0, name, _("Double-click to rename"), editable=True)
            title = node.GetName()
            text = _("{volume} (reference)").format(volume=title) if row == 0 else title
            setCell(self.table, row, 1, text, title)
        fitHeight(self.table)

    @property
    def selected(self) -> str | None:
        """Name of the sequence of the current row."""
        row = self.table.currentRow()
        return self._names[row] if 0 <= row < len(self._names) else None

    def renamed(self, item) -> tuple[str, str] | None:
        """The old and the new name of a sequence whose cell was edited; None for another cell."""
        if item.column() != 0 or item.row() >= len(self._names):
            return None
        return self._names[item.row()], item.text().strip()


def guessedSequenceName(volumeName: str, taken: Collection[str] = ()) -> str:
    """The sequence that a volume's name speaks of; the name itself if it speaks of none, or of one that is taken."""
    meant = meantSequences(volumeName)
    # It may speak of several: nothing to guess then.
    return meant[0] if len(meant) == 1 and meant[0] not in taken else volumeName
