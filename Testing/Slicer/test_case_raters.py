"""Step 1 of the panel: the raters, against known volumes and overlaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
from first_step import add, addAllRaters, openPanel, theMessage
from section_case import GRID, RATERS, addRaters, addSequence, box, cells, fill, settle

from ObserverUncertaintySlicer.attributes import OUTLINES, START
from ObserverUncertaintySlicer.palette import SWATCH_BORDER
from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.raters import Rater, ratersOfNode
from ObserverUncertaintySlicer.segments import setSegment
from ObserverUncertaintySlicer.volumes import addVolume


@pytest.fixture
def panel(slicerApplication, moduleFile, tmp_path, monkeypatch):
    return openPanel(slicerApplication, moduleFile, tmp_path, monkeypatch)


@pytest.fixture
def section(panel):
    return panel.case


def test_added_raters_get_names_and_colours_of_their_own_and_are_outlined(section, scene):
    green = (0.2, 0.7, 0.2)  # somebody chose one for all files
    nodes = [addRaters({"Segment_1": mask}, f"mask_{name}") for name, mask in RATERS.items()]
    for node in nodes:
        node.GetSegmentation().GetNthSegment(0).SetColor(green)
        node.GetDisplayNode().SetVisibility2DFill(True)
        addAllRaters(section, node)
    assert [row[1] for row in cells(section.ui.ratersTable)] == ["mask_anna", "mask_ben", "mask_cara"]
    colors = [rater.color for rater in section.parameters.raters]
    assert colors[0] == green
    assert len(set(colors)) == 3
    for node in nodes:
        assert node.GetDisplayNode().GetVisibility2DOutline()
        assert not node.GetDisplayNode().GetVisibility2DFill()
    assert section.ui.ratersTable.item(1, 1).toolTip() == "Segment_1 of mask_ben"


def test_an_added_labelmap_is_outlined_and_its_opaque_layer_taken_away(section, scene):
    image, other = addSequence("case T1"), slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "atlas")
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "mask")
    source = addVolume(RATERS["ben"], GRID, "source")
    slicer.modules.volumes.logic().CreateLabelVolumeFromVolume(scene, labels, source)
    red, green, yellow = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    for composite, layer in ((red, labels), (green, labels), (yellow, other)):
        composite.SetBackgroundVolumeID(image.GetID())
        composite.SetLabelVolumeID(layer.GetID())
    addAllRaters(section, labels)
    assert [composite.GetLabelVolumeID() for composite in (red, green, yellow)] == [None, None, other.GetID()]
    assert red.GetBackgroundVolumeID() == image.GetID()
    (display,) = slicer.util.getNodesByClass("vtkMRMLSegmentationDisplayNode")
    assert display.GetVisibility()
    assert display.GetDisplayableNode().GetSegmentation().GetNthSegment(0).GetName() == "mask"
    section.ui.ratersTable.selectRow(0)
    section.ui.removeRaterButton.click()
    assert not display.GetVisibility()


def test_raters_are_shown_with_volume_colour_and_pairwise_dice(slicerApplication, section):
    add(section, addSequence("case T1"))
    node = addRaters()
    addAllRaters(section, node)
    assert cells(section.ui.ratersTable) == [
        ["1", "anna", "10.00", "-", "0.80", "0.67"],
        ["2", "ben", "10.00", "0.80", "-", "0.40"],
        ["3", "cara", "5.00", "0.67", "0.40", "-"],
    ]
    mean = (0.8 + 2 / 3 + 0.4) / 3
    assert section.state().endswith(f"; 3 raters, mean Dice {mean:.2f}")
    assert section.state() == "T1; 3 raters, mean Dice 0.62"
    for row in range(3):
        picture = section.ui.ratersTable.item(row, 1).icon().pixmap(16, 16).toImage()
        shown, border = picture.pixelColor(8, 8), picture.pixelColor(0, 8)
        expected = node.GetSegmentation().GetNthSegment(row).GetColor()
        np.testing.assert_allclose((shown.redF(), shown.greenF(), shown.blueF()), expected, atol=1 / 255)
        np.testing.assert_allclose((border.redF(), border.greenF(), border.blueF()), SWATCH_BORDER, atol=1 / 255)
    header = section.ui.ratersTable.horizontalHeaderItem(4)
    assert header.text() == "2"
    assert header.toolTip() == "Dice with ben"


def test_a_rater_is_switched_off_and_on_without_computing_again(panel, section, monkeypatch):
    from ObserverUncertaintySlicer.panel import raterTable

    fill(panel)
    computed = []
    statistics = raterTable.raterStatistics
    monkeypatch.setattr(raterTable, "raterStatistics", lambda masks: computed.append(1) or statistics(masks))
    import qt

    section.ui.ratersTable.item(2, 0).setCheckState(qt.Qt.Unchecked)
    assert [choice.enabled for choice in section.parameters.raterChoices] == [True, True, False]
    assert [rater.name for rater in section.parameters.raters] == ["anna", "ben"]
    assert section.state().endswith("2 raters, mean Dice 0.80")
    assert section.state() == "T1; 2 raters, mean Dice 0.80"
    section.ui.ratersTable.item(2, 0).setCheckState(qt.Qt.Checked)
    assert len(section.parameters.raters) == 3
    assert not computed


def test_the_selected_rater_is_removed_and_stays_in_the_scene(panel, section):
    node = fill(panel)
    section.ui.ratersTable.selectRow(1)
    assert section.ui.removeRaterButton.enabled
    ben = panel.parameters.raters[1]
    section.ui.removeRaterButton.click()
    assert not node.GetDisplayNode().GetSegmentVisibility(ben.segmentID), "no table names it any more"
    assert [choice.rater.name for choice in section.parameters.raterChoices] == ["anna", "cara"]
    assert cells(section.ui.ratersTable) == [["1", "anna", "10.00", "-", "0.67"], ["2", "cara", "5.00", "0.67", "-"]]
    assert node.GetSegmentation().GetNumberOfSegments() == 3


def test_a_labelmap_on_another_grid_is_a_rater_and_resampling_is_told(panel, section):
    fill(panel)
    half = replace(GRID, size=(64, 30, 20), spacing=(1.0, 2.0, 2.5), origin=(-31.5, -29.0, -24.0))
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "fine")
    source = addVolume(np.repeat(RATERS["ben"], 2, axis=2), half, "source")
    slicer.modules.volumes.logic().CreateLabelVolumeFromVolume(slicer.mrmlScene, labels, source)
    addAllRaters(section, labels)
    rows = cells(section.ui.ratersTable)
    assert rows[3] == ["4", "fine", "10.00", "0.80", "1.00", "0.40", "-"]
    assert "fine was resampled to the nearest voxel from 64 x 30 x 20 voxels of 1 x 2 x 2.5 mm" in (
        section.ui.ratersLabel.text
    )


def test_an_empty_rater_is_warned_about_and_has_no_dice_with_another_empty_one(section):
    addAllRaters(section, addRaters({"one": box(0, 0), "two": box(0, 0), "three": box(3, 5)}))
    rows = cells(section.ui.ratersTable)
    assert rows[0] == ["1", "one", "0.00", "-", "-", "0.00"]
    assert "neither" in section.ui.ratersTable.item(0, 4).toolTip()
    assert "one drew nothing" in section.ui.ratersLabel.text
    assert section.state() == "no image yet; 3 raters, mean Dice 0.00"


def test_what_is_no_rater_is_refused_with_one_message(slicerApplication, panel, section):
    node = fill(panel)
    addAllRaters(section, node)
    theMessage(slicerApplication, "case raters", "already")
    two = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "two labels")
    slicer.util.updateVolumeFromArray(two, np.arange(8, dtype=np.uint8).reshape(2, 2, 2) % 3)
    addAllRaters(section, two)
    theMessage(slicerApplication, "two labels", "2 labels")
    settle(slicerApplication, panel.disagreement)
    addAllRaters(section, panel.parameters.fusedSegmentation)
    theMessage(slicerApplication, "Majority vote", "no expert's contour")
    panel.correct.ui.startButton.click()
    copy = panel.parameters.workingCopy
    section.ui.raterSelector.showHidden = True
    for node in (copy, START.of(copy)):
        addAllRaters(section, node)
        theMessage(slicerApplication, node.GetName(), "no expert's contour")
    assert len(section.parameters.raterChoices) == 3


def test_raters_that_cannot_be_compared_show_why_instead_of_figures(panel, section):
    fill(panel)
    two = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "two labels")
    slicer.util.updateVolumeFromArray(two, np.arange(8, dtype=np.uint8).reshape(2, 2, 2) % 3)
    panel.parameters.raterChoices = [*panel.parameters.raterChoices, RaterChoice(Rater(two))]
    assert "two labels" in section.ui.ratersLabel.text
    assert cells(section.ui.ratersTable)[0][2] == ""


def test_figures_follow_the_brush_names_and_colours(slicerApplication, panel, section):
    node = fill(panel)
    segmentID = ratersOfNode(node)[2].segmentID
    setSegment(node, segmentID, RATERS["anna"], GRID)
    node.GetSegmentation().GetSegment(segmentID).SetName("dora")
    settle(slicerApplication, section)
    assert cells(section.ui.ratersTable)[2] == ["3", "dora", "10.00", "1.00", "0.80", "-"]
    node.GetSegmentation().RemoveSegment(segmentID)
    settle(slicerApplication, section)
    assert len(section.parameters.raterChoices) == 2
    assert cells(section.ui.ratersTable) == [["1", "anna", "10.00", "-", "0.80"], ["2", "ben", "10.00", "0.80", "-"]]


def test_figures_are_computed_only_where_somebody_sees_them(slicerApplication, panel, section):
    section.ui.sectionButton.collapsed = True
    fill(panel)
    assert cells(section.ui.ratersTable)[0][2] == ""
    section.ui.sectionButton.collapsed = False
    assert cells(section.ui.ratersTable)[0][2] == "10.00"
    slicerApplication.leave()
    panel.parameters.raterChoices = panel.parameters.raterChoices[1:]
    assert cells(section.ui.ratersTable)[0][:3] == ["1", "ben", ""]
    slicerApplication.enter("ObserverUncertainty")
    assert cells(section.ui.ratersTable)[0][:3] == ["1", "ben", "10.00"]


def test_a_rater_that_takes_no_part_is_not_drawn(slicerApplication, panel, section):
    import qt

    node = fill(panel)
    volume = addVolume(box(3, 9).astype(np.uint8), GRID, "source")
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    slicer.modules.volumes.logic().CreateLabelVolumeFromVolume(slicer.mrmlScene, labels, volume)
    addAllRaters(section, labels)
    outline, display = OUTLINES.of(labels), node.GetDisplayNode()
    ben = panel.parameters.raters[1]
    for row in (1, 3):
        section.ui.ratersTable.item(row, 0).setCheckState(qt.Qt.Unchecked)
    assert not display.GetSegmentVisibility(ben.segmentID)
    assert display.GetSegmentVisibility(panel.parameters.raters[0].segmentID)
    assert not outline.GetDisplayNode().GetVisibility()
    for row in (1, 3):
        section.ui.ratersTable.item(row, 0).setCheckState(qt.Qt.Checked)
    assert display.GetSegmentVisibility(ben.segmentID)
    assert outline.GetDisplayNode().GetVisibility()
