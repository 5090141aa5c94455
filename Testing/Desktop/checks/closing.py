"""Work in the background when the scene is closed, the module reloaded, or Slicer ends."""

from __future__ import annotations

import json
import os
from pathlib import Path

import slicer
from desktop import newSlicer


def check_close_scene_ends_a_prediction_and_not_one_that_may_go_on(desktop):
    for keepRunning in (False, True):
        desktop.loadCase("case01")
        job, pid = _start(desktop, keepRunning)
        slicer.mrmlScene.Clear(0)
        desktop.settle()
        ui = desktop.panel.uncertainty.ui
        assert str(ui.runButton.text) == "Run the model", ui.runButton.text
        if keepRunning:
            _requireDone(desktop, job)
        else:
            _requireEnded(desktop, pid)
    # Its result becomes the case's where the case is there again.
    desktop.loadCase("case01")
    _loadNewestResult(desktop)
    assert desktop.panel.parameters.predictiveEntropy is not None


def check_a_reload_ends_a_prediction_and_not_one_that_may_go_on(desktop):
    jobs = {}
    for keepRunning in (False, True):
        desktop.loadCase("case01")
        jobs[keepRunning] = _start(desktop, keepRunning)
        slicer.util.reloadScriptedModule("ObserverUncertainty")
        desktop.settle()
    _requireEnded(desktop, jobs[False][1])
    _requireDone(desktop, jobs[True][0])
    # One click, one effect: no signal of the panel before is left.
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    desktop.panel.correct.ui.startButton.click()
    desktop.settle()
    after = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    assert after == before + 2, "the copy and what it was at the start"


def check_slicer_is_left_while_two_predictions_run(desktop):
    _shareJobs(desktop)
    desktop.loadCase("case01")
    pids = {"goes on": _start(desktop, True, samples=20)[1]}
    desktop.panel.uncertainty.bar._letGo()  # the panel follows one at a time
    pids["ends"] = _start(desktop, False, samples=900)[1]
    (desktop.shared / "pids.json").write_text(json.dumps(pids), encoding="utf-8")


@newSlicer
def check_the_one_has_ended_and_the_other_is_found_again(desktop):
    _shareJobs(desktop)
    pids = json.loads((desktop.shared / "pids.json").read_text(encoding="utf-8"))
    _requireEnded(desktop, pids["ends"])
    desktop.loadCase("case01")
    section = desktop.panel.jobList
    section.refresh()
    desktop.wait(lambda: "running" not in section.state(), "the prediction that goes on")
    _loadNewestResult(desktop)
    assert desktop.panel.parameters.predictiveEntropy is not None


def _requireDone(desktop, job):
    desktop.wait(lambda: job.state.finished, "the prediction that goes on")
    assert job.state == "done", job.state


def _requireEnded(desktop, pid):
    desktop.wait(lambda: not _isAlive(pid), "the end of the worker")


def _shareJobs(desktop):
    """Both Slicers have one folder of jobs."""
    from ObserverUncertaintySlicer.host import JOBS_VARIABLE

    os.environ[JOBS_VARIABLE] = str(desktop.shared / "jobs")


def _start(desktop, keepRunning, samples=15):
    """Start a prediction that takes a while by the panel's button; returns the library's job, and its worker's pid."""
    from ObserverUncertaintyLib.jobs.folder import Heartbeat

    ui = desktop.panel.uncertainty.ui
    ui.samplesSpin.value = samples
    ui.keepRunningCheck.checked = keepRunning
    desktop.wait(lambda: ui.runButton.enabled and str(ui.runButton.text) == "Run the model", "Run")
    ui.runButton.click()
    job = desktop.panel.uncertainty.bar.job.job
    desktop.wait(lambda: job.progress.done > 0, "the first sample")
    return job, Heartbeat.read(job.folder).pid


def _loadNewestResult(desktop):
    section = desktop.panel.jobList
    section.refresh()
    for row, job in enumerate(section._jobs):
        if job.state == "done":
            section.ui.jobTable.selectRow(row)
            section.ui.loadButton.click()
            return
    raise AssertionError("no job is done")


def _isAlive(pid: int) -> bool:
    if Path("/proc").is_dir():
        state = Path(f"/proc/{pid}/stat")
        try:
            return state.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] not in ("Z", "X")
        except OSError:
            return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
