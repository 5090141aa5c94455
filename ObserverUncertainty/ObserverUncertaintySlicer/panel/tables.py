"""Tables of the panel, written cell by cell in place: the selection stays, and no item goes while it is clicked."""

from __future__ import annotations

import qt

from ObserverUncertaintySlicer.palette import SWATCH_BORDER, Color

_ROW_PADDING = 4
"""Above and below a row's text together, in pixels; a style's own rows are half as high again."""

_SWATCH_ROLE = qt.Qt.UserRole
_SWATCH_SIZE = 64

_PLAIN = qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled


def setUpTable(table, headers: list[str], stretched: int) -> None:
    """Give an empty table its columns; the one with the index `stretched` takes the room that is left."""
    setHeaders(table, headers)
    table.tabKeyNavigation = False  # Tab goes on to the next control
    setUpRows(table)
    table.horizontalHeader().setMinimumSectionSize(1)
    for column in range(len(headers)):
        _fitColumn(table, column, column == stretched)


def setUpRows(table) -> None:
    """Give a table low rows without numbers."""
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + _ROW_PADDING)


def setHeaders(table, headers: list[str], toolTips: list[str] | None = None) -> None:
    """Set the columns' names; columns that come anew fit their content."""
    known = table.columnCount
    if known != len(headers):
        table.setColumnCount(len(headers))
        for column in range(known, len(headers)):
            _fitColumn(table, column, False)
    table.setHorizontalHeaderLabels(headers)
    for column, toolTip in enumerate(toolTips or []):
        table.horizontalHeaderItem(column).setToolTip(toolTip)


def fitHeight(table, most: int | None = None, expected: int = 0) -> None:
    """Make a table as high as its rows, or as so many of them at most, so that it scrolls only beyond these.

    Args:
        table: the table.
        most: rows that are seen at a time; all if None.
        expected: rows that there will be, for which room is left, so that what lies below does not move as they come.
    """
    shown, room = (count if most is None else min(count, most) for count in (table.rowCount, expected))
    rows = sum(table.rowHeight(row) for row in range(shown)) + max(0, room - shown) * table.rowHeight(0)
    header = table.horizontalHeader()
    table.setFixedHeight(rows + header.sizeHint.height() + 2 * table.frameWidth)


def setCell(table, row: int, column: int, text: str, toolTip: str = "", *, editable: bool = False):
    """Write a cell's text and return its item."""
    item = table.item(row, column)
    if item is None:
        item = qt.QTableWidgetItem()
        item.setFlags(_PLAIN | qt.Qt.ItemIsEditable if editable else _PLAIN)
        table.setItem(row, column, item)
    if item.text() != text:
        item.setText(text)
    if item.toolTip() != toolTip:
        item.setToolTip(toolTip)
    return item


def setCheck(item, checked: bool) -> None:
    """Give a cell a check box in this state."""
    item.setFlags(_PLAIN | qt.Qt.ItemIsUserCheckable)
    item.setCheckState(qt.Qt.Checked if checked else qt.Qt.Unchecked)


def isChecked(item) -> bool:
    """Whether a cell's box is checked."""
    return item.checkState() == qt.Qt.Checked


def setSwatch(item, color: Color) -> None:
    """Show a colour before a cell's text, in a border that is seen on light and on dark tables."""
    shown = _asQColor(color)
    if item.data(_SWATCH_ROLE) == shown:
        return
    # Drawn larger than it is shown, so that it stays sharp on a screen of any scaling.
    pixmap = qt.QPixmap(_SWATCH_SIZE, _SWATCH_SIZE)
    pixmap.fill(_asQColor(SWATCH_BORDER))
    painter = qt.QPainter(pixmap)
    border, inside = _SWATCH_SIZE // 16, _SWATCH_SIZE * 14 // 16
    painter.fillRect(qt.QRect(border, border, inside, inside), shown)
    painter.end()
    icon = qt.QIcon(pixmap)
    icon.addPixmap(pixmap, qt.QIcon.Selected)  # else a selected row would tint it
    item.setIcon(icon)
    item.setData(_SWATCH_ROLE, shown)


def _asQColor(color: Color):
    return qt.QColor(*(round(255 * part) for part in color))


def _fitColumn(table, column: int, stretched: bool) -> None:
    mode = qt.QHeaderView.Stretch if stretched else qt.QHeaderView.ResizeToContents
    table.horizontalHeader().setSectionResizeMode(column, mode)
