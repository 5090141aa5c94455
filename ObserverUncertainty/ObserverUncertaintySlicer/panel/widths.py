"""Widgets that take the room they are given: no name or text that a case brings widens the panel, and with it Slicer.

Slicer's module panel is at least as wide as its content wants to be, and the main window as wide as both. And none
that takes more height than it needs, so that a step fits on the screen.
"""

from __future__ import annotations

import qt

MINIMUM_WIDTH = 364
"""Of every section, in pixels: room for the widest row of buttons; the options of an effect of the editor want more."""

_INDICATOR = 44
"""What a collapsible button draws beside its title, in pixels."""

_SHRINKING = (
    *("QLabel", "QComboBox", "QLineEdit", "QAbstractItemView", "QProgressBar"),
    *("ctkPathLineEdit", "ctkSliderWidget", "qMRMLNodeComboBox", "qMRMLTableView"),
)


def letShrink(widget) -> None:
    """Let everything in a widget that shows texts of any length be narrower than its text."""
    for child in widget.findChildren(qt.QWidget):
        isCaption = child.inherits("QLabel") and not child.wordWrap
        if not isCaption and any(child.inherits(name) for name in _SHRINKING):
            # Changed and not made anew: it also says that a label's height depends on its width.
            policy = child.sizePolicy
            policy.setHorizontalPolicy(qt.QSizePolicy.Ignored)
            child.setSizePolicy(policy)


def closeGaps(widget) -> None:
    """Let collapsible buttons that are closed be no higher than their titles."""
    for button in [widget, *widget.findChildren(qt.QWidget)]:
        if button.inherits("ctkCollapsibleButton"):
            button.collapsedHeight = 0


def scrollTo(widget) -> None:
    """Bring a widget, which may be too high for it, from its top on into the scrolled area that it lies in."""
    area = widget.parentWidget()
    while area is not None and not area.inherits("QScrollArea"):
        area = area.parentWidget()
    if area is not None:
        bar, top = area.verticalScrollBar(), widget.mapTo(area.widget(), qt.QPoint(0, 0)).y()
        if top < bar.value or top + widget.height > bar.value + area.viewport().height:
            bar.setValue(top)


class Holder(qt.QObject):
    """Holds the panel's steps and is as high as they need to be at its width.

    It lays them out itself: once the user has been in another module, Slicer's module panel goes on with the height for
    a width that a module had before, since Qt keeps it, and would print the steps over one another.

    Attributes:
        widget: to be put into Slicer's panel.
        layout: to put the steps into.
    """

    def __init__(self) -> None:
        self.widget = qt.QWidget()
        super().__init__(self.widget)
        self._content = qt.QWidget(self.widget)
        self.layout = qt.QVBoxLayout(self._content)
        self.layout.setContentsMargins(0, 0, 0, 0)
        self.widget.installEventFilter(self)

    def eventFilter(self, _watched, event) -> bool:
        """Follow the width of the widget, and what the steps show."""
        if event.type() in (qt.QEvent.Resize, qt.QEvent.LayoutRequest, qt.QEvent.Show):
            self._fit()
        return False

    def _fit(self) -> None:
        widget, content = self.widget, self._content
        height = self.layout.totalHeightForWidth(widget.width)
        content.setGeometry(0, 0, widget.width, height)
        widget.setMinimumWidth(content.minimumSizeHint.width())
        if widget.minimumHeight != height or widget.maximumHeight != height:
            widget.setFixedHeight(height)


class ElidedTitle(qt.QObject):
    """The title of a collapsible button, cut to the button's width; the tooltip has all of it."""

    def __init__(self, button) -> None:
        super().__init__(button)
        self._button, self._text = button, button.text
        policy = button.sizePolicy
        policy.setHorizontalPolicy(qt.QSizePolicy.Ignored)
        button.setSizePolicy(policy)
        button.setMinimumWidth(MINIMUM_WIDTH)
        button.installEventFilter(self)

    def show(self, text: str) -> None:
        """Show another title."""
        self._text = text
        self._cut()

    def eventFilter(self, _watched, event) -> bool:
        """Cut the title anew when the button's width changes."""
        if event.type() == qt.QEvent.Resize:
            self._cut()
        return False

    def _cut(self) -> None:
        button = self._button
        shown = button.fontMetrics().elidedText(self._text, qt.Qt.ElideRight, max(0, button.width - _INDICATOR))
        if button.text != shown:
            button.text = shown
        button.toolTip = self._text if shown != self._text else ""
