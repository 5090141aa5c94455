"""Widgets that take the width they are given: no name or text that a case brings widens the panel, and with it Slicer.

Slicer's module panel is at least as wide as its content wants to be, and the main window as wide as both.
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
