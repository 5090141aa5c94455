"""Slicer's light and dark theme, changed while it runs as its settings (*Appearance*) do."""

from __future__ import annotations

import qt
import slicer

_DARK = {
    "Window": "#323232",
    "WindowText": "#ffffff",
    "Base": "#1e1e1e",
    "AlternateBase": "#323232",
    "ToolTipBase": "#ffffff",
    "ToolTipText": "#323232",
    "Text": "#ffffff",
    "Button": "#323232",
    "ButtonText": "#ffffff",
    "BrightText": "#ff0000",
    "Light": "#828284",
    "Midlight": "#5a5a5b",
    "Dark": "#232323",
    "Mid": "#2b2b2b",
    "Shadow": "#141414",
    "Highlight": "#3ca4ff",
    "HighlightedText": "#ffffff",
    "Link": "#3ca4ff",
}
_DARK_DISABLED = {
    "WindowText": "#6d6d6d",
    "Base": "#1e1e1e",
    "Text": "#6d6d6d",
    "ButtonText": "#b4b4b4",
    "Highlight": "#505050",
    "HighlightedText": "#6d6d6d",
}


class Themes:
    """Knows the theme that the application started with, and the others."""

    def __init__(self) -> None:
        self._style, self._palette = str(slicer.app.style().objectName), qt.QPalette(slicer.app.palette())
        self._used = ""

    def use(self, name: str) -> None:
        """Change to `light` or `dark`."""
        style, known = f"{name} slicer", qt.QStyleFactory.keys()
        if style in [str(key).lower() for key in known]:
            self._apply(style, None)
        else:  # a Slicer that was built without its styles' plug-in: the colours of its dark style
            self._apply("", _dark(self._palette) if name == "dark" else self._palette)
        self._used = name

    def restore(self) -> None:
        """The theme that the application started with."""
        if self._used:
            self._apply(self._style, self._palette)
        self._used = ""

    @staticmethod
    def _apply(style: str, palette) -> None:
        app = slicer.app
        if style and str(app.style().objectName) != style.lower():
            app.removeEventFilter(app.style())
            app.setStyle(style)
            app.installEventFilter(app.style())
        app.setPalette(palette if palette is not None else app.style().standardPalette())


def _dark(light):
    palette = qt.QPalette(light)
    for role, color in _DARK.items():
        palette.setColor(getattr(qt.QPalette, role), qt.QColor(color))
    for role, color in _DARK_DISABLED.items():
        palette.setColor(qt.QPalette.Disabled, getattr(qt.QPalette, role), qt.QColor(color))
    return palette
