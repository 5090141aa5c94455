"""Slice views as a user meets them: painting with the mouse, keys, and the pixels on the screen."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import qt
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

_BUTTONS = {"left": qt.Qt.LeftButton, "right": qt.Qt.RightButton, "middle": qt.Qt.MiddleButton}
_STEPS = 5


def sliceView(name: str):
    """A slice view that is on the screen, by its layout name such as Red."""
    widget = slicer.app.layoutManager().sliceWidget(name)
    assert widget is not None, f"there is no slice view {name}"
    assert widget.visible, f"the slice view {name} is not on the screen"
    return widget.sliceView()


def shownViews() -> list[str]:
    """The layout names of the slice views that are on the screen."""
    manager = slicer.app.layoutManager()
    return [name for name in manager.sliceViewNames() if manager.sliceWidget(name).visible]


def drag(name: str, points: Sequence[tuple[float, float]], button: str = "left") -> None:
    """Press at the first point, move over the others, release at the last one; one point alone is a click.

    The events go to Qt's widget as those of a real mouse do, so this works on every platform, without a pointer.

    Args:
        name: layout name of the slice view.
        points: fractions of the view's width and height, from its upper left corner.
        button: left, right or middle.
    """
    widget = sliceView(name).VTKWidget()
    pressed, none = _BUTTONS[button], qt.Qt.NoButton

    def send(kind, place, changed, held) -> None:
        where = qt.QPointF(place[0] * widget.width, place[1] * widget.height)
        slicer.app.sendEvent(widget, qt.QMouseEvent(kind, where, changed, held, qt.Qt.NoModifier))
        slicer.app.processEvents()

    send(qt.QEvent.MouseMove, points[0], none, none)
    send(qt.QEvent.MouseButtonPress, points[0], pressed, pressed)
    for start, end in itertools.pairwise(points):
        for step in range(1, _STEPS + 1):
            at = [a + (b - a) * step / _STEPS for a, b in zip(start, end, strict=True)]
            send(qt.QEvent.MouseMove, at, none, pressed)
    send(qt.QEvent.MouseButtonRelease, points[-1], pressed, none)


def place(name: str, ras: Sequence[float]) -> tuple[float, float]:
    """Where a point of the patient (RAS) lies in a slice view, as fractions for `drag`; its distance does not count."""
    view = sliceView(name)
    toView = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(view.mrmlSliceNode().GetXYToRAS(), toView)
    x, y, _distance, _one = toView.MultiplyPoint([*ras, 1.0])
    width, height = view.renderWindow().GetSize()
    return x / width, 1.0 - y / height


def press(widget, key: int, modifiers: int = qt.Qt.NoModifier) -> None:
    """Press and release a key on a widget."""
    for kind in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
        slicer.app.sendEvent(widget, qt.QKeyEvent(kind, key, modifiers))


def pixels(name: str) -> np.ndarray:
    """What a slice view shows, drawn anew: red, green and blue by row (from above) and column."""
    view = sliceView(name)
    view.forceRender()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(view.renderWindow())
    grab.SetInputBufferTypeToRGB()
    grab.ReadFrontBufferOff()
    grab.Update()
    image = grab.GetOutput()
    width, height, _depth = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].copy()
