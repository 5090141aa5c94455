"""What a person can click, type into or choose from in the panel at this moment, and the room that the panel takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import qt
import slicer
from desktop import MODULE, Desktop

_ONE = (
    *("QAbstractButton", "QComboBox", "QLineEdit", "QAbstractSpinBox", "QAbstractSlider", "QAbstractItemView"),
    *("QTextEdit", "QPlainTextEdit", "QTabBar", "qMRMLNodeComboBox"),
    *("ctkPathLineEdit", "ctkDoubleSlider", "ctkSliderWidget", "ctkRangeWidget", "ctkDoubleRangeSlider"),
)
"""Each counts once, whatever it is put together from."""
_RELOAD = "reloadCollapsibleButton"
"""Slicer's *Reload & Test*, where developers' tools are switched on."""
_HEADER_MIDDLE, _ROW = 12, 8
"""Pixels from a collapsible button's upper edge to the middle of its title, and of the height of a row."""


def panelWidget():
    """The widget that holds every step, below Slicer's *Help & Acknowledgement*."""
    return getattr(slicer.modules, MODULE + "Widget").parent


def controls(root=None) -> list:
    """The visible controls in a widget, or in the whole panel, from top to bottom; of a row from left to right.

    A control that is put together from others counts once; the segment editor's own do not count.
    """
    found: list = []
    _collect(root if root is not None else panelWidget(), found)
    return sorted(found, key=_place)


def shownWidgets(root=None) -> Iterator:
    """Every visible widget in a widget, or in the whole panel, but those of the segment editor."""
    for child in (root if root is not None else panelWidget()).children():
        if child.isWidgetType() and child.visible and not _isSlicersOwn(child):
            yield child
            yield from shownWidgets(child)


def nameOf(control) -> str:
    """A control's name as in its .ui file; without one, its text or its class."""
    if control.objectName == "sectionButton":
        return str(control.text).partition(":")[0]
    return str(control.objectName or getattr(control, "text", "") or control.className())


def isUsable(control) -> bool:
    """Whether it can be used now: a list of nodes without any is grey, though it calls itself enabled."""
    lists = [part for part in control.children() if part.isWidgetType() and part.inherits("QComboBox")]
    return bool(control.enabled) and all(part.enabled for part in lists)


def isHeader(control) -> bool:
    """Whether it opens and closes a part of the panel."""
    return bool(control.inherits("ctkCollapsibleButton"))


def scrollArea():
    """What the panel scrolls in."""
    widget = panelWidget()
    while not widget.inherits("QScrollArea"):
        widget = widget.parent()
    return widget


def topAndBottom(widget) -> tuple[int, int]:
    """Where a widget begins and ends in what is seen of the panel, in pixels from the upper edge, unscrolled."""
    top = widget.mapTo(scrollArea().widget(), qt.QPoint(0, 0)).y()
    return top, top + widget.height


@dataclass(frozen=True)
class PanelSize:
    """How much of the panel there is to see and to use.

    Attributes:
        controls: what can be used, by name, from above.
        height: of the panel with all that is open, in pixels.
        room: the height that the window leaves to it.
        narrowest: the least width that the panel can be given.
    """

    controls: tuple[str, ...]
    height: int
    room: int
    narrowest: int

    @property
    def scrolls(self) -> bool:
        """Whether one must scroll to see all of it."""
        return self.height > self.room

    def __str__(self) -> str:
        scrolls = ", scrolls" if self.scrolls else ""
        size = f"height {self.height} of {self.room} px{scrolls}; narrowest {self.narrowest} px"
        return f"{len(self.controls)} controls; {size}; {', '.join(self.controls)}"


def measure(desktop: Desktop) -> PanelSize:
    """The panel's size at this moment, as narrow as it goes: texts that wrap take most lines there."""
    desktop.panelWidth = 0
    area = scrollArea()
    bar = area.verticalScrollBar()
    room = area.viewport().height
    above = panelWidget().y  # Slicer's Help & Acknowledgement
    height = room + bar.maximum if bar.maximum > 0 else _bottom(panelWidget()) + above
    names = tuple(nameOf(control) for control in controls())
    return PanelSize(names, height - above, room - above, desktop.panelWidth)


def _collect(widget, found: list) -> None:
    for child in widget.children():
        if not child.isWidgetType() or not child.visible or _isSlicersOwn(child) or child.inherits("QScrollBar"):
            continue
        header = isHeader(child)
        isOne = header or any(child.inherits(name) for name in _ONE)
        if isOne:
            found.append(child)
        if header or not isOne:
            _collect(child, found)


def _isSlicersOwn(widget) -> bool:
    return bool(widget.inherits("qMRMLSegmentEditorWidget")) or widget.objectName == _RELOAD


def _place(control) -> tuple[int, int]:
    """Its row, of which controls of different heights share the middle, and where in it."""
    # A part that can be closed is as high as all that is in it.
    middle = _HEADER_MIDDLE if isHeader(control) else control.height // 2
    at = control.mapTo(panelWidget(), qt.QPoint(0, middle))
    return at.y() // _ROW, at.x()


def _bottom(widget) -> int:
    """Where the lowest visible section ends: below it there is only what fills the room."""
    bottoms = [child.geometry.bottom() + 1 for child in widget.children() if child.isWidgetType() and child.visible]
    return max(bottoms, default=0)
