"""The widgets of the panel that a user can reach at this moment, found by what they are, and used as a user does."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import qt
import slicer
import views
from desktop import MODULE

_WORDS = ("", "Anna Süß", "case 2", "T1c", "x" * 80, "a/b:*", "0")
_LARGE = 1000
_REACH = 100
_LEADING, _CLOSING = 3.0, 0.1


def reachable(classes: tuple[str, ...]) -> dict[str, object]:
    """Enabled, visible widgets of these classes, by names that stay the same from run to run, such as `runButton#0`."""
    root = getattr(slicer.modules, MODULE + "Widget").parent
    found: dict[str, object] = {}
    seen: dict[str, int] = {}
    for kind in classes:
        for widget in root.findChildren(getattr(qt, kind)):
            if not (widget.visible and widget.enabled) or str(widget.objectName).startswith("qt_"):
                continue
            title = _title(widget)
            found[f"{title}#{seen.setdefault(title, 0)}"] = widget
            seen[title] += 1
    return found


def _title(widget) -> str:
    if widget.objectName:
        return str(widget.objectName)
    text = str(getattr(widget, "text", "") or "").partition(":")[0]
    return (text or f"{widget.parent().objectName}.{widget.className()}").replace("\t", " ").replace("\n", " ")


def weight(widget) -> float:
    """How often a widget is used, compared with others: buttons with a text lead on, and sections are rather opened."""
    collapsed = widget.property("collapsed")
    if collapsed is not None:
        return _LEADING if collapsed else _CLOSING
    return _LEADING if widget.inherits("QPushButton") else 1.0


def click(widget, _random: Random) -> None:
    """Click a button, a box or a collapsible section."""
    widget.click()


def choose(widget, random: Random) -> None:
    """Move through a list with the arrow keys, as the keyboard or the wheel does."""
    key = random.choice((qt.Qt.Key_Down, qt.Qt.Key_Down, qt.Qt.Key_Up))
    for _ in range(random.randint(1, 3)):
        views.press(widget, key)


def setNumber(widget, random: Random) -> None:
    """Set a slider or a number field to something within its limits."""
    low = max(widget.minimum, -_LARGE)
    high = min(widget.maximum, low + _REACH)
    value = low + (high - low) * random.random()
    widget.setValue(value if isinstance(widget.value, float) else int(value))


def typeText(widget, random: Random) -> None:
    """Replace a line's text, and press Return."""
    widget.setText(random.choice(_WORDS))
    views.press(widget, qt.Qt.Key_Return)


def useTable(widget, random: Random) -> None:
    """Select a row; sometimes switch its boxes, or rename what can be renamed."""
    if not widget.rowCount:
        return
    row = random.randrange(widget.rowCount)
    widget.selectRow(row)
    what = random.choice(("select", "boxes", "rename"))
    for item in [widget.item(row, column) for column in range(widget.columnCount)]:
        if item is None:
            continue
        if what == "boxes" and item.flags() & qt.Qt.ItemIsUserCheckable:
            item.setCheckState(qt.Qt.Unchecked if item.checkState() else qt.Qt.Checked)
        elif what == "rename" and item.flags() & qt.Qt.ItemIsEditable:
            item.setText(random.choice(_WORDS))


USES: dict[str, tuple[tuple[str, ...], Callable[[object, Random], None]]] = {
    "click": (("QAbstractButton",), click),
    "choose": (("QComboBox",), choose),
    "number": (("QSlider", "QSpinBox", "QDoubleSpinBox"), setNumber),
    "type": (("QLineEdit",), typeText),
    "table": (("QTableWidget",), useTable),
}
"""How widgets are used: which classes, and what is done with one."""
