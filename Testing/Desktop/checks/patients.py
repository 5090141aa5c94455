"""Two patients in one scene: nothing of the first is drawn over the second, whatever came before.

The witness is a picture: the second patient's views must be, pixel by pixel, as where no other one was loaded before.
"""

from __future__ import annotations

import itertools

import numpy as np
import slicer

VIEWS = ("Red", "Green", "Yellow")
FIRST, SECOND = "case01", "case02"


def check_nothing_of_the_first_patient_is_drawn_over_the_second(desktop):
    desktop.loadCase(SECOND)
    alone = _pictures(desktop)
    slicer.mrmlScene.Clear(0)
    desktop.loadCase(FIRST)
    first = _pictures(desktop)
    assert any((first[view] != alone[view]).any() for view in VIEWS), "the two patients look alike"
    desktop.predict()
    # What may be there of the first patient, in every order.
    acts = {"entropy": _expertEntropy, "comparison": _comparison, "correction": _correction}
    for order in itertools.permutations(acts):
        for act in order:
            acts[act](desktop)
        desktop.loadCase(SECOND)
        _requireSame(desktop, alone, f"after {', '.join(order)} of the first patient")
        desktop.loadCase(FIRST)
        _requireSame(desktop, first, "of the first patient, loaded again")
        desktop.predict()


check_nothing_of_the_first_patient_is_drawn_over_the_second.seconds = 600


def check_a_result_that_comes_late_is_not_drawn_over_another_patient(desktop):
    desktop.loadCase(SECOND)
    alone = _pictures(desktop)
    slicer.mrmlScene.Clear(0)
    desktop.loadCase(FIRST)
    ui = desktop.panel.uncertainty.ui
    ui.samplesSpin.value = 2
    desktop.wait(lambda: ui.runButton.enabled, "Run")
    ui.runButton.click()
    desktop.loadCase(SECOND)
    desktop.waitForJobs()
    assert "not the present case's" in str(ui.runLabel.text), ui.runLabel.text
    assert desktop.panel.parameters.predictiveEntropy is None
    _requireSame(desktop, alone, "after a late result of the first patient")


def check_names_carry_the_case_and_comments_stay_with_their_patient(desktop):
    desktop.loadCase(FIRST)
    _waitForFusion(desktop)
    panel = desktop.panel
    assert panel.parameters.fusedSegmentation.GetName().startswith(FIRST)
    panel.correct.ui.startButton.click()
    panel.correct.ui.commentEdit.text = "left border moved"
    assert FIRST in panel.parameters.workingCopy.GetName()
    desktop.loadCase(SECOND)
    _waitForFusion(desktop)
    assert panel.parameters.fusedSegmentation.GetName().startswith(SECOND)
    assert not panel.correct.ui.commentEdit.text
    panel.correct.ui.startButton.click()
    assert not panel.correct.ui.commentEdit.text
    panel.correct.ui.commentEdit.text = "another"
    slicer.mrmlScene.Clear(0)
    assert not panel.correct.ui.commentEdit.text


def check_the_sample_case_that_is_made_late_does_not_take_another_patients_place(desktop):
    desktop.loadCase(SECOND)
    alone = _pictures(desktop)
    slicer.mrmlScene.Clear(0)
    from ObserverUncertaintySlicer import sampleData

    case = sampleData.keptSampleCase() or sampleData.sampleCase().result()
    desktop.panel.case.loading._before = []  # as if its button had been clicked in the empty panel
    desktop.loadCase(SECOND)
    desktop.panel.case.loading.bar.finish(case)
    assert desktop.panel.parameters.caseName == SECOND
    assert "hidden" in str(desktop.panel.case.ui.sampleLabel.text)
    _requireSame(desktop, alone, "after the sample case was made")


def _expertEntropy(desktop):
    desktop.panel.disagreement.ui.expertEntropyButton.click()


def _comparison(desktop):
    desktop.showComparison()
    desktop.panel.compare.ui.differenceCheck.checked = True


def _correction(desktop):
    correct = desktop.panel.correct
    correct.ui.startButton.click()
    correct.ui.authorEdit.text = "Anna"
    correct.ui.saveButton.click()


def _waitForFusion(desktop):
    """The live fusion follows by a timer."""
    desktop.wait(lambda: desktop.panel.parameters.fusedSegmentation is not None, "the live fusion")
    desktop.settle()


def _pictures(desktop):
    _waitForFusion(desktop)
    return {view: desktop.pixels(view) for view in VIEWS}


def _requireSame(desktop, expected, when):
    assert desktop.panel.compare.views is None, f"the comparison stays {when}"
    found = _pictures(desktop)
    for view in VIEWS:
        assert found[view].shape == expected[view].shape, f"{view} has another size {when}"
        different = int((found[view] != expected[view]).any(axis=2).sum())
        if different:
            desktop.shot("different")
        assert not different, (
            f"{different} pixels of {view} differ {when}: {np.argwhere(found[view] != expected[view])[:3]}"
        )


def check_another_reference_lets_go_of_the_results_of_the_one_before(desktop):
    """With images by Slicer's own readers nothing is loaded as a case: the sequences are exchanged one by one."""
    desktop.loadCase(SECOND)
    other = desktop.panel.parameters.reference
    desktop.loadCase(FIRST)
    desktop.showComparison()
    ui, parameters = desktop.panel.case.ui, desktop.panel.parameters
    result = parameters.segmentation
    assert result.GetDisplayNode().GetVisibility()
    desktop.panel.compare.ui.backButton.click()
    ui.volumeSelector.setCurrentNode(other)
    ui.nameCombo.setCurrentText("T1 of another")
    ui.addSequenceButton.click()
    assert parameters.segmentation is result, "the reference is still the same"
    ui.sequencesTable.selectRow(0)
    ui.removeSequenceButton.click()
    desktop.settle()
    assert parameters.predictiveEntropy is None
    assert parameters.segmentation is None
    assert not result.GetDisplayNode().GetVisibility()
    assert "no longer this case's" in str(ui.loadedLabel.text)
    assert slicer.mrmlScene.IsNodePresent(result)
