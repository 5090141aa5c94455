"""Takes the pictures of README and catalogue in the application: `make screenshots SLICER=path/to/Slicer`."""

from __future__ import annotations

from pathlib import Path

import ctk


def check_compare(desktop):
    _showUncertainty(desktop)
    desktop.panel.compare.open()
    desktop.panel.compare.ui.metricsButton.click()
    _picture(desktop, "compare")


def check_correct(desktop):
    _showUncertainty(desktop)
    ui = desktop.panel.correct.ui
    ui.startButton.click()
    ui.editor.setActiveEffectByName("Paint")
    _picture(desktop, "correct")


check_compare.seconds = check_correct.seconds = 1800


def _showUncertainty(desktop) -> None:
    """The sample case, and what its one button does."""
    desktop.loadSample()
    desktop.panel.case.ui.showButton.click()
    desktop.waitForJobs()
    assert desktop.panel.correct.isOpen, desktop.panel.case.ui.showLabel.text


def _picture(desktop, name: str) -> None:
    """Of the main window alone: title bar and screen belong to whoever makes the picture."""
    desktop.settle(1.0)
    ctk.ctkWidgetsUtils.grabWidget(desktop.window).save(str(Path(desktop.task["pictures"]).parent / f"{name}.png"))
