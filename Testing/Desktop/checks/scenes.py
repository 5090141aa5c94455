"""Scenes saved and loaded with the module open: what was there is there again, and the panel and its editor follow."""

from __future__ import annotations

import itertools
from pathlib import Path

import slicer
from desktop import newSlicer

MADE_BEFORE = Path(__file__).parents[2] / "MadeBefore"
_rows = itertools.count()


def check_a_loaded_scene_shows_the_case_and_the_editor_is_on_its_copy(desktop):
    _correctAndSave(desktop, "correcting.mrb")
    voxels = desktop.voxels(desktop.panel.parameters.workingCopy)
    for options in ({"clear": True}, {"clear": False}):
        slicer.mrmlScene.Clear(0)
        desktop.settle()
        assert desktop.panel.parameters.workingCopy is None
        slicer.util.loadScene(str(desktop.shared / "correcting.mrb"), options)
        desktop.settle()
        panel = desktop.panel
        assert desktop.voxels(panel.parameters.workingCopy) == voxels
        assert len(panel.parameters.raters) == 3
        assert panel.case.ui.ratersTable.rowCount == 3, f"the panel shows the scene before, {options}"
        _requireEditing(desktop)
        _requirePainting(desktop)


def check_a_reload_of_the_module_keeps_the_editor_on_the_copy(desktop):
    desktop.loadCase("case01")
    desktop.panel.correct.ui.startButton.click()
    before = desktop.panel
    slicer.util.reloadScriptedModule("ObserverUncertainty")
    desktop.waitForJobs()
    assert desktop.panel is not before
    _requireEditing(desktop)
    _requirePainting(desktop)


def check_a_comparison_is_saved_with_the_scene(desktop):
    desktop.loadCase("case01")
    desktop.showComparison()
    assert slicer.util.saveScene(str(desktop.shared / "comparing.mrb"))
    desktop.shot("saved")


@newSlicer
def check_a_comparison_is_complete_in_a_new_slicer(desktop):
    slicer.util.selectModule("Data")
    slicer.util.loadScene(str(desktop.shared / "comparing.mrb"))
    desktop.settle()
    _requireComparison(desktop)
    slicer.util.selectModule("ObserverUncertainty")
    desktop.settle()
    ui = desktop.panel.compare.ui
    desktop.panel.compare.open()
    ui.advancedButton.collapsed = False
    desktop.settle()
    assert ui.backButton.visible
    assert ui.thresholdSlider.visible
    # Made again it looks the same.
    loaded = desktop.pixels("OUPredictiveAxial")
    ui.compareButton.click()
    desktop.settle()
    _requireComparison(desktop)
    assert desktop.pixels("OUPredictiveAxial").shape == loaded.shape
    ui.backButton.click()
    desktop.settle()
    assert set(desktop.shownViews()) == {"Red", "Green", "Yellow"}
    # No view list of the comparison stays with any segmentation.
    for display in slicer.util.getNodesByClass("vtkMRMLSegmentationDisplayNode"):
        if display.GetVisibility():
            assert not display.GetViewNodeIDs(), f"{display.GetName()} is shown in {display.GetViewNodeIDs()} only"


def check_a_comparison_goes_on_where_its_scene_is_loaded_over_another(desktop):
    desktop.loadCase("case02")
    desktop.showComparison()
    slicer.util.loadScene(str(desktop.shared / "comparing.mrb"), {"clear": True})
    desktop.settle()
    _requireComparison(desktop)
    assert desktop.panel.parameters.caseName == "case01"
    desktop.shot("loaded")


def check_a_scene_of_an_earlier_version_is_complete(desktop):
    """It was saved while comparing, with a correction and a working copy that was begun after it."""
    slicer.util.loadScene(str(MADE_BEFORE / "scene.mrb"), {"clear": True})
    desktop.settle()
    panel = desktop.panel
    parameters, table = panel.parameters, panel.case.ui.ratersTable
    assert parameters.caseName == "case01"
    assert [str(table.item(row, 1).text()) for row in range(table.rowCount)] == ["rater_2y", "rater_4y", "rater_6y"]
    assert len({tuple(rater.color) for rater in parameters.raters}) == 3
    _requireComparison(desktop)
    desktop.shot("compared")
    for node in (parameters.fusedSegmentation, parameters.segmentation, parameters.lastCorrection):
        assert sum(count for count, _hash in desktop.voxels(node).values()) > 50, node.GetName()
    assert "Majority vote" in str(panel.disagreement.ui.fusedLabel.text)
    assert "experts disagree in" in str(panel.disagreement.ui.entropyLabel.text)
    assert "be careful" in str(panel.uncertainty.ui.resultLabel.text)
    assert str(panel.correct.ui.authorEdit.text) == "Anna Ö."
    panel.compare.ui.backButton.click()
    desktop.settle()
    assert set(desktop.shownViews()) == {"Red", "Green", "Yellow"}
    _requireEditing(desktop)
    kept = {node: desktop.voxels(node) for node in (parameters.lastCorrection, parameters.raters[0].node)}
    _requirePainting(desktop)
    assert {node: desktop.voxels(node) for node in kept} == kept
    desktop.wait(lambda: " 0.00 mL changed" not in str(panel.correct.ui.liveLabel.text), "the figures")
    desktop.shot("painted")
    panel.compare.ui.compareButton.click()
    desktop.settle()
    _requireComparison(desktop)


def check_a_correction_that_an_earlier_version_exported_is_a_rater(desktop):
    slicer.util.loadScene(str(MADE_BEFORE / "scene.mrb"), {"clear": True})
    desktop.settle()
    desktop.panel.compare.ui.backButton.click()
    node = slicer.util.loadSegmentation(str(MADE_BEFORE / "correction.seg.nrrd"))
    ui, parameters = desktop.panel.case.ui, desktop.panel.parameters
    ui.raterSelector.setCurrentNode(node)
    ui.addRatersButton.click()
    desktop.wait(lambda: "of 4 raters" in parameters.fusedSegmentation.GetName(), "the fusion of four raters")
    assert ui.ratersTable.rowCount == 4
    drawn = [desktop.voxels(each).values() for each in (node, parameters.lastCorrection)]
    assert [count for count, _hash in drawn[0]] == [count for count, _hash in drawn[1]]
    desktop.shot("four_raters")


def _correctAndSave(desktop, name):
    desktop.loadCase("case01")
    desktop.panel.disagreement.ui.expertEntropyButton.click()
    desktop.panel.correct.ui.startButton.click()
    _requirePainting(desktop)
    assert slicer.util.saveScene(str(desktop.shared / name))


def _requireEditing(desktop):
    editor, copy = desktop.panel.correct.ui.editor, desktop.panel.parameters.workingCopy
    assert editor.enabled
    assert editor.segmentationNode() is copy
    assert editor.mrmlSegmentEditorNode().GetSegmentationNode() is copy


def _requirePainting(desktop):
    copy = desktop.panel.parameters.workingCopy
    desktop.panel.correct.ui.editor.setActiveEffectByName("Paint")
    desktop.settle()
    before = desktop.voxels(copy)
    # Each time elsewhere: painting what is painted changes nothing.
    row = 0.2 + 0.06 * next(_rows)
    desktop.mouse("Red", [(0.4, row), (0.5, row)])
    assert desktop.voxels(copy) != before, "painting did nothing"
    desktop.panel.correct.ui.editor.setActiveEffectByName("")


def _requireComparison(desktop):
    """Six views with their letters, a colour legend in each, linked with one another, and the data probe at rest."""
    views = desktop.shownViews()
    assert len(views) == 6, views
    for name in views:
        picture = desktop.pixels(name).astype(int)
        right = picture[:, int(0.92 * picture.shape[1]) :]
        # Of the legend: the dark end of the scale and its bright one, where there is no image.
        colours = right.max(axis=2) - right.min(axis=2)
        assert (colours > 100).sum() > 100, f"{name} has no colour legend"
    upper, lower = (
        slicer.mrmlScene.GetSingletonNode(f"OU{row}Axial", "vtkMRMLSliceNode") for row in ("Predictive", "Expert")
    )
    upper.SetSliceOffset(upper.GetSliceOffset() + 4)
    assert abs(lower.GetSliceOffset() - upper.GetSliceOffset()) < 1e-6
