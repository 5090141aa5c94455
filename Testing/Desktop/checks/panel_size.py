"""How much of the panel there is at a time: controls, height and width, measured in every step and printed."""

from __future__ import annotations

import states
from controls import measure, scrollArea, topAndBottom

SCREEN = (1920, 1080)
MOST_WHEN_OPENED, MOST_IN_A_STEP = 12, 25
WIDEST = 420


def check_opened(desktop):
    size = measure(desktop)
    desktop.tell(f"just opened: {size}")
    desktop.shot("opened")
    assert len(size.controls) <= MOST_WHEN_OPENED, f"{len(size.controls)} controls"
    assert size.narrowest <= WIDEST, f"{size.narrowest} px wide"
    assert not size.scrolls, f"{size.height} of {size.room} px"


def check_every_step_with_a_case(desktop):
    desktop.loadCase("case01")
    _requireSmall(desktop, _measureSteps(desktop))


def check_every_step_with_everything_there(desktop):
    desktop.loadCase("case01")
    states.fill(desktop)
    _requireSmall(desktop, _measureSteps(desktop, [desktop.panel.compare], " side by side"))
    states.startCorrecting(desktop)
    _requireSmall(desktop, _measureSteps(desktop))


def check_next_figures_and_save_need_no_scrolling(desktop):
    desktop.loadCase("case01")
    states.fill(desktop)
    states.startCorrecting(desktop)
    states.openStep(desktop, desktop.panel.correct)
    desktop.panelWidth = 0
    scrollArea().verticalScrollBar().value = 0
    desktop.shot("correcting")
    ui = desktop.panel.correct.ui
    editor, room = topAndBottom(ui.editor)[0], scrollArea().viewport().height
    desktop.tell(f"the editor begins at {editor} of {room} px")
    places = {name: topAndBottom(getattr(ui, name)) for name in ("nextButton", "liveLabel", "saveButton")}
    for name, (top, bottom) in places.items():
        assert getattr(ui, name).visible, name
        assert 0 <= top < bottom <= room, f"{name} from {top} to {bottom} px, of which {room} are seen"
        assert bottom <= editor, f"{name} ends at {bottom} px, below the editor's upper edge at {editor} px"


def _measureSteps(desktop, steps=None, when=""):
    """Of steps opened in turn, and of what can be opened in them: title and size."""
    found = {}
    for step, part in states.everyPart(desktop, steps):
        name = states.titleOf(step, part) + when
        found[name] = measure(desktop)
        desktop.tell(f"{name}: {found[name]}")
        desktop.shot(step.uiName if part is None else f"{step.uiName}-{part.objectName}")
    return found


def _requireSmall(desktop, sizes):
    correct = states.titleOf(desktop.panel.correct)
    # The editor takes the room that it needs, and one opens Advanced who looks for something.
    whole = {name: size for name, size in sizes.items() if not name.startswith(correct) and " open" not in name}
    problems = [
        *(f"{name}: {len(s.controls)} controls" for name, s in sizes.items() if len(s.controls) > MOST_IN_A_STEP),
        *(f"{name}: {s.narrowest} px wide" for name, s in sizes.items() if s.narrowest > WIDEST),
        *(f"{name}: {s.height} of {s.room} px" for name, s in whole.items() if s.scrolls),
    ]
    assert not problems, "; ".join(problems)
