"""A scene and an exported correction that an earlier version of the module wrote, in the application, are read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util

from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.attributes import Role, recorded, textsOf
from ObserverUncertaintySlicer.caseLoading import loadManifestCase
from ObserverUncertaintySlicer.compareViews import resume
from ObserverUncertaintySlicer.comparisonLayout import registerLayouts
from ObserverUncertaintySlicer.correction import correctionState, hasUnsavedChanges, saveAsReviewed, workingCopyOf
from ObserverUncertaintySlicer.correctionEditor import CorrectionEditor
from ObserverUncertaintySlicer.disagreement import differenceVolume, expertEntropy, fuseRaters
from ObserverUncertaintySlicer.layoutSwitch import previousLayout, shownRows
from ObserverUncertaintySlicer.parameters import Parameters
from ObserverUncertaintySlicer.raterMasks import raterMask, raterMasks
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.sceneCases import sceneCases
from ObserverUncertaintySlicer.segments import keptGrid
from ObserverUncertaintySlicer.sequenceExport import exportAsTheyAre
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume, voxelsOf

MADE = Path(__file__).parents[1] / "MadeBefore"
MODEL = "712422b2ba350c3b1c263946cf557a20"
RESULTS = {
    "fusedSegmentation": Role.FUSED_RATERS,
    "expertEntropy": Role.EXPERT_ENTROPY,
    "probability": Role.PROBABILITY,
    "predictiveEntropy": Role.PREDICTIVE_ENTROPY,
    "expectedEntropy": Role.EXPECTED_ENTROPY,
    "mutualInformation": Role.MUTUAL_INFORMATION,
    "segmentation": Role.SEGMENTATION,
    "workingCopy": Role.WORKING_COPY,
    "lastCorrection": Role.CORRECTION,
}


@pytest.fixture
def parameters(scene, vtkMessages):
    """The panel's state of the scene, which is loaded where the application's layouts are known."""
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(scene)
    registerLayouts()
    # Views that are turned into the image's planes have no orientation that MRML has a name for.
    with vtkMessages.expectErrors("invalid orientation preset name: Reformat"):
        assert scene.ReadFromMRB(str(MADE / "scene.mrb"), True)
    yield Parameters(scene.GetSingletonNode("ObserverUncertainty", "vtkMRMLScriptedModuleNode"))
    logic.SetMRMLScene(None)


def maskOf(node):
    (contour,) = ratersOfNode(node)
    return raterMask(contour, keptGrid(node))[0]


def test_the_case_its_raters_and_every_result_are_found_again(parameters):
    assert parameters.caseName == "case01"
    assert list(parameters.sequences) == ["T1", "T1c", "T2", "FLAIR"]
    assert [rater.name for rater in parameters.raters] == ["rater_2y", "rater_4y", "rater_6y"]
    # As they were saved: raters that are there keep their colours.
    saved = [(0.34, 0.86, 1.0), (0.0, 0.75, 0.35), (0.25, 0.45, 1.0)]
    assert np.array([rater.color for rater in parameters.raters]) == pytest.approx(np.array(saved), abs=1e-4)
    (case,) = sceneCases()
    assert (case.name, case.isSimulated) == ("case01", True)
    assert case.sequences == parameters.sequences
    assert case.raters == parameters.raters
    assert {name: attributes.ROLE.of(getattr(parameters, name)) for name in RESULTS} == RESULTS


def test_results_are_what_is_computed_now(parameters):
    raters, reference = parameters.raters, parameters.reference
    fused = fuseRaters(raters, FusionMethod.MAJORITY, reference)
    np.testing.assert_array_equal(maskOf(parameters.fusedSegmentation), maskOf(fused))
    assert maskOf(fused).any()
    assert recorded(fused).keys() == recorded(parameters.fusedSegmentation).keys()
    assert attributes.RATERS.of(parameters.fusedSegmentation) == ["rater_2y", "rater_4y", "rater_6y"]
    entropy = expertEntropy(raters, reference)
    np.testing.assert_array_equal(voxelsOf(parameters.expertEntropy), voxelsOf(entropy))
    assert recorded(parameters.expertEntropy) == recorded(entropy)
    again = fuseRaters(raters, FusionMethod.MAJORITY, reference, parameters.fusedSegmentation)
    assert again is parameters.fusedSegmentation
    assert again.GetSegmentation().GetNumberOfSegments() == 1
    assert expertEntropy(raters, reference, parameters.expertEntropy) is parameters.expertEntropy


def test_the_prediction_tells_what_made_it(parameters):
    for name in ("probability", "predictiveEntropy", "expectedEntropy", "mutualInformation", "segmentation"):
        node = getattr(parameters, name)
        assert attributes.MODEL.of(node) == MODEL
        assert attributes.FUSION.of(node) == "none"
        assert attributes.SAMPLES.of(node) == 2
        assert attributes.DROPOUT_MASKS.of(node) == "independent"
        assert attributes.TRAINED_ON_SIMULATION.of(node)
    notes, warnings = textsOf(parameters.segmentation)
    assert notes == ["case01 was resampled in-plane to the model's 2 x 2 mm, and back"]
    assert warnings == [
        "case01 has an in-plane spacing of 6 x 6 mm, the training images 1.5 x 1.5 mm: be careful with the result",
        "case01 has slices 8 mm apart, the training images 3 mm: be careful with the result",
    ]
    difference = differenceVolume(parameters.predictiveEntropy, parameters.expertEntropy)
    expected = arrayOfVolume(parameters.predictiveEntropy) - arrayOfVolume(parameters.expertEntropy)
    np.testing.assert_array_equal(arrayOfVolume(difference), expected)


def test_the_correction_says_who_made_it_of_what(parameters):
    node = parameters.lastCorrection
    assert attributes.AUTHOR.of(node) == parameters.correctionAuthor == "Anna Ö."
    assert attributes.CORRECTED.of(node) == "2026-11-30T02:05:39+00:00"
    assert attributes.STARTED.of(node) == "2026-11-30T02:05:36+00:00"
    assert attributes.SOURCE.of(node) == "case01 segmentation (model): resection cavity"
    assert attributes.START_VOLUME_ML.of(node) == pytest.approx(37.44)
    assert attributes.VOLUME_ML.of(node) == pytest.approx(43.2)
    assert np.count_nonzero(maskOf(node)) * keptGrid(node).voxel_volume_ml == pytest.approx(43.2)
    assert workingCopyOf(node) is None


def test_the_working_copy_is_gone_on_with(parameters):
    copy = workingCopyOf(parameters.workingCopy)
    assert copy.startNode is not None
    before = correctionState(copy)
    assert before.startVolumeMl == pytest.approx(37.44)
    assert attributes.ENTROPY.of(copy.node) is parameters.predictiveEntropy
    drawn = ~maskOf(copy.node)
    with CorrectionEditor(copy) as editor:
        editor.add(drawn)
        assert maskOf(copy.node).all()
        assert editor.undo()
    assert correctionState(copy) == before
    with CorrectionEditor(copy) as editor:
        editor.add(drawn)
    assert hasUnsavedChanges(copy, parameters.lastCorrection)
    saved = saveAsReviewed(copy, "Ben")
    assert attributes.MODEL.of(saved) == MODEL
    assert set(recorded(saved)) == set(recorded(parameters.lastCorrection)) | {"ChangedMl", "ChangedVoxels"}


def test_the_comparison_is_taken_up(parameters):
    assert shownRows() == 2
    assert previousLayout() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    views = resume()
    assert views.volumes == [parameters.reference, parameters.predictiveEntropy, parameters.expertEntropy]
    assert "".join(node.GetLayoutLabel() for node in views.sliceNodes) == "MMMEEE"
    outlined = [
        display
        for display in slicer.util.getNodesByClass("vtkMRMLSegmentationDisplayNode")
        if display.GetVisibility() and attributes.ROLE.of(display) == Role.RATER_OUTLINES
    ]
    assert [display.GetDisplayableNode() for display in outlined] == [parameters.raters[0].node]
    segmentations = [parameters.raters[0].node, parameters.segmentation, parameters.fusedSegmentation]
    assert all(list(node.GetDisplayNode().GetViewNodeIDs()) for node in segmentations)
    views.restoreLayout()
    assert shownRows() == 0
    assert not any(list(node.GetDisplayNode().GetViewNodeIDs()) for node in segmentations)
    assert not any(display.GetVisibility() for display in outlined)


def test_the_exported_correction_is_a_rater_of_a_cohort(parameters, tmp_path):
    record = json.loads((MADE / "correction.seg.nrrd.json").read_text(encoding="utf-8"))
    kept = recorded(parameters.lastCorrection)
    assert {name: record[name] for name in kept} == kept
    exportAsTheyAre({"T1": parameters.reference}, tmp_path / "case01")
    (tmp_path / "case01" / "anna.seg.nrrd").write_bytes((MADE / "correction.seg.nrrd").read_bytes())
    manifest = tmp_path / "cohort.toml"
    text = (
        '[cohort]\nname = "Corrected"\ncases = ["case01"]\n[images]\nT1 = "0.nrrd"\n[raters]\nanna = "anna.seg.nrrd"\n'
    )
    manifest.write_text(text, encoding="utf-8")
    case = loadManifestCase(manifest, "case01")
    found = raterMasks(case.raters, gridOfVolume(parameters.reference))
    assert (found.names, found.notes, found.warnings) == (("anna",), (), ())
    np.testing.assert_array_equal(found.masks[0], maskOf(parameters.lastCorrection))
