"""A section's title is cut to the width that the section has, and all of it stands in the tooltip."""

from __future__ import annotations

import pytest

LONG = "6. Correct: correcting " + "a case with a very long name " * 8 + "(working copy)"


@pytest.fixture
def titled(slicerApplication):
    """A collapsible button and its title."""
    import ctk

    from ObserverUncertaintySlicer.panel.widths import ElidedTitle

    button = ctk.ctkCollapsibleButton()
    return button, ElidedTitle(button)


def resize(application, button, width):
    button.resize(width, 30)
    application.processEvents()


def test_a_title_is_cut_to_the_button_and_whole_in_the_tooltip(slicerApplication, titled):
    button, title = titled
    resize(slicerApplication, button, 400)
    title.show(LONG)
    assert button.text.endswith("…")
    assert button.fontMetrics().horizontalAdvance(button.text) < 400
    assert button.toolTip == LONG
    title.show("6. Correct: ready")
    assert (button.text, button.toolTip) == ("6. Correct: ready", "")


def test_a_wider_button_shows_more_of_its_title_and_a_narrower_one_less(slicerApplication, titled):
    button, title = titled
    button.show()
    title.show(LONG)
    shown = []
    for width in (700, 400, 2500):
        resize(slicerApplication, button, width)
        shown.append(button.text)
    assert len(shown[1]) < len(shown[0]) < len(shown[2])
    assert shown[2] == LONG
    assert button.toolTip == ""
