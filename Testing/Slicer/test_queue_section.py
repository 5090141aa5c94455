"""A cohort predicted as a queue from step 6: real workers, a list that fills meanwhile, what is left out, going on."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
import slicer
from first_step import theMessage
from listed_cohort import writeList
from opened_panel import DISCS, discImage, isOffered, openPanel, waitFor, writeDiscs
from section_case import cells

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_mask, write_image, write_mask
from ObserverUncertaintyLib.jobs import JobState
from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.backgroundJobs import knownJobs
from ObserverUncertaintySlicer.predictionQueue import Queue, isBegunIn, predictCases
from ObserverUncertaintySlicer.segments import setSegment

LONG = 400
"""Samples of a queue that is to be looked at while it runs."""


@pytest.fixture
def panel(workerPython, slicerApplication, moduleFile, monkeypatch, tmp_path):
    monkeypatch.setenv(host.PYTHON_VARIABLE, str(workerPython))
    panel = openPanel(slicerApplication, moduleFile, monkeypatch, tmp_path)
    panel.parameters.device = "cpu"
    panel.parameters.samples = 2
    panel.correct.open()
    return panel


@pytest.fixture(scope="module")
def trained(tmp_path_factory, workerPython):
    """A folder with a cohort of four discs and a tiny model."""
    folder = tmp_path_factory.mktemp("trained")
    manifest = writeDiscs(folder / "cohort")
    for number in (3, 4):
        image, distance = discImage(number)
        write_image(manifest.parent / f"p{number}" / "t1.nrrd", image, DISCS)
        write_mask(manifest.parent / f"p{number}" / "anna.nrrd", distance < 5, DISCS)
    small = ["--fusion", "none", "--epochs", "2", "--depth", "1", "--filters", "2", "--device", "cpu"]
    command = ["train", str(manifest), "--out", str(folder / "model"), *small]
    subprocess.run([str(workerPython), "-m", "ObserverUncertaintyLib.cli", *command], check=True, capture_output=True)
    return folder


@pytest.fixture
def cohort(panel, trained, tmp_path):
    """The cohort's manifest, of which p2 is damaged; the model is in use."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    image = tmp_path / "cohort" / "p2" / "t1.nrrd"
    image.write_bytes(image.read_bytes()[:-500])
    panel.modelInUse.choose(tmp_path / "model")
    return tmp_path / "cohort" / "cohort.toml"


class Asked:
    """Answers the dialog, and keeps what it said."""

    def __init__(self, folder=None, result=1):
        self.folder, self.result, self.text, self.state, self.proposed, self.canStart = folder, result, "", "", "", None

    def __call__(self, dialog):
        import qt

        edit = dialog.findChild(qt.QLineEdit, "folderEdit")
        self.proposed = edit.text
        if self.folder is not None:
            edit.text = str(self.folder)
        self.text = "\n".join(label.text for label in dialog.findChildren(qt.QLabel))
        self.state = dialog.findChild(qt.QLabel, "stateLabel").text
        self.canStart = dialog.findChild(qt.QPushButton, "startQueueButton").enabled
        return self.result


def startQueue(panel, slicerApplication, manifest, **options):
    asked = Asked(**options)
    slicerApplication.dialogs.answer("getOpenFileName", str(manifest))
    slicerApplication.dialogs.answer("dialog", asked)
    panel.correct.ui.queueButton.click()
    return asked


def finish(section):
    waitFor(lambda: not section.queue.bar.isRunning)


def names(section):
    return sorted(row[0] for row in cells(section.ui.caseTable))


def test_a_cohort_is_predicted_and_what_is_left_out_is_told(panel, slicerApplication, cohort):
    section, ui = panel.correct, panel.correct.ui
    assert isOffered(ui.queueButton)
    asked = startQueue(panel, slicerApplication, cohort)
    predictions = cohort.with_name("cohort-predictions")
    assert (asked.proposed, asked.canStart, asked.state) == (str(predictions), True, "The folder is made.")
    for part in ("Discs: 4 cases", "by model with 2 samples on the processor", "goes on when Slicer closes"):
        assert part in asked.text
    assert section.queue.bar.isRunning
    assert section.queue.bar.job.job.keeps_running
    assert not ui.casesButton.collapsed
    assert ui.caseListLabel.text == "The cases appear here as they are predicted, the worst first."
    finish(section)
    assert not section.queue.bar.hasFailed, ui.queueLabel.text
    assert names(section) == ["p1", "p3", "p4"]
    assert ui.queueLabel.text == "3 of 4 cases are predicted."
    assert ui.caseListLabel.text == "Without a place in the list: 1 (p2); the tooltip says why."
    assert "p2: " in ui.caseListLabel.toolTip
    assert "t1.nrrd" in ui.caseListLabel.toolTip
    assert ui.queueButton.text == "Predict cases…"
    ui.nextCaseButton.click()
    assert panel.parameters.workingCopy is not None
    # The same once more goes on: nothing is predicted again but what was left out.
    before = {file: file.stat().st_mtime_ns for file in predictions.rglob("prediction.json")}
    shutil.copy(cohort.parent / "p1" / "t1.nrrd", cohort.parent / "p2" / "t1.nrrd")
    asked = startQueue(panel, slicerApplication, cohort)
    assert "complete ones stay" in asked.state
    copy = panel.parameters.workingCopy
    finish(section)
    assert ui.queueLabel.text == "4 cases are predicted."
    assert names(section) == ["p1", "p2", "p3", "p4"]
    assert ui.caseListLabel.isHidden()
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert panel.parameters.workingCopy is copy


def test_a_case_is_reviewed_while_the_queue_runs(panel, slicerApplication, cohort):
    section, ui = panel.correct, panel.correct.ui
    panel.parameters.samples = LONG
    startQueue(panel, slicerApplication, cohort)
    waitFor(lambda: names(section))
    assert section.queue.bar.isRunning
    assert "p3" not in ui.caseListLabel.text, "what is to come is not left out"
    ui.nextCaseButton.click()
    first = panel.parameters.caseName
    assert first == "p1"
    copy = section.workingCopy
    drawn, height = discImage(1)[1] < 8, ui.caseTable.maximumHeight
    setSegment(copy.node, copy.segmentID, drawn, DISCS)
    editor = ui.editor.segmentationNode()
    waitFor(lambda: " of 4: p3" in ui.queueLabel.text)
    assert ui.queueLabel.text.startswith("predict, ")
    assert ui.queueBar.maximum == 400
    finish(section)
    assert names(section) == ["p1", "p3", "p4"]
    assert ui.caseTable.maximumHeight == height, "what lies below must not move away from the mouse"
    assert panel.parameters.workingCopy is copy.node
    assert ui.editor.segmentationNode() is editor
    assert panel.parameters.listedCase == "p1"
    assert [row for row in range(3) if ui.caseTable.item(row, 0).font().bold()] == [ui.caseTable.currentRow()]
    ui.authorEdit.text = "Anna"
    ui.saveButton.click()
    assert ui.casesButton.text == "Cases: 1 of 3 reviewed"
    (file,) = section.cases.reviews.rglob("*.seg.nrrd")
    np.testing.assert_array_equal(read_mask(file).array, drawn)


def test_cancelled_it_keeps_what_is_complete_and_is_gone_on_with(panel, slicerApplication, cohort):
    section, ui = panel.correct, panel.correct.ui
    panel.parameters.samples = LONG
    startQueue(panel, slicerApplication, cohort)
    waitFor(lambda: names(section))
    ui.queueButton.click()
    assert ui.queueButton.text == "Cancelling…"
    finish(section)
    predictions = cohort.with_name("cohort-predictions")
    assert ui.queueLabel.text == f"Cancelled. What was complete is kept in {predictions}"
    done = names(section)
    assert done
    assert len(done) < 3
    assert "Without a place in the list" in ui.caseListLabel.text
    startQueue(panel, slicerApplication, cohort)
    finish(section)
    assert names(section) == ["p1", "p3", "p4"]
    # Other settings are refused, and told in the label.
    panel.parameters.samples = 3
    startQueue(panel, slicerApplication, cohort)
    finish(section)
    assert section.queue.bar.hasFailed
    assert "samples" in ui.queueLabel.text
    assert names(section) == ["p1", "p3", "p4"]


def test_a_folder_with_something_else_cannot_be_chosen(panel, slicerApplication, cohort):
    asked = startQueue(panel, slicerApplication, cohort, folder=cohort.parent, result=0)
    assert not asked.canStart
    assert "holds other files than predictions" in asked.state
    asked = startQueue(panel, slicerApplication, cohort, folder="", result=0)
    assert not asked.canStart
    assert not panel.correct.queue.bar.isRunning
    slicerApplication.dialogs.answer("getOpenFileName", "")
    panel.correct.ui.queueButton.click()
    slicerApplication.dialogs.answer("getOpenFileName", str(cohort.with_name("none.toml")))
    panel.correct.ui.queueButton.click()
    theMessage(slicerApplication, "no such manifest")
    with pytest.raises(InputError, match="holds other files"):
        isBegunIn(cohort.parent)
    assert not isBegunIn(cohort.with_name("new"))
    panel.modelInUse.isCleared = True
    panel.update()
    assert not panel.correct.ui.queueButton.enabled


def test_another_lists_case_in_work_stays(panel, slicerApplication, cohort, tmp_path):
    section, ui = panel.correct, panel.correct.ui
    other = writeList(tmp_path / "other")
    slicerApplication.dialogs.answer("getOpenFileName", str(other[0]))
    slicerApplication.dialogs.answer("getExistingDirectory", str(other[1]))
    ui.openListButton.click()
    ui.nextCaseButton.click()
    case = panel.parameters.caseName
    startQueue(panel, slicerApplication, cohort)
    finish(section)
    assert (panel.parameters.listedCase, panel.parameters.listPredictions) == (case, str(other[1]))
    predictions = cohort.with_name("cohort-predictions")
    assert ui.queueLabel.text == (f"3 of 4 cases are predicted. Left out: p2. Open list… shows them: {predictions}")


def test_a_queue_of_another_session_is_followed_or_loaded(panel, slicerApplication, cohort):
    section, ui, jobs = panel.correct, panel.correct.ui, panel.jobList
    folder = cohort.with_name("night")
    begun = predictCases(cohort, cohort.parents[1] / "model", folder, LONG, "cpu", keepRunning=True)
    begun.job.close()  # Slicer ended
    with pytest.raises(InputError, match="already"):
        predictCases(cohort, cohort.parents[1] / "model", folder, LONG, "cpu")
    jobs.refresh()
    jobs.ui.jobTable.selectRow(0)
    assert jobs.selected.name == "predict 4 cases of Discs"
    jobs.ui.followButton.click()
    assert section.queue.bar.isRunning
    assert panel.parameters.listPredictions == str(folder)
    finish(section)
    assert names(section) == ["p1", "p3", "p4"]
    slicer.mrmlScene.Clear(0)
    assert ui.caseTable.isHidden()
    jobs.refresh()
    jobs.ui.jobTable.selectRow(0)
    assert jobs.selected.state is JobState.DONE
    jobs.ui.loadButton.click()
    assert jobs.ui.loadedLabel.text == "Step 6 lists the cases."
    assert names(section) == ["p1", "p3", "p4"]
    assert ui.queueLabel.text == "3 of 4 cases are predicted."
    assert "t1.nrrd" in ui.caseListLabel.toolTip


def test_removing_the_job_leaves_the_predictions(panel, slicerApplication, cohort):
    import qt

    panel.context.logic.predictCases(cohort, cohort.parents[1] / "model", cohort.with_name("kept"), 1, "cpu")
    jobs = panel.jobList
    jobs.refresh()
    jobs.ui.jobTable.selectRow(0)
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    jobs.ui.removeButton.click()
    assert f"Its predictions stay in {cohort.with_name('kept')}" in slicerApplication.dialogs.messages.pop().text
    assert knownJobs() == []
    assert (cohort.with_name("kept") / "p1" / "prediction.json").is_file()


def test_a_second_click_shows_the_queue_that_runs_already(panel, slicerApplication, cohort):
    section = panel.correct
    begun = predictCases(cohort, cohort.parents[1] / "model", cohort.with_name("q"), LONG, "cpu", keepRunning=True)
    startQueue(panel, slicerApplication, cohort, folder=cohort.with_name("q"))
    assert section.queue.bar.job.job.folder == begun.job.folder
    assert len([job for job in knownJobs() if job.request.kind == "predict_cohort"]) == 1
    section.queue.bar.job.cancel()
    finish(section)


def test_scripts_predict_a_cohort_by_the_logic(panel, cohort):
    queue = panel.context.logic.predictCases(cohort, cohort.parents[1] / "model", cohort.with_name("s"), 1, "cpu")
    assert isinstance(queue, Queue)
    assert (queue.complete, set(queue.leftOut), queue.isRunning) == (("p1", "p3", "p4"), {"p2"}, False)
