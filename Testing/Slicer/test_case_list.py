"""The list of cases: its order, a case of it in the scene and out again with nothing left, its review on the disk."""

from __future__ import annotations

import json
import subprocess
from collections import Counter

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from correct_step import modelsProbability
from listed_cohort import WEIGHTS, image, writeCohort, writeList, writePrediction
from section_case import GRID, RATERS, box, segmentOf
from simulated_cases import simulatedCase

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.reviews import read_reviews
from ObserverUncertaintyLib.formats import read_image, read_mask, write_image, write_mask
from ObserverUncertaintyLib.images.grid import Grid, same_grid
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintyLib.prediction.imported import SampleFiles, import_samples
from ObserverUncertaintyLib.prediction.maps import save_prediction
from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.caseList import keepReview, listCases, openListedCase, reviewsFolder
from ObserverUncertaintySlicer.contourReview import ContourReview
from ObserverUncertaintySlicer.correction import saveAsReviewed, startCorrection
from ObserverUncertaintySlicer.listedNodes import listedNodes, markListed, takeOut
from ObserverUncertaintySlicer.segments import addSegment, setSegment
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume, gridOfVolume

pytestmark = pytest.mark.usefixtures("scene")


@pytest.fixture
def cohort(tmp_path):
    return writeList(tmp_path)


def contents():
    """Classes and names of all that the scene holds, and the names in its hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    children = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), children, True)
    items = [hierarchy.GetItemName(children.GetId(number)) for number in range(children.GetNumberOfIds())]
    nodes = [slicer.mrmlScene.GetNthNode(number) for number in range(slicer.mrmlScene.GetNumberOfNodes())]
    return Counter((node.GetClassName(), node.GetName()) for node in nodes) + Counter(items)


def opened(cohort, case="case02"):
    return openListedCase(*cohort, case)


def correct(case):
    """A working copy of an opened case, marked as the panel marks it, with a stroke in it."""
    reference = case.case.sequences["T1"]
    copy = startCorrection(case.results["segmentation"], reference, case.results["predictiveEntropy"])
    attributes.LEVEL.set(copy.node, 0.5)
    attributes.LISTED_CASE.set(copy.node, "case02")
    markListed([copy.startNode], "case02")
    review = ContourReview(copy, case.results["probability"], reference)
    stroke = segmentOf(copy.node)
    stroke[8, 10:12, 10:20] = False
    setSegment(copy.node, copy.segmentID, stroke, GRID)
    assert review.follow()
    return copy


def test_worst_first_and_before_them_what_is_unlike_the_training(cohort):
    predictions = cohort[1]
    writePrediction(predictions / "case01", 0, 0.95, unlike_training="it shows a head", warnings=["it shows a head"])
    assert [case.name for case in listCases(*cohort).cases] == ["case01", "case02", "case03"]
    writePrediction(predictions / "case03", 2, None)
    found = listCases(*cohort)
    assert [case.name for case in found.cases] == ["case01", "case03", "case02"]
    assert found.cases[2].prediction.expected_dice == 0.7
    assert (found.reviewed, dict(found.leftOut), found.problem) == (0, {}, "")


def test_a_case_without_a_prediction_is_left_out_with_the_reason_and_without_any_it_is_an_error(cohort, tmp_path):
    (cohort[1] / "case03" / "prediction.json").unlink()
    (cohort[1] / "case02" / "probability.nii.gz").unlink()
    found = listCases(*cohort)
    assert [case.name for case in found.cases] == ["case01"]
    assert "no prediction.json lies beside it" in found.leftOut["case03"]
    assert "was not predicted" in found.leftOut["case02"]
    (cohort[1] / "case01" / "prediction.json").unlink()
    with pytest.raises(InputError, match=r"no prediction\.json lies beside it"):
        listCases(*cohort)
    with pytest.raises(InputError, match="no prediction that can be listed"):
        listCases(cohort[0], cohort[0].parent)
    with pytest.raises(InputError, match="no such manifest"):
        listCases(tmp_path / "none.toml", cohort[1])


def test_the_next_case_is_down_the_list_and_not_one_that_the_reviewer_has_done(cohort):
    for case, author in (("case03", "Dr. Ö"), ("case01", "Ben")):
        review(cohort, case, author)
    found = listCases(*cohort)
    assert [(case.name, case.reviewers) for case in found.cases] == [
        ("case02", ()),
        ("case03", ("Dr. Ö",)),
        ("case01", ("Ben",)),
    ]
    assert found.following("", "") == "case02"
    assert found.following("case02", " Dr.  Ö ") == "case01"
    assert found.following("case02", "Ben") == "case03"
    assert found.following("case01", "Ben") == "case02", "from the end it goes on at the top"
    assert found.following("case02", "") is None, "without a name nobody is to have reviewed it"
    assert found.following("case03", "") == "case02"


def review(cohort, case, author):
    """Review a case as it is, and take it out of the scene."""
    found = openListedCase(*cohort, case)
    copy = startCorrection(found.results["segmentation"], found.case.sequences["T1"])
    path = keepReview(saveAsReviewed(copy, author), cohort[1], case)
    slicer.mrmlScene.Clear(0)
    return path


def test_a_case_comes_with_its_images_raters_and_every_map_as_the_files_have_them(cohort):
    found = opened(cohort)
    folder = cohort[1] / "case02"
    for place, name in enumerate(("T1", "T2")):
        np.testing.assert_array_equal(arrayOfVolume(found.case.sequences[name]), image(1, place))
    assert [rater.name for rater in found.case.raters] == list(RATERS)
    for key, file in (
        ("probability", "probability"),
        ("predictiveEntropy", "predictive_entropy"),
        ("expectedEntropy", "expected_entropy"),
        ("mutualInformation", "mutual_information"),
    ):
        node = found.results[key]
        np.testing.assert_array_equal(arrayOfVolume(node), read_image(folder / f"{file}.nii.gz").array)
        assert same_grid(gridOfVolume(node), GRID)
        assert attributes.MODEL.of(node) == WEIGHTS
    np.testing.assert_array_equal(
        segmentOf(found.results["segmentation"]), read_mask(folder / "segmentation.nii.gz").array
    )


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda folder: (folder / "expected_entropy.nii.gz").unlink(), "lacks expected_entropy.nii.gz"),
        (lambda folder: (folder / "prediction.json").write_text("{", encoding="utf-8"), "cannot be read"),
        (lambda folder: (folder / "prediction.json").write_text('{"models": []}', encoding="utf-8"), "lacks label"),
        (lambda folder: (folder / "probability.nii.gz").write_bytes(b"no image"), "probability.nii.gz"),
        (lambda folder: writePrediction(folder, 2, 0.7), "predicted from other images"),
        (
            lambda folder: writePrediction(
                folder, 1, 0.7, Grid(GRID.size, GRID.spacing, (-30.0, -29.0, -24.0), GRID.direction)
            ),
            "another voxel grid",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_the_scene_stays_as_it_was(cohort, vtkMessages, spoil, what):
    addVolume(image(0, 0), GRID, "the user's")
    before = contents()
    spoil(cohort[1] / "case02")
    with pytest.raises(InputError, match=what):
        opened(cohort)
    assert contents() - before == before - contents() == Counter()


def test_images_that_changed_after_the_prediction_are_refused(cohort):
    write_image(cohort[0].parent / "case02" / "T2.nrrd", image(1, 1) + 1, GRID)
    with pytest.raises(InputError, match="predicted from other images"):
        opened(cohort)


def test_a_model_that_learnt_from_simulated_cases_is_recognised_by_its_weights(cohort):
    digest = json.loads((shipped_model() / "model.json").read_text(encoding="utf-8"))["weights_digest"]
    writePrediction(cohort[1] / "case02", 1, 0.7, weights=digest)
    assert attributes.TRAINED_ON_SIMULATION.of(opened(cohort).results["segmentation"])
    assert not attributes.TRAINED_ON_SIMULATION.of(openListedCase(*cohort, "case01").results["segmentation"])


def test_what_predict_writes_can_be_listed_and_opened(workerPython, tmp_path):
    case, folder = simulatedCase(), tmp_path / "cohort"
    for name, values in zip(case.sequences, case.images, strict=True):
        write_image(folder / "anna" / f"{name}.nii.gz", values, case.grid)
    write_mask(folder / "anna" / "rater.nii.gz", case.raters[0], case.grid)
    images = "\n".join(f'{name} = "{name}.nii.gz"' for name in case.sequences)
    manifest, predictions = folder / "cohort.toml", tmp_path / "predictions"
    text = f'[cohort]\nname = "one"\ncases = ["anna"]\n[images]\n{images}\n[raters]\nben = "rater.nii.gz"\n'
    manifest.write_text(text, encoding="utf-8")
    command = [str(workerPython), "-m", "ObserverUncertaintyLib.cli", "predict", str(shipped_model()), str(manifest)]
    command += ["--out", str(predictions), "--samples", "2", "--device", "cpu"]
    subprocess.run(command, check=True, capture_output=True)
    (listed,) = listCases(manifest, predictions).cases
    report = json.loads((predictions / "anna" / "prediction.json").read_text(encoding="utf-8"))
    assert listed.prediction.expected_dice == report["expected_dice"]
    found = openListedCase(manifest, predictions, "anna")
    probability = arrayOfVolume(found.results["probability"])
    np.testing.assert_array_equal(probability, read_image(predictions / "anna" / "probability.nii.gz").array)
    assert np.count_nonzero(probability > 0.5) * case.grid.voxel_volume_ml == pytest.approx(report["volume_ml"])


def test_a_review_is_written_beside_the_predictions_and_read_as_the_librarys(cohort):
    found = opened(cohort)
    copy = correct(found)
    saved = saveAsReviewed(copy, ' .Dr. "A/B" ', "left border")
    path = keepReview(saved, cohort[1], "case02")
    assert path.parent == cohort[1].parent / "its predictions-reviews" / "case02"
    assert path.name.startswith("Dr. _A_B_ 2")
    (read,) = read_reviews(reviewsFolder(cohort[1])).latest
    assert (read.case, read.reviewer, read.mask) == ("case02", '.Dr. "A/B"', path)
    mask = read_mask(read.mask)
    np.testing.assert_array_equal(mask.array, segmentOf(copy.node))
    assert same_grid(mask.grid, GRID)
    with pytest.raises(InputError, match="exists already"):
        keepReview(saved, cohort[1], "case02")
    with pytest.raises(InputError, match="does not say who reviewed it"):
        keepReview(copy.node, cohort[1], "case02")


def test_reviews_that_cannot_be_read_are_told_and_the_list_is_there_all_the_same(cohort):
    path = review(cohort, "case02", "Anna")
    path.with_name(path.name + ".json").write_text("{}", encoding="utf-8")
    found = listCases(*cohort)
    assert len(found.cases) == 3
    assert 'does not say who reviewed the case: "Author" is missing' in found.problem


def test_all_that_came_goes_out_again_and_the_users_stays(cohort):
    addVolume(image(0, 0), GRID, "the user's")
    opened(cohort)
    takeOut(listedNodes())
    before = contents()  # with the colours of entropies, which all cases share
    found = opened(cohort)
    saved = saveAsReviewed(correct(found), "Anna")
    keepReview(saved, cohort[1], "case02")
    assert contents() != before
    assert takeOut(listedNodes()) == []
    assert contents() - before == before - contents() == Counter()


def test_a_working_copy_that_is_saved_nowhere_stays_with_its_start_and_what_was_drawn(cohort):
    copy = correct(opened(cohort))
    start, drawn, mask = copy.startNode, attributes.DRAWN.of(copy.node), segmentOf(copy.node)
    assert takeOut(listedNodes()) == [copy.node.GetName()]
    left = slicer.util.getNodesByClass("vtkMRMLStorableNode")
    assert {copy.node, start, drawn} <= set(left)
    assert not [node for node in left if node.IsA("vtkMRMLVolumeNode")]
    np.testing.assert_array_equal(segmentOf(copy.node), mask)
    assert listedNodes() == [], "it is the user's from now on"


def test_a_working_copy_goes_that_was_saved_in_the_scene_where_the_correction_stays(cohort):
    copy = correct(opened(cohort))
    saved = saveAsReviewed(copy, "Anna")
    assert takeOut(listedNodes()) == []
    left = list(slicer.util.getNodesByClass("vtkMRMLSegmentationNode"))
    assert left == [saved], "it was not written to the disk"


def test_raters_that_were_changed_in_the_scene_stay(cohort):
    found = opened(cohort)
    node = found.case.raters[0].node
    setSegment(node, found.case.raters[1].segmentID, box(1, 5), GRID)
    assert takeOut(listedNodes()) == [node.GetName()]
    assert slicer.mrmlScene.IsNodePresent(node)


@pytest.mark.parametrize("change", ["segment", "name"])
def test_raters_to_whom_somebody_was_added_or_who_were_renamed_stay(cohort, change):
    found = opened(cohort)
    node = found.case.raters[0].node
    if change == "segment":
        setSegment(node, addSegment(node, "dora", (1, 0, 0)), box(3, 6), GRID)
    else:
        node.GetSegmentation().GetNthSegment(0).SetName("Anna B.")
    assert takeOut(listedNodes()) == [node.GetName()]


def test_a_reloaded_scene_knows_what_the_list_brought_and_that_it_is_unchanged(cohort, tmp_path):
    found = opened(cohort)
    keepReview(saveAsReviewed(correct(found), "Anna"), cohort[1], "case02")
    addVolume(image(0, 0), GRID, "the user's")
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(path))
    assert len(listedNodes()) > 8
    assert takeOut(listedNodes()) == []
    assert [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLStorableNode") if _isData(node)] == [
        "the user's"
    ]


def _isData(node):
    return node.IsA("vtkMRMLVolumeNode") or node.IsA("vtkMRMLSegmentationNode")


def test_a_hundred_cases_have_a_place_each(tmp_path):
    names = [f"case{number:03d}" for number in range(100)]
    manifest = writeCohort(tmp_path / "cohort", names[:1], {})
    text = manifest.read_text(encoding="utf-8").replace('["case000"]', json.dumps(names))
    manifest.write_text(text, encoding="utf-8")
    for number, name in enumerate(names):
        (tmp_path / "predictions" / name).mkdir(parents=True)
        content = {"warnings": [], "volume_ml": 1.0, "expected_dice": (number * 37 % 100) / 100}
        (tmp_path / "predictions" / name / "prediction.json").write_text(json.dumps(content), encoding="utf-8")
        (tmp_path / "predictions" / name / "probability.nii.gz").touch()
    found = listCases(manifest, tmp_path / "predictions").cases
    assert [round(100 * case.prediction.expected_dice) for case in found] == list(range(100))


def test_what_another_program_predicted_is_listed_opened_and_reviewed(tmp_path):
    manifest, predictions = writeCohort(tmp_path / "cohort", ["case01"]), tmp_path / "predictions"
    files = [tmp_path / f"fold{number}.nii.gz" for number in range(2)]
    for number, file in enumerate(files):
        write_image(file, np.roll(modelsProbability(), number, axis=1), GRID)
    prediction, grid, report = import_samples(SampleFiles(tuple(map(str, files))), "case01", tool="nnU-Net")
    save_prediction(predictions / "case01", grid, prediction, report)
    (listed,) = listCases(manifest, predictions).cases
    assert listed.prediction.expected_dice == report["expected_dice"]
    found = openListedCase(manifest, predictions, "case01")
    np.testing.assert_allclose(arrayOfVolume(found.results["probability"]), prediction.probability, atol=1e-6)
    assert attributes.TOOL.of(found.results["segmentation"]) == "nnU-Net"
    assert not attributes.TRAINED_ON_SIMULATION.of(found.results["segmentation"])
    path = keepReview(saveAsReviewed(correct(found), "Ann", ""), predictions, "case01")
    (read,) = read_reviews(reviewsFolder(predictions)).latest
    assert (read.case, read.mask) == ("case01", path)
