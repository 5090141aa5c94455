"""Colour scales are fixed, even to the eye and safe for colour-blind readers; outlines touch nothing of the user's."""

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from compare_case import FIRST_COLOR, PLATEAU, RATER_CENTRE, cube, makeCase, ras
from vtk.util.numpy_support import vtk_to_numpy

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.attributes import Role
from ObserverUncertaintySlicer.colors import differenceColors, entropyColors
from ObserverUncertaintySlicer.display import LEGENDS, showAsDifference, showAsEntropy, showAsProbability, showLegend
from ObserverUncertaintySlicer.outlines import (
    OUTLINE_THICKNESS,
    hideAllSegmentations,
    hideSegmentation,
    hideSegmentations,
    showAsOutline,
    showRaterOutlines,
    showSegmentations,
)
from ObserverUncertaintySlicer.raters import RATER_COLORS, Rater, giveOwnColors


def tableOf(colorNode):
    return vtk_to_numpy(colorNode.GetLookupTable().GetTable()).astype(float) / 255


def lab(rgb):
    """CIE L*a*b* (D65) of sRGB, by its definition."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    ratio = xyz / (0.9505, 1.0, 1.089)
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.fixture
def case(scene):
    return makeCase()


@pytest.fixture
def view(scene):
    node = scene.CreateNodeByClass("vtkMRMLSliceNode")
    node.UnRegister(None)
    node.SetLayoutName("Somewhere")
    return scene.AddNode(node)


@pytest.fixture
def redView(scene):
    node = scene.CreateNodeByClass("vtkMRMLSliceNode")
    node.UnRegister(None)
    node.SetLayoutName("Red")
    return scene.AddNode(node)


def test_higher_entropy_is_always_lighter_and_steps_are_even_to_the_eye(scene):
    colors = lab(tableOf(entropyColors())[:, :3])
    steps = np.diff(colors[::15, 0])
    assert steps.min() > 3
    assert steps.max() < 1.6 * steps.min()
    assert colors[0, 0] > 10  # not black, which would look like a hole
    assert np.hypot(*colors[-1, 1:]) > 30  # not white, which would look like tissue


def test_only_entropy_zero_is_transparent(scene):
    opacity = tableOf(entropyColors())[:, 3]
    assert opacity[0] == 0
    assert (opacity[1:] == 1).all()


def test_differences_of_one_size_are_equally_light_on_both_sides(scene):
    colors = lab(tableOf(differenceColors())[:, :3])
    assert np.abs(colors[:, 0] - colors[::-1, 0]).max() < 8
    assert (np.diff(colors[128::8, 0]) > 0).all()
    # Blue against orange, which every common colour blindness keeps apart: b* of opposite sign.
    assert colors[0, 2] < -20
    assert colors[-1, 2] > 20


def test_differences_nearer_to_zero_than_the_threshold_are_transparent(scene):
    opacity = tableOf(differenceColors(0.25))[:, 3]
    values = np.linspace(-1, 1, 256)
    np.testing.assert_array_equal(opacity, np.abs(values) >= 0.25)
    assert tableOf(differenceColors())[:, 3].sum() == opacity.sum()
    assert tableOf(differenceColors(0.0))[:, 3].all()


def test_a_scene_has_one_table_of_each_kind(scene):
    before = scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode")
    assert entropyColors() is entropyColors()
    assert differenceColors() is differenceColors(0.1)
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode") == before + 2


def test_colors_survive_a_saved_scene(mrml, case, tmp_path):
    showAsEntropy(case.predictive, 0.2)
    colors = tableOf(entropyColors())
    path = str(tmp_path / "saved.mrb")
    assert mrml.scene.WriteToMRB(path)
    mrml.clear()
    assert mrml.scene.ReadFromMRB(path, True)
    display = slicer.util.getNode("Predictive entropy").GetDisplayNode()
    np.testing.assert_allclose(tableOf(display.GetColorNode()), colors, atol=1 / 255)
    assert display.GetLowerThreshold() == pytest.approx(0.2)
    assert display.GetColorNode() is entropyColors()


def test_the_scale_of_entropy_does_not_follow_the_values(case):
    for volume in (case.predictive, case.background):
        showAsEntropy(volume, 0.3)
        display = volume.GetDisplayNode()
        assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 1)
        assert display.GetAutoWindowLevel() == 0
        assert display.GetColorNode() is entropyColors()
        assert display.GetApplyThreshold()
        assert display.GetLowerThreshold() == pytest.approx(0.3)
        assert display.GetUpperThreshold() > 1


def test_the_scales_of_difference_and_probability_are_fixed(case):
    showAsDifference(case.difference, 0.1)
    display = case.difference.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (-1, 1)
    assert display.GetColorNode() is differenceColors()
    showAsProbability(case.predictive)
    display = case.predictive.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 1)
    assert display.GetColorNodeID() == "vtkMRMLColorTableNodeGrey"
    assert not display.GetApplyThreshold()


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("show", [showAsEntropy, showAsDifference])
def test_a_threshold_outside_its_range_is_refused(case, show, threshold):
    with pytest.raises(InputError, match="threshold"):
        show(case.predictive, threshold)


def test_what_is_no_scalar_volume_is_refused_by_name(scene):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty one")
    labels = slicer.util.addVolumeFromArray(
        np.ones((2, 2, 2), np.uint8), name="Labels", nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
    for node in (empty, labels):
        with pytest.raises(InputError, match=node.GetName()):
            showAsEntropy(node)


def test_a_volume_has_one_legend_with_the_title_given(case, view):
    showAsEntropy(case.predictive)
    showLegend(case.predictive, "Entropy", [view])
    legend = showLegend(case.predictive, "Predictive entropy (bits)", [view])
    assert slicer.vtkSlicerColorLogic.GetNumberOfColorLegendDisplayNodes(case.predictive) == 1
    assert legend.GetTitleText() == "Predictive entropy (bits)"
    assert list(legend.GetViewNodeIDs()) == [view.GetID()]
    assert legend.GetPrimaryDisplayNode() is case.predictive.GetDisplayNode()


def test_every_legend_tells_the_unit_and_what_a_clinician_calls_it():
    assert set(LEGENDS) == {Role.PREDICTIVE_ENTROPY, Role.EXPERT_ENTROPY, Role.ENTROPY_DIFFERENCE}
    assert all(title.endswith("\n(bits)") for title in LEGENDS.values())
    assert LEGENDS[Role.PREDICTIVE_ENTROPY].startswith("Model\nuncertainty")
    assert LEGENDS[Role.EXPERT_ENTROPY].startswith("Expert\ndisagreement")
    # A view has room for a short word beside the bar.
    assert max(len(line) for title in LEGENDS.values() for line in title.split("\n")) <= len("disagreement")


def test_outlines_in_some_views_leave_the_users_display_as_it_is(case, view):
    users = case.segmentation.GetDisplayNode()
    users.SetOpacity2DFill(0.3)
    users.SetSegmentVisibility("first", False)
    (outline,) = showRaterOutlines([(case.segmentation, "first")], [view])
    assert case.segmentation.GetDisplayNode() is users
    assert users.GetVisibility2DFill()
    assert users.GetOpacity2DFill() == pytest.approx(0.3)
    assert not users.GetSegmentVisibility("first")
    assert list(outline.GetViewNodeIDs()) == [view.GetID()]
    assert not outline.GetVisibility2DFill()
    assert outline.GetVisibility2DOutline()
    assert outline.GetSliceIntersectionThickness() == OUTLINE_THICKNESS
    assert outline.GetSegmentVisibility("first")
    assert not outline.GetSegmentVisibility("second")
    assert tuple(outline.GetSegmentColor("first")) == FIRST_COLOR


def test_outlining_other_raters_takes_the_earlier_outlines_away(case, view):
    showRaterOutlines(case.raters, [view])
    (outline,) = showRaterOutlines([(case.segmentation, "second")], [view])
    assert case.segmentation.GetNumberOfDisplayNodes() == 2
    assert not outline.GetSegmentVisibility("first")
    assert outline.GetSegmentVisibility("second")
    assert showRaterOutlines([], [view]) == []
    assert not outline.GetVisibility()
    assert case.segmentation.GetDisplayNode().GetVisibility()
    # Hidden and used again, since Slicer keeps a pointer to it as long as the segmentation is there.
    assert showRaterOutlines(case.raters, [view]) == [outline]
    assert outline.GetVisibility()


def test_without_views_the_raters_are_outlined_everywhere(case):
    (display,) = showRaterOutlines(case.raters)
    assert display is case.segmentation.GetDisplayNode()
    assert not display.GetVisibility2DFill()
    assert display.GetNumberOfViewNodeIDs() == 0


def test_segmentations_are_hidden_in_some_views_and_shown_again(case, view, redView):
    users = case.segmentation.GetDisplayNode()
    limited = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationDisplayNode")
    limited.AddViewNodeID(view.GetID())
    limited.AddViewNodeID(redView.GetID())
    hideSegmentations([view])
    hideSegmentations([view])  # twice is once
    for display in (users, limited):
        assert not display.IsDisplayableInView(view.GetID())
        assert display.IsDisplayableInView(redView.GetID())
    (outline,) = showRaterOutlines(case.raters, [view])
    hideSegmentations([view])
    assert outline.IsDisplayableInView(view.GetID())
    showSegmentations()
    assert users.GetNumberOfViewNodeIDs() == 0
    assert list(limited.GetViewNodeIDs()) == [view.GetID(), redView.GetID()]
    assert not outline.GetVisibility()


def test_segmentations_can_be_hidden_where_there_is_no_other_view(case, view):
    hideSegmentations([view])
    assert not case.segmentation.GetDisplayNode().IsDisplayableInView(view.GetID())
    showSegmentations()
    assert case.segmentation.GetDisplayNode().IsDisplayableInView(view.GetID())


def test_a_working_copy_stays_where_other_segmentations_are_hidden(case, view):
    case.segmentation.SetAttribute("ObserverUncertainty.Role", "WorkingCopy")
    hideSegmentations([view])
    assert case.segmentation.GetDisplayNode().IsDisplayableInView(view.GetID())
    assert case.segmentation.GetDisplayNode().GetNumberOfViewNodeIDs() == 0


def test_a_segmentation_is_shown_as_an_outline_without_filling(case):
    display = case.segmentation.GetDisplayNode()
    display.SetVisibility(False)
    showAsOutline(case.segmentation, 3)
    assert display.GetVisibility()
    assert display.GetVisibility2DOutline()
    assert not display.GetVisibility2DFill()
    assert display.GetSliceIntersectionThickness() == 3


def test_a_hidden_segmentation_is_visible_nowhere_and_keeps_its_display_nodes(case, view):
    (outline,) = showRaterOutlines(case.raters, [view])
    assert hideSegmentation(case.segmentation)
    assert [display.GetVisibility() for display in (case.segmentation.GetDisplayNode(), outline)] == [0, 0]
    assert not hideSegmentation(case.segmentation)
    assert case.segmentation.GetNumberOfDisplayNodes() == 2
    bare = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "without a display node")
    assert not hideSegmentation(bare)


def test_all_segmentations_but_a_cases_own_are_hidden_and_named(case, view, scene):
    labelmap = labelmapRater(case)
    showRaterOutlines([*case.raters, labelmap], [view])
    other, hidden = (scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name) for name in ("another", "hidden"))
    for node in (other, hidden):
        node.CreateDefaultDisplayNodes()
    hidden.GetDisplayNode().SetVisibility(False)
    assert hideAllSegmentations(but=[other]) == ["Case raters"]  # the labelmap's copy is nobody's to know
    visible = {
        display.GetDisplayableNode().GetName()
        for display in slicer.util.getNodesByClass("vtkMRMLSegmentationDisplayNode")
        if display.GetVisibility()
    }
    assert visible == {"another"}
    assert hideAllSegmentations() == ["another"]
    (outline,) = showRaterOutlines([labelmap])
    assert hideAllSegmentations(but=[labelmap]) == []
    assert outline.GetVisibility()


def test_an_outlined_labelmap_takes_its_copy_along_when_it_is_deleted(case, view, scene):
    labelmap = labelmapRater(case)
    (everywhere,) = showRaterOutlines([labelmap])
    assert everywhere.GetVisibility()
    showRaterOutlines([labelmap], [view])
    # What is outlined everywhere outlives the comparison.
    showSegmentations()
    assert everywhere.GetVisibility()
    assert everywhere.GetDisplayableNode() is not None
    scene.RemoveNode(labelmap)
    showRaterOutlines(case.raters)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationDisplayNode") == 1


def test_labelmaps_are_outlined_under_names_and_in_colours_of_their_own(case, scene):
    first, second = labelmapRater(case, "mask"), labelmapRater(case, "mask")
    giveOwnColors([Rater(first), Rater(second)])
    displays = showRaterOutlines([first, second])
    segments = [display.GetDisplayableNode().GetSegmentation().GetNthSegment(0) for display in displays]
    assert [segment.GetName() for segment in segments] == ["mask", "mask (2)"]
    assert [segment.GetColor() for segment in segments] == list(RATER_COLORS[:2])
    showRaterOutlines([second])
    assert [display.GetVisibility() for display in displays] == [0, 1]


def labelmapRater(case, name="Rater in a labelmap"):
    labelmap = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    labelmap.Copy(case.predictive)
    labelmap.SetName(name)
    slicer.util.updateVolumeFromArray(labelmap, 7 * cube(RATER_CENTRE, 4).astype(np.uint8))
    return labelmap


def boundsOfSegment(segmentation):
    """Smallest and largest RAS (mm) of the only segment's voxels, their edges included: left, right, posterior, ..."""
    labelmap = slicer.vtkOrientedImageData()
    segmentID = segmentation.GetSegmentation().GetNthSegmentID(0)
    segmentation.GetBinaryLabelmapRepresentation(segmentID, labelmap)
    extent = [0] * 6
    assert slicer.vtkOrientedImageDataResample.CalculateEffectiveExtent(labelmap, extent, 0)
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    edges = np.reshape(extent, (3, 2)).T + np.array([[-0.5], [0.5]])
    corners = [matrix.MultiplyPoint((*edge, 1))[:3] for edge in edges]
    return np.sort(corners, axis=0).T.ravel()


def test_a_labelmap_is_outlined_where_it_lies(case, view, scene):
    labelmap = labelmapRater(case)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Moved")
    matrix = np.eye(4)
    matrix[:3, 3] = (10, -4, 6)
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    labelmap.SetAndObserveTransformNodeID(transform.GetID())
    (outline,) = showRaterOutlines([labelmap], [view])
    copy = outline.GetDisplayableNode()
    centre = np.repeat(ras(*RATER_CENTRE), 2)
    edges = np.tile([-9.0, 9.0], 3)  # 9 voxels of 2 mm
    np.testing.assert_allclose(boundsOfSegment(copy), centre + edges + np.repeat([10, -4, 6], 2), atol=1e-6)
    assert copy.GetHideFromEditors()
    # Called again, it follows the labelmap and makes no second copy.
    labelmap.SetAndObserveTransformNodeID(None)
    showRaterOutlines([labelmap], [view])
    np.testing.assert_allclose(boundsOfSegment(copy), centre + edges, atol=1e-6)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2
    showSegmentations()
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_the_plateau_of_the_case_is_above_the_default_threshold(case):
    showAsEntropy(case.predictive)
    assert case.predictive.GetDisplayNode().GetLowerThreshold() < PLATEAU
