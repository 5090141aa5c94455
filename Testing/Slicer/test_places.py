"""The places that are found and outlined lie where they are in the patient, whichever way the image lies."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
from rater_scenes import addTransform, affine, rotation

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.scores.entropy import binary_entropy
from ObserverUncertaintySlicer.attributes import ROLE, Role
from ObserverUncertaintySlicer.places import (
    mostUncertainPoint,
    placesOfRaters,
    placesToReview,
    removePlaceOutline,
    showPlaceOutline,
)
from ObserverUncertaintySlicer.raterMasks import raterMask
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.segments import addEmptySegmentation, addSegment, setSegment
from ObserverUncertaintySlicer.sliceViews import nearestView
from ObserverUncertaintySlicer.volumes import addVolume

AXIAL, CORONAL, SAGITTAL = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)
TURNED = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
"""i runs to P, j to I, k to R."""
LARGE, SMALL = np.s_[5:9, 10:16, 20:28], np.s_[30:33, 25:29, 5:9]


def volumeWith(grid, spots, name="entropy"):
    """A map that is 0 but for spots [((k, j, i), value)]."""
    array = np.zeros(grid.shape, np.float32)
    for place, value in spots:
        array[place] = value
    return addVolume(array, grid, name)


def positionOf(grid, k, j, i):
    """The centre (RAS, mm) of a voxel, by the grid's own rule."""
    return (grid.index_to_physical() @ [i, j, k, 1])[:3] * (-1, -1, 1)


@pytest.mark.parametrize("direction", [Grid((1, 1, 1)).direction, TURNED], ids=["straight", "turned and flipped"])
def test_places_come_by_their_expected_error_and_lie_where_they_are(scene, direction):
    grid = Grid((30, 40, 50), (2.0, 2.0, 2.5), (11.0, -7.0, 60.0), direction)
    probability = volumeWith(grid, [(SMALL, 0.5), (LARGE, 0.3)])
    found = placesToReview(probability)
    # 192 voxels of 0.3 and 48 of 0.5, of 0.01 mL each.
    assert [place.expected_error_ml for place in found.places] == pytest.approx([0.576, 0.24], rel=1e-5)
    assert [place.share for place in found.places] == pytest.approx([0.576 / 0.816, 0.24 / 0.816], rel=1e-5)
    for number, (position, where) in enumerate(zip(found.positions, (LARGE, SMALL), strict=True)):
        inside = np.zeros(grid.shape, bool)
        inside[where] = True
        np.testing.assert_array_equal(found.voxels(number), inside)
        centres = np.array([positionOf(grid, *index) for index in np.argwhere(inside)])
        assert np.abs(centres - position).sum(axis=1).min() < 1e-4, "the position is a voxel of the place"


def test_the_models_own_share_comes_from_the_expected_entropy(scene):
    grid = Grid((30, 40, 50), (2.0, 2.0, 2.5))
    expected = volumeWith(grid, [(LARGE, 0.4 * float(binary_entropy(np.array(0.3))))], "expected")
    (place,) = placesToReview(volumeWith(grid, [(LARGE, 0.3)]), expected).places
    assert place.epistemic_share == pytest.approx(0.6, abs=1e-5)
    other = volumeWith(Grid((30, 40, 50), (2.0, 2.0, 3.0)), [], "another grid")
    with pytest.raises(InputError, match="another grid"):
        placesToReview(volumeWith(grid, [(LARGE, 0.3)], "probability"), other)


def test_a_volume_that_is_no_probability_is_refused(scene):
    with pytest.raises(InputError, match="must lie between 0 and 1"):
        placesToReview(volumeWith(Grid((30, 40, 50)), [(LARGE, 30.0)]))


def test_where_raters_differ_there_is_a_place_with_the_share_of_those_who_drew(scene):
    grid = Grid((30, 40, 50), (2.0, 2.0, 2.5))
    node = addEmptySegmentation(grid, "raters")
    all_, one = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    all_[20:24, 20:26, 10:16] = True
    one[LARGE] = True
    for name, mask in (("anna", all_ | one), ("ben", all_), ("cara", all_)):
        setSegment(node, addSegment(node, name, (1, 0, 0)), mask, grid)
    found = placesOfRaters(ratersOfNode(node), grid)
    (place,) = found.places
    np.testing.assert_array_equal(found.voxels(0), one)
    assert place.expected_error_ml == pytest.approx(192 * 0.01 / 3, rel=1e-5)
    assert place.epistemic_share is None


def test_one_place_is_outlined_at_a_time_and_not_offered(scene):
    grid = Grid((30, 40, 50), (2.0, 2.0, 2.5), (11.0, -7.0, 60.0), TURNED)
    found = placesToReview(volumeWith(grid, [(SMALL, 0.5), (LARGE, 0.3)]))
    for number in (0, 1):
        showPlaceOutline(found, number)
        nodes = [n for n in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if ROLE.of(n) == Role.PLACE]
        (node,) = nodes
        (rater,) = ratersOfNode(node)
        np.testing.assert_array_equal(raterMask(rater, grid)[0], found.voxels(number))
        assert node.GetDisplayNode().GetVisibility()
        assert not node.GetDisplayNode().GetVisibility2DFill()
        assert node.GetHideFromEditors()
    showPlaceOutline(None)
    assert not node.GetDisplayNode().GetVisibility()
    removePlaceOutline()
    removePlaceOutline()
    assert not scene.IsNodePresent(node)
    assert not slicer.util.getNodesByClass("vtkMRMLSegmentationDisplayNode")


def shownView(scene, name, orientation="Axial"):
    view = scene.AddNewNodeByClass("vtkMRMLSliceNode", name)
    view.SetLayoutName(name)
    view.SetOrientation(orientation)
    view.SetMappedInLayout(1)
    return view


def turn(view, degrees, axis):
    toRas = np.eye(4)
    toRas[:3, :3] = rotation(degrees, axis)
    before = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())
    view.GetSliceToRAS().DeepCopy((toRas @ before).ravel())
    view.UpdateMatrices()


def test_the_nearest_view_is_by_its_normal_whatever_it_is_called(scene):
    axial, coronal = shownView(scene, "A"), shownView(scene, "C", "Coronal")
    turn(axial, 12, (1.0, 0.0, 0.0))
    turn(coronal, 12, (1.0, 0.0, 0.0))
    assert {axial.GetOrientation(), coronal.GetOrientation()} == {"Reformat"}
    assert nearestView(AXIAL) is axial
    assert nearestView(tuple(-np.array(CORONAL))) is coronal
    assert nearestView(SAGITTAL) is None


def test_a_view_that_is_turned_further_than_45_degrees_or_is_not_shown_is_nobodys(scene):
    axial = shownView(scene, "A")
    turn(axial, 44, (1.0, 0.0, 0.0))
    assert nearestView(AXIAL) is axial
    turn(axial, 2, (1.0, 0.0, 0.0))
    assert nearestView(AXIAL) is None
    assert nearestView(CORONAL) is axial
    axial.SetMappedInLayout(0)
    assert nearestView(CORONAL) is None


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


def test_the_most_uncertain_place_follows_a_parent_transform(scene):
    volume = volumeWith(Grid((20, 20, 30)), [((12, 4, 6), 0.8)])
    before = np.array(mostUncertainPoint(volume))
    volume.SetAndObserveTransformNodeID(addTransform(affine(np.eye(3), (10.0, 20.0, -5.0))).GetID())
    np.testing.assert_allclose(np.array(mostUncertainPoint(volume)) - before, (10, 20, -5))
