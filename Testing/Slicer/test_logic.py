"""The agreed names of the logic, as scripts outside call them: every step on one case, values against the library."""

from __future__ import annotations

import inspect
import pydoc

import numpy as np
import pytest
import slicer
from simulated_cases import simulatedCase

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.jobs import JobState
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintyLib.raters.fusion import fuse
from ObserverUncertaintyLib.scores.entropy import expert_entropy
from ObserverUncertaintyLib.scores.metrics import dice, mean_entropy, weighted_mean_entropy
from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.logic import _waiting
from ObserverUncertaintySlicer.segments import addEmptySegmentation, addSegment, setSegment
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume


@pytest.fixture(scope="module")
def case():
    return simulatedCase()


@pytest.fixture
def logic(scene, moduleFile, tmp_path, monkeypatch):
    monkeypatch.setenv(host.JOBS_VARIABLE, str(tmp_path / "jobs"))
    return moduleFile.ObserverUncertaintyLogic()


@pytest.fixture
def sequences(scene, case):
    return {
        name: addVolume(image, case.grid, f"case {name}")
        for name, image in zip(case.sequences, case.images, strict=True)
    }


@pytest.fixture
def raters(scene, case):
    node = addEmptySegmentation(case.grid, "raters")
    found = []
    for name, mask in zip(case.rater_names, case.raters, strict=True):
        segmentID = addSegment(node, name, (1.0, 0.5, 0.0))
        setSegment(node, segmentID, mask, case.grid)
        found.append((node, segmentID))
    return found


def voxels(segmentation, volume):
    segmentID = segmentation.GetSegmentation().GetNthSegmentID(0)
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentID, volume) > 0


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("fuseRaters", ["raters", "method"]),
        ("expertEntropy", ["raters", "referenceVolume"]),
        ("predict", ["sequences", "modelPath", "samples", "device", "wait"]),
        ("train", ["manifestPath", "modelPath", "fusion", "wait"]),
        ("compare", ["backgroundVolume", "predictiveEntropy", "expertEntropy", "raters"]),
        ("metrics", ["segmentation", "predictiveEntropy", "raters"]),
    ],
)
def test_the_agreed_names_come_first_in_the_agreed_order(moduleFile, method, parameters):
    signature = inspect.signature(getattr(moduleFile.ObserverUncertaintyLogic, method))
    assert list(signature.parameters)[1 : len(parameters) + 1] == parameters


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("loadCaseFolder", "folder"),
        ("loadManifestCase", "manifestPath caseName"),
        ("loadSampleCase", "wait"),
        ("registerSequences", "sequences reference wait"),
        ("fuseRaters", "raters method referenceVolume output caseName"),
        ("expertEntropy", "raters referenceVolume output"),
        ("raterAgreement", "raters referenceVolume caseName"),
        ("train", "manifestPath modelPath fusion wait device keepRunning cases resume overwrite resample"),
        ("trainOnScene", "modelPath fusion wait label"),
        ("predict", "sequences modelPath samples device wait seed caseName keepRunning balancedMasks"),
        ("compare", "backgroundVolume predictiveEntropy expertEntropy raters difference"),
        ("difference", "predictiveEntropy expertEntropy output"),
        ("metrics", "segmentation predictiveEntropy raters probability output"),
        ("startCorrection", "source backgroundVolume entropyVolume name"),
        ("placesToReview", "probabilityVolume expectedEntropyVolume"),
        ("propagateCorrection", "copy probabilityVolume imageVolume"),
        ("saveAsReviewed", "workingCopy author comment"),
        ("exportReviewed", "node path overwrite"),
    ],
)
def test_every_method_takes_what_scripts_pass_and_help_tells_of_it(moduleFile, method, names):
    found = inspect.signature(getattr(moduleFile.ObserverUncertaintyLogic, method)).parameters
    assert [name for name in found if name in names.split()] == names.split()
    told = pydoc.render_doc(getattr(moduleFile.ObserverUncertaintyLogic, method), renderer=pydoc.plaintext)
    assert f"{method}(self, {next(iter(names.split()))}" in told
    assert len(told.splitlines()) > 3
    assert ("with `wait=False`" in told) is ("wait" in names)


def test_what_starts_a_job_waits_unless_told_otherwise_by_name_or_by_place():
    class Job:
        def __init__(self, *given):
            self.given = given

        def result(self):
            return self.given

    def start(case, samples=20, *, seed=0, **options):
        """Start it."""
        return Job(case, samples, seed, options)

    method = _waiting(start)
    assert method("Anna", seed=3, epochs=2) == ("Anna", 20, 3, {"epochs": 2})
    assert method("Anna", 5, True) == ("Anna", 5, 0, {})
    for job in (method("Anna", 5, False, epochs=2), method("Anna", 5, wait=False, epochs=2)):
        assert job.given == ("Anna", 5, 0, {"epochs": 2})


@pytest.mark.parametrize("method", ["majority", "staple", "union", "intersection", "mean"])
def test_fused_raters_equal_the_librarys(logic, case, sequences, raters, method):
    fused = logic.fuseRaters(raters, method)
    assert fused.IsA("vtkMRMLSegmentationNode")
    expected = fuse(case.raters, method)
    np.testing.assert_array_equal(voxels(fused, sequences["T1"]), expected > 0.5 if method == "mean" else expected)


def test_no_fusion_is_no_result(logic, raters):
    with pytest.raises(InputError, match="none"):
        logic.fuseRaters(raters, "none")


def test_expert_entropy_equals_the_librarys(logic, case, sequences, raters):
    entropy = logic.expertEntropy(raters, sequences["T1"])
    assert entropy.IsA("vtkMRMLScalarVolumeNode")
    np.testing.assert_allclose(arrayOfVolume(entropy), expert_entropy(case.raters), atol=1e-6)


def test_metrics_equal_the_librarys(logic, case, sequences, raters):
    segmentation = logic.fuseRaters(raters, "union")
    predictive = addVolume(expert_entropy(case.raters)[:, ::-1] * 0.5, case.grid, "predictive")
    table = logic.metrics(segmentation, predictive, raters)
    assert table.IsA("vtkMRMLTableNode")
    # As a script reads it: a score by its name, with all its digits.
    name, value = (table.GetColumnIndex(title) for title in ("Name", "Exact value"))
    rows = {table.GetCellText(row, name): table.GetCellText(row, value) for row in range(table.GetNumberOfRows())}
    entropy = arrayOfVolume(predictive)
    expected = weighted_mean_entropy(expert_entropy(case.raters), entropy)
    assert float(rows["wme"]) == pytest.approx(expected, rel=1e-9)
    assert float(rows["me"]) == pytest.approx(mean_entropy(entropy), rel=1e-9)
    for rater, mask in zip(case.rater_names, case.raters, strict=True):
        assert float(rows[f"dice_with_{rater}"]) == pytest.approx(dice(case.raters.any(axis=0), mask), rel=1e-9)


def test_predict_then_compare_then_metrics(workerPython, logic, sequences, raters):
    nodes = logic.predict(sequences, shipped_model(), samples=2, device="cpu")
    assert sorted(nodes) == [
        "expectedEntropy",
        "mutualInformation",
        "predictiveEntropy",
        "probability",
        "segmentation",
    ]
    expert = logic.expertEntropy(raters, sequences["T1"])
    views = logic.compare(sequences["T1"], nodes["predictiveEntropy"], expert, raters)
    assert len(views.sliceNodes) == 6
    assert logic.metrics(nodes["segmentation"], nodes["predictiveEntropy"], raters).GetNumberOfRows() > 3
    views.restoreLayout()
    views.close()


def test_predict_without_waiting_returns_a_job(workerPython, logic, sequences):
    job = logic.predict(sequences, shipped_model(), samples=2, device="cpu", wait=False)
    assert not job.state.finished
    nodes = job.result()
    assert job.state is JobState.DONE
    assert slicer.mrmlScene.IsNodePresent(nodes["probability"])


def test_waiting_tells_in_the_status_bar_how_far_it_is(
    workerPython, slicerApplication, moduleFile, logic, sequences, monkeypatch
):
    told = []
    monkeypatch.setattr(slicer.util, "showStatusMessage", lambda text, _milliseconds: told.append(text))
    logic.predict(sequences, shipped_model(), samples=2, device="cpu")
    assert any("left" in text for text in told)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_raters_are_refused(logic, sequences, raters, count):
    for compute in (
        lambda: logic.fuseRaters(raters[:count], "staple", sequences["T1"]),
        lambda: logic.expertEntropy(raters[:count], sequences["T1"]),
    ):
        with pytest.raises(InputError, match="rater"):
            compute()


def test_a_correction_leaves_its_source_and_the_raters_alone(logic, case, sequences, raters):
    before = voxels(raters[0][0], sequences["T1"])
    source = logic.fuseRaters(raters, "majority", sequences["T1"])
    copy = logic.startCorrection(source, sequences["T1"])
    setSegment(copy.node, copy.node.GetSegmentation().GetNthSegmentID(0), case.raters.any(axis=0), case.grid)
    saved = logic.saveAsReviewed(copy, "Dr. Ärztin")
    np.testing.assert_array_equal(voxels(saved, sequences["T1"]), case.raters.any(axis=0))
    np.testing.assert_array_equal(voxels(source, sequences["T1"]), fuse(case.raters, "majority"))
    np.testing.assert_array_equal(voxels(raters[0][0], sequences["T1"]), before)
    assert "Dr. Ärztin" in saved.GetName()


def test_nothing_of_torch_is_imported_here(logic):
    import sys

    assert "torch" not in sys.modules


def test_the_self_test_passes_by_the_logic_alone(workerPython, logic, tmp_path, monkeypatch, vtkMessages):
    from ObserverUncertaintySlicer import sampleData
    from ObserverUncertaintySlicer.selfTest import walk

    monkeypatch.setattr(sampleData, "dataFolder", lambda: tmp_path / "data")
    monkeypatch.setattr(walk, "missingPackages", list)  # the worker's Python has them
    told = []
    # Slicer's own, of slice views that are turned as the sample's image is.
    with vtkMessages.expectErrors("invalid orientation preset name: Reformat"):
        lines = walk.runSelfTest(logic, told.append)
    assert [line for line in lines if not line.startswith("ok: ")] == []
    assert len(lines) == 20
    assert told[-1] == "Saving, closing and loading the scene"


def test_without_torch_the_self_test_says_what_it_did_not_make(logic, tmp_path, monkeypatch):
    from ObserverUncertaintySlicer import sampleData
    from ObserverUncertaintySlicer.selfTest import walk

    monkeypatch.setattr(sampleData, "dataFolder", lambda: tmp_path / "data")
    monkeypatch.setattr(walk, "missingPackages", lambda: ["torch"])
    lines = walk.runSelfTest(logic, lambda _text: None)
    assert [line for line in lines if not line.startswith("ok: ")] == [
        "not made: the model's steps, for torch is not installed"
    ]
