"""Step 6: a cohort is predicted as a queue by the real dialogs; its cases are reviewed meanwhile; Slicer may end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import slicer
from controls import measure
from desktop import newSlicer

SCREEN = (1920, 1080)
MOST_IN_A_STEP, WIDEST = 25, 420
SLOW, LEFT_ALONE = 30, 20
"""Samples of a queue that is worked beside, and of one that Slicer leaves alone."""


def check_a_case_is_reviewed_while_the_queue_runs(desktop):
    manifest = _cohort(desktop, "reviewed meanwhile")
    correct = _start(desktop, manifest, SLOW)
    ui = correct.ui
    desktop.wait(lambda: "1 of 4" in str(ui.queueLabel.text), "the first case")
    desktop.shot("begun")
    desktop.wait(lambda: _names(correct), "a case that is complete")
    assert correct.queue.bar.isRunning
    ui.nextCaseButton.click()
    desktop.settle()
    parameters = desktop.panel.parameters
    copy, name = parameters.workingCopy, parameters.caseName
    ui.editor.setActiveEffectByName("Paint")
    desktop.mouse("Red", [(0.5, 0.5), (0.56, 0.56)])
    painted, listed = desktop.voxels(copy), len(_names(correct))
    assert correct.queue.bar.isRunning
    desktop.tell(f"while it runs: {ui.queueLabel.text}")
    desktop.shot("meanwhile")
    size = measure(desktop)
    desktop.tell(str(size))
    assert len(size.controls) <= MOST_IN_A_STEP, size.controls
    assert size.narrowest <= WIDEST
    accept = ui.acceptButton.mapTo(correct.widget, ui.acceptButton.rect.topLeft()).y()
    desktop.wait(lambda: len(_names(correct)) > listed, "the next case")
    desktop.settle()
    moved = ui.acceptButton.mapTo(correct.widget, ui.acceptButton.rect.topLeft()).y() - accept
    desktop.tell(f"the button below the list moved by {moved} pixels when a case came")
    assert parameters.workingCopy is copy
    assert desktop.voxels(copy) == painted
    assert str(ui.editor.activeEffect().name) == "Paint"
    desktop.wait(lambda: not correct.queue.bar.isRunning, "the queue", seconds=600)
    desktop.settle()
    assert not correct.queue.bar.hasFailed, ui.queueLabel.text
    assert sorted(_names(correct)) == ["case01", "case02", "case03"]
    assert str(ui.queueLabel.text) == "3 of 4 cases are predicted."
    assert "damaged" in str(ui.caseListLabel.text)
    assert "incomplete or damaged" in str(ui.caseListLabel.toolTip)
    desktop.shot("ended")
    ui.authorEdit.text = "Anna"
    ui.saveButton.click()
    desktop.settle()
    assert "beside the predictions" in str(ui.savedLabel.text), ui.savedLabel.text
    ui.nextCaseButton.click()
    desktop.settle()
    assert parameters.caseName not in ("", name)


check_a_case_is_reviewed_while_the_queue_runs.seconds = 900


def check_a_cancelled_queue_goes_on_where_it_was(desktop):
    manifest = _cohort(desktop, "cancelled")
    correct = _start(desktop, manifest, SLOW)
    desktop.wait(lambda: _names(correct), "a case that is complete")
    correct.ui.queueButton.click()
    desktop.wait(lambda: not correct.queue.bar.isRunning, "the end of it")
    desktop.settle()
    assert str(correct.ui.queueLabel.text).startswith("Cancelled. What was complete is kept in")
    done = _reports(manifest)
    assert 0 < len(done) < 3
    desktop.shot("cancelled")
    correct = _start(desktop, manifest, SLOW)
    desktop.wait(lambda: not correct.queue.bar.isRunning, "the queue", seconds=600)
    assert str(correct.ui.queueLabel.text) == "3 of 4 cases are predicted.", correct.ui.queueLabel.text
    assert {name: _reports(manifest)[name] for name in done} == done


check_a_cancelled_queue_goes_on_where_it_was.seconds = 900


def check_slicer_is_left_while_a_queue_runs(desktop):
    _shareJobs(desktop)
    correct = _start(desktop, _cohort(desktop, "overnight"), LEFT_ALONE)
    desktop.wait(lambda: "1 of 4" in str(correct.ui.queueLabel.text), "the first case")


@newSlicer
def check_the_queue_is_found_again_followed_and_listed(desktop):
    _shareJobs(desktop)
    jobs, correct = desktop.panel.jobList, desktop.panel.correct
    jobs.refresh()
    jobs.open()
    jobs.ui.jobTable.selectRow(0)
    desktop.shot("found")
    if jobs.ui.followButton.enabled:  # a fast machine may be through already
        jobs.ui.followButton.click()
        assert correct.queue.bar.isRunning
        desktop.wait(lambda: not correct.queue.bar.isRunning, "the queue", seconds=600)
        assert str(correct.ui.queueLabel.text) == "3 of 4 cases are predicted.", correct.ui.queueLabel.text
    slicer.mrmlScene.Clear(0)
    desktop.settle()
    jobs.refresh()
    jobs.ui.jobTable.selectRow(0)
    jobs.ui.loadButton.click()
    assert str(jobs.ui.loadedLabel.text) == "Step 6 lists the cases."
    correct.open()
    desktop.settle()
    assert sorted(_names(correct)) == ["case01", "case02", "case03"]
    desktop.shot("listed")


check_the_queue_is_found_again_followed_and_listed.seconds = 900


def _cohort(desktop, name):
    """The small cohort with a fourth case whose image is cut off; returns its manifest."""
    source, folder = Path(desktop.task["cohort"]).parent, desktop.shared / f"Müllers {name}"
    shutil.copytree(source, folder)
    shutil.copytree(folder / "case01", folder / "damaged")
    for image in (folder / "damaged").glob("T1.*"):
        image.write_bytes(image.read_bytes()[:-1000])
    manifest = folder / "cohort.toml"
    text = manifest.read_text(encoding="utf-8").replace('"case03"]', '"case03", "damaged"]')
    manifest.write_text(text, encoding="utf-8")
    return manifest


def _start(desktop, manifest, samples):
    correct = desktop.panel.correct
    correct.open()
    correct.ui.casesButton.collapsed = False
    desktop.panel.parameters.samples = samples
    desktop.panel.parameters.device = "cpu"
    desktop.fileDialogs(manifest)
    desktop.answerBoxes(("Predict cases", "Start"))
    correct.ui.queueButton.click()
    desktop.settle()
    assert correct.queue.bar.isRunning
    return correct


def _reports(manifest):
    folder = manifest.with_name("cohort-predictions")
    return {file.parent.name: file.stat().st_mtime_ns for file in folder.glob("*/prediction.json")}


def _names(correct):
    table = correct.ui.caseTable
    return [] if table.isHidden() else [str(table.item(row, 0).text()) for row in range(table.rowCount)]


def _shareJobs(desktop):
    """Both Slicers have one folder of jobs."""
    from ObserverUncertaintySlicer.host import JOBS_VARIABLE

    os.environ[JOBS_VARIABLE] = str(desktop.shared / "jobs of both")
