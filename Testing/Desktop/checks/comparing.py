"""Both entropies side by side: how the views look, and that the comparison ends cleanly whatever happens."""

from __future__ import annotations

import numpy as np
import qt
import slicer

FOUR_UP = 3
NARROW = 420


def check_rows_are_labelled_and_lined_up(desktop):
    desktop.loadCase("case01")
    desktop.showComparison()
    _requireLabels("MMMEEE")
    boxes = [_sliceWidget(name).geometry for name in _names("Predictive", "Expert")]
    for column in range(3):
        upper, lower = boxes[column], boxes[column + 3]
        assert upper.width() == lower.width(), [(box.x(), box.width()) for box in boxes]
    _requireAxes("OUPredictiveAxial")
    desktop.shot("two_rows")
    desktop.panel.compare.ui.differenceCheck.click()
    desktop.settle()
    _requireLabels("MMMEEEDDD")
    desktop.shot("three_rows")


def check_patient_axes_scale_and_unit_are_on_every_picture(desktop):
    desktop.loadCase("case01")
    for name in desktop.shownViews():
        _requireAxes(name)
    desktop.shot("loaded")
    desktop.panel.disagreement.ui.expertEntropyButton.click()
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(desktop.panel.parameters.expertEntropy)
    assert "(bits)" in legend.GetTitleText()
    desktop.shot("disagreement")


def check_the_step_shows_what_can_be_used(desktop):
    desktop.loadCase("case01")
    section = desktop.panel.compare
    ui = section.ui
    ui.sectionButton.collapsed = False
    desktop.settle()
    names = ("missingLabel", "compareButton", "backButton", "mostUncertainButton", "metricsButton", "metricsView")

    def seen():
        return {name for name in names if getattr(ui, name).visible}

    assert seen() == {"missingLabel"}, seen()
    assert "Show uncertainty" in ui.missingLabel.text
    desktop.shot("missing")
    desktop.panel.disagreement.ui.expertEntropyButton.click()
    desktop.predict()
    ui.sectionButton.collapsed = False
    desktop.settle()
    assert seen() == {"compareButton", "metricsButton"}, seen()
    # By keyboard: the button that takes the other's place is the one that the next key meets.
    ui.compareButton.setFocus()
    desktop.press(ui.compareButton, qt.Qt.Key_Space)
    desktop.settle()
    assert seen() == {"backButton", "mostUncertainButton", "metricsButton"}, seen()
    assert ui.backButton.focus
    desktop.press(ui.backButton, qt.Qt.Key_Space)
    desktop.settle()
    assert seen() == {"compareButton", "metricsButton"}, seen()
    assert ui.compareButton.focus


def check_scores_are_seen_whole_in_a_narrow_panel(desktop):
    desktop.loadCase("case01")
    desktop.showComparison()
    desktop.panelWidth = NARROW
    ui = desktop.panel.compare.ui
    ui.sectionButton.collapsed = False
    ui.metricsButton.click()
    desktop.settle()
    view, model = ui.metricsView, ui.metricsView.model()

    def rows():
        return [str(model.data(model.index(row, 0))) for row in range(model.rowCount()) if not view.isRowHidden(row)]

    first = rows()
    assert first[0] == "Dice with the raters' majority", first
    assert "WME as printed" not in first
    assert not view.verticalScrollBar().visible
    assert not view.horizontalScrollBar().visible
    measure = max(view.fontMetrics().horizontalAdvance(text) for text in first)
    assert view.columnWidth(0) > measure, f"{view.columnWidth(0)} px for texts of {measure} px"
    desktop.shot("first")
    view.setFocus()
    view.selectRow(0)
    desktop.press(view, qt.Qt.Key_Down)
    assert str(ui.explanationLabel.text) == "Volume of the model's contour"
    desktop.press(view, qt.Qt.Key_Tab)
    assert not view.focus, "the Tab key is caught in the table"
    ui.advancedButton.collapsed = False
    ui.allScoresCheck.click()
    desktop.settle()
    assert set(rows()) > set(first)
    assert "WME as printed" in rows()
    assert not view.verticalScrollBar().visible
    desktop.shot("all")


def check_it_fits_into_a_small_window(desktop):
    desktop.loadCase("case01")
    desktop.resizeWindow(1280, 800)
    assert desktop.windowSize[0] <= 1280
    desktop.showComparison()
    assert desktop.windowSize[0] <= 1280, f"the window is {desktop.windowSize[0]} pixels wide"
    assert len(desktop.shownViews()) == 6
    right = max(widget.mapTo(desktop.window, widget.rect.topRight()).x() for widget in map(_sliceWidget, _names()))
    assert right <= desktop.windowSize[0]
    desktop.shot("1280x800")


def check_raters_can_be_edited_before_during_and_after(desktop):
    """Slicer ends where a display node of a segmentation was removed that changes later."""
    desktop.loadCase("case01")
    desktop.showComparison()
    ui, node = desktop.panel.compare.ui, desktop.panel.parameters.raters[0].node
    for number in range(20):
        ui.differenceCheck.click()
        _edit(node, number)
        ui.backButton.click()
        _edit(node, number + 0.5)
        desktop.settle(0.05)
        ui.compareButton.click()
    assert desktop.panel.compare.views is not None


check_raters_can_be_edited_before_during_and_after.seconds = 600


def check_a_scene_can_be_saved_after_going_back(desktop):
    desktop.loadCase("case01")
    desktop.showComparison()
    desktop.panel.compare.ui.backButton.click()
    path = desktop.shared / "after_back.mrb"
    assert slicer.util.saveScene(str(path))
    assert path.stat().st_size > 10_000


def check_close_scene_brings_the_layout_back(desktop):
    desktop.loadCase("case01")
    desktop.showComparison()
    slicer.mrmlScene.Clear(0)
    desktop.settle()
    _requireEnded(desktop)
    desktop.loadCase("case02")
    _requireEnded(desktop)
    assert set(desktop.shownViews()) == {"Red", "Green", "Yellow"}


def check_it_ends_when_a_volume_of_it_is_deleted(desktop):
    desktop.loadCase("case01")
    desktop.showComparison()
    for name in ("expertEntropy", "predictiveEntropy"):
        slicer.mrmlScene.RemoveNode(getattr(desktop.panel.parameters, name))
        desktop.settle()
        _requireEnded(desktop)
        desktop.showComparison()
    slicer.mrmlScene.RemoveNode(desktop.panel.parameters.reference)
    desktop.settle()
    _requireEnded(desktop)


def check_another_layout_ends_it_and_segmentations_are_as_before(desktop):
    desktop.loadCase("case01")
    display = desktop.panel.parameters.raters[0].node.GetDisplayNode()
    before = list(display.GetViewNodeIDs())
    desktop.showComparison()
    assert list(display.GetViewNodeIDs()) != before
    desktop.panel.compare.open()
    assert desktop.panel.compare.ui.backButton.visible
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    desktop.settle()
    assert desktop.panel.compare.views is None
    assert not desktop.panel.compare.ui.backButton.visible
    assert list(display.GetViewNodeIDs()) == before


def check_another_foreground_changes_one_view_and_its_label(desktop):
    desktop.loadCase("case01")
    desktop.showComparison()
    parameters = desktop.panel.parameters
    manager = slicer.app.layoutManager()
    # By the controller's own menu, as a user does.
    controller = manager.sliceWidget("OUExpertAxial").sliceController()
    controller.sliceLogic().GetSliceCompositeNode().SetForegroundVolumeID(parameters.probability.GetID())
    desktop.settle()
    shown = {
        name: manager.sliceWidget(name).sliceLogic().GetSliceCompositeNode().GetForegroundVolumeID()
        for name in _names("Predictive", "Expert")
    }
    expected = [parameters.predictiveEntropy.GetID()] * 3 + [parameters.expertEntropy.GetID()] * 3
    expected[3] = parameters.probability.GetID()
    assert list(shown.values()) == expected
    _requireLabels("MMM?EE")


def check_a_new_prediction_takes_the_place_of_the_one_shown(desktop):
    desktop.loadCase("case01")
    desktop.showComparison()
    first = desktop.panel.parameters.predictiveEntropy
    place = desktop.panel.compare.views.place
    desktop.predict()
    second = desktop.panel.parameters.predictiveEntropy
    assert second is not first
    desktop.wait(lambda: desktop.panel.compare.views.overlays[0] is second, "the new result in the first row")
    assert max(abs(a - b) for a, b in zip(desktop.panel.compare.views.place, place, strict=True)) < 1e-3


def check_the_working_copy_is_painted_where_one_compares(desktop):
    desktop.loadCase("case01")
    desktop.predict()
    desktop.panel.correct.ui.startButton.click()
    desktop.showComparison()
    copy, rater = desktop.panel.parameters.workingCopy, desktop.panel.parameters.raters[0].node
    desktop.panel.correct.ui.editor.setActiveEffectByName("Paint")
    desktop.settle()
    for view, row in (("OUPredictiveAxial", 0.3), ("OUExpertAxial", 0.5)):
        before, raters = desktop.voxels(copy), desktop.voxels(rater)
        picture = desktop.pixels(view)
        desktop.mouse(view, [(0.45, row), (0.55, row)])
        assert desktop.voxels(copy) != before, f"painting in {view} did nothing"
        assert desktop.voxels(rater) == raters, f"painting in {view} changed a rater"
        assert not np.array_equal(desktop.pixels(view), picture), f"what was painted is not seen in {view}"
    desktop.shot("painted")
    assert "0.00 mL changed" not in str(desktop.panel.correct.ui.liveLabel.text)


def _edit(node, number):
    segment = node.GetSegmentation().GetNthSegment(0)
    name = segment.GetName()
    segment.SetName(f"{name} {number}")
    segment.SetName(name)
    node.Modified()


def _names(*rows):
    rows = rows or ("Predictive", "Expert")
    return [f"OU{row}{orientation}" for row in rows for orientation in ("Axial", "Sagittal", "Coronal")]


def _sliceWidget(name):
    return slicer.app.layoutManager().sliceWidget(name)


def _requireLabels(expected):
    rows = ("Predictive", "Expert", "Difference")[: len(expected) // 3]
    labels = "".join(str(_sliceWidget(name).sliceController().sliceViewLabel) for name in _names(*rows))
    assert labels == expected, labels


def _requireAxes(name):
    node = _sliceWidget(name).mrmlSliceNode()
    assert node.GetOrientationMarkerType() == node.OrientationMarkerTypeAxes, name
    assert node.GetRulerType() == node.RulerTypeThin, name


def _requireEnded(desktop):
    assert desktop.panel.compare.views is None
    assert slicer.app.layoutManager().layout == FOUR_UP
    assert set(desktop.shownViews()) == {"Red", "Green", "Yellow"}
