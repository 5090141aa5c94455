"""The slices that are ranked are those a slice view shows, with sums known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from rater_scenes import addTransform, affine, rotation

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintySlicer.sliceRanking import mostUncertainPoint, normalOfOrientation, rankedSlices
from ObserverUncertaintySlicer.sliceViews import nearestView, normalOf
from ObserverUncertaintySlicer.volumes import addVolume

ORIENTATIONS = ("Axial", "Sagittal", "Coronal")
TURNED = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
"""i runs to P, j to I, k to R."""


def volumeWith(grid, spots, name="entropy"):
    """Entropy that is 0 but for spots [((k, j, i), bits)]."""
    entropy = np.zeros(grid.shape, np.float32)
    for place, bits in spots:
        entropy[place] = bits
    return addVolume(entropy, grid, name)


def positionOf(grid, k, j, i):
    """The centre (RAS, mm) of a voxel, by the grid's own rule."""
    return (grid.index_to_physical() @ [i, j, k, 1])[:3] * (-1, -1, 1)


def distanceFromNode(view, ras):
    """How far in mm a place is from a slice view's plane, by the view itself."""
    toView = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(view.GetSliceToRAS(), toView)
    return toView.MultiplyPoint([*ras, 1])[2]


def distanceFromView(scene, orientation, offset, grid, *place):
    """The same for a view of an orientation that shows an offset."""
    view = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    view.SetOrientation(orientation)
    view.SetSliceOffset(offset)
    return distanceFromNode(view, positionOf(grid, *place))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("direction", [Grid((1, 1, 1)).direction, TURNED], ids=["straight", "turned and flipped"])
def test_three_places_come_by_the_entropy_they_hold_in_any_view(scene, orientation, direction):
    grid = Grid((30, 40, 50), (1.5, 2.0, 1.0), (11.0, -7.0, 60.0), direction)
    spots = [((8, 6, 5), 0.5), ((24, 20, 14), 0.9), ((40, 33, 25), 0.7)]
    found = rankedSlices(volumeWith(grid, spots), orientation)
    expected = [(24, 20, 14), (40, 33, 25), (8, 6, 5)]
    assert len(found) == 3
    axis = {"straight": {"Axial": 0, "Coronal": 1, "Sagittal": 2}, "turned": {"Axial": 1, "Coronal": 2, "Sagittal": 0}}
    which = axis["turned" if direction == TURNED else "straight"][orientation]
    for ranked, place, bits in zip(found, expected, (0.9, 0.7, 0.5), strict=True):
        assert distanceFromView(scene, orientation, ranked.offset, grid, *place) == pytest.approx(0, abs=1e-6)
        assert ranked.score == pytest.approx(bits * 1.5 * 2.0 * 1.0 / 1000, rel=1e-6)
        assert ranked.index == place[which]


def test_a_large_unsure_area_comes_before_a_small_one_that_is_more_unsure(scene):
    grid = Grid((30, 30, 40))
    spots = [((10, slice(2, 12), slice(2, 12)), 0.4), ((30, slice(2, 5), slice(2, 5)), 1.0)]
    found = rankedSlices(volumeWith(grid, spots))
    assert [(ranked.index, ranked.score) for ranked in found] == [
        (10, pytest.approx(0.040, rel=1e-6)),
        (30, pytest.approx(0.009, rel=1e-6)),
    ]


def test_two_places_on_one_slanted_slice_are_two_slices_of_the_view(scene):
    """A slice of the volume that is tilted by 30 degrees spans 20 mm of an axial view's offset here."""
    grid = Grid((60, 20, 20), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(rotation(30, (0.0, 1.0, 0.0)).ravel()))
    spots = [((10, 10, 8), 0.9), ((10, 10, 48), 0.6)]
    found = rankedSlices(volumeWith(grid, spots))
    assert [ranked.score for ranked in found] == pytest.approx([0.9e-3, 0.6e-3])
    for ranked, (place, _bits) in zip(found, spots, strict=True):
        assert distanceFromView(scene, "Axial", ranked.offset, grid, *place) == pytest.approx(0, abs=1e-6)
    assert abs(found[0].offset - found[1].offset) == pytest.approx(40 * np.sin(np.deg2rad(30)))


def test_no_entropy_is_lost_between_slanted_slices(scene):
    """Slabs fill the volume: with nothing suppressed, the scores would add up; here one slab holds all."""
    grid = Grid((12, 12, 12), (1.0, 1.0, 20.0), (3.0, 4.0, 5.0), tuple(rotation(3, (1.0, 0.0, 0.0)).ravel()))
    spots = [((6, slice(3, 9), slice(3, 9)), 0.5)]
    (ranked,) = rankedSlices(volumeWith(grid, spots))
    assert ranked.score == pytest.approx(36 * 0.5 * 20 / 1000)


def test_next_is_another_place_and_never_a_direct_neighbour(scene):
    thin = Grid((10, 10, 40), (1.0, 1.0, 2.0))
    broad = [((k, slice(2, 8), slice(2, 8)), 0.9 - 0.02 * abs(k - 20)) for k in range(10, 31)]
    found = [ranked.index for ranked in rankedSlices(volumeWith(thin, broad))]
    assert found == [20, 17, 23, 14, 26, 11, 29]  # 6 mm are three slices
    thick = Grid((10, 10, 8), (1.0, 1.0, 7.0))
    alike = [(k, 0.5 + 0.1 * (k == 3)) for k in (2, 3, 4, 6)]
    found = [ranked.index for ranked in rankedSlices(volumeWith(thick, alike))]
    assert found == [3, 6]


def test_equal_places_keep_the_volume_s_order_whichever_way_it_runs(scene):
    places = (5, 15, 25, 35)
    for direction in (Grid((1, 1, 1)).direction, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0)):
        grid = Grid((10, 10, 40), direction=direction)
        spots = [((k, slice(2, 5), slice(2, 5)), 0.3) for k in places]
        assert [ranked.index for ranked in rankedSlices(volumeWith(grid, spots))] == list(places)


def test_entropy_below_the_minimum_adds_up_to_nothing(scene):
    grid = Grid((20, 20, 30))
    volume = volumeWith(grid, [(5, 0.04), ((20, 3, 3), 0.06)])
    assert [ranked.index for ranked in rankedSlices(volume)] == [20]
    assert [ranked.index for ranked in rankedSlices(volume, minimum=0.01)] == [5, 20]
    assert rankedSlices(volume, minimum=0.5) == []
    assert rankedSlices(volumeWith(grid, []), minimum=0.0) == []


def test_a_volume_under_a_transform_is_ranked_where_it_is_seen(scene):
    grid = Grid((20, 20, 30))
    volume = volumeWith(grid, [((12, 4, 6), 0.8)])
    volume.SetAndObserveTransformNodeID(addTransform(affine(np.eye(3), (0.0, 0.0, 55.5))).GetID())
    (ranked,) = rankedSlices(volume)
    assert ranked.offset == pytest.approx(12 + 55.5)


@pytest.mark.parametrize("value", [900.0, np.nan, -0.5], ids=["an image", "not a number", "negative"])
def test_a_volume_that_is_no_entropy_is_refused_by_name(scene, value):
    volume = volumeWith(Grid((5, 5, 5)), [((2, 2, 2), value)], "T1 image")
    with pytest.raises(InputError, match="T1 image"):
        rankedSlices(volume)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_normal_of_an_orientation_is_the_one_that_a_views_offset_counts_along(scene, orientation):
    view = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    view.SetOrientation(orientation)
    np.testing.assert_allclose(normalOf(view), normalOfOrientation(orientation), atol=1e-9)


def test_an_orientation_that_no_view_has_is_refused_with_those_there_are(scene):
    volume = volumeWith(Grid((5, 5, 5)), [((2, 2, 2), 0.5)])
    with pytest.raises(InputError, match="Oblique is no orientation; expected one of Sagittal, Coronal, Axial"):
        rankedSlices(volume, "Oblique")


def test_along_a_tilted_volumes_own_normal_its_slices_are_ranked_and_not_cut_across(scene):
    """Two places of one slice are one; along the straight axis they are two."""
    axes = rotation(30, (0.0, 1.0, 0.0))
    grid = Grid((60, 20, 20), (1.0, 1.0, 1.0), direction=tuple(axes.ravel()))
    volume = volumeWith(grid, [((10, 10, 8), 0.9), ((10, 10, 48), 0.6)])
    view = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    view.RotateToVolumePlane(volume)
    (found,) = rankedSlices(volume, normalOf(view))
    assert found.score == pytest.approx(1.5e-3)
    assert found.index == 10
    view.SetSliceOffset(found.offset)
    for place in ((10, 10, 8), (10, 10, 48)):
        assert distanceFromNode(view, positionOf(grid, *place)) == pytest.approx(0, abs=1e-6)
    assert len(rankedSlices(volume, "Axial")) == 2
    opposite = rankedSlices(volume, np.negative(normalOf(view)))
    assert [(ranked.index, ranked.offset) for ranked in opposite] == [(10, pytest.approx(-found.offset))]


def test_the_position_is_the_voxel_of_highest_entropy_in_the_slice(scene):
    axes = rotation(20, (1.0, 1.0, 0.0))
    grid = Grid((30, 32, 40), (1.0, 1.2, 2.0), (7.0, -3.0, 12.0), tuple(axes.ravel()))
    spots = [((8, slice(4, 20), slice(4, 20)), 0.4), ((8, 6, 17), 0.7), ((30, 20, 21), 0.95)]
    volume = volumeWith(grid, spots)
    view = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    view.RotateToVolumePlane(volume)
    first, second = rankedSlices(volume, normalOf(view))
    np.testing.assert_allclose(first.position, positionOf(grid, 8, 6, 17), atol=1e-5)
    np.testing.assert_allclose(second.position, positionOf(grid, 30, 20, 21), atol=1e-5)
    for ranked in (first, second):
        view.JumpSliceByCentering(*ranked.position)
        assert view.GetSliceOffset() == pytest.approx(ranked.offset)


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
    assert nearestView(normalOfOrientation("Axial")) is axial
    assert nearestView(-normalOfOrientation("Coronal")) is coronal
    assert nearestView(normalOfOrientation("Sagittal")) is None


def test_a_view_that_is_turned_further_than_45_degrees_or_is_not_shown_is_nobodys(scene):
    axial = shownView(scene, "A")
    turn(axial, 44, (1.0, 0.0, 0.0))
    assert nearestView(normalOfOrientation("Axial")) is axial
    turn(axial, 2, (1.0, 0.0, 0.0))
    assert nearestView(normalOfOrientation("Axial")) is None
    assert nearestView(normalOfOrientation("Coronal")) is axial
    axial.SetMappedInLayout(0)
    assert nearestView(normalOfOrientation("Coronal")) is None


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
