"""The panel by keys alone: where Tab goes, and real keys, which reach the window's shortcuts too."""

from __future__ import annotations

import shutil
import subprocess

import qt
import slicer
from controls import controls, isHeader, nameOf, panelWidget, scrollArea
from desktop import Desktop

_MOST_TABS = 150
_KEY_SECONDS = 0.1


def tabWalk(desktop: Desktop) -> tuple[list, str]:
    """Press Tab from the panel's first control on until the focus leaves the panel.

    Returns:
        The controls in the order in which they had the focus, and what went wrong on the way, if anything.
    """
    known = controls()
    _focus(desktop, known[0])
    reached: list = []
    for _number in range(_MOST_TABS):
        focused = slicer.app.focusWidget()
        control = _controlOf(focused, known)
        if control is not None and control.visibleRegion().isEmpty():
            return reached, f"{nameOf(control)} has the focus, and cannot be seen"
        if control is not None and (not reached or reached[-1] != control):
            reached.append(control)
        desktop.press(focused, qt.Qt.Key_Tab)
        slicer.app.processEvents()
        if slicer.app.focusWidget() == focused:
            return reached, f"the focus stays in {focused.objectName or focused.className()}"
        if not panelWidget().isAncestorOf(slicer.app.focusWidget()):
            return reached, ""
    return reached, f"the focus is still in the panel after {_MOST_TABS} times Tab"


class Keys:
    """Presses real keys (with xdotool), as a keyboard does.

    Attributes:
        count: how many were pressed.
    """

    def __init__(self, desktop: Desktop) -> None:
        assert shutil.which("xdotool"), "xdotool is missing: it presses real keys (Debian, Ubuntu: apt install xdotool)"
        self._desktop = desktop
        self.count = 0
        # Asking for it is not enough: without a window manager a busy screen may give it to nobody.
        window = str(int(desktop.window.winId()))
        subprocess.run(["xdotool", "windowfocus", "--sync", window], check=True)
        desktop.wait(lambda: slicer.app.focusWidget() is not None, "the keyboard")

    def press(self, *names: str) -> None:
        """Press keys in turn, by the names that X has for them, such as `Tab`, `space`, `n`."""
        for name in names:
            self.count += 1
            subprocess.run(["xdotool", "key", name], check=True)
            self._desktop.settle(_KEY_SECONDS)

    def goTo(self, control) -> None:
        """Press Tab until a control has the focus."""
        passed = []
        for _number in range(_MOST_TABS):
            focused = slicer.app.focusWidget()
            if focused is not None and (focused == control or control.isAncestorOf(focused)):
                return
            passed.append("nothing" if focused is None else nameOf(focused))
            self.press("Tab")
        raise AssertionError(f"Tab does not come to {nameOf(control)}, but to {', '.join(dict.fromkeys(passed))}")

    def use(self, button) -> None:
        """Go to a button, and press it with Space."""
        self.goTo(button)
        self.press("space")


def _controlOf(focused, known: list):
    """The control that has the focus, or that a widget with the focus is a part of; None for the editor's own."""
    around = [control for control in known if focused == control or control.isAncestorOf(focused)]
    return next((control for control in around if control == focused or not isHeader(control)), None)


def _focus(desktop: Desktop, widget) -> None:
    """Give a widget the keyboard, which without a window manager no window has by itself."""

    def hasFocus() -> bool:
        slicer.app.setActiveWindow(desktop.window)
        widget.setFocus(qt.Qt.TabFocusReason)
        scrollArea().ensureWidgetVisible(widget)  # as Tab itself does
        slicer.app.processEvents()
        return slicer.app.focusWidget() == widget

    desktop.wait(hasFocus, f"the focus of {nameOf(widget)}")
