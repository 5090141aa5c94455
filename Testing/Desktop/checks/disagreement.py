"""Step 2: fusion and expert entropy follow what changes elsewhere in Slicer, and what is deleted is gone.

What is closed or cannot be used is not seen.
"""

from __future__ import annotations

import sys

import slicer


def check_one_line_stands_there_until_two_raters_are(desktop):
    section = desktop.panel.disagreement
    section.ui.sectionButton.collapsed = False
    desktop.settle()
    assert section.ui.missingLabel.visible
    assert not section.ui.contents.visible
    desktop.shot("nothing")
    desktop.loadCase("case01")
    section.ui.sectionButton.collapsed = False
    desktop.settle()
    assert not section.ui.missingLabel.visible
    assert section.ui.expertEntropyButton.visible
    assert not section.ui.liveCheck.visible  # under Advanced
    _withEntropy(desktop)
    assert "mL" in str(section.ui.entropyLabel.text)
    desktop.shot("shown")


def check_results_follow_a_rater_who_is_switched_off(desktop):
    desktop.loadCase("case01")
    fused = _withEntropy(desktop)
    before, text = desktop.voxels(fused), _entropyText(desktop)
    table = desktop.panel.case.ui.ratersTable
    item = table.item(0, 0)
    item.setCheckState(0)
    desktop.wait(lambda: _entropyText(desktop) != text, "the entropy of two raters")
    assert desktop.voxels(fused) != before
    assert len(desktop.panel.parameters.raters) == 2
    table.item(0, 0).setCheckState(2)
    desktop.wait(lambda: _entropyText(desktop) == text, "the entropy of three raters")
    assert desktop.voxels(fused) == before


def check_raters_are_compared_at_a_click_and_hidden_when_one_changes(desktop):
    desktop.loadCase("case01")
    section = desktop.panel.disagreement
    section.open()
    section.ui.advancedButton.collapsed = False
    section.ui.agreementButton.click()
    desktop.settle()
    table = section.ui.agreementTable
    assert table.visible
    assert table.rowCount == 3
    last = table.visualItemRect(table.item(2, 0))
    assert last.bottom() < table.viewport().height, "the last row is cut"
    assert not table.horizontalScrollBar().visible, "a column is cut"
    assert "Fleiss' kappa" in str(section.ui.agreementLabel.text)
    desktop.shot("compared")
    desktop.panel.case.ui.ratersTable.item(0, 0).setCheckState(0)
    desktop.wait(lambda: not table.visible, "the raters' table to go")
    assert str(section.ui.agreementLabel.text) == "The raters changed since: compare again."


def check_results_follow_the_brush_in_slicers_own_editor(desktop):
    desktop.loadCase("case01")
    fused = _withEntropy(desktop)
    rater = desktop.panel.parameters.raters[0]
    desktop.panel.case.ui.sectionButton.collapsed = False
    desktop.settle()
    measured = _raterCells(desktop)
    before, text = desktop.voxels(fused), _entropyText(desktop)
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.SegmentEditorWidget.editor
    editor.setSegmentationNode(rater.node)
    editor.setSourceVolumeNode(desktop.panel.parameters.reference)
    editor.setCurrentSegmentID(rater.segmentID)
    # Both other raters' voxels are this one's too, so that the majority changes with it.
    editor.setActiveEffectByName("Erase")
    desktop.lookAt(rater.node)
    desktop.mouse("Red", [(0.4, 0.5), (0.6, 0.5)])
    editor.setActiveEffectByName("")
    slicer.util.selectModule("ObserverUncertainty")
    desktop.wait(lambda: _entropyText(desktop) != text, "the entropy after the stroke")
    desktop.wait(lambda: _raterCells(desktop) != measured, "the raters' volumes and Dice")
    assert desktop.voxels(fused).keys() == before.keys()


def check_staple_shows_its_table_and_no_fusion_leaves_the_contour(desktop):
    desktop.loadCase("case01")
    _withEntropy(desktop)
    ui = desktop.panel.disagreement.ui
    ui.sectionButton.collapsed = ui.advancedButton.collapsed = False
    ui.methodCombo.setCurrentIndex(
        [str(ui.methodCombo.itemText(n)) for n in range(ui.methodCombo.count)].index("STAPLE")
    )
    desktop.wait(lambda: ui.stapleTable.visible, "STAPLE's table")
    assert ui.stapleTable.rowCount == 3
    ui.methodCombo.setCurrentIndex(0)
    desktop.settle()
    assert not ui.stapleTable.visible
    assert not ui.fuseButton.visible
    assert "stays as it is" in str(ui.fusedLabel.text)


def check_nodes_deleted_elsewhere_leave_the_panel(desktop):
    desktop.loadCase("case01")
    _withEntropy(desktop)
    parameters, ui = desktop.panel.parameters, desktop.panel.case.ui
    slicer.util.selectModule("Data")
    slicer.mrmlScene.RemoveNode(parameters.raters[0].node)
    slicer.mrmlScene.RemoveNode(parameters.sequences["FLAIR"])
    slicer.util.selectModule("ObserverUncertainty")
    desktop.settle()
    assert ui.ratersTable.rowCount == 0
    assert ui.sequencesTable.rowCount == 3
    assert "needs two raters" in desktop.panel.disagreement.state()


def check_torch_is_never_loaded_into_slicer(desktop):
    desktop.loadCase("case01")
    desktop.predict()
    assert "torch" not in sys.modules


def _withEntropy(desktop):
    parameters = desktop.panel.parameters
    desktop.wait(lambda: parameters.fusedSegmentation is not None, "the live fusion")
    desktop.panel.disagreement.ui.expertEntropyButton.click()
    desktop.settle()
    return parameters.fusedSegmentation


def _raterCells(desktop):
    table = desktop.panel.case.ui.ratersTable
    cells = [table.item(row, column) for row in range(table.rowCount) for column in range(table.columnCount)]
    return [cell.text() for cell in cells if cell is not None]


def _entropyText(desktop):
    return str(desktop.panel.disagreement.ui.entropyLabel.text)
