"""The application's own widgets of the comparison's views, which plain MRML does not have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ObserverUncertaintySlicer.host import application
from ObserverUncertaintySlicer.layout import ORIENTATIONS

CONTROLLER_WIDTH = 330
"""What a slice view's controller needs with all its buttons, in pixels."""


def fitControllers(sliceNodes: Iterable[Any]) -> None:
    """Leave two buttons out of the views' controllers where three side by side would be wider than the window.

    A double click maximises a view and the key R fits it, too.
    To be called before the layout is drawn for the first time: a window that has grown does not shrink again.
    """
    app = application()
    if app is None or app.layoutManager() is None:
        return
    import slicer

    hasRoom = slicer.util.mainWindow().centralWidget().width >= len(ORIENTATIONS) * CONTROLLER_WIDTH
    for node in sliceNodes:
        widget = app.layoutManager().sliceWidget(node.GetLayoutName())
        if widget is not None:
            controller = widget.sliceController()
            controller.setProperty("showMaximizeViewButton", hasRoom)
            slicer.util.findChild(controller.barWidget(), "FitToWindowToolButton").visible = hasRoom
