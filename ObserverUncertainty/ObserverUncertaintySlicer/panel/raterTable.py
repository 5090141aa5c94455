"""The table of raters in step 1: on or off, colour, name, volume, and Dice between every two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.panel.contents import Key, gridKey, raterKey
from ObserverUncertaintySlicer.panel.tables import (
    fitHeight,
    isChecked,
    setCell,
    setCheck,
    setHeaders,
    setSwatch,
    setUpTable,
)
from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.raterMasks import RaterStatistics, commonGrid, raterMasks, raterStatistics
from ObserverUncertaintySlicer.raters import Rater, raterNames


class RaterTable:
    """Shows raters with their figures, which are computed again only when a rater or the grid changed.

    Args:
        table: the QTableWidget.

    Attributes:
        notes: what the user should know: how raters were resampled, warnings, or why there are no figures.
    """

    def __init__(self, table) -> None:
        self.table = table
        self.notes: tuple[str, ...] = ()
        self._key: Key | None = None
        self._statistics: RaterStatistics | None = None
        self._shown: list[Rater] = []
        setUpTable(table, self._headers(0), stretched=1)

    def show(self, choices: Sequence[RaterChoice], reference, *, compute: bool) -> None:
        """Show raters.

        Args:
            choices: all raters of the case.
            reference: the volume on whose grid they are compared; the raters' own if None.
            compute: whether figures may be computed now; else the ones known are shown.
        """
        table, raters = self.table, [choice.rater for choice in choices]
        self._forgetOrCompute(raters, reference, compute)
        self._shown = raters
        table.setRowCount(len(choices))
        names = raterNames(raters)
        dice = [_("Dice with {name}").format(name=name) for name in names]
        toolTips = [_("Whether the rater takes part"), _("The rater"), _("Volume in mL"), *dice]
        setHeaders(table, self._headers(len(choices)), toolTips)
        for row, (choice, name) in enumerate(zip(choices, names, strict=True)):
            setCheck(setCell(table, row, 0, str(row + 1), _("Whether the rater takes part")), choice.enabled)
            rater = choice.rater
            whole = _("{name} of {node}").format(name=rater.name, node=rater.node.GetName())
            cell = setCell(table, row, 1, name, whole)
            setSwatch(cell, rater.color)
            self._showFigures(row, len(choices))
        fitHeight(table)

    def toggled(self, item) -> tuple[Rater, bool] | None:
        """The rater whose box was clicked, and its new state; None for another cell."""
        if item.column() != 0 or item.row() >= len(self._shown):
            return None
        return self._shown[item.row()], isChecked(item)

    @property
    def selected(self) -> Rater | None:
        """The rater of the current row."""
        row = self.table.currentRow()
        return self._shown[row] if 0 <= row < len(self._shown) else None

    def meanDice(self, enabled: Sequence[bool]) -> float | None:
        """Mean Dice of every two raters that take part; None where it is unknown or undefined."""
        if self._statistics is None or len(enabled) != len(self._statistics.volumesMl):
            return None
        taking = np.flatnonzero(enabled)
        pairs = self._statistics.dice[np.ix_(taking, taking)][np.triu_indices(len(taking), k=1)]
        defined = pairs[~np.isnan(pairs)]
        return float(defined.mean()) if defined.size else None

    def clear(self) -> None:
        """Let go of all raters."""
        self._key, self._statistics, self._shown, self.notes = None, None, [], ()

    def _forgetOrCompute(self, raters: list[Rater], reference, compute: bool) -> None:
        key = (tuple(map(raterKey, raters)), gridKey(reference) if reference is not None else None)
        if key == self._key:
            return
        if not compute or not raters:
            self.clear()
            return
        # Also where it fails: the same raters would fail again.
        self._key, self._statistics, self.notes = key, None, ()
        try:
            masks = raterMasks(raters, commonGrid(raters, reference))
            self._statistics = raterStatistics(masks)
            self.notes = (*masks.warnings, *masks.notes)
        except ObserverUncertaintyError as error:
            self.notes = (str(error),)

    def _showFigures(self, row: int, count: int) -> None:
        found = self._statistics
        setCell(self.table, row, 2, f"{found.volumesMl[row]:.2f}" if found is not None else "")
        for other in range(count):
            text = toolTip = ""
            if other == row:
                text = "-"
            elif found is not None and np.isnan(found.dice[row, other]):
                text, toolTip = "-", _("Undefined: neither drew anything")
            elif found is not None:
                text = f"{found.dice[row, other]:.2f}"
            setCell(self.table, row, 3 + other, text, toolTip)

    @staticmethod
    def _headers(count: int) -> list[str]:
        return [_("No."), _("Rater"), _("mL"), *(str(number) for number in range(1, count + 1))]
