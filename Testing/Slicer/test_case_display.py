"""What a case looks like when it comes in: its image, its raters' outlines, the slices through them; nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
from rater_scenes import addTransform, affine, rotation
from section_case import GRID, addRaters, addSequence, box

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintySlicer.caseDisplay import centreOfRaters, showCase
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.compareViews import compare, presentViews
from ObserverUncertaintySlicer.display import showLegend
from ObserverUncertaintySlicer.raters import Rater, ratersOfNode
from ObserverUncertaintySlicer.segments import addSegmentation
from ObserverUncertaintySlicer.volumes import addVolume

pytestmark = pytest.mark.usefixtures("scene")


@pytest.fixture
def views(scene):
    """The views of a layout logic that makes them as the application's does, without the application."""
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(scene)
    yield {node.GetLayoutName(): node for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")}
    logic.SetMRMLScene(None)


def loaded(name="Anna", masks=None):
    masks = {"a": box(10, 20), "b": box(12, 16)} if masks is None else masks
    return LoadedCase(name, {"T1": addSequence(f"{name} T1")}, ratersOfNode(addRaters(masks, f"{name} raters")))


def test_on_plain_mrml_a_case_is_outlined_and_the_views_go_to_its_middle(views):
    earlier = addSegmentation(box(1, 5), GRID, "earlier", "x", (1, 0, 0))
    case = loaded()
    assert showCase(case) == ["earlier"]
    assert not earlier.GetDisplayNode().GetVisibility()
    display = case.raters[0].node.GetDisplayNode()
    assert display.GetVisibility2DOutline()
    assert not display.GetVisibility2DFill()
    # Mean index (i, j, k) of what the raters drew: 14.5, 14.5, 9.5; its voxels' centres are whole numbers.
    middle = np.array(centreOfRaters(case.raters, case.sequences["T1"]))
    expected = (np.array(GRID.origin) + np.array([14.5, 14.5, 9.5]) * GRID.spacing) * (-1, -1, 1)
    assert (abs(middle - expected) <= 0.5001 * np.array(GRID.spacing)).all()
    for name, axis in (("Red", 2), ("Yellow", 0), ("Green", 1)):
        assert abs(views[name].GetSliceOffset()) == pytest.approx(abs(middle[axis]))


def test_every_view_tells_the_patients_directions_and_a_scale_unless_the_user_chose_others(views):
    views["Yellow"].SetOrientationMarkerType(views["Yellow"].OrientationMarkerTypeHuman)
    views["Yellow"].SetRulerType(views["Yellow"].RulerTypeThick)
    showCase(loaded())
    found = {name: (node.GetOrientationMarkerType(), node.GetRulerType()) for name, node in views.items()}
    node = views["Red"]
    plain = (node.OrientationMarkerTypeAxes, node.RulerTypeThin)
    assert found == {**dict.fromkeys(views, plain), "Yellow": (node.OrientationMarkerTypeHuman, node.RulerTypeThick)}


def test_the_views_show_the_cases_image_along_its_own_axes(slicerApplication):
    grid = Grid((20, 20, 20), (2.0, 2.0, 2.0), direction=tuple(rotation(6, (1.0, 0.0, 0.0)).ravel()))
    tilted = addVolume(np.ones(grid.shape, np.float32), grid, "tilted")
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "atlas")
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetForegroundVolumeID(addSequence("earlier").GetID())
        composite.SetLabelVolumeID(labels.GetID())
    assert showCase(LoadedCase("tilted", {"T1": tilted}, [])) == []
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        assert composite.GetBackgroundVolumeID() == tilted.GetID()
        assert composite.GetForegroundVolumeID() is None
        assert composite.GetLabelVolumeID() is None
    red = slicer.util.getNode("vtkMRMLSliceNodeRed")
    normal = [red.GetSliceToRAS().GetElement(row, 2) for row in range(3)]
    slices = np.reshape(grid.direction, (3, 3))[:, 2] * (-1, -1, 1)
    assert abs(np.dot(normal, slices)) == pytest.approx(1)


def test_a_comparison_of_another_case_ends(views):
    entropy = np.zeros(GRID.shape, np.float32)
    entropy[8:10, 10:15, 10:15] = 0.5
    first = loaded("Anna")
    compare(
        first.sequences["T1"], addVolume(entropy, GRID, "predictive"), addVolume(entropy, GRID, "expert"), first.raters
    )
    assert presentViews() is not None
    second = loaded("Ben")
    assert showCase(second) == ["Anna raters"]
    assert presentViews() is None
    displays = slicer.util.getNodesByClass("vtkMRMLSegmentationDisplayNode")
    assert [display.GetDisplayableNode().GetName() for display in displays if display.GetVisibility()] == ["Ben raters"]


def test_legends_of_another_cases_entropies_are_hidden_and_no_others(views):
    entropy, dose = addSequence("entropy"), addSequence("dose")
    entropy.SetAttribute("ObserverUncertainty.Role", "ExpertEntropy")
    legends = [showLegend(volume, "bits") for volume in (entropy, dose)]
    showCase(loaded())
    assert [legend.GetVisibility() for legend in legends] == [0, 1]


def test_the_middle_lies_in_what_somebody_drew_and_follows_a_transform():
    ring = np.zeros(GRID.shape, bool)
    ring[8:12, 5:26, 5:26] = True
    ring[8:12, 10:21, 10:21] = False
    node = addSegmentation(ring, GRID, "ring", "x", (1, 0, 0))
    place = np.array(centreOfRaters(ratersOfNode(node)))
    index = np.rint((place * (-1, -1, 1) - GRID.origin) / np.array(GRID.spacing)).astype(int)
    assert ring[tuple(index[::-1])]
    node.SetAndObserveTransformNodeID(addTransform(affine(np.eye(3), (7.0, 0.0, 0.0))).GetID())
    reference = addVolume(np.zeros(GRID.shape, np.float32), GRID, "reference")
    moved = centreOfRaters(ratersOfNode(node), reference)
    assert abs(moved[0] - place[0] - 7.0) <= 2 * GRID.spacing[0]


def test_without_anything_drawn_there_is_no_middle_and_the_case_is_shown_all_the_same(views):
    empty = loaded(masks={"a": box(0, 0)})
    assert centreOfRaters(empty.raters) is None
    assert centreOfRaters([]) is None
    showCase(empty)
    showCase(LoadedCase("no raters", {"T1": addSequence("alone")}, []))
    several = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "two labels")
    slicer.util.updateVolumeFromArray(several, np.arange(8, dtype=np.uint8).reshape(2, 2, 2) % 3)
    assert centreOfRaters([Rater(several)]) is None
