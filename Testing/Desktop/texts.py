"""Whether the panel's texts can be read: whole, and dark enough on their background or bright enough."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import qt
import vtk
from controls import isHeader, nameOf, scrollArea, shownWidgets
from vtk.util.numpy_support import vtk_to_numpy

_BUTTON_MARGIN = 4
"""Pixels that a button keeps free around its text at least."""
_EDGE = 3
"""Pixels of a widget's frame, which is no text."""
_NOTICEABLE = 1.5
"""Contrast of what differs from the background at all."""
_LOWEST_LINE = 3
"""Pixels: a line of text is higher than a ruled line."""


def textWidgets(root=None) -> list:
    """The visible labels, buttons and check boxes that show a text: words, not the three dots of a button."""
    widgets = [w for w in shownWidgets(root) if w.inherits("QLabel") or w.inherits("QAbstractButton")]
    return [widget for widget in widgets if any(letter.isalnum() for letter in str(widget.text))]


def isCut(widget) -> bool:
    """Whether a part of the text is missing for want of room; a title cut on purpose has all of it in its tooltip."""
    if isHeader(widget):
        return "…" in str(widget.text) and not widget.toolTip
    if widget.inherits("QLabel"):
        if widget.wordWrap:
            return widget.heightForWidth(widget.width) > widget.height or _longestWord(widget) > widget.width
        return widget.sizeHint.width() > widget.width or widget.sizeHint.height() > widget.height
    if widget.inherits("QPushButton") or widget.inherits("QToolButton"):
        size = widget.fontMetrics().size(qt.Qt.TextShowMnemonic, widget.text)
        return size.width() + 2 * _BUTTON_MARGIN > widget.width or size.height() > widget.height
    return widget.sizeHint.width() > widget.width or widget.sizeHint.height() > widget.height


def contrasts(root=None) -> dict[str, float]:
    """By widget, the least contrast of a line of text as WCAG 2 defines it, from 1 to 21; without what is disabled."""
    picture, ratio = _picture(scrollArea().widget())
    found = {}
    for widget in textWidgets(root):
        corner = widget.mapTo(scrollArea().widget(), qt.QPoint(0, 0))
        height = widget.fontMetrics().height() + _EDGE if isHeader(widget) else widget.height
        x, y, x1, y1 = (
            round(ratio * value)
            for value in (
                corner.x() + _EDGE,
                corner.y() + _EDGE,
                corner.x() + widget.width - _EDGE,
                corner.y() + height - _EDGE,
            )
        )
        if widget.enabled and x1 > x and y1 > y:
            found[f"{nameOf(widget)} '{widget.text}'"] = _leastContrast(picture[y:y1, x:x1], ratio)
    return found


def _longestWord(label) -> int:
    words = (
        qt.QTextDocumentFragment.fromHtml(label.text).toPlainText().split() if "<" in label.text else label.text.split()
    )
    return max((label.fontMetrics().size(0, word).width() for word in words), default=0)


def _picture(widget) -> tuple[np.ndarray, float]:
    """What a widget shows, also where it is scrolled away: luminance by row and column, and its pixels a pixel."""
    pixmap = widget.grab()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "panel.png")
        assert pixmap.save(path), "the panel's picture"
        reader = vtk.vtkPNGReader()
        reader.SetFileName(path)
        reader.Update()
    image = reader.GetOutput()
    width, height, _depth = image.GetDimensions()
    colors = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3] / 255.0
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722], width / widget.width


def _leastContrast(luminance: np.ndarray, ratio: float) -> float:
    """Of the lines in a part of a picture, the one that differs least from the background."""
    values, counts = np.unique(luminance.round(4), return_counts=True)
    background = values[counts.argmax()]
    brighter, darker = np.maximum(luminance, background), np.minimum(luminance, background)
    rows = ((brighter + 0.05) / (darker + 0.05)).max(axis=1)
    lines = np.split(rows, np.flatnonzero(np.diff(rows > _NOTICEABLE)) + 1)
    seen = [line.max() for line in lines if line[0] > _NOTICEABLE and len(line) > _LOWEST_LINE * ratio]
    return float(min(seen)) if seen else 1.0
