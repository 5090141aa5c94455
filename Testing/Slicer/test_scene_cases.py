"""The scene's cases written as a cohort, read back by the library and compared by value."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from opened_panel import DISCS, discImage, writeDiscs

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.images.grid import Grid, same_grid
from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.caseLoading import loadManifestCase
from ObserverUncertaintySlicer.modelCards import readCard
from ObserverUncertaintySlicer.raters import Rater
from ObserverUncertaintySlicer.sceneCases import SceneCase, exportSceneCohort, markCase, sceneCases
from ObserverUncertaintySlicer.segments import addEmptySegmentation, addSegment, setSegment
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume, gridOfVolume


def addCase(name, number, raters, sequences=("T1",), grid=DISCS, mark=True):
    """A disc with raters of given names and radii."""
    image, distance = discImage(number)
    volumes = {sequence: addVolume(image + 100 * n, grid, f"{name} {sequence}") for n, sequence in enumerate(sequences)}
    node = addEmptySegmentation(grid, f"{name} raters")
    found = []
    for rater, radius in raters.items():
        segment = addSegment(node, rater, (1.0, 0.0, 0.0))
        setSegment(node, segment, distance < radius, grid)
        found.append(Rater(node, segment))
    case = SceneCase(name, volumes, found)
    if mark:
        markCase(case)
    return case


def test_cases_are_read_back_by_value(scene, tmp_path):
    addCase("Anna Müller", 1, {"Dr. Ö": 5, 'B "b"': 7}, ("T1", "FLAIR"))
    addCase("p2", 2, {"Dr. Ö": 4}, ("FLAIR", "T1"))
    cohort = exportSceneCohort(tmp_path / "cohort", "My cases", "cavity")
    read = Cohort.open(cohort.manifest)
    assert (read.name, read.manifest.label, read.manifest.simulated) == ("My cases", "cavity", False)
    assert read.case_names == cohort.names == ("Anna Müller", "p2")
    assert read.sequences == ("T1", "FLAIR")
    first, second = read.load_all()
    image, distance = discImage(1)
    np.testing.assert_array_equal(first.image("T1"), image)
    np.testing.assert_array_equal(first.image("FLAIR"), image + 100)
    assert same_grid(first.grid, DISCS)
    assert first.rater_names == ("Dr. Ö", 'B "b"')
    np.testing.assert_array_equal(first.raters, [distance < 5, distance < 7])
    image, distance = discImage(2)
    # The second case's volumes were added the other way round.
    np.testing.assert_array_equal(second.image("FLAIR"), image)
    np.testing.assert_array_equal(second.image("T1"), image + 100)
    assert second.rater_names == ("Dr. Ö",)
    np.testing.assert_array_equal(second.raters, [distance < 4])


def test_loaded_cases_are_found_again_also_in_a_saved_scene_and_say_that_they_are_simulated(scene, mrml, tmp_path):
    manifest = writeDiscs(tmp_path / "files")
    for name in ("p1", "p2"):
        loadManifestCase(manifest, name)
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    mrml.clear()
    assert sceneCases() == []
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    cohort = exportSceneCohort(tmp_path / "cohort", "Again", "disc")
    original, again = Cohort.open(manifest), Cohort.open(cohort.manifest)
    assert again.manifest.simulated
    assert again.case_names == original.case_names
    for name in again.case_names:
        np.testing.assert_array_equal(again.load(name).images, original.load(name).images)
        np.testing.assert_array_equal(again.load(name).raters, original.load(name).raters)


def test_what_lies_on_another_grid_is_resampled_and_this_is_noted(scene, tmp_path):
    case = addCase("p1", 1, {"anna": 5}, mark=False)
    shifted = Grid(size=DISCS.size, spacing=DISCS.spacing, origin=(2.0, 0.0, 0.0))
    case.sequences["FLAIR"] = addVolume(discImage(1)[0], shifted, "shifted FLAIR")
    cohort = exportSceneCohort(tmp_path, "c", "disc", [case])
    loaded = Cohort.open(cohort.manifest).load("p1")
    # One voxel towards the patient's left: the value of voxel i of the shifted image lies at i + 1.
    np.testing.assert_allclose(loaded.image("FLAIR")[..., 1:], discImage(1)[0][..., :-1], atol=1e-4)
    assert any("shifted FLAIR was resampled" in note for note in cohort.notes)


def test_parent_transforms_move_images_and_raters_alike(scene, tmp_path):
    case = addCase("p1", 1, {"anna": 5})
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    moved = vtk.vtkMatrix4x4()
    moved.SetElement(0, 3, 30.0)
    transform.SetMatrixTransformToParent(moved)
    for node in (case.sequences["T1"], case.raters[0].node):
        node.SetAndObserveTransformNodeID(transform.GetID())
    loaded = Cohort.open(exportSceneCohort(tmp_path, "c", "disc").manifest).load("p1")
    # 30 mm to the right in RAS are 30 mm less in LPS.
    assert loaded.grid.origin[0] == pytest.approx(DISCS.origin[0] - 30)
    np.testing.assert_array_equal(loaded.raters[0], discImage(1)[1] < 5)


def test_an_empty_rater_is_written_and_told_of(scene, tmp_path):
    addCase("p1", 1, {"anna": 5, "nobody": 0})
    cohort = exportSceneCohort(tmp_path, "c", "disc")
    assert not Cohort.open(cohort.manifest).load("p1").raters[1].any()
    assert any(text.startswith("p1: nobody") for text in cohort.warnings)


def test_cases_that_do_not_fit_are_refused_by_name(scene, tmp_path):
    with pytest.raises(InputError, match="no case"):
        exportSceneCohort(tmp_path / "c", "c", "disc")
    addCase("good", 1, {"anna": 5})
    addCase("lonely", 2, {})
    with pytest.raises(InputError, match="no rater: lonely"):
        exportSceneCohort(tmp_path / "c", "c", "disc")
    slicer.mrmlScene.RemoveNode(sceneCases()[1].sequences["T1"])
    addCase("other", 2, {"anna": 5}, ("T1", "T2"))
    with pytest.raises(InputError, match="good has T1, but other has T1, T2"):
        exportSceneCohort(tmp_path / "c", "c", "disc")
    assert not (tmp_path / "c").exists()


def test_a_folder_with_files_is_left_alone(scene, tmp_path):
    addCase("p1", 1, {"anna": 5})
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not empty"):
        exportSceneCohort(tmp_path, "c", "disc")
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_the_present_case_stands_for_its_marked_one_with_the_raters_that_take_part(scene):
    loaded = addCase("p1", 1, {"anna": 5, "ben": 7})
    addCase("p2", 2, {"anna": 5})
    present = SceneCase("renamed", loaded.sequences, loaded.raters[:1])
    assert [(case.name, len(case.raters)) for case in sceneCases(present)] == [("renamed", 1), ("p2", 1)]
    unmarked = addCase("p3", 2, {"anna": 5}, mark=False)
    assert [case.name for case in sceneCases(unmarked)] == ["p1", "p2", "p3"]
    assert [case.name for case in sceneCases(SceneCase("empty", {}, []))] == ["p1", "p2"]


def test_names_that_no_file_can_have_and_cases_loaded_twice_are_kept_apart(scene, tmp_path):
    for number in (1, 2):
        addCase("a/b: 1*", number, {"anna": 5})
    assert [case.name for case in sceneCases()] == ["a/b: 1*", "a/b: 1* (2)"]
    cohort = exportSceneCohort(tmp_path, "c", "disc")
    read = Cohort.open(cohort.manifest)
    images = [read.load(name).images[0] for name in read.case_names]
    np.testing.assert_array_equal(images, [discImage(1)[0], discImage(2)[0]])


def test_labelmap_volumes_are_raters_of_their_case(scene, tmp_path):
    case = addCase("p1", 1, {"anna": 5})
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "ben")
    slicer.util.updateVolumeFromArray(node, (discImage(1)[1] < 6).astype(np.uint8))
    node.CopyOrientation(case.sequences["T1"])
    node.SetAttribute("ObserverUncertainty.Case", "p1")
    loaded = Cohort.open(exportSceneCohort(tmp_path, "c", "disc").manifest).load("p1")
    assert loaded.rater_names == ("anna", "ben")
    np.testing.assert_array_equal(loaded.raters[1], discImage(1)[1] < 6)


def test_files_lie_in_world_coordinates_like_their_nodes(scene, tmp_path):
    case = addCase("p1", 1, {"anna": 5}, grid=Grid(size=DISCS.size, spacing=(2, 2, 4), origin=(-7.0, 3.0, 11.0)))
    exportSceneCohort(tmp_path, "c", "disc")
    read = read_image(tmp_path / "p1" / "0.nrrd")
    assert same_grid(read.grid, gridOfVolume(case.sequences["T1"]))
    np.testing.assert_array_equal(read.array, arrayOfVolume(case.sequences["T1"]))


@pytest.mark.usefixtures("scene")
def test_a_script_trains_on_the_scene(workerPython, moduleFile, tmp_path, monkeypatch):
    monkeypatch.setenv(host.PYTHON_VARIABLE, str(workerPython))
    monkeypatch.setenv(host.JOBS_VARIABLE, str(tmp_path / "jobs"))
    logic = moduleFile.ObserverUncertaintyLogic()
    with pytest.raises(InputError, match="no case"):
        logic.trainOnScene(tmp_path / "model")
    assert list((tmp_path / "jobs").iterdir()) == []
    addCase("p1", 1, {"anna": 5, "ben": 7})
    addCase("p2", 2, {"anna": 5, "ben": 7})
    options = {"depth": 1, "filters": 4, "epochs": 1, "device": "cpu"}
    assert logic.trainOnScene(tmp_path / "model", "union", label="disc", **options) == tmp_path / "model"
    description = readCard(tmp_path / "model").description
    assert (description.label, description.training["fusion"]) == ("disc", "union")
