"""The panel without a mouse: Tab comes to everything in the order in which one reads, and keys do the work."""

from __future__ import annotations

import sys

import states
from controls import controls, isUsable, nameOf
from keyboard import Keys, tabWalk

SCREEN = (1920, 1080)


def check_tab_comes_to_everything_in_the_order_of_reading(desktop):
    problems = _walk(desktop, "just opened")
    desktop.loadCase("case01")
    problems += _walkSteps(desktop, "with a case")
    states.fill(desktop)
    states.startCorrecting(desktop)
    problems += _walkSteps(desktop, "with everything there")
    assert not problems, "\n".join(problems)


check_tab_comes_to_everything_in_the_order_of_reading.seconds = 600


def check_keys_alone_lead_from_opening_to_a_saved_correction(desktop):
    if sys.platform != "linux":
        desktop.tell("not made: real keys are pressed on Linux only")
        return
    panel, parameters = desktop.panel, desktop.panel.parameters
    case, correct = panel.case.ui, panel.correct.ui
    keys = Keys(desktop)
    desktop.settle()
    keys.use(case.loadSampleButton)
    desktop.waitForJobs()
    keys.use(case.showButton)
    desktop.waitForJobs()
    desktop.settle()
    assert parameters.predictiveEntropy is not None
    assert parameters.expertEntropy is not None
    assert not correct.sectionButton.collapsed, "step 6 is not open"
    keys.use(correct.startButton)
    assert parameters.workingCopy is not None
    places = [str(correct.sliceLabel.text)]
    for key in ("n", "n", "p"):
        keys.press(key)
        places.append(str(correct.sliceLabel.text))
    assert len(set(places[1:])) == 2, places
    assert places[1] == places[3], places
    desktop.shot("corrected")
    keys.goTo(correct.authorEdit)
    keys.press(*"pnina")
    assert correct.authorEdit.text == "pnina"
    assert correct.sliceLabel.text == places[-1], "letters of a name moved the views"
    keys.use(correct.saveButton)
    assert parameters.lastCorrection is not None
    desktop.tell(f"{keys.count} keys from opening the module to a saved correction, 5 of them a name")
    desktop.shot("saved")


check_keys_alone_lead_from_opening_to_a_saved_correction.seconds = 1800


def _walkSteps(desktop, when):
    problems = []
    for step, part in states.everyPart(desktop):
        problems += _walk(desktop, f"{states.titleOf(step, part)} {when}")
    return problems


def _walk(desktop, state):
    expected = [nameOf(control) for control in controls() if isUsable(control)]
    walked, problem = tabWalk(desktop)
    reached = [nameOf(control) for control in walked]
    problems = [f"{state}: {problem}"] if problem else []
    if missed := [name for name in expected if name not in reached]:
        problems.append(f"{state}: Tab does not come to {', '.join(missed)}")
    order = [name for name in expected if name in reached]
    if order != reached:
        problems.append(f"{state}: Tab comes to {', '.join(reached)}, and one reads {', '.join(order)}")
    return problems
