"""Takes the pictures of README and catalogue in the application: `make screenshots SLICER=path/to/Slicer`."""

from __future__ import annotations

from pathlib import Path

import ctk

SAMPLES = 20


def check_compare(desktop):
    _open(desktop)
    desktop.panel.disagreement.ui.expertEntropyButton.click()
    desktop.predict(SAMPLES)
    _showStep(desktop, desktop.panel.compare)
    desktop.showComparison()
    desktop.panel.compare.ui.metricsButton.click()
    _picture(desktop, "compare")


def check_correct(desktop):
    _open(desktop)
    desktop.panel.disagreement.ui.expertEntropyButton.click()
    desktop.predict(SAMPLES)
    _showStep(desktop, desktop.panel.correct)
    ui = desktop.panel.correct.ui
    ui.startButton.click()
    ui.nextButton.click()
    ui.editor.setActiveEffectByName("Paint")
    _picture(desktop, "correct")


check_compare.seconds = check_correct.seconds = 1800


def _open(desktop) -> None:
    desktop.loadSample()


def _showStep(desktop, step) -> None:
    for section in desktop.panel.sections:
        section.ui.sectionButton.collapsed = section is not step
    desktop.settle()


def _picture(desktop, name: str) -> None:
    """Of the main window alone: title bar and screen belong to whoever makes the picture."""
    desktop.settle(1.0)
    ctk.ctkWidgetsUtils.grabWidget(desktop.window).save(str(Path(desktop.task["pictures"]).parent / f"{name}.png"))
