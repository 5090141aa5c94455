"""The job list: jobs of an earlier session, real ones, are found, followed, loaded, cancelled and removed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import slicer
from opened_panel import openPanel, simulatedSequences, waitFor, writeDiscs

from ObserverUncertaintyLib.jobs import INPUTS_FOLDER, JobState, ProbeRequest, SimulateRequest, TrainRequest, start_job
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.backgroundJobs import jobsFolder, newJobFolder, startSceneJob
from ObserverUncertaintySlicer.prediction import predictCase
from ObserverUncertaintySlicer.training import trainModel
from ObserverUncertaintySlicer.volumes import arrayOfVolume

STATE, PROGRESS, JOB, STARTED = range(4)


@pytest.fixture(autouse=True)
def jobs(tmp_path, monkeypatch):
    """Where jobs of before the panel is opened are put, too."""
    monkeypatch.setenv(host.JOBS_VARIABLE, str(tmp_path / "Müller jobs"))
    return tmp_path / "Müller jobs"


@pytest.fixture
def openList(slicerApplication, moduleFile, monkeypatch, tmp_path):
    """Opens the panel, as at the next start of Slicer, and gives the section."""
    return lambda: openPanel(slicerApplication, moduleFile, monkeypatch, tmp_path).jobList


def thePanel():
    return slicer.modules.ObserverUncertaintyWidget.panel


def cells(section, row):
    return [section.ui.jobTable.item(row, column).text() for column in range(4)]


def choose(section, row):
    section.ui.jobTable.selectRow(row)


def quickJob(name="find devices"):
    """A short job that has ended."""
    job = start_job(ProbeRequest(), newJobFolder(name), name=name, python=sys.executable)
    assert job.wait(60) is JobState.DONE
    return job


def predicted(samples=2, **options):
    """A prediction of a session that did not load its result."""
    job = predictCase(simulatedSequences(), shipped_model(), samples, "cpu", caseName="Anna", **options)
    return job.job


def buttons(section):
    ui = section.ui
    names = ("follow", "cancel", "load", "folder", "log", "remove")
    return {name for name in names if getattr(ui, f"{name}Button").enabled}


def test_without_jobs_there_is_no_list(openList):
    section = openList()
    assert section.ui.jobTable.rowCount == 0
    assert section.widget.isHidden()
    quickJob("first")
    section.refresh()
    assert not section.widget.isHidden()
    assert section.ui.sectionButton.collapsed
    assert all(button.isHidden() for button in (section.ui.loadButton, section.ui.removeButton, section.ui.logButton))
    assert "Choose a job" in section.ui.chooseLabel.text
    section.ui.jobTable.selectRow(0)
    assert section.ui.chooseLabel.isHidden()
    assert not section.ui.loadButton.isHidden()


def test_jobs_of_earlier_sessions_are_listed_newest_first(openList):
    quickJob("first")
    second = quickJob("second")
    section = openList()
    assert section.ui.sectionButton.text == "Jobs: 2"
    assert cells(section, 1)[JOB] == "first"
    found = cells(section, 0)
    assert (found[JOB], found[STATE], found[PROGRESS]) == ("second", "done", "100 %")
    assert found[STARTED] == second.started.strftime("%H:%M")
    toolTip = section.ui.jobTable.item(0, STATE).toolTip()
    assert toolTip.splitlines() == [
        "second",
        "done",
        second.started.strftime("Started %Y-%m-%d %H:%M"),
        str(second.folder),
    ]


def test_a_job_of_another_day_shows_its_date(openList):
    job = quickJob()
    content = json.loads((job.folder / "job.json").read_text(encoding="utf-8"))
    content["started"] = "2026-01-02T03:04:05+01:00"
    (job.folder / "job.json").write_text(json.dumps(content), encoding="utf-8")
    section = openList()
    assert cells(section, 0)[STARTED] == "2026-01-02"
    assert "Started 2026-01-02 03:04" in section.ui.jobTable.item(0, JOB).toolTip()


def test_a_job_that_failed_after_its_first_task_is_not_called_complete(openList):
    job = start_job(TrainRequest("no.toml", "model"), newJobFolder("train"), name="train", python=sys.executable)
    job.wait(60)
    told = {"task": "load", "done": 2, "total": 2, "already": 0, "detail": ""}
    first = json.dumps({"kind": "progress", "time": 1, "data": told})
    lines = (job.folder / "events.jsonl").read_text(encoding="utf-8")
    (job.folder / "events.jsonl").write_text(f"{first}\n{lines}", encoding="utf-8")
    section = openList()
    assert section._jobs[0].progress.fraction == 1.0
    assert cells(section, 0)[:JOB] == ["failed", ""]


def test_jobs_that_cannot_be_looked_for_are_told_in_the_panel_and_not_in_a_message(
    openList, slicerApplication, monkeypatch
):
    section = openList()

    def refuse():
        raise PermissionError("no entry")

    monkeypatch.setattr(f"{type(section).__module__}.knownJobs", refuse)
    thePanel().context.jobsChanged()
    assert "no entry" in section.ui.loadedLabel.text
    assert slicerApplication.dialogs.messages == []


def test_the_folders_are_read_on_entering_and_on_a_click_and_not_at_every_change(openList, slicerApplication):
    section = openList()
    quickJob("later")
    thePanel().parameters.samples = 9
    assert section.ui.jobTable.rowCount == 0
    section.ui.refreshButton.click()
    assert section.ui.jobTable.rowCount == 1
    quickJob("more")
    slicerApplication.leave()
    slicerApplication.enter("ObserverUncertainty")
    assert section.ui.jobTable.rowCount == 2


def test_the_chosen_job_stays_chosen_when_others_come(openList):
    quickJob("first")
    section = openList()
    choose(section, 0)
    quickJob("second")
    section.ui.refreshButton.click()
    assert section.selected.name == "first"
    assert section.ui.jobTable.selectionModel().selectedRows()[0].row() == 1


def test_a_job_without_result_for_the_scene_can_be_looked_at_and_removed_only(openList):
    quickJob()
    section = openList()
    choose(section, 0)
    assert buttons(section) == {"folder", "log", "remove"}
    assert "Only a prediction or training" in section.ui.loadButton.toolTip
    assert "ended" in section.ui.cancelButton.toolTip


def test_a_prediction_of_an_earlier_session_is_loaded(workerPython, openList, scene, slicerApplication):
    job = predicted(keepRunning=True)
    folder = job.folder
    assert job.wait(120) is JobState.DONE
    assert (folder / INPUTS_FOLDER).is_dir()
    scene.Clear()
    section = openList()
    section.parameters.sequences, section.parameters.caseName = simulatedSequences(), "Anna"
    choose(section, 0)
    assert buttons(section) == {"folder", "log", "remove", "load"}
    section.ui.loadButton.click()
    assert slicerApplication.dialogs.messages == []
    parameters = section.parameters
    assert parameters.segmentation.GetName() == "Anna segmentation (model)"
    assert arrayOfVolume(parameters.predictiveEntropy).max() > 0.5
    assert not (folder / INPUTS_FOLDER).exists()
    assert "Simulated data, not for patients." in thePanel().uncertainty.ui.resultLabel.text


def test_a_trained_model_of_an_earlier_session_becomes_the_model_in_use(workerPython, openList, tmp_path):
    job = trainModel(writeDiscs(tmp_path / "cohort"), tmp_path / "model", preset="small", epochs=1, device="cpu")
    job.wait(120)
    section = openList()
    choose(section, 0)
    section.ui.loadButton.click()
    assert section.parameters.modelFolder == str(tmp_path / "model")


def test_a_result_that_is_damaged_is_told_once(workerPython, openList, slicerApplication, scene):
    job = predicted()
    assert job.wait(120) is JobState.DONE
    for file in job.folder.rglob("*.nrrd"):
        file.write_bytes(b"damaged")
    section = openList()
    choose(section, 0)
    if section.ui.loadButton.enabled:
        section.ui.loadButton.click()
        assert len(slicerApplication.dialogs.messages) == 1
    else:
        assert cells(section, 0)[STATE] == "failed"
    assert section.parameters.segmentation is None


def test_a_running_prediction_is_followed_to_its_result(workerPython, openList, slicerApplication):
    predicted(samples=40, keepRunning=True)
    section = openList()
    section.parameters.sequences, section.parameters.caseName = simulatedSequences(), "Anna"
    assert section.ui.sectionButton.text == "Jobs: 1, 1 running"
    choose(section, 0)
    assert buttons(section) == {"follow", "cancel", "folder", "log"}
    assert "Cancel it first" in section.ui.removeButton.toolTip
    section.ui.followButton.click()
    bar = thePanel().uncertainty.bar
    assert bar.isRunning
    assert thePanel().uncertainty.ui.runButton.text == "Cancel"
    assert not section.ui.followButton.enabled
    assert "already" in section.ui.followButton.toolTip
    waitFor(lambda: not bar.isRunning)
    assert slicerApplication.dialogs.messages == []
    assert section.parameters.predictiveEntropy is not None
    assert cells(section, 0)[STATE] == "done"
    assert section.ui.sectionButton.text == "Jobs: 1"


def test_a_running_training_is_followed_to_its_model(workerPython, openList, tmp_path):
    trainModel(
        writeDiscs(tmp_path / "cohort"), tmp_path / "model", preset="small", epochs=4, device="cpu", keepRunning=True
    )
    section = openList()
    choose(section, 0)
    if section.ui.followButton.enabled:  # else it was faster
        section.ui.followButton.click()
        bar = thePanel().model.training.bar
        waitFor(lambda: not bar.isRunning)
        assert thePanel().model.ui.trainLabel.text.startswith("Trained")
        assert section.parameters.modelFolder == str(tmp_path / "model")


def test_rows_of_running_jobs_keep_up_by_themselves_and_read_no_other_folder(workerPython, openList, monkeypatch):
    quickJob("ended")
    predicted(samples=40, keepRunning=True)
    section = openList()
    choose(section, 0)
    read = []
    monkeypatch.setattr(type(section), "refresh", lambda _section: read.append(1))
    waitFor(lambda: "left" in cells(section, 0)[PROGRESS] or cells(section, 0)[STATE] == "done")
    assert cells(section, 0)[STATE] == "done" or "predict" in section.ui.jobTable.item(0, PROGRESS).toolTip()
    waitFor(lambda: cells(section, 0)[STATE] == "done")
    assert cells(section, 0)[PROGRESS] == "100 %"
    assert section.ui.loadButton.enabled
    assert not section.ui.cancelButton.enabled
    assert section.ui.sectionButton.text == "Jobs: 2"
    assert section.selected.name == "predict Anna"
    assert read == []
    assert not thePanel().polling.isActive


def test_running_rows_are_looked_at_once_a_second_at_most(workerPython, openList, monkeypatch):
    predicted(samples=500, keepRunning=True)
    section = openList()
    looked = []
    monkeypatch.setattr(type(section), "_showRow", lambda _section, row, _job: looked.append(row))
    for _time in range(20):
        assert section.poll()
    assert len(looked) <= 1
    choose(section, 0)
    section.ui.cancelButton.click()
    waitFor(lambda: section.selected.state.finished)


def test_a_running_job_is_cancelled_and_the_table_says_so(workerPython, openList):
    predicted(samples=500, keepRunning=True)
    section = openList()
    choose(section, 0)
    section.ui.cancelButton.click()
    assert cells(section, 0)[STATE] in ("being cancelled", "cancelled")
    waitFor(lambda: cells(section, 0)[STATE] == "cancelled")
    assert "cancel" not in buttons(section)


def test_a_job_that_this_session_starts_and_ends_is_in_the_table_at_once(workerPython, openList):
    section = openList()
    panel = thePanel()
    panel.parameters.sequences = simulatedSequences()
    panel.parameters.samples, panel.parameters.device = 2, "cpu"
    panel.uncertainty.ui.runButton.click()
    assert section.ui.jobTable.rowCount == 1
    assert cells(section, 0)[STATE] in ("starting", "running")
    waitFor(lambda: not panel.uncertainty.bar.isRunning)
    assert cells(section, 0)[STATE] == "done"


def test_the_log_says_why_a_job_failed_and_can_be_copied(openList, slicerApplication):
    import qt

    job = startSceneJob(SimulateRequest(index=0), dict, name="simulate")
    waitFor(lambda: job.state is JobState.RUNNING)
    subprocess.run(["kill", "-KILL", str(job.job._process.pid)], check=True)
    assert job.wait(60) is JobState.FAILED
    section = openList()
    assert cells(section, 0)[STATE] == "failed"
    choose(section, 0)
    section.ui.logButton.click()
    (dialog,) = section.widget.findChildren(qt.QDialog)
    text = dialog.findChild(qt.QPlainTextEdit, "textView").plainText
    assert section.selected.failure.text in text
    assert "main memory" in text
    assert "start again" in text
    assert str(job.job.folder) in text
    dialog.findChild(qt.QPushButton, "copyButton").click()
    assert slicerApplication.app.clipboard().text() == text
    dialog.close()


def test_the_folder_is_opened_in_the_file_browser(openList, slicerApplication):
    job = quickJob()
    section = openList()
    choose(section, 0)
    section.ui.folderButton.click()
    (url,) = slicerApplication.dialogs.openedUrls
    import qt

    assert qt.QUrl(url).toLocalFile() == str(job.folder)


def test_removing_asks_and_deletes_the_folder(openList, slicerApplication):
    import qt

    job = quickJob()
    section = openList()
    choose(section, 0)
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    section.ui.removeButton.click()
    assert job.folder.is_dir()
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    section.ui.removeButton.click()
    assert not job.folder.exists()
    assert section.ui.jobTable.rowCount == 0
    assert str(job.folder) in slicerApplication.dialogs.messages[-1].text


def test_removing_a_training_says_that_its_model_stays(workerPython, openList, slicerApplication, tmp_path):
    import qt

    model = tmp_path / "model"
    trainModel(writeDiscs(tmp_path / "cohort"), model, preset="small", epochs=1, device="cpu").wait(120)
    section = openList()
    choose(section, 0)
    assert "model" in section.ui.removeButton.toolTip
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    section.ui.removeButton.click()
    question = slicerApplication.dialogs.messages[-1].text
    assert f"stays in {model}" in question
    assert "results" not in question
    assert (model / "weights.safetensors").is_file()
    assert section.ui.jobTable.rowCount == 0


def test_a_job_folder_that_vanished_is_no_trap(openList, slicerApplication):
    import shutil

    job = quickJob()
    section = openList()
    choose(section, 0)
    shutil.rmtree(job.folder)
    section.ui.logButton.click()
    section.ui.refreshButton.click()
    assert section.ui.jobTable.rowCount == 0
    assert jobsFolder().is_dir()
    assert slicerApplication.dialogs.messages == []
    assert slicer.mrmlScene is not None
