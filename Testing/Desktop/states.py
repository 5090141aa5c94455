"""The states of the panel that are measured and pictured, reached by the panel's own buttons."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import qt
from controls import isHeader
from desktop import Desktop

WIDTH = 420
ROUNDING = 1
"""Pixels that a window which fills the screen may have too many at 200 % scaling."""


def titleOf(step, part=None) -> str:
    """A step's title without its state, such as `5. Compare`; and the part of it that is open, if one is."""
    title = str(step.ui.sectionButton.text).partition(":")[0]
    return title if part is None else f"{title}, {part.text} open"


def everyPart(desktop: Desktop, steps: Sequence | None = None) -> Iterator[tuple]:
    """Open the steps that there are in turn, and in each of them what can be opened: yields step, and part or None."""
    for step in shownSteps(desktop) if steps is None else steps:
        openStep(desktop, step)
        for part in _nestedParts(step):
            part.collapsed = True
        desktop.settle()
        yield step, None
        for part in _nestedParts(step):
            with _opened(desktop, part):
                yield step, part


def shownSteps(desktop: Desktop) -> list:
    """The steps that there are at this moment: jobs, for one, are not listed before there is any."""
    return [step for step in desktop.panel.sections if step.ui.sectionButton.visible]


def openStep(desktop: Desktop, step) -> None:
    """Open a step; the panel closes the others."""
    step.open()
    desktop.settle()


def _nestedParts(step) -> list:
    """What can be opened and closed within an open step, such as *Advanced*."""
    return [part for part in step.ui.sectionButton.findChildren(qt.QAbstractButton) if isHeader(part) and part.visible]


@contextmanager
def _opened(desktop: Desktop, part) -> Iterator[None]:
    """Open a part of a step for a while."""
    part.collapsed = False
    desktop.settle()
    try:
        yield
    finally:
        part.collapsed = True
        desktop.settle()


def fill(desktop: Desktop) -> None:
    """Have everything that a case can have but a working copy: both uncertainties, side by side, and the scores."""
    desktop.showComparison()
    desktop.panel.compare.ui.metricsButton.click()
    desktop.panel.disagreement.ui.agreementButton.click()
    desktop.settle()


def startCorrecting(desktop: Desktop) -> None:
    """Start a working copy, as one does after looking at the comparison, and go to the first uncertain place."""
    desktop.panel.compare.ui.backButton.click()
    ui = desktop.panel.correct.ui
    ui.startButton.click()
    ui.nextButton.click()
    desktop.settle()


def walk(desktop: Desktop, see: Callable[[str], None]) -> None:
    """Go the way from opening the module to a correction, and let each state be seen, given its name."""
    panel = desktop.panel
    see("opened")
    desktop.loadSample()
    see("loaded")
    panel.case.ui.showButton.click()
    desktop.settle(1.0)
    see("running")
    desktop.waitForJobs()
    see("shown")
    fill(desktop)
    for step in shownSteps(desktop):
        openStep(desktop, step)
        see(f"all-{step.uiName}")
    startCorrecting(desktop)
    openStep(desktop, panel.correct)
    see("correcting")


def takePictures(desktop: Desktop, themes: Sequence[str]) -> None:
    """Take a picture of each state on that way, in each theme, and tell where the window is larger than the screen."""
    numbers = itertools.count(1)
    room = desktop.window.screen().geometry

    def see(name: str) -> None:
        number = next(numbers)
        desktop.panelWidth = WIDTH
        frame = desktop.window.frameGeometry
        if frame.width() > room.width() + ROUNDING or frame.height() > room.height() + ROUNDING:
            desktop.tell(f"{name}: the window has {frame.width()} x {frame.height()} pixels")
        for theme in themes:
            desktop.useTheme(theme)
            desktop.picture(f"{number:02}-{name}-{theme}")

    walk(desktop, see)
