"""The booted scene is real: values come back, data travel through files, and VTK's errors are seen."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

pytestmark = pytest.mark.usefixtures("scene")


def addVolume(name="Volume", value=0.0):
    array = np.full((4, 5, 6), value, np.float32)
    return slicer.util.addVolumeFromArray(array, ijkToRAS=np.diag([-1.0, -2.0, 3.0, 1.0]), name=name)


def addSegmentation(volume, masks, names=None):
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Raters")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for index, mask in enumerate(masks):
        segmentID = f"rater{index}"
        segmentation.GetSegmentation().AddEmptySegment(segmentID, names[index] if names else segmentID)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation, segmentID, volume)
    return segmentation


def test_each_test_gets_an_empty_scene_with_the_default_colours(scene):
    addVolume()
    parameters = scene.AddNode(slicer.vtkMRMLScriptedModuleNode())
    parameters.SetSingletonTag("LeftOver")
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 1
    assert scene.GetNodeByID("vtkMRMLColorTableNodeGrey") is not None


def test_nothing_of_the_test_before_is_left(scene):
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0
    assert scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode") == 0
    assert scene.GetNodeByID("vtkMRMLColorTableNodeGrey") is not None


def test_overlapping_raters_keep_their_voxels():
    volume = addVolume()
    first, second = np.zeros((2, 4, 5, 6), bool)
    first[1:3, 1:4, 1:4] = True
    second[2:4, 2:5, 2:5] = True
    segmentation = addSegmentation(volume, [first, second])
    for segmentID, mask in (("rater0", first), ("rater1", second)):
        array = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentID, volume)
        np.testing.assert_array_equal(array, mask)


def test_a_scene_file_brings_its_volumes_and_segments_back(scene, tmp_path):
    volume = addVolume(value=7.5)
    mask = np.zeros((4, 5, 6), bool)
    mask[1, 2, 3:5] = True
    addSegmentation(volume, [mask], ["Expert A"])
    bundle = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(bundle)
    scene.Clear(0)
    assert scene.GetFirstNodeByName("Volume") is None
    assert scene.ReadFromMRB(bundle, True)
    volume, segmentation = scene.GetFirstNodeByName("Volume"), scene.GetFirstNodeByName("Raters")
    assert (slicer.util.arrayFromVolume(volume) == 7.5).all()
    assert volume.GetSpacing() == (1, 2, 3)
    assert segmentation.GetSegmentation().GetSegment("rater0").GetName() == "Expert A"
    np.testing.assert_array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "rater0", volume), mask)


def test_a_volume_is_read_back_from_its_file(tmp_path):
    volume = addVolume(value=3)
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(tmp_path / "volume.nrrd"))
    assert storage.WriteData(volume)
    read = slicer.modules.volumes.logic().AddArchetypeVolume(str(tmp_path / "volume.nrrd"), "Read", 0)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(read), slicer.util.arrayFromVolume(volume))


def test_slice_orientations_are_known_by_name(scene):
    node = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    assert node.SetOrientation("Sagittal")
    assert node.GetOrientation() == "Sagittal"
    # A sagittal slice looks along the patient's left-right axis.
    assert abs(node.GetSliceToRAS().GetElement(0, 2)) == 1


def test_an_unknown_module_is_an_attribute_error():
    with pytest.raises(AttributeError):
        slicer.modules.volumerendering.logic()


def test_an_error_of_vtk_is_recorded_and_can_be_expected(vtkMessages):
    with vtkMessages.expectErrors("has 0 connections"):
        vtk.vtkImageReslice().Update()
    with pytest.raises(AssertionError, match="no error matching"), vtkMessages.expectErrors("never said"):
        pass


REMOVES_A_DISPLAY = """
import slicer

def test_that_asserts_nothing(scene):
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Raters")
    display = scene.AddNewNodeByClass("vtkMRMLSegmentationDisplayNode", "outlines")
    segmentation.AddAndObserveDisplayNodeID(display.GetID())
    scene.RemoveNode({removed})
"""


@pytest.mark.parametrize(("removed", "isAccepted"), [("display", False), ("segmentation", True)])
def test_every_test_fails_in_which_a_display_node_is_removed_before_its_segmentation(tmp_path, removed, isAccepted):
    """Slicer dies at the segmentation's next change."""
    file = tmp_path / "test_removal.py"
    file.write_text(REMOVES_A_DISPLAY.format(removed=removed), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider", "--rootdir", tmp_path, file],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[:2]))},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == (0 if isAccepted else 1), run.stdout + run.stderr
    assert ("outlines of Raters" in run.stdout) is not isAccepted


def test_a_closed_scene_takes_display_nodes_with_it(scene, removedDisplays):
    segmentation = addSegmentation(addVolume(), [np.ones((4, 5, 6), bool)])
    own = segmentation.GetDisplayNode()
    scene.RemoveNode(segmentation)
    scene.RemoveNode(own)
    addSegmentation(addVolume(), [np.ones((4, 5, 6), bool)])
    scene.Clear(0)
    assert removedDisplays == []
