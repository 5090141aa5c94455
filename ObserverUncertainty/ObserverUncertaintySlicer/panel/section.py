"""What every step of the panel has in common: its .ui file, its one-line state, and its part of the life cycle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from slicer.util import VTKObservationMixin

from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.heights import closeGaps
from ObserverUncertaintySlicer.panel.widths import ElidedTitle, letShrink
from ObserverUncertaintySlicer.parameters import Parameters

_UI_FOLDER = Path(__file__).parents[2] / "Resources" / "UI"


class Section(VTKObservationMixin):
    """One collapsible step of the panel.

    A section's `.ui` file holds a `ctkCollapsibleButton` named `sectionButton`, which shows the title and, after it,
    the step's one-line state also when the section is closed.

    Attributes:
        uiName: name of the file in Resources/UI, without extension.
        context: what the section knows of the panel.
        ui: the widgets of the .ui file by their names.
    """

    uiName = ""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.logic = context.logic
        self.widget = slicer.util.loadUI(uiPath(self.uiName))
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        letShrink(self.widget)
        for selector in self.widget.findChildren(slicer.qMRMLNodeComboBox):
            for box in selector.findChildren(qt.QComboBox):
                box.setFocusProxy(None)  # Slicer's is the selector itself, which takes no focus: Tab would pass over it
        closeGaps(self.widget)
        self._title = self.ui.sectionButton.text
        self._shownTitle = ElidedTitle(self.ui.sectionButton)
        self._toolTips: dict[str, str] = {}

    @property
    def parameters(self) -> Parameters:
        """The panel's parameters; another object after the scene was closed."""
        return self.context.parameters

    @property
    def isOpen(self) -> bool:
        """Whether the step's contents are shown."""
        return not self.ui.sectionButton.collapsed

    def open(self) -> None:
        """Show the step's contents; the panel closes the other steps."""
        self.ui.sectionButton.collapsed = False

    def update(self) -> None:
        """Show the parameters' state in the widgets; called after every change, and must not change the parameters."""

    def state(self) -> str:
        """One line: what is ready, or what is missing."""
        return ""

    def enter(self) -> None:
        """The user comes to the module."""

    def exit(self) -> None:
        """The user leaves the module."""

    def letGo(self) -> None:
        """Let go of every node: the scene is about to be closed, or the panel goes away."""

    def cleanup(self) -> None:
        """The panel goes away: let go of nodes, observers and the scene; a reload keeps the widgets, hidden."""
        self.letGo()
        self.removeObservers()
        self.widget.setMRMLScene(None)

    def showState(self) -> None:
        """Show the one-line state beside the title."""
        state = self.state()
        self._shownTitle.show(f"{self._title}: {state}" if state else self._title)

    @staticmethod
    def say(label, text: str) -> None:
        """Show a text in a label, which is hidden as long as there is none."""
        if label.text != text:  # some are told five times a second
            label.text = text
        label.visible = bool(text)

    def enable(self, widget, reason: str = "") -> None:
        """Enable a widget; or, given the reason why it cannot be used, disable it and say so in its tooltip."""
        usual = self._toolTips.setdefault(widget.objectName, widget.toolTip)
        widget.enabled = not reason
        widget.toolTip = reason or usual


def uiPath(name: str) -> str:
    """The path of a `.ui` file of the panel."""
    return str(_UI_FOLDER / f"{name}.ui")


def singleShot(milliseconds: int, call: Callable[[], None]):
    """A QTimer that calls once, so long after it was started last."""
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.connect("timeout()", call)
    return timer
