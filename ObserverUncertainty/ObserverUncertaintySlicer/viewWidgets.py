"""The application's own widgets of the comparison's views, which plain MRML does not have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ObserverUncertaintySlicer.comparisonLayout import ORIENTATIONS
from ObserverUncertaintySlicer.host import application, processEvents

CONTROLLER_WIDTH = 330
"""What a slice view's controller needs with the number beside its slider, in pixels."""

_LAYOUTS_AROUND = 10


def fitControllers(sliceNodes: Iterable[Any]) -> None:
    """Leave the number beside the slider out of the views' controllers where the window has no room for three of them.

    The slider itself stays, and the data probe tells the position under the mouse.
    """
    app = application()
    if app is None or app.layoutManager() is None:
        return
    import slicer

    hasRoom = slicer.util.mainWindow().centralWidget().width >= len(ORIENTATIONS) * CONTROLLER_WIDTH
    for node in sliceNodes:
        widget = app.layoutManager().sliceWidget(node.GetLayoutName())
        if widget is not None:
            widget.sliceController().sliceOffsetSlider().spinBoxVisible = hasRoom


@contextmanager
def keptWindowSize() -> Iterator[None]:
    """Give the main window its size back where new views made it grow before their controllers were fitted."""
    import slicer

    window = slicer.util.mainWindow() if application() is not None else None
    width, height = (0, 0) if window is None else (window.width, window.height)
    yield
    if window is not None and window.width > width:
        # A layout tells the one around it of its new width, an event each.
        for _ in range(_LAYOUTS_AROUND):
            if window.minimumWidth <= width:
                break
            processEvents()
        window.resize(width, height)
