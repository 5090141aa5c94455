"""Volumes of the scene lie where the library believes them to lie, also oblique and under transforms."""

import numpy as np
import pytest
import rater_scenes as scenes
import SimpleITK as sitk
import slicer
import slicer.util
import vtk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_image, write_image
from ObserverUncertaintyLib.images.grid import Grid, same_grid
from ObserverUncertaintySlicer.hierarchy import addFolder, placeUnder
from ObserverUncertaintySlicer.sequenceExport import exportAsTheyAre
from ObserverUncertaintySlicer.volumes import (
    addVolume,
    arrayOfVolume,
    gridOfVolume,
    importVolume,
    updateVolume,
)

pytestmark = pytest.mark.usefixtures("scene")


def noise(grid):
    return np.random.default_rng(3).normal(size=grid.shape).astype(np.float32)


@pytest.mark.parametrize("grid", [scenes.PLAIN, scenes.OBLIQUE], ids=["plain", "oblique"])
def test_an_array_comes_back_with_its_grid(grid):
    array = noise(grid)
    node = addVolume(array, grid, "Noise")
    np.testing.assert_array_equal(arrayOfVolume(node), array)
    assert same_grid(gridOfVolume(node), grid, 1e-9)
    assert node.GetDisplayNode() is not None


def test_a_voxel_lies_at_the_position_slicer_gives_it():
    grid = scenes.OBLIQUE
    node = addVolume(noise(grid), grid, "Noise")
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ras = matrix.MultiplyPoint((5, 7, 11, 1))[:3]
    lps = sitk.Image(1, 1, 1, sitk.sitkUInt8)  # ITK's own index rule, with the same spacing, origin and direction
    lps.SetSpacing(grid.spacing)
    lps.SetOrigin(grid.origin)
    lps.SetDirection(grid.direction)
    expected = np.array(lps.TransformContinuousIndexToPhysicalPoint((5.0, 7.0, 11.0))) * (-1, -1, 1)
    np.testing.assert_allclose(ras, expected, atol=1e-9)


def test_the_array_is_a_copy_and_so_is_the_node():
    array = noise(scenes.PLAIN)
    node = addVolume(array, scenes.PLAIN, "Noise")
    copy = arrayOfVolume(node)
    copy[:] = 7
    array[:] = 8
    assert np.abs(slicer.util.arrayFromVolume(node)).max() < 7


def test_masks_are_kept_as_bytes_and_doubles_as_floats():
    grid = Grid((3, 4, 5))
    assert slicer.util.arrayFromVolume(addVolume(np.ones(grid.shape, bool), grid, "mask")).dtype == np.uint8
    assert slicer.util.arrayFromVolume(addVolume(np.ones(grid.shape), grid, "double")).dtype == np.float32


def test_an_export_equals_simpleitk_reading_it(tmp_path):
    array = noise(scenes.OBLIQUE)
    files = exportAsTheyAre({"noise": addVolume(array, scenes.OBLIQUE, "Noise")}, tmp_path / "Ordner für ä")
    image = sitk.ReadImage(str(files["noise"]))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), array)
    np.testing.assert_allclose(image.GetOrigin(), scenes.OBLIQUE.origin, atol=1e-9)
    np.testing.assert_allclose(image.GetDirection(), scenes.OBLIQUE.direction, atol=1e-9)


@pytest.mark.parametrize("name", ["image.nrrd", "image.nii.gz", "image.mha"])
def test_an_imported_file_lies_where_slicer_itself_loads_it(tmp_path, name):
    write_image(tmp_path / name, noise(scenes.OBLIQUE), scenes.OBLIQUE)
    ours = importVolume(tmp_path / name, "Ours")
    theirs = slicer.modules.volumes.logic().AddArchetypeVolume(str(tmp_path / name), "Theirs", 0)
    np.testing.assert_array_equal(arrayOfVolume(ours), arrayOfVolume(theirs))
    assert same_grid(gridOfVolume(ours), gridOfVolume(theirs), 1e-4)


def test_a_file_that_cannot_be_read_leaves_no_node(tmp_path):
    (tmp_path / "broken.nrrd").write_bytes(b"NRRD0004\ntype: float\n")
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(InputError, match=r"broken\.nrrd"):
        importVolume(tmp_path / "broken.nrrd", "Broken")
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_real_exams_are_read_as_slicer_reads_them(testData):
    file = testData / "open_ms_unregistered" / "patient01" / "study1_T2W.nii.gz"
    ours, theirs = importVolume(file, "Ours"), slicer.modules.volumes.logic().AddArchetypeVolume(str(file), "T", 0)
    np.testing.assert_allclose(arrayOfVolume(ours), arrayOfVolume(theirs), rtol=1e-6)
    assert same_grid(gridOfVolume(ours), gridOfVolume(theirs), 1e-3)
    assert same_grid(gridOfVolume(ours), read_image(file).grid, 1e-9)


def test_a_rigid_parent_moves_the_grid_as_hardening_does():
    node = addVolume(noise(scenes.OBLIQUE), scenes.OBLIQUE, "Moved")
    node.SetAndObserveTransformNodeID(scenes.addTransform(scenes.affine(scenes.rotation(31), (4, -9, 12))).GetID())
    found = gridOfVolume(node)
    node.HardenTransform()
    assert node.GetParentTransformNode() is None
    assert same_grid(found, gridOfVolume(node), 1e-6)
    assert not same_grid(found, scenes.OBLIQUE)


def test_chained_parents_are_all_respected():
    inner = scenes.affine(scenes.rotation(20), (1, 2, 3))
    outer = scenes.affine(scenes.rotation(-50, (0, 1, 0)), (-5, 0, 8))
    innerNode, outerNode = scenes.addTransform(inner), scenes.addTransform(outer)
    innerNode.SetAndObserveTransformNodeID(outerNode.GetID())
    node = addVolume(noise(scenes.PLAIN), scenes.PLAIN, "Moved")
    node.SetAndObserveTransformNodeID(innerNode.GetID())
    flip = np.diag([-1, -1, 1, 1])
    expected = flip @ outer @ inner @ flip @ scenes.PLAIN.index_to_physical()
    np.testing.assert_allclose(gridOfVolume(node).index_to_physical(), expected, atol=1e-9)


def test_scaling_along_the_axes_becomes_spacing():
    node = addVolume(noise(scenes.PLAIN), scenes.PLAIN, "Scaled")
    node.SetAndObserveTransformNodeID(scenes.addTransform(np.diag([2.0, 1.0, 0.5, 1.0])).GetID())
    assert gridOfVolume(node).spacing == pytest.approx((2.0, 1.0, 0.75))


def test_a_shear_is_refused_with_the_nodes_name():
    node = addVolume(noise(scenes.PLAIN), scenes.PLAIN, "Tilted gantry")
    shear = np.eye(4)
    shear[1, 2] = 0.3
    node.SetAndObserveTransformNodeID(scenes.addTransform(shear).GetID())
    with pytest.raises(InputError, match=r"Tilted gantry.*not perpendicular"):
        gridOfVolume(node)


def test_a_bending_transform_is_refused_with_both_names():
    node = addVolume(noise(scenes.PLAIN), scenes.PLAIN, "Warped")
    node.SetAndObserveTransformNodeID(scenes.addBendingTransform("Spline").GetID())
    with pytest.raises(InputError, match=r"Warped.*non-linear transform Spline"):
        gridOfVolume(node)


def test_a_mirrored_volume_keeps_its_handedness(tmp_path):
    grid = Grid((4, 5, 6), (1, 2, 3), (9, 8, 7), (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    array = noise(grid)
    read = read_image(exportAsTheyAre({"mirrored": addVolume(array, grid, "Mirrored")}, tmp_path)["mirrored"])
    np.testing.assert_array_equal(read.array, array)
    assert same_grid(read.grid, grid, 1e-9)


def test_update_replaces_voxels_and_grid_with_one_event():
    node = addVolume(noise(scenes.PLAIN), scenes.PLAIN, "Result")
    node.SetAndObserveTransformNodeID(scenes.addTransform(scenes.affine(scenes.rotation(9))).GetID())
    events = []
    node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: events.append(1))
    nodeID, array = node.GetID(), noise(scenes.OBLIQUE)
    updateVolume(node, array, scenes.OBLIQUE)
    assert len(events) == 1
    assert node.GetID() == nodeID
    assert node.GetParentTransformNode() is None
    np.testing.assert_array_equal(arrayOfVolume(node), array)
    assert same_grid(gridOfVolume(node), scenes.OBLIQUE, 1e-9)


def test_a_new_volume_stands_beside_its_source():
    source = addVolume(noise(scenes.PLAIN), scenes.PLAIN, "T1")
    placeUnder(source, addFolder("Case 1"))
    assert scenes.parentItemName(addVolume(noise(scenes.PLAIN), scenes.PLAIN, "Entropy", beside=source)) == "Case 1"


def test_an_empty_volume_node_is_refused():
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Hollow")
    for function in (arrayOfVolume, gridOfVolume):
        with pytest.raises(InputError, match=r"Hollow.*no voxels"):
            function(node)


def test_a_deleted_volume_is_refused():
    node = addVolume(noise(scenes.PLAIN), scenes.PLAIN, "Gone")
    slicer.mrmlScene.RemoveNode(node)
    with pytest.raises(InputError, match=r"Gone.*no longer in the scene"):
        arrayOfVolume(node)


def test_other_nodes_and_nothing_are_refused():
    with pytest.raises(InputError, match=r"None was given"):
        gridOfVolume(None)
    with pytest.raises(InputError, match=r"expected a volume"):
        gridOfVolume(scenes.addTransform(np.eye(4)))


def test_a_colour_volume_is_refused():
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Colours")
    image = vtk.vtkImageData()
    image.SetDimensions(6, 5, 4)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    node.SetAndObserveImageData(image)
    with pytest.raises(InputError, match=r"Colours.*3 values per voxel"):
        arrayOfVolume(node)
