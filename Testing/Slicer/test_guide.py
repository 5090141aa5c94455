"""The panel leads through a case: one step is open, the line above says what comes next, closed steps their result."""

from __future__ import annotations

import numpy as np
import pytest
from opened_panel import openPanel
from section_case import GRID, addRaters, fill, settle

from ObserverUncertaintySlicer.attributes import UNLIKE_TRAINING
from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.volumes import addVolume


@pytest.fixture
def panel(slicerApplication, moduleFile, monkeypatch, tmp_path):
    return openPanel(slicerApplication, moduleFile, monkeypatch, tmp_path)


def openSteps(panel):
    return [section.uiName for section in panel.sections if section.isOpen]


def entropy(name, value=0.5):
    return addVolume(np.full(GRID.shape, value, np.float32), GRID, name)


def test_only_the_step_in_work_is_open(panel):
    assert openSteps(panel) == ["Case"]
    for section in panel.sections:
        section.ui.sectionButton.collapsed = False
        assert openSteps(panel) == [section.uiName]
    panel.sections[-1].ui.sectionButton.collapsed = True
    assert openSteps(panel) == []


def test_a_closed_step_tells_its_result_in_one_line(slicerApplication, panel):
    fill(panel)
    settle(slicerApplication, panel.case)
    panel.disagreement.open()
    assert panel.case.state() == "T1; 3 raters, mean Dice 0.62"
    assert panel.case._shownTitle._text == "1. Case: T1; 3 raters, mean Dice 0.62"


def test_it_stays_in_sight_that_a_case_is_unlike_the_training_images(slicerApplication, panel):
    fill(panel)
    assert panel.guide.ui.unlikeLabel.isHidden()
    node = entropy("predictive")
    UNLIKE_TRAINING.set(node, "it shows < 100 mL")
    panel.parameters.predictiveEntropy = node
    for section in panel.sections:
        section.open()
        assert not panel.guide.ui.unlikeLabel.isHidden()
        assert (
            "unlike the images that the model was trained on: it shows &lt; 100 mL." in panel.guide.ui.unlikeLabel.text
        )
    panel.parameters.predictiveEntropy = entropy("of another case")
    assert panel.guide.ui.unlikeLabel.isHidden()


def test_the_line_follows_the_work_and_its_button_opens_the_step(slicerApplication, panel):
    line, button = panel.guide.ui.nextLabel, panel.guide.ui.goButton
    assert line.text == "Next: load a case, or the sample case."
    assert button.isHidden(), "the step is open already"
    fill(panel)
    panel.parameters.caseName = "Anna"
    assert line.text == "Anna. Next: show the uncertainty."
    panel.parameters.predictiveEntropy = entropy("predictive")
    panel.parameters.expertEntropy = entropy("expert")
    assert "side by side" in line.text
    assert not button.isHidden()
    assert button.text == "Go to step 5"
    button.click()
    assert openSteps(panel) == ["Compare"]
    panel.correct.ui.startButton.click()
    assert "correct the contour" in line.text
    button.click()
    assert openSteps(panel) == ["Correct"]
    panel.correct.ui.authorEdit.text = "Anna"
    panel.correct.ui.saveButton.click()
    assert "export" in line.text


def test_what_comes_next_where_something_is_missing(panel):
    from ObserverUncertaintySlicer.panel.guide import nextStep

    parameters = panel.parameters
    parameters.raterChoices = [RaterChoice(rater) for rater in ratersOfNode(addRaters())]
    assert nextStep(parameters).text == "add the image that the contours were drawn on."
    fill(panel)
    assert nextStep(parameters, isComputing=True).text.startswith("wait")
    assert nextStep(parameters, canShow=False) == (1, "add what is missing, or correct in step 6.")
    parameters.expertEntropy = entropy("expert")
    assert nextStep(parameters) == (4, "run the model, or correct in step 6.")
    assert nextStep(parameters, canRun=False) == (6, "correct where it matters.")
    parameters.expertEntropy, parameters.predictiveEntropy = None, entropy("predictive")
    assert nextStep(parameters) == (6, "correct where it matters.")


def test_a_case_with_a_name_like_markup_is_shown_as_it_is(panel):
    import qt

    fill(panel)
    panel.parameters.caseName = "<b>x</b>"
    assert panel.guide.ui.nextLabel.text.startswith("<b>x</b>. Next")
    assert panel.guide.ui.nextLabel.textFormat == qt.Qt.PlainText


def test_a_loaded_scene_opens_the_step_that_comes_next_and_a_closed_one_the_first(panel, scene, tmp_path):
    fill(panel)
    panel.correct.ui.startButton.click()
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    panel.model.open()
    scene.Clear(0)
    assert openSteps(panel) == ["Case"]
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    assert openSteps(panel) == ["Correct"]
