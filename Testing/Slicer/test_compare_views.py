"""The comparison: linked views, true labels, and the user's own layout and segmentations afterwards as before."""

import numpy as np
import pytest
import slicer
import slicer.util
from compare_case import EXPERT_CENTRE, PREDICTIVE_CENTRE, ras
from compare_case import makeCase as makeCompareCase
from rater_scenes import rotation

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintySlicer.compareViews import compare, presentViews, resume
from ObserverUncertaintySlicer.comparisonLayout import ORIENTATIONS, ROWS, registerLayouts
from ObserverUncertaintySlicer.layoutSwitch import previousLayout, shownRows
from ObserverUncertaintySlicer.places import mostUncertainPoint
from ObserverUncertaintySlicer.sliceViews import normalOf
from ObserverUncertaintySlicer.volumes import addVolume


@pytest.fixture
def case(scene):
    return makeCompareCase()


@pytest.fixture
def layoutNode(scene):
    """The layout node of a layout logic that makes views, as the application's."""
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(scene)
    yield logic.GetLayoutNode()
    logic.SetMRMLScene(None)


@pytest.fixture
def views(case, layoutNode):
    views = compare(case.background, case.predictive, case.expert, case.raters)
    yield views
    views.close()


def composite(sliceNode):
    return slicer.vtkMRMLSliceLogic.GetSliceCompositeNode(sliceNode)


def outlinesShown():
    """Names of the segmentations that outlines of the comparison are visible of."""
    displays = slicer.util.getNodesByClass("vtkMRMLSegmentationDisplayNode")
    return [
        display.GetDisplayableNode().GetName()
        for display in displays
        if display.GetAttribute("ObserverUncertainty.Role") == "RaterOutlines" and display.GetVisibility()
    ]


def labels(views):
    return "".join(node.GetLayoutLabel() for node in views.sliceNodes)


def test_each_row_shows_its_entropy_over_the_same_image(views, case):
    for row, overlay in (("Predictive", case.predictive), ("Expert", case.expert)):
        for orientation in ORIENTATIONS:
            sliceNode = views.sliceNode(row, orientation)
            # Slicer's data probe asks for the view by the node's name.
            assert sliceNode.GetName() == sliceNode.GetLayoutName() == f"OU{row}{orientation}"
            assert sliceNode.GetOrientation() == orientation
            assert composite(sliceNode).GetBackgroundVolumeID() == case.background.GetID()
            assert composite(sliceNode).GetForegroundVolumeID() == overlay.GetID()
    assert labels(views) == "MMMEEE"
    assert [node.GetName() for node in views.sliceNodes] == [
        f"OU{row}{orientation}" for row in ("Predictive", "Expert") for orientation in ORIENTATIONS
    ]


def test_a_view_in_which_something_else_was_chosen_is_not_labelled_as_its_row(views, case):
    chosen = composite(views.sliceNode("Expert", "Sagittal"))
    chosen.SetForegroundVolumeID(case.predictive.GetID())
    assert labels(views) == "MMME?E"
    others = [composite(node).GetForegroundVolumeID() for node in views.sliceNodes if composite(node) is not chosen]
    assert others == [case.predictive.GetID()] * 3 + [case.expert.GetID()] * 2
    chosen.SetForegroundVolumeID(None)
    assert labels(views) == "MMME?E"
    chosen.SetForegroundVolumeID(case.expert.GetID())
    assert labels(views) == "MMMEEE"


def test_the_views_of_a_tilted_image_show_its_own_slices_and_are_linked(scene, layoutNode):
    turned = tuple(rotation(7, (1.0, 0.0, 1.0)).ravel())
    grid = Grid((20, 22, 24), (2.0, 2.0, 2.0), direction=turned)
    entropy = np.zeros(grid.shape, np.float32)
    entropy[10:14, 8:12, 5:9] = 0.8
    image, first, second = (addVolume(entropy, grid, name) for name in ("tilted", "predictive", "expert"))
    views = compare(image, first, second, [])
    axes = np.reshape(turned, (3, 3)) * [[-1], [-1], [1]]  # LPS to RAS
    for row in ("Predictive", "Expert"):
        for orientation, axis in (("Axial", 2), ("Sagittal", 0), ("Coronal", 1)):
            normal = normalOf(views.sliceNode(row, orientation))
            assert abs(np.dot(normal, axes[:, axis])) == pytest.approx(1)
    np.testing.assert_allclose(views.place, mostUncertainPoint(first), atol=1e-6)
    views.sliceNode("Expert", "Axial").SetSliceOffset(12.5)
    assert views.sliceNode("Predictive", "Axial").GetSliceOffset() == pytest.approx(12.5)
    views.restoreLayout()


def test_the_views_open_at_the_most_uncertain_place(views):
    for sliceNode in views.sliceNodes:
        axis = {"Axial": 2, "Sagittal": 0, "Coronal": 1}[sliceNode.GetOrientation()]
        assert abs(sliceNode.GetSliceOffset()) == pytest.approx(abs(ras(*PREDICTIVE_CENTRE)[axis]), abs=14)
    predictive = views.sliceNode("Predictive", "Axial").GetSliceOffset()
    assert predictive == pytest.approx(mostUncertainPoint(slicer.util.getNode("Predictive entropy"))[2])


@pytest.mark.parametrize("moved", ["Predictive", "Expert"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_scrolling_one_view_scrolls_the_other_row_and_nothing_else(views, moved, orientation):
    before = {node: node.GetSliceOffset() for node in views.sliceNodes}
    views.sliceNode(moved, orientation).SetSliceOffset(12.5)
    for node in views.sliceNodes:
        expected = 12.5 if node.GetOrientation() == orientation else before[node]
        assert node.GetSliceOffset() == pytest.approx(expected)


def test_zoom_pan_and_rotation_are_linked(views):
    first, second = (views.sliceNode(row, "Axial") for row in ("Predictive", "Expert"))
    width, height, depth = first.GetFieldOfView()
    first.SetFieldOfView(width / 2, height / 2, depth)
    assert second.GetFieldOfView() == pytest.approx(first.GetFieldOfView())
    second.SetXYZOrigin(7, -3, 0)
    assert first.GetXYZOrigin() == pytest.approx((7, -3, 0))
    second.RotateToVolumePlane(slicer.util.getNode("MRI"))
    second.SetOrientation("Coronal")
    np.testing.assert_allclose(
        slicer.util.arrayFromVTKMatrix(first.GetSliceToRAS()), slicer.util.arrayFromVTKMatrix(second.GetSliceToRAS())
    )


def test_resizing_a_view_does_not_zoom_the_others(views):
    first, second = (views.sliceNode(row, "Axial") for row in ("Predictive", "Expert"))
    before = second.GetFieldOfView()
    first.SetDimensions(2 * first.GetDimensions()[0], first.GetDimensions()[1], 1)
    assert second.GetFieldOfView() == before


def test_the_applications_own_link_is_off_and_would_not_cross_rows(views, layoutNode):
    assert layoutNode.GetScene().GetNumberOfNodesByClass("vtkMRMLSliceNode") == 9
    groups = [{views.sliceNode(row, o).GetViewGroup() for o in ORIENTATIONS} for row in ("Predictive", "Expert")]
    red = slicer.util.getNode("vtkMRMLSliceNodeRed")
    assert [len(group) for group in groups] == [1, 1]
    assert len({red.GetViewGroup()}.union(*groups)) == 3
    for node in views.sliceNodes:
        assert not composite(node).GetLinkedControl()
        assert not composite(node).GetDoPropagateVolumeSelection()
    offset = red.GetSliceOffset()
    views.sliceNode("Expert", "Axial").SetSliceOffset(33)
    assert red.GetSliceOffset() == offset


def test_closed_views_are_no_longer_linked(views):
    views.close()
    views.close()
    assert not views.isOpen
    before = views.sliceNode("Expert", "Axial").GetSliceOffset()
    views.sliceNode("Predictive", "Axial").SetSliceOffset(before + 9)
    assert views.sliceNode("Expert", "Axial").GetSliceOffset() == before


def test_the_earlier_layout_comes_back(case, layoutNode):
    layoutNode.SetViewArrangement(layoutNode.SlicerLayoutOneUpGreenSliceView)
    views = compare(case.background, case.predictive, case.expert, case.raters)
    assert previousLayout() == layoutNode.SlicerLayoutOneUpGreenSliceView
    assert shownRows() == 2
    # A second comparison, now with three rows, still knows the user's own layout.
    views = compare(case.background, case.predictive, case.expert, case.raters, case.difference)
    assert len(views.sliceNodes) == 9
    assert shownRows() == 3
    assert labels(views) == "MMMEEEDDD"
    views.restoreLayout()
    assert layoutNode.GetViewArrangement() == layoutNode.SlicerLayoutOneUpGreenSliceView
    assert not views.isOpen


def test_going_back_does_not_undo_a_layout_the_user_chose_since(views, layoutNode):
    layoutNode.SetViewArrangement(layoutNode.SlicerLayoutConventionalView)
    views.restoreLayout()
    assert layoutNode.GetViewArrangement() == layoutNode.SlicerLayoutConventionalView


def test_segmentations_are_as_before_after_another_layout_is_chosen(views, case, layoutNode):
    display = case.segmentation.GetDisplayNode()
    inner = views.sliceNode("Predictive", "Axial").GetID()
    assert not display.IsDisplayableInView(inner)
    assert display.IsDisplayableInView("vtkMRMLSliceNodeRed")
    layoutNode.SetViewArrangement(layoutNode.SlicerLayoutConventionalView)
    assert not views.isOpen
    assert display.GetNumberOfViewNodeIDs() == 0
    assert outlinesShown() == []


def test_a_maximised_view_still_belongs_to_the_comparison(views, layoutNode):
    layoutNode.AddLayoutDescription(layoutNode.SlicerLayoutMaximizedView, "<layout type='horizontal'></layout>")
    layoutNode.SetViewArrangement(layoutNode.SlicerLayoutMaximizedView)
    assert views.isOpen


def test_a_new_comparison_closes_the_one_before(views, case):
    assert outlinesShown() == ["Case raters"]
    again = compare(case.background, case.predictive, case.expert, [])
    assert again.isOpen
    assert presentViews() is again
    assert not views.isOpen
    assert outlinesShown() == []
    again.close()
    assert presentViews() is None


def test_a_closed_scene_ends_the_comparison_and_brings_the_layout_back(mrml, case, layoutNode):
    layoutNode.SetViewArrangement(layoutNode.SlicerLayoutOneUpGreenSliceView)
    views = compare(case.background, case.predictive, case.expert, case.raters)
    ended = []
    views.whenClosed = lambda: ended.append(shownRows())
    mrml.scene.Clear(0)
    assert ended == [0]
    assert not views.isOpen
    assert presentViews() is None
    assert layoutNode.GetViewArrangement() == layoutNode.SlicerLayoutOneUpGreenSliceView
    views.close()
    views.restoreLayout()


@pytest.mark.parametrize("name", ["Predictive entropy", "Expert entropy", "MRI", "Difference"])
def test_a_volume_that_leaves_the_scene_ends_the_comparison(case, layoutNode, scene, name):
    before = layoutNode.GetViewArrangement()
    views = compare(case.background, case.predictive, case.expert, case.raters, case.difference)
    ended = []
    views.whenClosed = lambda: ended.append(1)
    scene.RemoveNode(slicer.util.getNode(name))
    assert ended == [1]
    assert not views.isOpen
    assert layoutNode.GetViewArrangement() == before
    assert outlinesShown() == []
    assert case.segmentation.GetDisplayNode().GetNumberOfViewNodeIDs() == 0
    # Closed views take orders and do nothing.
    views.setThreshold(0.2)
    views.setOpacity(0.4)
    views.jumpTo((1, 2, 3))
    views.fit()
    views.restoreLayout()


def test_raters_deleted_while_comparing_leave_the_comparison(views, scene):
    scene.RemoveNode(slicer.util.getNode("Case raters"))
    assert views.isOpen
    views.sliceNode("Expert", "Axial").SetSliceOffset(5)
    assert views.sliceNode("Predictive", "Axial").GetSliceOffset() == pytest.approx(5)


def test_twenty_comparisons_with_edited_raters_need_two_display_nodes(case, layoutNode, scene):
    mask = np.zeros((40, 64, 64), np.uint8)
    for number in range(20):
        views = compare(
            case.background, case.predictive, case.expert, case.raters, case.difference if number % 2 else None
        )
        mask[number] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, case.segmentation, "first", case.background)
        assert outlinesShown() == ["Case raters"]
        views.restoreLayout()
        assert outlinesShown() == []
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationDisplayNode") == 2


def reopened(scene, layoutNode, path):
    """The scene saved and opened again, as in a new session."""
    assert scene.WriteToMRB(str(path))
    scene.Clear(0)
    assert shownRows() == 0
    assert scene.ReadFromMRB(str(path), True)


@pytest.mark.parametrize("rows", [2, 3])
def test_a_comparison_that_came_with_a_scene_is_taken_up_complete(case, layoutNode, scene, tmp_path, rows):
    layoutNode.SetViewArrangement(layoutNode.SlicerLayoutOneUpGreenSliceView)
    compare(
        case.background, case.predictive, case.expert, case.raters, case.difference if rows == 3 else None
    ).setOpacity(0.4)
    reopened(scene, layoutNode, tmp_path / "comparing.mrb")
    assert shownRows() == rows
    assert presentViews() is None
    views = resume()
    assert presentViews() is views
    assert resume() is views
    assert labels(views) == "MMMEEEDDD"[: 3 * rows]
    names = ["MRI", "Predictive entropy", "Expert entropy", "Difference"]
    assert [volume.GetName() for volume in views.volumes] == names[: rows + 1]
    assert {round(composite(node).GetForegroundOpacity(), 2) for node in views.sliceNodes} == {0.4}
    for row, volume in zip(ROWS, views.overlays, strict=False):
        legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(volume)
        shownIn = set(legend.GetViewNodeIDs())
        assert {views.sliceNode(row, orientation).GetID() for orientation in ORIENTATIONS} <= shownIn
    views.sliceNode("Predictive", "Coronal").SetSliceOffset(9)
    assert views.sliceNode("Expert", "Coronal").GetSliceOffset() == pytest.approx(9)
    assert outlinesShown() == ["Case raters"]
    raters = slicer.util.getNode("Case raters")
    assert not raters.GetDisplayNode().IsDisplayableInView(views.sliceNodes[0].GetID())
    views.restoreLayout()
    assert layoutNode.GetViewArrangement() == layoutNode.SlicerLayoutOneUpGreenSliceView
    assert raters.GetDisplayNode().GetNumberOfViewNodeIDs() == 0
    assert outlinesShown() == []


def test_a_comparison_that_came_incomplete_gives_the_layout_back(case, layoutNode, scene, tmp_path):
    layoutNode.SetViewArrangement(layoutNode.SlicerLayoutOneUpGreenSliceView)
    compare(case.background, case.predictive, case.expert, case.raters)
    assert scene.WriteToMRB(str(tmp_path / "comparing.mrb"))
    scene.Clear(0)
    assert scene.ReadFromMRB(str(tmp_path / "comparing.mrb"), True)
    composite(slicer.util.getNode("OUExpertAxial")).SetForegroundVolumeID(None)
    assert resume() is None
    assert presentViews() is None
    assert layoutNode.GetViewArrangement() == layoutNode.SlicerLayoutOneUpGreenSliceView
    assert slicer.util.getNode("Case raters").GetDisplayNode().GetNumberOfViewNodeIDs() == 0
    assert outlinesShown() == []


def test_where_no_comparison_is_shown_there_is_none_to_take_up(case, layoutNode):
    before = layoutNode.GetViewArrangement()
    assert resume() is None
    assert layoutNode.GetViewArrangement() == before


def test_layouts_are_registered_once_and_not_without_a_layout_node(scene):
    registerLayouts()
    assert scene.GetFirstNodeByClass("vtkMRMLLayoutNode") is None
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(scene)
    for _ in range(2):
        registerLayouts()
    node = logic.GetLayoutNode()
    node.SetViewArrangement(20182)
    assert node.GetCurrentLayoutDescription().count("<view ") == 9
    assert shownRows() == 3
    logic.SetMRMLScene(None)


def test_the_comparison_works_where_nobody_made_a_layout_node(case, scene):
    assert scene.GetFirstNodeByClass("vtkMRMLLayoutNode") is None
    views = compare(case.background, case.predictive, case.expert, case.raters)
    assert len(views.sliceNodes) == 6
    views.jumpTo(ras(*EXPERT_CENTRE))
    assert views.sliceNode("Expert", "Axial").GetSliceOffset() == pytest.approx(ras(*EXPERT_CENTRE)[2])
    views.restoreLayout()


def test_wrong_input_leaves_layout_and_scene_as_they_are(case, layoutNode, scene):
    before = layoutNode.GetViewArrangement()
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Nothing in it")
    nodes = scene.GetNumberOfNodes()
    with pytest.raises(InputError, match="Nothing in it"):
        compare(case.background, case.predictive, empty, case.raters)
    other = addVolume(np.zeros((4, 5, 6), np.float32), Grid((6, 5, 4), (1.0, 1.0, 1.0)), "Other patient")
    nodes += 2  # the volume and how it is displayed
    with pytest.raises(InputError, match=r"(?s)Other patient.*Predictive entropy"):
        compare(case.background, case.predictive, other, case.raters)
    with pytest.raises(InputError, match="third"):
        compare(case.background, case.predictive, case.expert, [(case.segmentation, "third")])
    with pytest.raises(InputError, match="threshold"):
        compare(case.background, case.predictive, case.expert, case.raters, threshold=1.5)
    with pytest.raises(InputError, match="opacity"):
        compare(case.background, case.predictive, case.expert, case.raters, opacity=-0.5)
    assert layoutNode.GetViewArrangement() == before
    assert scene.GetNumberOfNodes() == nodes
    assert outlinesShown() == []


def test_a_volume_of_zeros_has_no_most_uncertain_place_but_can_be_compared(case):
    slicer.util.updateVolumeFromArray(case.predictive, np.zeros((40, 64, 64), np.float32))
    with pytest.raises(InputError, match="Predictive entropy"):
        mostUncertainPoint(case.predictive)
    views = compare(case.background, case.predictive, case.expert, [])
    expert = mostUncertainPoint(case.expert)
    assert views.sliceNode("Predictive", "Axial").GetSliceOffset() == pytest.approx(expert[2])
    views.close()
