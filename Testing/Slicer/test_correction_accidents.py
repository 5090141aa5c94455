"""Corrections survive what a scene goes through: images moved, nodes deleted, disks full."""

from __future__ import annotations

import json
import math
from contextlib import contextmanager

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from rater_scenes import OBLIQUE, PLAIN, addReference, addSegmentation, addTransform, affine, rotation, segmentArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_masks
from ObserverUncertaintyLib.images.grid import Grid, same_grid
from ObserverUncertaintySlicer.correction import correctionState, saveAsReviewed, startCorrection, workingCopyOf
from ObserverUncertaintySlicer.correctionEditor import CorrectionEditor
from ObserverUncertaintySlicer.correctionExport import EXTENSIONS, exportReviewed
from ObserverUncertaintySlicer.raters import Rater

BLOCK = (slice(5, 15), slice(8, 20), slice(6, 21))
EXTRA = (slice(15, 17), slice(8, 20), slice(6, 21))
resource = pytest.importorskip("resource")

PREFIX = "ObserverUncertainty."


def masked(grid, *boxes):
    mask = np.zeros(grid.shape, bool)
    for box in boxes:
        mask[box] = True
    return mask


def moved(grid, matrix):
    """The grid that a grid becomes under a rigid 4x4 matrix in RAS."""
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    place = flip @ matrix @ flip @ grid.index_to_physical()
    return Grid(grid.size, grid.spacing, tuple(place[:3, 3]), tuple((place[:3, :3] / grid.spacing).ravel()))


@contextmanager
def fullDisk(limit):
    """No file grows beyond `limit` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(params=[PLAIN, OBLIQUE], ids=["plain", "oblique and anisotropic"])
def grid(request):
    return request.param


@pytest.fixture
def image(scene, grid):
    return addReference(grid)


@pytest.fixture
def copy(image, grid):
    """A working copy that was changed."""
    raters = addSegmentation(image, [masked(grid, BLOCK)], names=["Ärztin"])
    copy = startCorrection(Rater(raters, "rater0"), image)
    with CorrectionEditor(copy) as editor:
        editor.add(masked(grid, EXTRA))
    return copy


def expectedOn(grid):
    return masked(grid, BLOCK, EXTRA)


def readBack(path):
    """A mask and its grid, by the library and by SimpleITK alone; both must agree."""
    (mask,) = read_masks(path)
    image = sitk.ReadImage(str(path))
    assert same_grid(Grid.from_sitk(image), mask.grid)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image) > 0, mask.array)
    return mask.array, mask.grid


def test_moving_the_image_takes_nothing_from_the_contour(image, copy, grid, tmp_path):
    before = correctionState(copy)
    # The image goes a hundred millimetres away, by no whole number of voxels.
    image.SetAndObserveTransformNodeID(addTransform(affine(rotation(10), (3.3, 7.7, 100.4))).GetID())
    assert correctionState(copy) == before
    saved = saveAsReviewed(copy, "A")
    assert float(saved.GetAttribute(PREFIX + "VolumeMl")) == pytest.approx(before.volumeMl, abs=1e-4)
    for extension in EXTENSIONS:
        array, found = readBack(exportReviewed(saved, tmp_path / f"moved{extension}"))
        assert same_grid(found, grid)
        np.testing.assert_array_equal(array, expectedOn(grid))
    image.SetAndObserveTransformNodeID(None)
    np.testing.assert_array_equal(segmentArray(saved, _only(saved), image), expectedOn(grid))


def test_without_the_image_the_contour_is_still_saved_and_exported(scene, image, copy, grid, tmp_path):
    before = correctionState(copy)
    scene.RemoveNode(image)
    assert correctionState(copy) == before
    array, found = readBack(exportReviewed(saveAsReviewed(copy, "A"), tmp_path / "a.nii.gz"))
    assert same_grid(found, grid)
    np.testing.assert_array_equal(array, expectedOn(grid))


def test_without_the_start_the_work_is_still_saved(scene, image, copy, grid):
    before = correctionState(copy)
    scene.RemoveNode(copy.startNode)
    again = workingCopyOf(copy.node)
    assert again.startNode is None
    for workingCopy in (copy, again):
        state = correctionState(workingCopy)
        assert state.volumeMl == before.volumeMl
        assert state.startVolumeMl == pytest.approx(before.startVolumeMl, abs=1e-4)
        assert math.isnan(state.dice)
        assert math.isnan(state.changedMl)
    saved = saveAsReviewed(again, "A")
    np.testing.assert_array_equal(segmentArray(saved, _only(saved), image), expectedOn(grid))
    assert float(saved.GetAttribute(PREFIX + "StartVolumeMl")) == pytest.approx(before.startVolumeMl, abs=1e-4)


def test_a_deleted_copy_is_said_by_name(scene, copy):
    name = copy.node.GetName()
    scene.RemoveNode(copy.node)
    for action in (lambda: correctionState(copy), lambda: saveAsReviewed(copy, "A")):
        with pytest.raises(InputError, match="no longer in the scene") as error:
            action()
        assert name in str(error.value)


def test_a_closed_scene_is_said(scene, copy):
    scene.Clear(0)
    with pytest.raises(InputError, match="no longer in the scene"):
        correctionState(copy)


def test_nothing_is_made_where_the_entropy_is_gone(scene, image, copy):
    entropy = addReference(PLAIN, "Entropy")
    scene.RemoveNode(entropy)
    before = scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    with pytest.raises(InputError, match="Entropy"):
        startCorrection(copy.node, image, entropy)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == before


def test_what_is_drawn_in_another_segment_is_not_left_out_silently(image, copy, grid):
    segmentation = copy.node.GetSegmentation()
    other = segmentation.AddEmptySegment("", "Extra")
    assert saveAsReviewed(copy, "A").GetSegmentation().GetNumberOfSegments() == 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(masked(grid, EXTRA).astype(np.uint8), copy.node, other, image)
    with pytest.raises(InputError, match="Extra"):
        saveAsReviewed(copy, "A")
    # The figures go on with the segment that is being corrected, also when it is not the first any more.
    segmentation.ReorderSegments([other, copy.segmentID])
    voxelMl = float(np.prod(grid.spacing)) / 1000
    assert correctionState(copy).volumeMl == pytest.approx(expectedOn(grid).sum() * voxelMl)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_files_hold_a_correction_where_the_scene_shows_it(copy, grid, tmp_path, extension):
    saved = saveAsReviewed(copy, "A")
    matrix = affine(rotation(33), (12.0, -5.5, 21.25))
    saved.SetAndObserveTransformNodeID(addTransform(matrix).GetID())
    array, found = readBack(exportReviewed(saved, tmp_path / f"moved{extension}"))
    assert same_grid(found, moved(grid, matrix))
    np.testing.assert_array_equal(array, expectedOn(grid))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_an_emptied_correction_is_an_empty_mask_on_its_grid(copy, grid, tmp_path, extension):
    with CorrectionEditor(copy) as editor:
        editor.remove(np.ones(grid.shape, bool))
    assert correctionState(copy).dice == 0
    array, found = readBack(exportReviewed(saveAsReviewed(copy, "A"), tmp_path / f"empty{extension}"))
    assert same_grid(found, grid)
    assert not array.any()


def test_slicer_reads_the_segmentation_file_with_name_and_colour(copy, grid, image, tmp_path):
    saved = saveAsReviewed(copy, "A")
    path = exportReviewed(saved, tmp_path / "Größe 1.seg.nrrd")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    read = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(read)
    (original, segment) = (node.GetSegmentation().GetNthSegment(0) for node in (saved, read))
    assert segment.GetName() == original.GetName() == "Ärztin"
    assert segment.GetColor() == pytest.approx(original.GetColor())
    np.testing.assert_array_equal(segmentArray(read, _only(read), image), expectedOn(grid))
    assert b"research use only" in path.read_bytes().split(b"\n\n")[0]


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("limit", [10, 4096], ids=["not even the record fits", "the record fits, the mask does not"])
def test_a_full_disk_leaves_earlier_files_as_they_were(scene, tmp_path, extension, limit, vtkMessages):
    grid = Grid((64, 64, 64))
    noise = np.random.default_rng(5).random(grid.shape) < 0.5  # does not compress
    image = addReference(grid)
    saved = saveAsReviewed(startCorrection(addSegmentation(image, [noise]), image), "A")
    path = tmp_path / f"x{extension}"
    record = tmp_path / f"x{extension}.json"
    path.write_bytes(b"earlier mask")
    record.write_bytes(b"earlier record")
    with fullDisk(limit), pytest.raises(InputError, match="cannot be written"):
        exportReviewed(saved, path, overwrite=True)
    vtkMessages.clear()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        path.name: b"earlier mask",
        record.name: b"earlier record",
    }
    exportReviewed(saved, path, overwrite=True)
    np.testing.assert_array_equal(readBack(path)[0], noise)
    assert json.loads(record.read_text(encoding="utf-8"))["Author"] == "A"


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_an_earlier_record_is_not_overwritten_unasked(copy, tmp_path, extension):
    saved = saveAsReviewed(copy, "A")
    record = tmp_path / f"x{extension}.json"
    record.write_bytes(b"mine")
    with pytest.raises(InputError, match="exists already"):
        exportReviewed(saved, tmp_path / f"x{extension}")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(record.name, b"mine")]
    (tmp_path / f"folder{extension}").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        exportReviewed(saved, tmp_path / f"folder{extension}", overwrite=True)


def test_the_record_says_who_when_from_what_and_that_it_is_for_research(copy, grid, tmp_path):
    comment = 'too; large: "5 %" | ü\nsecond line'
    saved = saveAsReviewed(copy, "Dr. Ö", comment)
    path = exportReviewed(saved, tmp_path / "a.nrrd")
    record = json.loads((tmp_path / "a.nrrd.json").read_text(encoding="utf-8"))
    assert (record["Author"], record["Comment"]) == ("Dr. Ö", comment)
    assert record["Source"] == "Raters: Ärztin"
    assert record["Corrected"] >= record["Started"]
    assert float(record["VolumeMl"]) == pytest.approx(
        expectedOn(grid).sum() * float(np.prod(grid.spacing)) / 1000, abs=1e-4
    )
    assert "not a medical device" in record["notice"]
    assert path.is_file()


def test_a_comment_of_any_characters_survives_the_scene_file(scene, copy, tmp_path):
    comment = 'too; large: "5 %" <&> | ü\nsecond line'
    name = saveAsReviewed(copy, "Ö; B:C", comment).GetName()
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(0)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    node = scene.GetFirstNodeByName(name)
    assert node.GetAttribute(PREFIX + "Comment") == comment
    assert node.GetAttribute(PREFIX + "Author") == "Ö; B:C"


def _only(node):
    return node.GetSegmentation().GetNthSegmentID(0)
