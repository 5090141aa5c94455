"""Working copies, ranked slices and corrections, on real MRML."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_masks
from ObserverUncertaintyLib.images.grid import Grid, same_grid
from ObserverUncertaintySlicer.correction import (
    configureEditor,
    correctionState,
    saveAsReviewed,
    startCorrection,
    workingCopyOf,
)
from ObserverUncertaintySlicer.correctionExport import exportReviewed
from ObserverUncertaintySlicer.palette import SAVED_COLOR, WORKING_COLOR
from ObserverUncertaintySlicer.raterMasks import raterMask
from ObserverUncertaintySlicer.raters import Rater, ratersOfNode
from ObserverUncertaintySlicer.segments import addEmptySegmentation, addSegment, addSegmentation, setSegment
from ObserverUncertaintySlicer.volumes import addVolume

ANGLE = np.deg2rad(20)
OBLIQUE = Grid(
    size=(20, 18, 10),
    spacing=(1.0, 1.5, 4.0),
    origin=(-12.0, 8.0, 30.0),
    direction=(np.cos(ANGLE), -np.sin(ANGLE), 0.0, np.sin(ANGLE), np.cos(ANGLE), 0.0, 0.0, 0.0, 1.0),
)
STRAIGHT = Grid(size=(20, 18, 10), spacing=(1.0, 1.5, 4.0), origin=(-12.0, 8.0, 30.0))
VOXEL_ML = 1.0 * 1.5 * 4.0 / 1000


def block(k=slice(3, 7), j=slice(5, 10), i=slice(6, 12)):
    mask = np.zeros(OBLIQUE.shape, bool)
    mask[k, j, i] = True
    return mask


def maskOf(node, grid=OBLIQUE):
    return raterMask(ratersOfNode(node)[0], grid)[0]


def edit(node, mask, grid=OBLIQUE):
    setSegment(node, node.GetSegmentation().GetNthSegmentID(0), mask, grid)


@pytest.fixture
def background(scene):
    return addVolume(np.zeros(OBLIQUE.shape, np.float32), OBLIQUE, "T1")


@pytest.fixture
def raters(scene):
    node = addEmptySegmentation(OBLIQUE, "experts")
    for name, mask in (("anna", block()), ("ben", block(k=slice(4, 8)))):
        setSegment(node, addSegment(node, name, (1.0, 0.0, 0.0)), mask, OBLIQUE)
    return ratersOfNode(node)


def test_a_working_copy_lies_on_the_image_and_is_what_it_came_from(background, raters):
    copy = startCorrection(raters[1], background)
    np.testing.assert_array_equal(maskOf(copy.node), block(k=slice(4, 8)))
    role = copy.node.GetReferenceImageGeometryReferenceRole()
    assert copy.node.GetNodeReference(role) is background
    assert copy.node.GetName() == "experts: ben (working copy)"
    assert workingCopyOf(copy.node) == copy
    assert copy.node.GetSegmentation().GetSegment(copy.segmentID).GetColor() == pytest.approx(WORKING_COLOR)
    assert workingCopyOf(raters[0].node) is None
    state = correctionState(copy)
    assert (state.dice, state.changedMl) == (1.0, 0.0)
    assert state.volumeMl == pytest.approx(4 * 5 * 6 * VOXEL_ML)


def test_figures_follow_the_edit_in_closed_form(background, raters):
    copy = startCorrection(raters[0], background)
    edit(copy.node, block(k=slice(3, 9)))  # four slices of 30 voxels become six
    state = correctionState(copy)
    assert state.startVolumeMl == pytest.approx(120 * VOXEL_ML)
    assert state.volumeMl == pytest.approx(180 * VOXEL_ML)
    assert state.changedMl == pytest.approx(60 * VOXEL_ML)
    assert state.dice == pytest.approx(2 * 120 / 300)


def test_a_saved_correction_is_hidden_and_an_outline_in_a_colour_of_its_own_when_it_is_shown(background, raters):
    copy = startCorrection(raters[0], background)
    copy.node.GetSegmentation().GetSegment(copy.segmentID).SetColor(1.0, 0.0, 0.0)
    saved = saveAsReviewed(copy, "Dr. A")
    assert saved.GetSegmentation().GetNthSegment(0).GetColor() == pytest.approx(SAVED_COLOR)
    display = saved.GetDisplayNode()
    assert not display.GetVisibility()
    display.SetVisibility(True)
    assert display.GetVisibility2DOutline()
    assert not display.GetVisibility2DFill()


def test_raters_stay_voxel_for_voxel_as_they_were(background, raters):
    before = [raterMask(rater, OBLIQUE)[0] for rater in raters]
    copy = startCorrection(raters[0], background)
    edit(copy.node, block(i=slice(0, 20)))
    saveAsReviewed(copy, "Dr. A")
    for rater, mask in zip(raters, before, strict=True):
        np.testing.assert_array_equal(raterMask(rater, OBLIQUE)[0], mask)


def test_each_saving_is_a_node_of_its_own_that_says_who_when_and_from_what(background, raters):
    copy = startCorrection(raters[0], background)
    edit(copy.node, block(k=slice(3, 5)))
    first = saveAsReviewed(copy, " Dr. Ä ", "too large")
    edit(copy.node, block(k=slice(3, 6)))
    second = saveAsReviewed(copy, "Dr. Ä")
    assert first is not second
    assert first.GetName() != second.GetName()
    np.testing.assert_array_equal(maskOf(first), block(k=slice(3, 5)))
    np.testing.assert_array_equal(maskOf(second), block(k=slice(3, 6)))
    assert first.GetAttribute("ObserverUncertainty.Author") == "Dr. Ä"
    assert first.GetAttribute("ObserverUncertainty.Source") == "experts: anna"
    assert first.GetAttribute("ObserverUncertainty.Comment") == "too large"
    assert float(first.GetAttribute("ObserverUncertainty.VolumeMl")) == pytest.approx(60 * VOXEL_ML)
    assert first.GetAttribute("ObserverUncertainty.Corrected")


def test_a_correction_without_author_is_refused(background, raters):
    copy = startCorrection(raters[0], background)
    with pytest.raises(InputError, match="author"):
        saveAsReviewed(copy, "  ")


def test_what_a_model_says_about_itself_is_kept(background):
    source = addSegmentation(block(), OBLIQUE, "model", "cavity", (0, 0, 1))
    source.SetAttribute("ObserverUncertainty.Model", "abc")
    source.SetAttribute("ObserverUncertainty.Fusion", "none")
    saved = saveAsReviewed(startCorrection(source, background), "B")
    assert saved.GetAttribute("ObserverUncertainty.Model") == "abc"
    assert saved.GetAttribute("ObserverUncertainty.Fusion") == "none"


def test_a_segmentation_of_several_segments_must_say_which(background, raters):
    with pytest.raises(InputError, match="2 segments"):
        startCorrection(raters[0].node, background)


def test_a_copy_whose_segment_was_deleted_says_so(background, raters):
    copy = startCorrection(raters[0], background)
    copy.node.GetSegmentation().RemoveAllSegments()
    with pytest.raises(InputError, match="segment any more"):
        correctionState(copy)


def test_copies_and_corrections_come_back_with_the_scene(background, raters, scene, tmp_path):
    copy = startCorrection(raters[0], background)
    edit(copy.node, block(k=slice(3, 5)))
    saved = saveAsReviewed(copy, "Dr. Ä")
    names = (copy.node.GetName(), saved.GetName())
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear()
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), False)
    again, correction = (scene.GetFirstNodeByName(name) for name in names)
    assert correctionState(workingCopyOf(again)).changedMl == pytest.approx(60 * VOXEL_ML)
    assert correction.GetAttribute("ObserverUncertainty.Author") == "Dr. Ä"
    np.testing.assert_array_equal(maskOf(correction), block(k=slice(3, 5)))


def test_the_editor_edits_the_copy_only_and_undo_brings_the_mask_back(background, raters):
    copy = startCorrection(raters[0], background)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    configureEditor(node, copy)
    assert node.GetSegmentationNode() is copy.node
    assert node.GetSelectedSegmentID() == copy.node.GetSegmentation().GetNthSegmentID(0)
    assert node.GetOverwriteMode() == node.OverwriteNone
    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(copy.node.GetSegmentation())
    history.SaveState()
    edit(copy.node, block(k=slice(0, 10)))
    assert correctionState(copy).changedMl > 0
    history.RestorePreviousState()
    np.testing.assert_array_equal(maskOf(copy.node), block())


@pytest.mark.parametrize("extension", [".seg.nrrd", ".nrrd", ".nii.gz"])
def test_exported_corrections_are_read_back_voxel_for_voxel(background, raters, tmp_path, extension):
    copy = startCorrection(raters[0], background)
    edit(copy.node, block(k=slice(2, 5)))
    saved = saveAsReviewed(copy, "Dr. Ä")
    path = exportReviewed(saved, tmp_path / f"Größe{extension}")
    (mask,) = read_masks(path)
    image = sitk.ReadImage(str(path))
    back = sitk.Resample(image, OBLIQUE.to_sitk(block().astype(np.uint8)), sitk.Transform(), sitk.sitkNearestNeighbor)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back) > 0, block(k=slice(2, 5)))
    if extension != ".seg.nrrd":
        assert same_grid(mask.grid, OBLIQUE)
        np.testing.assert_array_equal(mask.array, block(k=slice(2, 5)))
    record = json.loads((tmp_path / f"Größe{extension}.json").read_text(encoding="utf-8"))
    assert record["Author"] == "Dr. Ä"
    assert record["Source"] == "experts: anna"


def test_files_are_overwritten_only_when_asked(background, raters, tmp_path):
    saved = saveAsReviewed(startCorrection(raters[0], background), "A")
    (tmp_path / "mine.nrrd").write_bytes(b"mine")
    with pytest.raises(InputError, match="exists already"):
        exportReviewed(saved, tmp_path / "mine.nrrd")
    assert (tmp_path / "mine.nrrd").read_bytes() == b"mine"
    exportReviewed(saved, tmp_path / "mine.nrrd", overwrite=True)
    assert len(read_masks(tmp_path / "mine.nrrd")) == 1
    with pytest.raises(InputError, match=r"\.txt"):
        exportReviewed(saved, tmp_path / "mine.txt")


@pytest.mark.parametrize("extension", [".seg.nrrd", ".nrrd"])
def test_a_folder_that_cannot_be_written_to_leaves_nothing_behind(background, raters, tmp_path, extension, vtkMessages):
    saved = saveAsReviewed(startCorrection(raters[0], background), "A")
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(InputError):
        exportReviewed(saved, tmp_path / "file" / f"x{extension}")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_rater_under_a_transform_is_copied_where_it_is_seen(background, raters):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 8.0)  # two slices up
    transform.SetMatrixTransformToParent(matrix)
    raters[0].node.SetAndObserveTransformNodeID(transform.GetID())
    copy = startCorrection(Rater(raters[0].node, raters[0].segmentID), background)
    np.testing.assert_array_equal(maskOf(copy.node), block(k=slice(5, 9)))
