"""For every eye: at 200 % scaling, in the light and the dark theme, the panel's texts are whole and stand out."""

from __future__ import annotations

import qt
import states
import texts
from controls import nameOf, panelWidget

SCREEN = (3200, 2000)
SCALE = 2
CUT_WIDTH = 60
LEAST_CONTRAST = 4.5
"""Of a text with its background, as WCAG 2 asks for (level AA)."""


def check_texts_are_whole_and_stand_out(desktop):
    assert desktop.window.devicePixelRatio() == SCALE
    problems = _look(desktop, "just opened")
    desktop.loadCase("case01")
    problems += _lookAtSteps(desktop, "with a case")
    states.fill(desktop)
    states.startCorrecting(desktop)
    problems += _lookAtSteps(desktop, "with everything there")
    assert not problems, "\n".join(problems)


check_texts_are_whole_and_stand_out.seconds = 600


def check_a_text_that_is_cut_or_pale_is_found(desktop):
    label, button = qt.QLabel("Some pale words that are cut"), qt.QPushButton("More words, cut too")
    label.objectName, button.objectName = "plantedLabel", "plantedButton"
    try:
        for widget in (label, button):
            panelWidget().layout().addWidget(widget)
            widget.setFixedWidth(CUT_WIDTH)
        label.setStyleSheet("color: #808080")
        problems = _look(desktop, "with two faults")
    finally:
        for widget in (label, button):
            widget.setParent(None)
    for text in ("cut: plantedLabel", "cut: plantedButton", "light theme: plantedLabel", "dark theme: plantedLabel"):
        assert any(text in problem for problem in problems), f"{text} is not among {problems}"


def _lookAtSteps(desktop, when):
    problems = []
    for step, part in states.everyPart(desktop):
        problems += _look(desktop, f"{states.titleOf(step, part)} {when}")
    return problems


def _look(desktop, state):
    desktop.panelWidth = 0
    problems = [f"{state}: cut: {nameOf(w)} '{w.text}'" for w in texts.textWidgets() if texts.isCut(w)]
    least = []
    for theme in ("light", "dark"):
        desktop.useTheme(theme)
        found = texts.contrasts()
        least.append(f"{min(found.values()):.1f} in the {theme} theme")
        problems += [
            f"{state}: contrast {value:.1f} in the {theme} theme: {name}"
            for name, value in found.items()
            if value < LEAST_CONTRAST
        ]
    desktop.tell(f"{state}: {len(found)} texts, contrast at least {', '.join(least)}")
    return problems
