"""Editing a working copy from a script: Slicer's own segment editor logic, with its undo, on real MRML."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from rater_scenes import OBLIQUE, PLAIN, addReference, addSegmentation, addTransform, affine, rotation, segmentArray
from vtk.util.numpy_support import vtk_to_numpy

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.correction import WorkingCopy, configureEditor, correctionState, startCorrection
from ObserverUncertaintySlicer.correctionEditor import CorrectionEditor
from ObserverUncertaintySlicer.raters import Rater


def box(grid, low, high):
    mask = np.zeros(grid.shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def stored(node):
    """Everything a segmentation node stores of its segments, byte for byte."""
    segmentation = node.GetSegmentation()
    found = {}
    for n in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(n)
        image = segment.GetRepresentation("Binary labelmap")
        values = vtk_to_numpy(image.GetPointData().GetScalars()).tobytes()
        place = (image.GetExtent(), image.GetOrigin(), image.GetSpacing())
        found[segmentation.GetNthSegmentID(n)] = (segment.GetName(), segment.GetLabelValue(), values, place)
    return found


@pytest.fixture(params=[PLAIN, OBLIQUE], ids=["plain", "oblique and anisotropic"])
def grid(request):
    return request.param


@pytest.fixture
def scenario(scene, grid):
    """An image, two overlapping raters, and a working copy of the first."""
    image = addReference(grid)
    masks = [box(grid, (4, 6, 5), (14, 20, 18)), box(grid, (8, 9, 9), (18, 25, 24))]
    raters = addSegmentation(image, masks)
    return image, raters, masks, startCorrection(Rater(raters, "rater0"), image)


def now(copy, image):
    return segmentArray(copy.node, copy.segmentID, image)


def test_drawing_and_erasing_change_the_copy_by_just_those_voxels(scenario, grid):
    image, _raters, masks, copy = scenario
    drawn, erased = box(grid, (0, 0, 0), (6, 8, 7)), box(grid, (5, 7, 6), (9, 9, 30))
    with CorrectionEditor(copy) as editor:
        editor.add(drawn)
        np.testing.assert_array_equal(now(copy, image), masks[0] | drawn)
        editor.remove(erased)
    expected = (masks[0] | drawn) & ~erased
    np.testing.assert_array_equal(now(copy, image), expected)
    state = correctionState(copy)
    voxelMl = float(np.prod(grid.spacing)) / 1000
    assert state.volumeMl == pytest.approx(expected.sum() * voxelMl)
    assert state.startVolumeMl == pytest.approx(masks[0].sum() * voxelMl)
    assert state.changedMl == pytest.approx((expected ^ masks[0]).sum() * voxelMl)
    assert state.dice == pytest.approx(2 * (expected & masks[0]).sum() / (expected.sum() + masks[0].sum()))


def test_undo_and_redo_bring_each_mask_back_exactly(scenario, grid):
    image, _raters, masks, copy = scenario
    with CorrectionEditor(copy) as editor:
        assert not editor.undo()
        steps = [masks[0]]
        for k in (0, 9, 15):
            editor.add(box(grid, (k, 1, 1), (k + 3, 30, 28)))
            steps.append(now(copy, image))
        editor.remove(np.ones(grid.shape, bool))
        assert not now(copy, image).any()
        for expected in reversed(steps):
            assert editor.undo()
            np.testing.assert_array_equal(now(copy, image), expected)
        assert not editor.undo()
        for expected in steps[1:]:
            assert editor.redo()
            np.testing.assert_array_equal(now(copy, image), expected)
        editor.undo()
        editor.add(box(grid, (20, 0, 0), (22, 2, 2)))
        assert not editor.redo()


def test_raters_are_the_same_bytes_after_any_amount_of_editing(scenario, grid):
    _image, raters, _masks, copy = scenario
    before, modified = stored(raters), raters.GetSegmentation().GetMTime()
    with CorrectionEditor(copy) as editor:
        editor.add(np.ones(grid.shape, bool))
        editor.remove(np.ones(grid.shape, bool))
        editor.undo()
    assert stored(raters) == before
    assert raters.GetSegmentation().GetMTime() == modified


def test_a_copy_that_stands_under_a_transform_is_edited_in_its_own_voxels(scenario, grid):
    image, _raters, masks, copy = scenario
    transform = addTransform(affine(rotation(25), (3.0, -40.0, 11.0)))
    copy.node.SetAndObserveTransformNodeID(transform.GetID())
    drawn = box(grid, (15, 20, 18), (20, 30, 25))
    with CorrectionEditor(copy) as editor:
        editor.add(drawn)
    copy.node.SetAndObserveTransformNodeID(None)
    np.testing.assert_array_equal(now(copy, image), masks[0] | drawn)


def test_a_mask_of_another_shape_is_refused(scenario):
    _image, _raters, masks, copy = scenario
    with CorrectionEditor(copy) as editor, pytest.raises(InputError, match="shape"):
        editor.add(masks[0][:-1])


def test_only_working_copies_are_edited(scenario):
    _image, raters, _masks, copy = scenario
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    configureEditor(node, copy)
    disguised = WorkingCopy(raters, "rater0", copy.startNode)
    with pytest.raises(InputError, match="no working copy"):
        configureEditor(node, disguised)
    assert node.GetSegmentationNode() is copy.node
    editors = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentEditorNode")
    with pytest.raises(InputError, match="no working copy"):
        CorrectionEditor(disguised)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentEditorNode") == editors


def test_an_editor_leaves_no_node_behind_and_none_in_the_scene_file(scenario, scene, tmp_path):
    _image, _raters, masks, copy = scenario
    with CorrectionEditor(copy) as editor:
        editor.add(masks[1])
        assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentEditorNode") == 1
        assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentEditorNode") == 0
    with pytest.raises(InputError, match="closed"):
        editor.add(masks[1])
    scene.Clear(0)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentEditorNode") == 0


def test_a_node_or_segment_deleted_while_editing_is_said(scenario, scene):
    _image, _raters, masks, copy = scenario
    with CorrectionEditor(copy) as editor:
        editor.add(masks[1])
        copy.node.GetSegmentation().RemoveSegment(copy.segmentID)
        with pytest.raises(InputError, match="segment any more"):
            editor.add(masks[1])
        scene.RemoveNode(copy.node)
        for action in (lambda: editor.add(masks[1]), editor.undo, editor.redo):
            with pytest.raises(InputError, match="no longer in the scene"):
                action()
