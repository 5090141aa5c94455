"""Raters of every kind come out of the scene voxel for voxel, on any grid, under any linear transform."""

import numpy as np
import pytest
import rater_scenes as scenes
import slicer
import slicer.util
import vtk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.rater_files import load_raters
from ObserverUncertaintyLib.formats import read_mask, write_mask
from ObserverUncertaintyLib.images.grid import Grid, same_grid
from ObserverUncertaintyLib.images.resampling import resample
from ObserverUncertaintyLib.scores import metrics
from ObserverUncertaintySlicer.raterMasks import commonGrid, raterMask, raterMasks, raterStatistics
from ObserverUncertaintySlicer.raters import Rater, ratersOfNode
from ObserverUncertaintySlicer.segments import addSegmentation as addSegmentationOfMask
from ObserverUncertaintySlicer.segments import setSegment

pytestmark = pytest.mark.usefixtures("scene")

GRIDS = pytest.mark.parametrize("grid", [scenes.PLAIN, scenes.OBLIQUE], ids=["plain", "oblique"])
RIGID = scenes.affine(scenes.rotation(23), (3.3, -2.1, 4.7))
SHEAR = scenes.affine(np.array([[1.2, 0.25, 0.0], [0.0, 0.9, -0.2], [0.1, 0.0, 1.1]]), (2.0, 1.0, -3.0))
TRANSFORMS = pytest.mark.parametrize("matrix", [RIGID, SHEAR], ids=["rigid", "scale and shear"])


@GRIDS
def test_overlapping_raters_of_one_node_keep_their_voxels(grid):
    masks = scenes.threeRaters(grid)
    node = scenes.addSegmentation(scenes.addReference(grid), masks)
    assert node.GetSegmentation().GetNumberOfLayers() == 3
    found = raterMasks(ratersOfNode(node), grid)
    np.testing.assert_array_equal(found.masks, masks)
    assert (found.notes, found.warnings) == ((), ())
    assert found.names == ("Rater 0", "Rater 1", "Rater 2")


def test_raters_that_share_a_layer_are_told_apart_by_their_label():
    masks = np.stack([scenes.ellipsoid(scenes.PLAIN, (x, 0, 25), (6, 6, 6)) for x in (-10, 8)])
    node = scenes.addSegmentation(scenes.addReference(scenes.PLAIN), masks)
    node.GetSegmentation().CollapseBinaryLabelmaps(False)
    assert node.GetSegmentation().GetNumberOfLayers() == 1
    assert {node.GetSegmentation().GetNthSegment(n).GetLabelValue() for n in (0, 1)} == {1, 2}
    np.testing.assert_array_equal(raterMasks(ratersOfNode(node), scenes.PLAIN).masks, masks)


def test_segments_and_labelmaps_of_several_nodes_mix():
    reference = scenes.addReference(scenes.OBLIQUE)
    masks = scenes.threeRaters(scenes.OBLIQUE)
    first = scenes.addSegmentation(reference, masks[:1], "First")
    second = scenes.addSegmentation(reference, masks[1:2], "Second")
    labelmap = scenes.addLabelmap(reference, masks[2], "Third", label=7)
    found = raterMasks([(first, "rater0"), Rater(second, "rater0"), labelmap], scenes.OBLIQUE)
    np.testing.assert_array_equal(found.masks, masks)
    assert found.names == ("First", "Second", "Third")


@GRIDS
def test_raters_on_another_grid_are_resampled_as_the_library_does_and_this_is_said(grid):
    target = Grid((25, 28, 30), (1.7, 1.4, 0.9), (-20.4, -19.3, 10.2), tuple(scenes.rotation(-8).ravel()))
    masks = scenes.threeRaters(grid)
    reference = scenes.addReference(grid)
    node = scenes.addSegmentation(reference, masks)
    labelmap = scenes.addLabelmap(reference, masks[0], "Map")
    found = raterMasks([*ratersOfNode(node), labelmap], target)
    for mask, original in zip(found.masks, [*masks, masks[0]], strict=True):
        np.testing.assert_array_equal(mask, resample(original, grid, target, "nearest"))
        assert 0.5 < mask.sum() * target.voxel_volume_ml / (original.sum() * grid.voxel_volume_ml) < 1.5
    assert len(found.notes) == 4
    assert all("resampled to the nearest voxel from" in note for note in found.notes)
    spacing = " x ".join(f"{value:g}" for value in grid.spacing)
    assert (
        f"Map was resampled to the nearest voxel from {' x '.join(map(str, grid.size))} voxels of {spacing} mm"
        in (found.notes[3])
    )


@TRANSFORMS
@GRIDS
def test_parent_transforms_are_respected_as_simpleitk_computes_them(grid, matrix):
    masks = scenes.threeRaters(grid)
    reference = scenes.addReference(grid)
    node, labelmap = scenes.addSegmentation(reference, masks), scenes.addLabelmap(reference, masks[1])
    transform = scenes.addTransform(matrix, "Patient moved")
    node.SetAndObserveTransformNodeID(transform.GetID())
    labelmap.SetAndObserveTransformNodeID(transform.GetID())
    expected = [scenes.resampledBySimpleITK(mask, grid, grid, matrix) for mask in [*masks, masks[1]]]
    assert all(mask.sum() > 300 for mask in expected)
    found = raterMasks([*ratersOfNode(node), labelmap], grid)
    np.testing.assert_array_equal(found.masks, expected)
    assert all(note.endswith("under the transform Patient moved") for note in found.notes)


@TRANSFORMS
def test_a_hardened_transform_gives_what_the_parent_gave(matrix):
    masks = scenes.threeRaters(scenes.PLAIN)
    node = scenes.addSegmentation(scenes.addReference(scenes.PLAIN), masks)
    node.SetAndObserveTransformNodeID(scenes.addTransform(matrix).GetID())
    before = raterMasks(ratersOfNode(node), scenes.PLAIN).masks
    node.HardenTransform()
    after = raterMasks(ratersOfNode(node), scenes.PLAIN).masks
    if matrix is RIGID:
        np.testing.assert_array_equal(after, before)
    else:  # Slicer hardens a shear by resampling, which moves borders by up to a voxel
        assert min(metrics.dice(a, b) for a, b in zip(after, before, strict=True)) > 0.93


def test_a_rater_and_a_reference_under_one_transform_stay_voxel_for_voxel():
    masks = scenes.threeRaters(scenes.OBLIQUE)
    reference = scenes.addReference(scenes.OBLIQUE)
    node = scenes.addSegmentation(reference, masks)
    transform = scenes.addTransform(RIGID)
    for moved in (reference, node):
        moved.SetAndObserveTransformNodeID(transform.GetID())
    found = raterMasks(ratersOfNode(node), commonGrid(ratersOfNode(node)))
    np.testing.assert_array_equal(found.masks, masks)
    assert found.notes == ()


def test_a_bending_transform_is_refused_with_the_raters_name():
    reference = scenes.addReference(scenes.PLAIN)
    node = scenes.addSegmentation(reference, scenes.threeRaters(scenes.PLAIN), "Warped")
    node.SetAndObserveTransformNodeID(scenes.addBendingTransform().GetID())
    with pytest.raises(InputError, match=r"Warped.*non-linear.*Harden"):
        raterMask((node, "rater0"), scenes.PLAIN)


def test_a_rater_cut_to_a_box_is_placed_by_whole_voxels():
    grid = scenes.OBLIQUE
    mask = scenes.ellipsoid(grid, (0, 0, 25), (8, 8, 8))
    box = Grid((20, 30, 20), grid.spacing, tuple(grid.index_to_physical()[:3] @ (5.0, 4.0, 3.0, 1.0)), grid.direction)
    cut = scenes.addLabelmap(scenes.addReference(box), mask[3:23, 4:34, 5:25], "Cut")
    found, note = raterMask(cut, grid)
    np.testing.assert_array_equal(found[3:23, 4:34, 5:25], mask[3:23, 4:34, 5:25])
    assert found.sum() == mask[3:23, 4:34, 5:25].sum()
    assert note is None


@pytest.mark.parametrize(("shift", "isResampled"), [(0.004, False), (0.02, True), (0.4, True)])
def test_grids_count_as_one_within_the_librarys_tolerance_only(shift, isResampled):
    grid = scenes.PLAIN
    mask = scenes.ellipsoid(grid, (0, 0, 25), (8, 8, 8))
    shifted = Grid(grid.size, grid.spacing, (grid.origin[0] + shift, *grid.origin[1:]))
    assert same_grid(grid, shifted) is not isResampled
    found, note = raterMask(scenes.addLabelmap(scenes.addReference(grid), mask), shifted)
    np.testing.assert_array_equal(found, mask)
    assert (note is not None) is isResampled


def test_what_lies_outside_the_grid_is_measured_and_said():
    whole = Grid((20, 20, 20), (2.0, 2.0, 2.0))
    small = Grid((10, 20, 20), (2.0, 2.0, 2.0))
    labelmap = scenes.addLabelmap(scenes.addReference(whole), np.ones(whole.shape, bool), "Wide")
    found = raterMasks([labelmap], small)
    assert found.masks.all()
    assert found.warnings == ("Wide: 32 mL of it lie outside the grid in use and are left out",)  # 4000 voxels of 8 µL
    apart = Grid((10, 10, 10), (2.0, 2.0, 2.0), (500.0, 0.0, 0.0))
    nothing, note = raterMask(labelmap, apart)
    assert not nothing.any()
    assert note == "Wide: 64 mL of it lie outside the grid in use and are left out"


def test_the_loss_of_a_resampled_rater_is_measured_in_its_own_voxels():
    whole = Grid((20, 20, 20), (2.0, 2.0, 2.0))
    labelmap = scenes.addLabelmap(scenes.addReference(whole), np.ones(whole.shape, bool), "Wide")
    # Finer grid over the lower half of i: from -1 to 19 mm, as the ten voxels there.
    half = Grid((40, 80, 80), (0.5, 0.5, 0.5), (-0.75, -0.75, -0.75))
    found = raterMasks([labelmap], half)
    assert found.masks.all()
    assert found.warnings == ("Wide: 32 mL of it lie outside the grid in use and are left out",)


def test_a_rater_thinner_than_a_voxel_is_not_lost_silently():
    fine = Grid((50, 50, 50), (0.2, 0.2, 0.2))
    mask = np.zeros(fine.shape, bool)
    mask[12, 12, 12] = True
    labelmap = scenes.addLabelmap(scenes.addReference(fine), mask, "Dot")
    found = raterMasks([labelmap], Grid((5, 5, 5), (2.0, 2.0, 2.0)))
    assert not found.masks.any()
    assert "Dot is empty on the grid in use" in found.warnings[0]


def test_empty_segments_and_labelmaps_are_allowed_and_said():
    reference = scenes.addReference(scenes.PLAIN)
    node = scenes.addSegmentation(reference, scenes.threeRaters(scenes.PLAIN)[:1])
    node.GetSegmentation().AddEmptySegment("empty", "Dr. Empty")
    erased = scenes.addSegmentation(reference, np.zeros((1, *scenes.PLAIN.shape), bool), "Erased")
    labelmap = scenes.addLabelmap(reference, np.zeros(scenes.PLAIN.shape, bool), "Zeros")
    found = raterMasks([*ratersOfNode(node), *ratersOfNode(erased), labelmap], scenes.PLAIN)
    assert found.masks.any(axis=(1, 2, 3)).tolist() == [True, False, False, False]
    assert [warning.split(" drew nothing")[0] for warning in found.warnings] == ["Dr. Empty", "Erased", "Zeros"]


def sphere(centre, radius):
    """A closed surface in RAS."""
    source = vtk.vtkSphereSource()
    source.SetCenter(*centre)
    source.SetRadius(radius)
    source.SetThetaResolution(60)
    source.SetPhiResolution(60)
    source.Update()
    return source.GetOutput()


def addSurfaceRater(centre, radius, name="Surfaces"):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetSourceRepresentationToClosedSurface()
    node.AddSegmentFromClosedSurfaceRepresentation(sphere(centre, radius), "Dr. S", [1, 0, 0], "s")
    return node


@pytest.mark.parametrize("matrix", [None, RIGID, SHEAR], ids=["no transform", "rigid", "shear"])
def test_a_closed_surface_is_converted_on_the_grid_without_touching_its_node(matrix):
    centre, radius = np.array([2.0, -1.0, 25.0]), 9.0
    node = addSurfaceRater(centre, radius)
    matrix = np.eye(4) if matrix is None else matrix
    node.SetAndObserveTransformNodeID(scenes.addTransform(matrix).GetID())
    mask, note = raterMask((node, "s"), scenes.OBLIQUE)
    # The sphere by its formula: voxel centres taken back to the surface's own coordinates.
    k, j, i = np.indices(scenes.OBLIQUE.shape)
    lps = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ scenes.OBLIQUE.index_to_physical().T
    local = (lps * (-1, -1, 1, 1)) @ np.linalg.inv(matrix).T
    expected = np.linalg.norm(local[..., :3] - centre, axis=-1) < radius
    assert metrics.dice(mask, expected) > 0.96
    assert mask.sum() == pytest.approx(expected.sum(), rel=0.04)
    assert note == "Dr. S was converted from a closed surface"
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    assert node.GetSegmentation().GetSegment("s").GetRepresentation(name) is None


def test_raters_without_any_grid_ask_for_a_reference_volume():
    node = addSurfaceRater((0, 0, 25), 9)
    with pytest.raises(InputError, match=r"Dr\. S: none of the raters has a voxel grid.*reference volume"):
        commonGrid([(node, "s")])
    assert commonGrid([(node, "s")], scenes.addReference(scenes.OBLIQUE)) is not None


def test_a_contour_slicer_cannot_convert_is_refused_by_name():
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Radiotherapy")
    segment = slicer.vtkSegment()
    segment.SetName("GTV")
    contours = slicer.vtkSegmentationConverter.GetSegmentationPlanarContourRepresentationName()
    node.GetSegmentation().SetSourceRepresentationName(contours)
    segment.AddRepresentation(contours, sphere((0, 0, 0), 5))
    node.GetSegmentation().AddSegment(segment, "gtv")
    with pytest.raises(InputError, match=r"Radiotherapy: segment GTV is stored as Planar contour"):
        raterMask((node, "gtv"), scenes.PLAIN)


def test_the_common_grid_is_the_reference_volumes_then_the_drawing_grid_then_the_labelmaps():
    reference = scenes.addReference(scenes.OBLIQUE)
    node = scenes.addSegmentation(reference, scenes.threeRaters(scenes.OBLIQUE))
    other = scenes.addReference(scenes.PLAIN, "Other")
    labelmap = scenes.addLabelmap(other, scenes.threeRaters(scenes.PLAIN)[0])
    assert same_grid(commonGrid(ratersOfNode(node), other), scenes.PLAIN, 1e-6)
    assert same_grid(commonGrid([*ratersOfNode(node), labelmap]), scenes.OBLIQUE, 1e-6)
    assert same_grid(commonGrid([labelmap, *ratersOfNode(node)]), scenes.PLAIN, 1e-6)
    slicer.mrmlScene.RemoveNode(reference)
    assert same_grid(commonGrid(ratersOfNode(node)), scenes.OBLIQUE, 1e-3)


def test_a_segmentation_without_reference_geometry_has_the_box_of_its_labelmaps():
    mask = scenes.ellipsoid(scenes.OBLIQUE, (0, 0, 25), (8, 8, 8))
    node = addSegmentationOfMask(mask, scenes.OBLIQUE, "Bare", "Rater", (1, 0, 0))
    parameter = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    node.GetSegmentation().SetConversionParameter(parameter, "")
    found = raterMasks(ratersOfNode(node), commonGrid(ratersOfNode(node)))
    assert found.masks.sum() == mask.sum()
    assert found.notes == found.warnings == ()


def test_statistics_equal_the_librarys_and_the_formula():
    masks = scenes.threeRaters(scenes.OBLIQUE)
    node = scenes.addSegmentation(scenes.addReference(scenes.OBLIQUE), masks)
    node.GetSegmentation().AddEmptySegment("e1", "Empty 1")
    node.GetSegmentation().AddEmptySegment("e2", "Empty 2")
    found = raterStatistics(raterMasks(ratersOfNode(node), scenes.OBLIQUE))
    ellipsoidMl = 4 / 3 * np.pi * 9 * 8 * 7 / 1000
    assert found.volumesMl[0] == pytest.approx(ellipsoidMl, rel=0.02)
    np.testing.assert_array_equal(found.dice[:3, :3], metrics.pairwise_dice(masks))
    assert found.volumesMl[3:] == [0.0, 0.0]
    assert np.isnan(found.dice[3, 4])
    assert found.dice[0, 3] == 0


def test_a_labelmap_with_several_labels_is_refused():
    array = np.zeros(scenes.PLAIN.shape, np.uint8)
    array[0, 0, :3] = (1, 2, 3)
    node = slicer.util.addVolumeFromArray(array, name="Atlas", nodeClassName="vtkMRMLLabelMapVolumeNode")
    with pytest.raises(InputError, match=r"Atlas: the labelmap holds 3 labels \(1, 2, 3\)"):
        raterMask(node, scenes.PLAIN)


def test_notes_and_masks_carry_the_names_that_tell_raters_apart():
    reference = scenes.addReference(scenes.PLAIN)
    masks = scenes.threeRaters(scenes.PLAIN)
    raters = [
        rater
        for mask, name in zip(masks, ("mask_a", "mask_b", "mask_c"), strict=True)
        for rater in ratersOfNode(scenes.addSegmentation(reference, mask[None], name, ["Segment_1"]))
    ]
    found = raterMasks(raters, scenes.OBLIQUE)
    assert found.names == ("mask_a", "mask_b", "mask_c")
    assert [note.partition(" was ")[0] for note in found.notes] == ["mask_a", "mask_b", "mask_c"]
    assert raterMask(raters[1], scenes.OBLIQUE)[1].startswith("mask_b was resampled")


def test_a_segment_is_replaced_while_overlapping_ones_stay():
    masks = scenes.threeRaters(scenes.OBLIQUE)
    reference = scenes.addReference(scenes.OBLIQUE)
    node = scenes.addSegmentation(reference, masks)
    smaller = scenes.ellipsoid(scenes.OBLIQUE, (0, 0, 25), (3, 3, 3))
    setSegment(node, "rater1", smaller, scenes.OBLIQUE)
    for segmentID, mask in (("rater0", masks[0]), ("rater1", smaller), ("rater2", masks[2])):
        np.testing.assert_array_equal(scenes.segmentArray(node, segmentID, reference), mask)
    setSegment(node, "rater1", np.zeros(scenes.OBLIQUE.shape, bool), scenes.OBLIQUE)
    np.testing.assert_array_equal(
        raterMasks(ratersOfNode(node), scenes.OBLIQUE).masks, [masks[0], np.zeros_like(masks[0]), masks[2]]
    )


def test_a_segmentation_file_gives_what_the_library_reads_from_it(mrml, tmp_path):
    masks = scenes.threeRaters(scenes.OBLIQUE)
    node = scenes.addSegmentation(scenes.addReference(scenes.OBLIQUE), masks, names=["Anna", "Ben", "Cleo"])
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "raters.seg.nrrd"))
    assert storage.WriteData(node)
    library = load_raters([tmp_path / "raters.seg.nrrd"])
    loaded = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Loaded")
    assert storage.ReadData(loaded)
    found = raterMasks(ratersOfNode(loaded), library.grid)
    assert found.names == library.rater_names == ("Anna", "Ben", "Cleo")
    np.testing.assert_array_equal(found.masks, library.raters)
    assert found.notes == ()


def test_real_labelmap_files_give_what_the_library_reads(testData):
    folder = testData / "brain_growth" / "case01"
    files = sorted(folder.glob("seg_rater*.nii.gz"))
    logic = slicer.modules.volumes.logic()
    # 1: as labelmap; 4: this file alone, not the series that its number seems to belong to
    nodes = [logic.AddArchetypeVolume(str(file), file.name[:-7], 1 | 4) for file in files]
    assert all(node.IsA("vtkMRMLLabelMapVolumeNode") for node in nodes)
    found = raterMasks(nodes, commonGrid(nodes))
    library = load_raters(files)
    assert len(files) == 7
    np.testing.assert_array_equal(found.masks, library.raters)
    assert found.names == library.rater_names
    np.testing.assert_array_equal(raterStatistics(found).dice, metrics.pairwise_dice(library.raters))


def test_a_real_lesion_mask_is_resampled_as_the_library_does(testData, tmp_path):
    file = testData / "open_ms" / "patient07" / "lesion_consensus.nii.gz"
    node = slicer.modules.volumes.logic().AddArchetypeVolume(str(file), "Lesions", 1)
    mask = read_mask(file)
    # A thick-slice oblique grid as of another scan, written and loaded as a file so that both sides see one header.
    target = Grid((160, 180, 40), (1.1, 1.1, 4.0), (-85.3, -125.1, -70.2), tuple(scenes.rotation(6, (1, 0, 0)).ravel()))
    write_mask(tmp_path / "target.nrrd", np.zeros(target.shape, bool), target)
    reference = slicer.modules.volumes.logic().AddArchetypeVolume(str(tmp_path / "target.nrrd"), "Thick", 0)
    found = raterMasks([node], commonGrid([node], reference))
    np.testing.assert_array_equal(found.masks[0], resample(mask.array, mask.grid, target, "nearest"))
    assert found.masks.sum() > 100
    assert "Lesions was resampled" in found.notes[0]
