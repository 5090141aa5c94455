"""DICOM in step 1: a study's folder as a case, contours from a file, and what belongs to another patient."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import slicer.util

pytest.importorskip("highdicom", reason="this Slicer has no highdicom")
pytest.importorskip("pydicom", minversion="3.0")

from dicom_case import GRID, writeStudy
from first_step import add, openPanel, theMessage

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import write_image, write_mask
from ObserverUncertaintyLib.images.grid import same_grid
from ObserverUncertaintySlicer.caseLoading import loadCaseFolder
from ObserverUncertaintySlicer.contourFiles import loadContours
from ObserverUncertaintySlicer.dicomSources import seriesOf, spaceOf
from ObserverUncertaintySlicer.raterMasks import raterMasks
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume, gridOfVolume

pytestmark = pytest.mark.usefixtures("scene")


@pytest.fixture
def study(tmp_path):
    return writeStudy(tmp_path / "Doe Jane")


@pytest.fixture
def section(slicerApplication, moduleFile, tmp_path, monkeypatch):
    return openPanel(slicerApplication, moduleFile, tmp_path, monkeypatch).case


def test_a_study_is_a_case_with_sequences_by_description_and_raters_by_region(study):
    case = loadCaseFolder(study.folder)
    assert list(case.sequences) == ["T1c", "FLAIR"]
    masks = raterMasks(case.raters, gridOfVolume(case.sequences["T1c"]))
    assert list(masks.names) == ["anna", "ben"]
    for name, mask in zip(masks.names, masks.masks, strict=True):
        np.testing.assert_array_equal(mask, study.raters[name])
    assert same_grid(gridOfVolume(case.sequences["FLAIR"]), GRID)
    assert case.warnings == ()


def test_nothing_in_the_scene_names_the_patient_or_the_folder(study):
    loadCaseFolder(study.folder)
    nodes = [slicer.mrmlScene.GetNthNode(n) for n in range(slicer.mrmlScene.GetNumberOfNodes())]
    for node in nodes:
        texts = [node.GetName() or "", *(node.GetAttribute(name) for name in node.GetAttributeNames())]
        for text in texts:
            assert not any(secret in text for secret in ("Doe", "Jane", "4711", "1.2.826")), (node.GetName(), text)


def test_a_volume_knows_its_series_in_this_session_only(study):
    case = loadCaseFolder(study.folder)
    node = case.sequences["T1c"]
    assert seriesOf(node).startswith(str(study.folder.resolve() / "s1"))
    assert spaceOf(node).frame_of_reference == spaceOf(case.sequences["FLAIR"]).frame_of_reference != ""
    copy = addVolume(arrayOfVolume(node), gridOfVolume(node), "copy")
    assert seriesOf(copy) == spaceOf(copy).frame_of_reference == ""


def test_two_studies_in_a_folder_are_refused_with_the_way_out(study):
    writeStudy(study.folder / "later")
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(InputError, match="holds 2 DICOM studies; expected one"):
        loadCaseFolder(study.folder)
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_contours_are_added_to_the_case_from_their_file(section, slicerApplication, study):
    add(section, loadCaseFolder(study.folder).sequences["T1c"], "T1c")
    slicerApplication.dialogs.answer("getOpenFileName", str(study.contours))
    section.ui.addContoursButton.click()
    raters = section.parameters.raters
    masks = raterMasks(raters, GRID)
    np.testing.assert_array_equal(masks.masks, np.stack(list(study.raters.values())))
    assert [rater.name for rater in raters] == ["anna", "ben"]
    assert not slicerApplication.dialogs.messages


def test_contours_of_another_patient_are_refused(section, slicerApplication, study, tmp_path):
    other = writeStudy(tmp_path / "other")
    add(section, loadCaseFolder(study.folder).sequences["T1c"], "T1c")
    before = slicer.mrmlScene.GetNumberOfNodes()
    slicerApplication.dialogs.answer("getOpenFileName", str(other.contours))
    section.ui.addContoursButton.click()
    theMessage(slicerApplication, "another frame of reference than the image's")
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert section.parameters.raters == []


def test_what_the_image_does_not_say_is_told(section, slicerApplication, study):
    add(section, addVolume(np.ones(GRID.shape, np.float32), GRID, "T1c"), "T1c")
    slicerApplication.dialogs.answer("getOpenFileName", str(study.contours))
    section.ui.addContoursButton.click()
    assert "the image names no frame of reference" in section.ui.loadedLabel.text
    assert len(section.parameters.raters) == 2


def test_the_button_is_there_when_there_is_an_image_to_draw_on(section):
    assert section.ui.addContoursButton.isHidden()
    add(section, addVolume(np.ones(GRID.shape, np.float32), GRID, "T1c"), "T1c")
    assert not section.ui.addContoursButton.isHidden()


def test_masks_of_other_formats_come_in_the_same_way_but_no_results(study, tmp_path):
    volume = loadCaseFolder(study.folder).sequences["T1c"]
    write_mask(tmp_path / "carl.nii.gz", study.raters["ben"], GRID)
    (rater,) = loadContours(tmp_path / "carl.nii.gz", volume).raters
    assert rater.name == "carl"
    from ObserverUncertaintyLib.formats.marks import ResultKind

    write_image(tmp_path / "fused.nii.gz", study.raters["ben"], GRID, kind=ResultKind.FUSED)
    with pytest.raises(InputError, match="fused is a result of this program"):
        loadContours(tmp_path / "fused.nii.gz", volume)


def test_slicer_rt_loads_structure_sets_where_it_is_installed(study, monkeypatch):
    """A stand-in for SlicerRT's importer: which is asked, and what is done with what it loads."""
    volume = loadCaseFolder(study.folder).sequences["T1c"]
    asked = []

    class Importer:
        def examineForImport(self, lists):
            asked.append(lists)
            return ["loadable"]

        def load(self, loadable):
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "RT")
            node.GetSegmentation().AddEmptySegment("1", "by SlicerRT")
            return loadable == "loadable"

    monkeypatch.setattr(slicer.modules, "dicomPlugins", {"DicomRtImportExportPlugin": Importer}, raising=False)
    loaded = loadContours(study.contours, volume)
    assert asked == [[[str(study.contours)]]]
    assert [rater.name for rater in loaded.raters] == ["by SlicerRT"]
    # Its importer knows no segmentations and masks.
    write_mask(study.folder / "m.nii.gz", study.raters["ben"], GRID)
    assert loadContours(study.folder / "m.nii.gz", volume).raters[0].name == "m"
    assert len(asked) == 1


def test_slicers_own_database_tells_the_series_of_what_it_loaded(study, monkeypatch):
    volume = addVolume(np.ones(GRID.shape, np.float32), GRID, "3: T1")
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    database = SimpleNamespace(
        isOpen=True,
        fileForInstance=lambda uid: str(study.folder / "s1" / "000.dcm") if uid == "1.2.3" else "",
        instanceValue=lambda _uid, tag: {"0020,0052": "1.9", "0020,000E": "1.8"}[tag],
    )
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    assert seriesOf(volume) == f"{study.folder / 's1'}#1.8"
    assert spaceOf(volume).frame_of_reference == "1.9"


def test_without_highdicom_the_message_says_which_slicer_has_it(section, slicerApplication, study, monkeypatch):
    from ObserverUncertaintyLib.export.case import export_case
    from ObserverUncertaintyLib.export.contours import case_contours

    monkeypatch.setitem(sys.modules, "highdicom", None)
    contours = case_contours(GRID, structure="cavity", reviewed=study.raters["anna"])
    with pytest.raises(InputError, match=r"the package highdicom is needed .*3D Slicer has it from 5\.12 on"):
        export_case(study.folder / "s1", study.folder / "out", GRID, contours)
