"""The comparison's layout: linked views, the user's own layout and segmentations left as they were."""

import numpy as np
import pytest
import slicer
import slicer.util
from compare_case import EXPERT_CENTRE, PREDICTIVE_CENTRE, ras
from compare_case import makeCase as makeCompareCase

from ObserverUncertaintyLib.errors import InputError
from ObserverUncertaintyLib.geometry import Grid
from ObserverUncertaintySlicer.layout import ORIENTATIONS, compare, mostUncertainPoint, registerLayout
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


def test_each_row_shows_its_entropy_over_the_same_image(views, case):
    for row, overlay in (("Predictive", case.predictive), ("Expert", case.expert)):
        for orientation in ORIENTATIONS:
            sliceNode = views.sliceNode(row, orientation)
            assert sliceNode.GetName() == f"OU {row} {orientation}"
            assert sliceNode.GetOrientation() == orientation
            assert sliceNode.GetLayoutLabel() == f"{row} {orientation}"
            assert composite(sliceNode).GetBackgroundVolumeID() == case.background.GetID()
            assert composite(sliceNode).GetForegroundVolumeID() == overlay.GetID()
    assert [node.GetName() for node in views.sliceNodes] == [
        f"OU {row} {orientation}" for row in ("Predictive", "Expert") for orientation in ORIENTATIONS
    ]


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


def test_the_applications_own_link_holds_for_these_views_only(views, layoutNode):
    assert layoutNode.GetScene().GetNumberOfNodesByClass("vtkMRMLSliceNode") == 9
    groups = {node.GetViewGroup() for node in views.sliceNodes}
    red = slicer.util.getNode("vtkMRMLSliceNodeRed")
    assert len(groups) == 1
    assert red.GetViewGroup() not in groups
    for node in views.sliceNodes:
        assert composite(node).GetLinkedControl()
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
    assert views.previousLayout == layoutNode.SlicerLayoutOneUpGreenSliceView
    assert layoutNode.GetViewArrangement() == registerLayout()
    # A second comparison, now with three rows, still knows the user's own layout.
    views = compare(case.background, case.predictive, case.expert, case.raters, case.difference)
    assert len(views.sliceNodes) == 9
    assert layoutNode.GetViewArrangement() == registerLayout(3)
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
    assert case.segmentation.GetNumberOfDisplayNodes() == 1


def test_a_maximised_view_still_belongs_to_the_comparison(views, layoutNode):
    layoutNode.AddLayoutDescription(layoutNode.SlicerLayoutMaximizedView, "<layout type='horizontal'></layout>")
    layoutNode.SetViewArrangement(layoutNode.SlicerLayoutMaximizedView)
    assert views.isOpen


def test_a_new_comparison_closes_the_one_before(views, case):
    again = compare(case.background, case.predictive, case.expert, [])
    assert again.isOpen
    assert not views.isOpen
    assert case.segmentation.GetNumberOfDisplayNodes() == 1
    again.close()


def test_a_scene_closed_while_comparing_leaves_nothing_behind(mrml, views):
    mrml.scene.Clear(0)
    assert not views.isOpen
    views.close()
    views.restoreLayout()


@pytest.mark.parametrize("name", ["Predictive entropy", "MRI", "Case raters"])
def test_a_node_deleted_while_comparing_breaks_nothing(views, name, scene):
    scene.RemoveNode(slicer.util.getNode(name))
    views.setThreshold(0.2)
    views.setOpacity(0.4)
    views.jumpTo((1, 2, 3))
    views.fit()
    views.sliceNode("Expert", "Axial").SetSliceOffset(5)
    assert views.sliceNode("Predictive", "Axial").GetSliceOffset() == pytest.approx(5)
    views.restoreLayout()


def test_the_comparison_works_where_nobody_made_a_layout_node(case, scene):
    assert scene.GetFirstNodeByClass("vtkMRMLLayoutNode") is None
    views = compare(case.background, case.predictive, case.expert, case.raters)
    assert len(views.sliceNodes) == 6
    views.jumpTo(ras(*EXPERT_CENTRE))
    assert views.sliceNode("Expert", "Axial").GetSliceOffset() == pytest.approx(ras(*EXPERT_CENTRE)[2])
    views.restoreLayout()


def test_wrong_input_leaves_layout_and_scene_as_they_are(case, layoutNode, scene):
    layout = layoutNode.GetViewArrangement()
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
    assert layoutNode.GetViewArrangement() == layout
    assert scene.GetNumberOfNodes() == nodes
    assert case.segmentation.GetNumberOfDisplayNodes() == 1


def test_one_noisy_voxel_is_not_the_most_uncertain_place(scene):
    array = np.zeros((30, 40, 50), np.float32)
    array[5, 5, 5] = 1.0
    array[20:26, 10:16, 30:36] = 0.6
    direction = (0, 1, 0, 1, 0, 0, 0, 0, -1)  # x and y exchanged, slices downwards
    volume = addVolume(array, Grid((50, 40, 30), (2.0, 1.0, 3.0), (5.0, -7.0, 11.0), direction), "Noisy")
    right, anterior, superior = mostUncertainPoint(volume)
    # LPS: left = origin + j * 1, posterior = origin + i * 2, superior = origin - k * 3; RAS flips the first two.
    assert -(5 + 15) <= right <= -(5 + 10)
    assert 7 - 2 * 35 <= anterior <= 7 - 2 * 30
    assert 11 - 3 * 25 <= superior <= 11 - 3 * 20


def test_the_most_uncertain_place_follows_a_parent_transform(case, scene):
    before = np.array(mostUncertainPoint(case.expert))
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Moved")
    matrix = np.eye(4)
    matrix[:3, 3] = (10, 20, -5)
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    case.expert.SetAndObserveTransformNodeID(transform.GetID())
    np.testing.assert_allclose(np.array(mostUncertainPoint(case.expert)) - before, (10, 20, -5))


def test_a_volume_of_zeros_has_no_most_uncertain_place_but_can_be_compared(case):
    slicer.util.updateVolumeFromArray(case.predictive, np.zeros((40, 64, 64), np.float32))
    with pytest.raises(InputError, match="Predictive entropy"):
        mostUncertainPoint(case.predictive)
    views = compare(case.background, case.predictive, case.expert, [])
    expert = mostUncertainPoint(case.expert)
    assert views.sliceNode("Predictive", "Axial").GetSliceOffset() == pytest.approx(expert[2])
    views.close()
