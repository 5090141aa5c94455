"""Fields for names: letters stay while one types them, and the name counts when one is done."""

from __future__ import annotations

import pytest
from section_case import fill

FIELDS = {"case": "caseNameEdit", "model": "labelEdit", "correct": "authorEdit"}


@pytest.fixture(params=FIELDS)
def field(request, panel):
    fill(panel)
    panel.correct.ui.startButton.click()
    edit = getattr(getattr(panel, request.param).ui, FIELDS[request.param])
    edit.text = ""
    return edit


def test_letters_stay_whatever_updates_the_panel_meanwhile(panel, field):
    field.insert("A")  # as a key does: the text counts as edited
    panel.context.update()
    field.insert("nna ")
    panel.context.update()
    assert field.text == "Anna "


def test_a_name_counts_when_it_is_done_and_another_scene_shows_its_own(panel, field):
    field.insert(" Anna ")
    field.editingFinished.emit()
    parameters = panel.parameters
    names = [parameters.caseName, parameters.trainingLabel, parameters.correctionAuthor]
    assert names[list(FIELDS.values()).index(field.objectName)] == "Anna"
    parameters.caseName = parameters.trainingLabel = parameters.correctionAuthor = "Ben"
    panel.context.update()
    assert field.text == "Ben"
