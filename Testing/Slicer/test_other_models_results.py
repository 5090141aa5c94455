"""Another program's result, and a calibrated model's, in step 4 and in what follows from them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import slicer
from opened_panel import openPanel, simulatedSequences, waitFor

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.model.calibration import (
    CALIBRATION_FILE,
    Calibration,
    CalibrationKind,
    CalibrationMap,
)
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintyLib.prediction.imported import ArrayAxes
from ObserverUncertaintyLib.scores.entropy import binary_entropy
from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.attributes import CALIBRATION, LEVEL, MODEL, SEGMENTATION_LEVEL, TOOL, textsOf
from ObserverUncertaintySlicer.backgroundJobs import knownJobs
from ObserverUncertaintySlicer.foundJobs import takeUp
from ObserverUncertaintySlicer.raterMasks import raterMask
from ObserverUncertaintySlicer.raters import Rater
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume

MAPPING = CalibrationMap(CalibrationKind.TEMPERATURE, slope=0.7, bias=-0.5)


@pytest.fixture
def panel(workerPython, slicerApplication, moduleFile, monkeypatch, tmp_path):
    monkeypatch.setenv(host.PYTHON_VARIABLE, str(workerPython))
    panel = openPanel(slicerApplication, moduleFile, monkeypatch, tmp_path)
    panel.parameters.device = "cpu"
    panel.parameters.samples = 2
    panel.parameters.caseName = "Anna"
    return panel


@pytest.fixture
def case(panel):
    panel.parameters.sequences = simulatedSequences()
    return panel.parameters.sequences


@pytest.fixture
def samples(case, tmp_path):
    """A file with three samples on the case's grid, and the samples."""
    shape = gridOfVolume(case["T1c"]).shape
    values = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    np.save(tmp_path / "samples.npy", values)
    return tmp_path / "samples.npy", values


def choice(file):
    from ObserverUncertaintySlicer.panel.importDialog import ImportChoice

    return ImportChoice((str(file),), "nnU-Net", None, None, ArrayAxes.KJI)


def finish(section):
    waitFor(lambda: not section.bar.isRunning)


def modelsMask(panel):
    segmentation = panel.parameters.segmentation
    segment = segmentation.GetSegmentation().GetNthSegmentID(0)
    return raterMask(Rater(segmentation, segment), gridOfVolume(panel.parameters.probability))[0]


def test_another_programs_result_becomes_the_cases_with_all_its_maps(panel, samples):
    file, values = samples
    section = panel.uncertainty
    section.importChosen(choice(file))
    finish(section)
    assert not section.bar.hasFailed, section.ui.runLabel.text
    parameters = panel.parameters
    np.testing.assert_allclose(arrayOfVolume(parameters.probability), values.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(
        arrayOfVolume(parameters.expectedEntropy), binary_entropy(values).mean(axis=0), atol=1e-5
    )
    np.testing.assert_array_equal(modelsMask(panel), values.mean(axis=0) > 0.5)
    for node in (parameters.probability, parameters.segmentation):
        assert TOOL.of(node) == "nnU-Net"
        assert MODEL.of(node) is None
    assert parameters.segmentation.GetName() == "Anna segmentation (nnU-Net)"
    assert "nnU-Net" in parameters.predictiveEntropy.GetDescription()
    assert "Monte Carlo" not in parameters.predictiveEntropy.GetDescription()
    assert section.state().endswith("by nnU-Net")
    assert "predicted by nnU-Net, imported as 3 probability maps" in section.ui.resultLabel.text


def test_the_logic_loads_it_without_a_panel(panel, samples):
    file, values = samples
    nodes = panel.uncertainty.logic.importSamples([file], panel.parameters.reference, tool="MONAI", structure="cavity")
    np.testing.assert_allclose(arrayOfVolume(nodes["probability"]), values.mean(axis=0), atol=1e-6)
    assert any("MONAI" in note for note in textsOf(nodes["segmentation"])[0])
    segmentation = nodes["segmentation"].GetSegmentation()
    assert segmentation.GetNthSegment(0).GetName() == "cavity"


def test_files_that_lie_elsewhere_are_refused_and_the_result_before_stays(panel, samples, tmp_path):
    file, _values = samples
    section = panel.uncertainty
    section.importChosen(choice(file))
    finish(section)
    before = panel.parameters.probability
    np.save(tmp_path / "other.npy", np.zeros((2, 3, 4), np.float32))
    section.importChosen(choice(tmp_path / "other.npy"))
    finish(section)
    assert section.bar.hasFailed
    assert "other.npy: the array has the shape (2, 3, 4)" in section.ui.runLabel.text
    assert panel.parameters.probability is before


def test_it_can_be_loaded_without_a_model_or_its_packages_and_needs_a_volume(panel, monkeypatch):
    ui = panel.uncertainty.ui
    panel.update()
    assert ui.importButton.isHidden()
    panel.parameters.sequences = simulatedSequences()
    monkeypatch.setattr("ObserverUncertaintySlicer.dependencies.missingPackages", lambda: ["torch"])
    panel.update()
    assert ui.runButton.isHidden()
    assert not ui.importButton.isHidden()


def test_a_job_of_another_session_is_taken_up(panel, samples):
    file, values = samples
    panel.uncertainty.logic.importSamples([file], panel.parameters.reference, tool="MONAI", caseName="Anna")
    (job,) = [job for job in knownJobs() if job.request.kind == "import"]
    nodes = takeUp(job).result()
    np.testing.assert_allclose(arrayOfVolume(nodes["probability"]), values.mean(axis=0), atol=1e-6)


def test_the_dialog_gives_what_was_chosen(panel, tmp_path):
    from ObserverUncertaintySlicer.panel.importDialog import ImportChoice, ImportDialog

    files = (str(tmp_path / "a.npz"), str(tmp_path / "b.npz"))
    for file in files:
        np.savez(file, probabilities=np.zeros(3))
    dialog = ImportDialog(None, files)

    def widget(name):
        return slicer.util.findChild(dialog.dialog, name)

    widget("toolEdit").text = " nnU-Net "
    widget("channelSpin").value = 1
    widget("axesCombo").currentIndex = 1
    assert dialog.choice() == ImportChoice(files, "nnU-Net", 1, None, ArrayAxes.IJK)
    # The next file is probably the same program's.
    again = ImportDialog(None, files)
    assert slicer.util.findChild(again.dialog, "toolEdit").text == "nnU-Net"
    assert again.choice() == ImportChoice(files, "nnU-Net", None, None, ArrayAxes.KJI)


def test_nothing_is_loaded_where_no_file_is_chosen(panel, monkeypatch):
    import qt

    from ObserverUncertaintySlicer.panel.importDialog import chosenSamples

    monkeypatch.setattr(qt.QFileDialog, "getOpenFileNames", lambda *_arguments: [], raising=False)
    assert chosenSamples() is None


@pytest.fixture
def calibratedModel(tmp_path):
    folder = shutil.copytree(shipped_model(), tmp_path / "model")
    figures = {"ece_roi_pooled": {"before": 0.05, "after": 0.02}}
    weights = read_description(folder).weights_digest
    made = Calibration(MAPPING, weights, ("a", "b", "c"), (3, 3), 20, figures, "2026-12-01", "1")
    (folder / CALIBRATION_FILE).write_text(json.dumps(made.to_json()), encoding="utf-8")
    return folder


def run(panel):
    panel.uncertainty.ui.runButton.click()
    finish(panel.uncertainty)
    assert not panel.uncertainty.bar.hasFailed, panel.uncertainty.ui.runLabel.text


def test_a_calibration_is_said_before_and_after_and_can_be_switched_off(panel, case, calibratedModel):
    ui = panel.uncertainty.ui
    panel.update()
    assert ui.calibratedCheck.isHidden()
    panel.parameters.modelFolder = str(calibratedModel)
    assert not ui.calibratedCheck.isHidden()
    assert "calibrated to its experts" in ui.samplingLabel.text
    assert "calibrated to 3 raters on 3 cases" in panel.model.ui.cardLabel.text
    run(panel)
    after = arrayOfVolume(panel.parameters.probability).copy()
    mask = modelsMask(panel)
    level = SEGMENTATION_LEVEL.of(panel.parameters.probability)
    assert level == pytest.approx(float(MAPPING(np.array(0.5))))
    np.testing.assert_array_equal(mask, after > np.float32(level))
    assert "calibrated to 3 raters" in ui.resultLabel.text
    assert f"the contour lies at {level:.2f}" in ui.resultLabel.text
    ui.calibratedCheck.checked = False
    assert "not calibrated" in ui.samplingLabel.text
    run(panel)
    before = arrayOfVolume(panel.parameters.probability)
    assert CALIBRATION.of(panel.parameters.segmentation) is None
    np.testing.assert_array_equal(modelsMask(panel), mask)
    np.testing.assert_allclose(after, MAPPING(before), atol=1e-5)


def test_a_correction_of_a_calibrated_result_starts_at_its_contour(panel, case, calibratedModel):
    panel.parameters.modelFolder = str(calibratedModel)
    run(panel)
    panel.correct.open()
    panel.correct.onStart()
    review = panel.correct.tools.review
    level = SEGMENTATION_LEVEL.of(panel.parameters.probability)
    assert LEVEL.of(panel.parameters.workingCopy) == review.level == level
    np.testing.assert_array_equal(review.contour, modelsMask(panel))
    assert panel.correct.ui.levelSlider.value == pytest.approx(level, abs=0.011)
    # Nothing was drawn, so nothing counts as changed.
    assert not review.editedVoxels().any()
    assert review.interval().volume_ml == pytest.approx(
        np.count_nonzero(modelsMask(panel)) * gridOfVolume(panel.parameters.probability).voxel_volume_ml
    )


def test_a_damaged_calibration_is_told_by_the_step_of_the_model(panel, case, calibratedModel):
    (calibratedModel / CALIBRATION_FILE).write_text("{", encoding="utf-8")
    panel.parameters.modelFolder = str(calibratedModel)
    assert "calibration.json cannot be read" in panel.model.ui.problemLabel.text
    with pytest.raises(InputError, match=r"calibration\.json cannot be read"):
        panel.uncertainty.logic.predict(case, calibratedModel, 1, "cpu")
    # The card follows the file.
    (calibratedModel / CALIBRATION_FILE).unlink()
    panel.update()
    assert panel.model.ui.problemLabel.isHidden()
