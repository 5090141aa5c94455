"""Step 4: another program's result is loaded as the case's, and a calibrated model says so and keeps its contour."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np


def check_samples_of_another_program_go_all_the_way_to_a_correction(desktop):
    desktop.loadCase("case01")
    file = _samples(desktop)
    step = desktop.panel.uncertainty
    step.open()
    desktop.settle()
    assert step.ui.importButton.visible
    desktop.fileDialogs(file)
    desktop.answerBoxes((file.name, "Load"))
    step.ui.importButton.click()
    desktop.waitForJobs()
    desktop.wait(lambda: desktop.panel.parameters.probability is not None, "the result")
    desktop.settle()
    assert not step.bar.hasFailed, str(step.ui.runLabel.text)
    assert "4 probability maps" in str(step.ui.resultLabel.text)
    assert "by another program" in step.state()
    desktop.shot("loaded")
    desktop.showComparison()
    desktop.shot("compared")
    desktop.panel.compare.ui.backButton.click()
    desktop.panel.correct.open()
    desktop.panel.correct.ui.startButton.click()
    desktop.settle()
    assert desktop.panel.correct.ui.placesTable.rowCount > 0
    desktop.shot("corrected")


def check_the_dialog_shows_how_files_are_read(desktop):
    import slicer

    from ObserverUncertaintySlicer.panel.importDialog import ImportDialog

    folder = Path(tempfile.mkdtemp())
    files = tuple(str(folder / f"fold_{number}.npz") for number in range(5))
    for file in files:
        np.savez(file, probabilities=np.zeros(3))
    dialog = ImportDialog(slicer.util.mainWindow(), files)
    dialog.dialog.show()
    desktop.settle()
    desktop.shot("dialog")
    dialog.dialog.close()
    dialog.dialog.deleteLater()
    shutil.rmtree(folder)


def check_a_calibrated_model_says_so_and_a_correction_starts_at_its_contour(desktop):
    from ObserverUncertaintySlicer.attributes import SEGMENTATION_LEVEL

    desktop.loadCase("case01")
    desktop.panel.parameters.modelFolder = str(_calibratedModel())
    desktop.panel.model.open()
    desktop.panel.model.ui.advancedButton.collapsed = False
    desktop.settle()
    desktop.shot("card")
    step = desktop.panel.uncertainty
    step.open()
    step.ui.advancedButton.collapsed = False
    desktop.settle()
    assert step.ui.calibratedCheck.visible
    assert "calibrated to its experts" in str(step.ui.samplingLabel.text)
    desktop.predict(samples=5)
    desktop.settle()
    desktop.shot("result")
    assert "calibrated to 3 raters on 6 cases" in str(step.ui.resultLabel.text)
    parameters = desktop.panel.parameters
    level = SEGMENTATION_LEVEL.of(parameters.probability)
    assert abs(level - 0.5) > 0.05
    of_model = desktop.voxels(parameters.segmentation)
    correct = desktop.panel.correct
    correct.open()
    correct.ui.startButton.click()
    desktop.settle()
    copy = desktop.voxels(parameters.workingCopy)
    assert [count for count, _hash in copy.values()] == [count for count, _hash in of_model.values()]
    assert abs(correct.ui.levelSlider.value - level) < 0.011
    desktop.shot("working_copy")


def _samples(desktop) -> Path:
    """Probabilities like those of four folds, from what the raters drew, in one 4-D file."""
    import SimpleITK as sitk
    from scipy import ndimage

    from ObserverUncertaintySlicer.raterMasks import raterMasks
    from ObserverUncertaintySlicer.volumes import gridOfVolume

    parameters = desktop.panel.parameters
    grid = gridOfVolume(parameters.reference)
    masks = raterMasks(parameters.raters, grid)
    share = masks.onGrid(masks.inBox.mean(axis=0, dtype=np.float32))
    folds = [ndimage.gaussian_filter(np.roll(share, shift, axis=2), 0.8) for shift in (-1, 0, 0, 1)]
    file = Path(tempfile.mkdtemp()) / "folds.nii.gz"
    images = [grid.to_sitk(fold.astype(np.float32)) for fold in folds]
    sitk.WriteImage(sitk.JoinSeries(images), str(file))
    return file


def _calibratedModel() -> Path:
    """The shipped model with a calibration that lowers its probabilities."""
    from ObserverUncertaintyLib.model.calibration import CALIBRATION_FILE, Calibration, CalibrationKind, CalibrationMap
    from ObserverUncertaintyLib.model.description import read_description
    from ObserverUncertaintyLib.model.shipped import shipped_model

    folder = Path(tempfile.mkdtemp()) / "calibrated"
    shutil.copytree(shipped_model(), folder)
    mapping = CalibrationMap(CalibrationKind.TEMPERATURE, slope=0.7, bias=-0.5)
    weights = read_description(folder).weights_digest
    figures = {"ece_roi_pooled": {"before": 0.05, "after": 0.02}}
    made = Calibration(mapping, weights, tuple("abcdef"), (3, 3), 20, figures, "2026-12-01", "0.1.0")
    (folder / CALIBRATION_FILE).write_text(json.dumps(made.to_json()), encoding="utf-8")
    return folder
