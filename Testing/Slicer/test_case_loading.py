"""Cases come from folders and manifests with the names, the voxels and the places their files give them."""

import json
import shutil

import numpy as np
import pytest
import rater_scenes as scenes
import slicer
import slicer.util

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.loading import LoadOptions
from ObserverUncertaintyLib.cohort.manifest import ManifestError
from ObserverUncertaintyLib.cohort.rater_files import load_raters
from ObserverUncertaintyLib.formats import read_image, write_image, write_mask
from ObserverUncertaintyLib.formats.marks import ResultKind
from ObserverUncertaintyLib.images.grid import same_grid
from ObserverUncertaintyLib.images.resampling import resample
from ObserverUncertaintyLib.simulation.cavities import CavitySettings, simulate_cavity_case
from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort
from ObserverUncertaintySlicer.caseFolder import meantSequences
from ObserverUncertaintySlicer.caseLoading import ManifestCase, loadCaseFolder, loadManifestCase, manifestCases
from ObserverUncertaintySlicer.correctionExport import exportReviewed
from ObserverUncertaintySlicer.raterMasks import raterMasks
from ObserverUncertaintySlicer.raters import RATER_COLORS
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume

pytestmark = pytest.mark.usefixtures("scene")


def image(grid, seed=0):
    return np.random.default_rng(seed).normal(100, 20, grid.shape).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """A case's folder with four sequences and two raters on an oblique grid; FLAIR lies on a grid of its own."""
    folder = tmp_path / "Müller 07"
    for seed, name in enumerate(("t2_ax.nii.gz", "T1_post.nrrd", "t1.nii.gz")):
        write_image(folder / name, image(scenes.OBLIQUE, seed), scenes.OBLIQUE)
    write_image(folder / "FLAIR.mha", image(scenes.PLAIN, 3), scenes.PLAIN)
    for name, mask in zip(("seg_anna.nii.gz", "rater2.nrrd"), scenes.threeRaters(scenes.OBLIQUE), strict=False):
        write_mask(folder / name, mask, scenes.OBLIQUE)
    return folder


def test_a_folder_becomes_named_sequences_and_overlapping_raters(folder):
    case = loadCaseFolder(folder)
    assert case.name == "Müller 07"
    assert list(case.sequences) == ["T1", "T1c", "T2", "FLAIR"]
    assert [node.GetName() for node in case.sequences.values()] == [
        "Müller 07 T1",
        "Müller 07 T1c",
        "Müller 07 T2",
        "Müller 07 FLAIR",
    ]
    np.testing.assert_array_equal(arrayOfVolume(case.sequences["T1c"]), image(scenes.OBLIQUE, 1))
    np.testing.assert_array_equal(arrayOfVolume(case.sequences["T2"]), image(scenes.OBLIQUE, 0))
    assert same_grid(gridOfVolume(case.sequences["FLAIR"]), scenes.PLAIN)
    (node,) = {rater.node for rater in case.raters}
    assert node.GetName() == "Müller 07 raters"
    assert [rater.name for rater in case.raters] == ["rater2", "seg_anna"]
    assert [rater.color for rater in case.raters] == list(RATER_COLORS[:2])
    found = raterMasks(case.raters, gridOfVolume(case.sequences["T1"]))
    anna, second = scenes.threeRaters(scenes.OBLIQUE)[:2]
    np.testing.assert_array_equal(found.masks, [second, anna])
    assert (second & anna).any()
    assert found.notes == case.notes == case.warnings == ()
    assert node.GetNodeReference("referenceImageGeometryRef") is case.sequences["T1"]
    for item in (*case.sequences.values(), node):
        assert scenes.parentItemName(item) == "Müller 07"


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("T1", "T1"),
        ("sub-01_T1w", "T1"),
        ("BraTS_001-t1n", "T1"),
        ("case_t1ce", "T1c"),
        ("T1 post", "T1c"),
        ("t1-gd", "T1c"),
        ("ax.T2w", "T2"),
        ("t2_flair", "FLAIR"),
        ("T2FLAIR_3D", "FLAIR"),
        ("adc", None),
        ("ct10", None),
        ("best1", None),
    ],
)
def test_sequences_are_recognised_by_whole_words(name, sequence):
    assert meantSequences(name) == ([] if sequence is None else [sequence])


def test_a_case_whose_files_stand_in_sources_is_loaded_and_one_without_is_told(folder):
    files = {"image T1": "t1.nii.gz", "image T1c": "T1_post.nrrd", "rater Anna": "seg_anna.nii.gz"}
    cases = {"patient001": {"files": files}, "patient002": {"files": {"image T1": "gone.nii.gz"}}}
    sources = {"root": str(folder), "cases": cases}
    (folder.parent / "sources.json").write_text(json.dumps(sources), encoding="utf-8")
    manifest = folder.parent / "cohort.toml"
    manifest.write_text(
        '[cohort]\nname = "x"\nsources = "sources.json"\ncases = "*"\n[images]\nT1 = "{sources}"\n'
        'T1c = "{sources}"\n[raters]\nAnna = "{sources}"\n',
        encoding="utf-8",
    )
    whole, other = manifestCases(manifest)
    assert whole == ManifestCase("patient001")
    assert other.lacks == "no image T1, T1c"
    case = loadManifestCase(manifest, "patient001")
    assert [node.GetName() for node in case.sequences.values()] == ["patient001 T1", "patient001 T1c"]
    assert [rater.name for rater in case.raters] == ["Anna"]


def exampleOf(text, tmp_path):
    """The manifest that an error's text proposes, as a cohort."""
    example = text[text.index("[cohort]") : text.index("\nand open it")]
    (tmp_path / "cohort.toml").write_text(example, encoding="utf-8")
    return Cohort.open(tmp_path / "cohort.toml")


def test_a_name_of_two_sequences_is_refused_with_a_manifest_that_says_which(tmp_path):
    folder = tmp_path / 'Süß "7"'
    write_image(folder / "brain_T1_T2.nii.gz", image(scenes.PLAIN), scenes.PLAIN)
    write_mask(folder / "anna.nii.gz", scenes.threeRaters(scenes.PLAIN)[0], scenes.PLAIN)
    with pytest.raises(InputError, match=r"brain_T1_T2\.nii\.gz: the name speaks of T1 and T2; expected one") as told:
        loadCaseFolder(folder)
    text = str(told.value)
    assert text.startswith(str(folder))
    assert "docs/" not in text
    assert 'T1 = "brain_T1_T2.nii.gz"' in text
    assert exampleOf(text, tmp_path).load(folder.name).sequences == ("T1",)


def test_a_mask_that_no_name_explains_is_a_rater_and_this_is_said(tmp_path):
    write_image(tmp_path / "perfusion.nii.gz", image(scenes.PLAIN), scenes.PLAIN)
    write_mask(tmp_path / "Anna.nii.gz", scenes.threeRaters(scenes.PLAIN)[0], scenes.PLAIN)
    write_mask(tmp_path / "rater2.nii.gz", scenes.threeRaters(scenes.PLAIN)[1], scenes.PLAIN)
    case = loadCaseFolder(tmp_path)
    assert list(case.sequences) == ["perfusion"]
    assert [rater.name for rater in case.raters] == ["Anna", "rater2"]
    (note,) = case.notes
    assert "taken as raters, since they are masks, though their names do not say so: Anna.nii.gz. Remove" in note


def test_the_truth_of_a_simulated_case_is_no_rater(tmp_path):
    case = simulate_cavity_case(0, 1, CavitySettings(in_plane_spacing_mm=4, slice_thickness_mm=8))
    write_cohort(tmp_path, lambda _name: case, ["case01"], {}, name="Two", label="cavity", skull_stripped=True)
    assert (tmp_path / "case01" / "truth.nii.gz").is_file()
    found = loadCaseFolder(tmp_path / "case01")
    assert [rater.name for rater in found.raters] == list(case.rater_names)
    assert list(found.sequences) == list(case.sequences)
    assert "no rater's: truth.nii.gz" in found.notes[0]


@pytest.mark.parametrize(
    "name",
    [
        *("truth", "gt", "case7_ground-truth", "GroundTruth", "gold_standard", "seg_gt", "reference", "mask_reference"),
        *("lesion_consensus", "rater_consensus", "fused", "majority", "STAPLE", "t1_staple", "union", "intersection"),
        *("prediction", "seg_pred", "T1 prediction", "probability", "case07 T1 expert entropy", "uncertainty2"),
        # What Slicer's own Save proposes for what the module calls its results.
        *(
            "case07 expert disagreement",
            "case07 model uncertainty",
            "case07 model uncertainty minus expert disagreement",
        ),
        *("case07 mean of 3 raters", "case07 segmentation (model)", "anna (working copy)", "anna corrected by Dr. Ä 9"),
        *("brain_mask", "BrainMask", "T1_brain_mask"),
    ],
)
def test_what_no_rater_drew_is_left_out_and_said(folder, name):
    write_mask(folder / f"{name}.nii.gz", scenes.threeRaters(scenes.OBLIQUE)[2], scenes.OBLIQUE)
    case = loadCaseFolder(folder)
    assert [rater.name for rater in case.raters] == ["rater2", "seg_anna"]
    assert list(case.sequences) == ["T1", "T1c", "T2", "FLAIR"]
    (note,) = case.notes
    assert note.endswith(f"no rater's: {name}.nii.gz")


@pytest.mark.parametrize(
    "name",
    ["case07 T1 expert entropy", "case07 expert disagreement", "probability", "mutual_information", "reference"],
)
def test_maps_are_no_sequences(folder, name):
    write_image(folder / f"{name}.nrrd", image(scenes.OBLIQUE, 9), scenes.OBLIQUE)
    case = loadCaseFolder(folder)
    assert list(case.sequences) == ["T1", "T1c", "T2", "FLAIR"]
    np.testing.assert_array_equal(arrayOfVolume(case.sequences["T1"]), image(scenes.OBLIQUE, 2))
    assert f"{name}.nrrd" in case.notes[0]


def test_an_image_named_after_a_sequence_stays_one_and_a_raters_brain_mask_a_rater(folder):
    (folder / "t1.nii.gz").rename(folder / "t1_reference.nii.gz")
    (folder / "rater2.nrrd").rename(folder / "rater2_brain_mask.nrrd")
    case = loadCaseFolder(folder)
    assert list(case.sequences) == ["T1", "T1c", "T2", "FLAIR"]
    assert [rater.name for rater in case.raters] == ["rater2_brain_mask", "seg_anna"]
    assert case.notes == ()


def saveSegmentation(path, masks, names):
    """A segmentation as Slicer saves it."""
    node = scenes.addSegmentation(scenes.addReference(scenes.OBLIQUE), masks, names=names)
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.WriteData(node)
    return node


def test_what_the_module_exported_or_predicted_is_left_out_whatever_it_is_called(folder):
    masks = scenes.threeRaters(scenes.OBLIQUE)
    correction = saveSegmentation(folder / "unused.seg.nrrd", masks[:1], ["Anna"])
    (folder / "unused.seg.nrrd").unlink()
    exportReviewed(correction, folder / "rater3.seg.nrrd")
    exportReviewed(correction, folder / "Anna again.nii.gz")
    # A record of another program's beside an image does not make it a correction.
    (folder / "t1.nii.gz.json").write_text(json.dumps({"EchoTime": 0.01}), encoding="utf-8")
    write_mask(folder / "segmentation.nii.gz", masks[2], scenes.OBLIQUE)
    assert [rater.name for rater in loadCaseFolder(folder).raters] == ["rater2", "seg_anna", "segmentation"]
    (folder / "prediction.json").write_text("{}", encoding="utf-8")
    write_mask(folder / "not_looked_at.nii.gz", masks[2], scenes.OBLIQUE)
    case = loadCaseFolder(folder)
    assert [rater.name for rater in case.raters] == ["rater2", "seg_anna"]
    assert list(case.sequences) == ["T1", "T1c", "T2", "FLAIR"]
    assert case.notes[0].endswith(
        "no rater's: Anna again.nii.gz, not_looked_at.nii.gz, rater3.seg.nrrd, segmentation.nii.gz"
    )


def test_what_the_command_line_wrote_is_known_under_any_name(folder):
    """A fused mask says so in its header, until somebody corrects its voxels."""
    fused = scenes.threeRaters(scenes.OBLIQUE)[2]
    for name in ("seg_all.nii.gz", "everyone.nrrd"):
        write_mask(folder / name, fused, scenes.OBLIQUE, kind=ResultKind.FUSED)
    case = loadCaseFolder(folder)
    assert [rater.name for rater in case.raters] == ["rater2", "seg_anna"]
    assert case.notes[0].endswith("no rater's: everyone.nrrd, seg_all.nii.gz")


def test_a_folder_of_results_alone_is_refused_with_what_they_are(tmp_path):
    write_image(tmp_path / "probability.nii.gz", image(scenes.PLAIN), scenes.PLAIN)
    write_mask(tmp_path / "segmentation.nii.gz", scenes.threeRaters(scenes.PLAIN)[0], scenes.PLAIN)
    (tmp_path / "prediction.json").write_text("{}", encoding="utf-8")
    refusal(tmp_path, r"nothing in it is an image or a rater's contour; left out.*probability\.nii\.gz, segmentation")


def test_segments_without_a_telling_name_are_called_after_their_files(tmp_path):
    masks = scenes.threeRaters(scenes.OBLIQUE)
    saveSegmentation(tmp_path / "Anna.seg.nrrd", masks[:1], ["Segment_1"])
    saveSegmentation(tmp_path / "Ben.seg.nrrd", masks[1:2], ["Tumour"])
    saveSegmentation(tmp_path / "Cleo.seg.nrrd", masks[2:], ["Tumour"])
    saveSegmentation(tmp_path / "residents.seg.nrrd", masks, ["Segment_1", "Segment_2", "Dora"])
    case = loadCaseFolder(tmp_path)
    names = ["Anna", "Ben", "Cleo", "residents Segment_1", "residents Segment_2", "Dora"]
    assert [rater.name for rater in case.raters] == names
    np.testing.assert_array_equal(raterMasks(case.raters, scenes.OBLIQUE).masks, [*masks, *masks])


def test_a_segment_that_no_rater_drew_is_left_out(tmp_path):
    masks = scenes.threeRaters(scenes.OBLIQUE)
    saveSegmentation(tmp_path / "all.seg.nrrd", masks, ["Anna", "ground truth", "majority of 2 raters"])
    case = loadCaseFolder(tmp_path)
    assert [rater.name for rater in case.raters] == ["Anna"]
    assert case.notes[0].endswith("no rater's: ground truth in all.seg.nrrd, majority of 2 raters in all.seg.nrrd")


def test_every_segment_of_a_segmentation_file_is_a_rater(folder):
    masks = scenes.threeRaters(scenes.OBLIQUE)
    saveSegmentation(folder / "contours.seg.nrrd", masks, ["Anna", "Ben", "Cleo"])
    case = loadCaseFolder(folder)
    assert [rater.name for rater in case.raters] == ["Anna", "Ben", "Cleo", "rater2", "seg_anna"]
    np.testing.assert_array_equal(raterMasks(case.raters[:3], scenes.OBLIQUE).masks, masks)


def test_raters_alone_are_a_case_too(tmp_path):
    masks = scenes.threeRaters(scenes.OBLIQUE)
    for name, mask in zip("abc", masks, strict=True):
        write_mask(tmp_path / f"rater_{name}.nii.gz", mask, scenes.OBLIQUE)
    case = loadCaseFolder(tmp_path)
    assert case.sequences == {}
    np.testing.assert_array_equal(raterMasks(case.raters, scenes.OBLIQUE).masks, masks)


def test_a_rater_on_another_grid_is_resampled_and_empty_or_cut_ones_are_said(folder):
    far = scenes.threeRaters(scenes.PLAIN)[2]
    write_mask(folder / "rater3.nrrd", far, scenes.PLAIN)
    write_mask(folder / "rater4.nrrd", np.zeros(scenes.OBLIQUE.shape, bool), scenes.OBLIQUE)
    write_mask(folder / "rater5.nrrd", np.ones(scenes.PLAIN.shape, bool), scenes.PLAIN)
    case = loadCaseFolder(folder)
    byName = {rater.name: rater for rater in case.raters}
    found = raterMasks([byName["rater3"]], scenes.OBLIQUE)
    np.testing.assert_array_equal(found.masks[0], resample(far, scenes.PLAIN, scenes.OBLIQUE, "nearest"))
    assert len(case.notes) == 2
    assert "rater3 was resampled to the nearest voxel from 40 x 36 x 24 voxels" in case.notes[0]
    assert case.warnings[0] == "rater4 drew nothing (empty mask)"
    assert "rater5" in case.warnings[1]
    assert "outside the grid in use" in case.warnings[1]


def refusal(folder, pattern):
    """The case is refused, and the scene is as it was."""
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(InputError, match=pattern):
        loadCaseFolder(folder)
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_a_mask_named_like_a_sequence_is_refused(folder):
    write_mask(folder / "flair_3d.nii.gz", scenes.threeRaters(scenes.OBLIQUE)[0], scenes.OBLIQUE)
    refusal(folder, r'(?s)flair_3d\.nii\.gz: it is a binary mask.*\[raters\]\nanna = "flair_3d\.nii\.gz"\nand open it')


def test_an_empty_image_without_a_telling_name_is_refused(folder):
    write_mask(folder / "result.nii.gz", np.zeros(scenes.OBLIQUE.shape, bool), scenes.OBLIQUE)
    refusal(folder, r"result\.nii\.gz: it is empty \(0 everywhere\)")


def test_two_files_of_one_sequence_or_rater_are_refused(folder):
    write_image(folder / "t1_repeat.nii.gz", image(scenes.OBLIQUE), scenes.OBLIQUE)
    refusal(folder, r'(?s)t1_repeat\.nii\.gz: another file of the folder is T1 too.*T1 = "t1_repeat')
    (folder / "t1_repeat.nii.gz").unlink()
    shutil.copy(folder / "rater2.nrrd", folder / "rater2.seg.nrrd")
    refusal(folder, r"two raters named rater2")


def test_a_rater_with_several_labels_and_a_damaged_file_are_refused(folder):
    labels = np.zeros(scenes.OBLIQUE.shape, np.uint8)
    labels[2, 2, 2:5] = (1, 2, 4)
    write_image(folder / "seg_brats.nii.gz", labels, scenes.OBLIQUE)
    refusal(folder, r"seg_brats\.nii\.gz: the file holds 3 different non-zero values")
    (folder / "seg_brats.nii.gz").unlink()
    (folder / "t1.nii.gz").write_bytes((folder / "t1.nii.gz").read_bytes()[:5000])
    refusal(folder, r"t1\.nii\.gz")


def test_a_missing_folder_and_one_without_images_are_refused(tmp_path):
    refusal(tmp_path / "absent", r"absent: there is no such folder")
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    refusal(tmp_path, r"(?s)holds no image file; expected.*DICOM study.*write a text file cohort\.toml")


def test_files_that_are_no_images_are_left_out_and_said(folder):
    (folder / "report.pdf").write_bytes(b"%PDF")
    (folder / "dicom").mkdir()
    assert loadCaseFolder(folder).notes == ("left out, since they are no image files: dicom, report.pdf",)


@pytest.fixture
def manifest(folder):
    """A manifest over two cases, of which the second has one rater."""
    second = folder.parent / "case08"
    shutil.copytree(folder, second)
    (second / "rater2.nrrd").unlink()
    path = folder.parent / "cohort.toml"
    path.write_text(
        '[cohort]\nname = "Two"\ncases = "*"\nreference = "FLAIR"\n[images]\nT2 = "t2_ax.nii.gz"\nFLAIR = "FLAIR.mha"\n'
        '[raters]\nAnna = "seg_anna.nii.gz"\nBen = "rater2.nrrd"\n',
        encoding="utf-8",
    )
    return path


def test_a_manifest_lists_its_cases_and_loads_one(manifest):
    assert manifestCases(manifest) == [ManifestCase("Müller 07"), ManifestCase("case08", "no rater Ben")]
    case = loadManifestCase(manifest, "Müller 07")
    assert list(case.sequences) == ["FLAIR", "T2"]
    assert [rater.name for rater in case.raters] == ["Anna", "Ben"]
    # The manifest's reference decides where raters are drawn, as in the library.
    library = Cohort.open(manifest).load("Müller 07", LoadOptions(resample=True))
    np.testing.assert_array_equal(raterMasks(case.raters, scenes.PLAIN).masks, library.raters)
    assert same_grid(gridOfVolume(case.sequences["T2"]), scenes.OBLIQUE)
    assert len(case.notes) == 2


def test_a_rater_missing_in_a_case_is_said(manifest):
    case = loadManifestCase(manifest, "case08")
    assert [rater.name for rater in case.raters] == ["Anna"]
    assert case.warnings[0] == "rater Ben has no file for this case"


def test_a_case_without_its_files_is_listed_with_what_is_missing_and_blocks_no_other(manifest):
    lacking, double = manifest.parent / "case09", manifest.parent / "case10"
    for folder in (lacking, double):
        shutil.copytree(manifest.parent / "Müller 07", folder)
    (lacking / "t2_ax.nii.gz").unlink()
    (lacking / "FLAIR.mha").unlink()
    shutil.copy(double / "t2_ax.nii.gz", double / "t2_ay.nii.gz")
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("t2_ax", "t2_a?"), encoding="utf-8")
    found = manifestCases(manifest)
    assert [(case.name, case.lacks) for case in found] == [
        ("Müller 07", ""),
        ("case08", "no rater Ben"),
        ("case09", "no image T2, FLAIR"),
        ("case10", "its files are unclear"),
    ]
    assert "case10" in found[3].problem
    assert "matches 2 files" in found[3].problem
    assert [rater.name for rater in loadManifestCase(manifest, "Müller 07").raters] == ["Anna", "Ben"]
    before = slicer.mrmlScene.GetNumberOfNodes()
    for case in found[2:]:
        with pytest.raises(ManifestError) as told:
            loadManifestCase(manifest, case.name)
        assert str(told.value) == case.problem
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_an_unknown_case_and_a_wrong_manifest_are_refused(manifest):
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(ManifestError, match=r"no such case: case99.*Müller 07, case08"):
        loadManifestCase(manifest, "case99")
    manifest.write_text("[cohort]\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"cohort\.toml"):
        manifestCases(manifest)
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_two_cases_live_side_by_side(manifest):
    first, second = (loadManifestCase(manifest, name) for name in ("Müller 07", "case08"))
    assert first.raters[0].node is not second.raters[0].node
    assert scenes.parentItemName(second.raters[0].node) == "case08"


def test_a_loaded_case_comes_back_from_a_scene_file(folder, tmp_path):
    before = raterMasks(loadCaseFolder(folder).raters, scenes.OBLIQUE).masks
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "case.mrb"))
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "case.mrb"), True)
    node = slicer.mrmlScene.GetFirstNodeByName("Müller 07 raters")
    ids = [node.GetSegmentation().GetNthSegmentID(n) for n in range(2)]
    np.testing.assert_array_equal(raterMasks([(node, name) for name in ids], scenes.OBLIQUE).masks, before)
    assert scenes.parentItemName(node) == "Müller 07"


def test_real_folders_are_understood(testData):
    folder = testData / "open_ms" / "patient19"
    case = loadCaseFolder(folder)
    assert list(case.sequences) == ["T1", "T1c", "T2", "FLAIR"]
    # The consensus of three experts, which is none of them.
    assert case.raters == []
    assert "lesion_consensus.nii.gz" in case.notes[0]
    np.testing.assert_array_equal(arrayOfVolume(case.sequences["FLAIR"]), read_image(folder / "FLAIR.nii.gz").array)


def test_seven_real_raters_are_segments_of_one_node(testData):
    folder = testData / "brain_growth" / "case05"
    case = loadCaseFolder(folder)
    assert list(case.sequences) == ["image"]
    assert [rater.name for rater in case.raters] == [f"seg_rater{n}" for n in range(1, 8)]
    assert len({rater.color for rater in case.raters}) == 7
    library = load_raters(sorted(folder.glob("seg_rater*.nii.gz")))
    np.testing.assert_array_equal(raterMasks(case.raters, gridOfVolume(case.sequences["image"])).masks, library.raters)


def test_a_real_exam_with_two_scans_of_each_sequence_is_refused_until_a_manifest_says_which(testData, tmp_path):
    exam = testData / "open_ms_unregistered" / "patient01"
    refusal(exam, r"study2_FLAIR\.nii\.gz: another file of the folder is FLAIR too")
    manifest = tmp_path / "cohort.toml"
    manifest.write_text(
        f'[cohort]\nname = "MS"\nroot = \'{exam.parent}\'\ncases = ["patient01"]\n'
        '[images]\nT1 = "study2_T1W.nii.gz"\nFLAIR = "study2_FLAIR.nii.gz"\n',
        encoding="utf-8",
    )
    case = loadManifestCase(manifest, "patient01")
    assert case.raters == []
    assert not same_grid(*(gridOfVolume(node) for node in case.sequences.values()))
