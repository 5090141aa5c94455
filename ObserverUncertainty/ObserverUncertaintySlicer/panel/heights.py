"""The height of the panel: no more than its steps need, so that each fits on the screen, and no less."""

from __future__ import annotations

import qt


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
