"""The states of the panel that are measured and pictured, reached by the panel's own buttons."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import qt
from controls import isHeader
from desktop import Desktop

FEW_SAMPLES = 4
PATIENCE = 900.0
WIDTH = 420
ROUNDING = 1
"""Pixels that a window which fills the screen may have too many at 200 % scaling."""


def titleOf(section) -> str:
    """A step's title without its state, such as `4. Uncertainty`."""
    return str(section.ui.sectionButton.text).partition(":")[0]


def shownSteps(desktop: Desktop) -> list:
    """The steps that there are at this moment: jobs, for one, are not listed before there is any."""
    return [step for step in desktop.panel.sections if step.ui.sectionButton.visible]


def openStep(desktop: Desktop, step) -> None:
    """Open a step, and close every other one."""
    step.ui.sectionButton.collapsed = False
    for section in desktop.panel.sections:
        if section is not step and not section.ui.sectionButton.collapsed:
            section.ui.sectionButton.collapsed = True
    desktop.settle()


def nestedParts(step) -> list:
    """What can be opened and closed within an open step, such as *Advanced*."""
    return [part for part in step.ui.sectionButton.findChildren(qt.QAbstractButton) if isHeader(part) and part.visible]


@contextmanager
def opened(desktop: Desktop, part) -> Iterator[None]:
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
    show = getattr(panel.case.ui, "showButton", None) or panel.uncertainty.ui.runButton
    if show is panel.uncertainty.ui.runButton:
        panel.uncertainty.ui.samplesSpin.value = FEW_SAMPLES
        panel.disagreement.ui.expertEntropyButton.click()
        openStep(desktop, panel.uncertainty)
    show.click()
    desktop.settle(1.0)
    see("running")
    desktop.waitForJobs(PATIENCE)
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
