"""Drawing as a further rater, and unsaved work that outlives Slicer: with the mouse, scenes and killed processes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import slicer
from desktop import newSlicer


def check_a_further_rater_sees_the_image_alone_until_it_is_finished(desktop):
    panel, copy = _startDrawing(desktop)
    assert not _colours(desktop), "something of the others is seen"
    raters = desktop.voxels(panel.parameters.raters[0].node)
    _paint(desktop)
    assert _colours(desktop), "the contour that is drawn is seen"
    drawn = _contour(copy)
    desktop.shot("drawing")
    # Other modules and steps bring nothing back; what the model finds meanwhile stays hidden too.
    slicer.util.selectModule("Data")
    desktop.settle()
    slicer.util.selectModule("ObserverUncertainty")
    panel.disagreement.ui.fuseButton.click()
    panel.disagreement.ui.expertEntropyButton.click()
    desktop.predict()
    panel.correct.open()
    desktop.settle()
    copy.GetDisplayNode().SetVisibility(False)
    assert not _colours(desktop), "something came back"
    copy.GetDisplayNode().SetVisibility(True)
    desktop.shot("still_alone")
    panel.correct.ui.finishButton.click()
    desktop.settle()
    assert len(panel.parameters.raters) == 4
    assert (_contour(panel.parameters.raters[-1].node) == drawn).all()
    assert desktop.voxels(panel.parameters.raters[0].node) == raters
    assert _colours(desktop)
    assert panel.parameters.raters[0].node.GetDisplayNode().GetVisibility()
    desktop.wait(lambda: "of 4 raters" in panel.parameters.fusedSegmentation.GetName(), "the fusion of four raters")
    desktop.shot("finished")
    _export(desktop, panel.correct.ui.furtherExportButton, "finished")
    assert not _folders(), "a file has the contour"


def check_a_drawing_goes_on_blind_in_a_loaded_scene(desktop):
    _panel, copy = _startDrawing(desktop)
    _paint(desktop)
    drawn = _contour(copy)
    path = desktop.shared / "drawing.mrb"
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(0)
    desktop.settle()
    slicer.util.loadScene(str(path), {"clear": True})
    desktop.settle()
    panel, copy = desktop.panel, desktop.panel.parameters.workingCopy
    assert (_contour(copy) == drawn).all()
    copy.GetDisplayNode().SetVisibility(False)
    assert not _colours(desktop), "something of the others is seen"
    copy.GetDisplayNode().SetVisibility(True)
    desktop.shot("loaded")
    assert panel.correct.ui.editor.segmentationNode() is copy
    panel.correct.open()
    desktop.answerBoxes(("Throw away what Dora drew", "OK"))
    panel.correct.ui.discardDrawingButton.click()
    desktop.settle()
    assert len(panel.parameters.raters) == 3
    assert panel.parameters.raters[0].node.GetDisplayNode().GetVisibility()
    assert not _folders(), "what is thrown away is not offered again"


def check_slicer_is_killed_while_one_corrects(desktop):
    script = desktop.shared / "killed.py"
    told = desktop.shared / "told.json"
    script.write_text(_KILLED.format(here=str(Path(__file__).parents[1]), task=desktop.task, told=str(told)), "utf-8")
    folder = str(Path(slicer.modules.observeruncertainty.path).parent)
    options = ["--no-splash", "--disable-settings", "--additional-module-paths", folder]
    environment = {**os.environ, "OBSERVER_UNCERTAINTY_JOBS": str(_shareJobs(desktop))}
    log = (desktop.shared / "killed.log").open("wb")  # else it would come into this application's log
    command = [desktop.task["slicer"], *options, "--python-script", str(script)]
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        desktop.wait(lambda: told.exists() or process.poll() is not None, "the other Slicer's stroke", 200)
        content = json.loads(told.read_text(encoding="utf-8"))
        desktop.loadCase("case01")
        assert not desktop.panel.correct.ui.restoreButton.visible, "the work of a Slicer that runs is its own"
    finally:
        # The application itself, which the launcher started, by the id that it told.
        if told.exists():
            os.kill(json.loads(told.read_text(encoding="utf-8"))["pid"], 9)
        process.kill()
        process.wait()
    slicer.mrmlScene.Clear(0)
    desktop.loadCase("case01")
    correct = desktop.panel.correct
    correct.open()
    desktop.settle()
    assert correct.ui.restoreButton.visible
    assert str(correct.ui.unsavedLabel.text).startswith("Unsaved work on case01 of "), correct.ui.unsavedLabel.text
    desktop.shot("offered")
    correct.ui.restoreButton.click()
    desktop.settle()
    assert next(iter(desktop.voxels(desktop.panel.parameters.workingCopy).values()))[1] == content["hash"]
    assert not correct.ui.restoreButton.visible
    correct.ui.authorEdit.text = "Anna"
    correct.ui.saveButton.click()
    assert len(_folders()) == 1, "the scene alone has the review"
    _export(desktop, correct.ui.exportButton, "reviewed")
    assert not _folders()


def check_slicer_is_left_right_after_a_stroke(desktop):
    _shareJobs(desktop)
    _panel, copy = _startDrawing(desktop)
    _paint(desktop)
    (voxels,) = desktop.voxels(copy).values()
    (desktop.shared / "left.json").write_text(json.dumps(voxels[1]), encoding="utf-8")
    desktop.panel.correct.unsaved.keepNow()  # forget what the timer is about to write, and draw once more
    _paint(desktop, 0.6)
    (voxels,) = desktop.voxels(copy).values()
    (desktop.shared / "left.json").write_text(json.dumps(voxels[1]), encoding="utf-8")


@newSlicer
def check_what_was_drawn_last_is_there_in_the_next_slicer(desktop):
    _shareJobs(desktop)
    desktop.loadCase("case01")
    correct = desktop.panel.correct
    correct.open()
    assert str(correct.ui.unsavedLabel.text).startswith("Unsaved contour of rater Dora on case01 of ")
    correct.ui.restoreButton.click()
    desktop.settle()
    copy = desktop.panel.parameters.workingCopy
    expected = json.loads((desktop.shared / "left.json").read_text(encoding="utf-8"))
    assert next(iter(desktop.voxels(copy).values()))[1] == expected
    copy.GetDisplayNode().SetVisibility(False)
    assert not _colours(desktop), "something of the others is seen"
    copy.GetDisplayNode().SetVisibility(True)
    desktop.shot("restored")
    correct.ui.finishButton.click()
    desktop.settle()
    assert [rater.name for rater in desktop.panel.parameters.raters][-1] == "Dora"
    assert len(_folders()) == 1, "the scene alone has the contour"
    _export(desktop, correct.ui.furtherExportButton, "restored")
    assert not _folders()


def check_keeping_a_full_size_contour_is_not_felt(desktop):
    """At 1 mm; the time is told, and only what nobody could overlook fails: another program may use the computer."""
    import time

    from ObserverUncertaintyLib.images.grid import Grid
    from ObserverUncertaintySlicer.segments import addSegmentation, setSegment
    from ObserverUncertaintySlicer.volumes import addVolume

    grid = Grid((182, 218, 182), (1.0, 1.0, 1.0), (-90.0, -126.0, -72.0))
    k, j, i = np.ogrid[:182, :218, :182]
    ball = ((k - 90) ** 2 + (j - 100) ** 2 + (i - 80) ** 2) < 30**2
    parameters, correct = desktop.panel.parameters, desktop.panel.correct
    parameters.sequences = {"T1": addVolume(np.where(ball, 100.0, 50.0), grid, "T1")}
    parameters.segmentation = addSegmentation(ball, grid, "model", "cavity", (0, 0, 1))
    correct.open()
    correct.ui.startButton.click()
    copy, seconds = correct.workingCopy, []
    for number in range(5):
        ball[60 + number] = False
        setSegment(copy.node, copy.segmentID, ball, grid)
        began, used = time.perf_counter(), time.process_time()
        correct.unsaved.keepNow()
        seconds.append((time.perf_counter() - began, time.process_time() - used))
    elapsed, used = np.median(seconds, axis=0)
    desktop.tell(f"keeping 182 x 218 x 182 voxels: {elapsed:.2f} s, of them {used:.2f} s of the processor")
    assert len(_folders()) == 1
    assert elapsed < 3


_KILLED = """
import json, os, sys
from pathlib import Path
import qt, slicer

sys.path[:0] = [{here!r}, str(Path({here!r}).parent)]
from desktop import Desktop


def work():
    desktop = Desktop({task!r})
    desktop.begin("killed")
    desktop.loadCase("case01")
    correct = desktop.panel.correct
    correct.open()
    correct.ui.startButton.click()
    correct.ui.editor.setActiveEffectByName("Paint")
    desktop.mouse("Red", [(0.4, 0.3), (0.5, 0.3)])
    (voxels,) = desktop.voxels(desktop.panel.parameters.workingCopy).values()
    desktop.wait(lambda: correct.unsaved._pending is None, "what the timer writes")
    Path({told!r} + ".new").write_text(json.dumps({{"hash": voxels[1], "pid": os.getpid()}}))
    os.replace({told!r} + ".new", {told!r})


qt.QTimer.singleShot(0, work)
"""


def _shareJobs(desktop) -> Path:
    """All Slicers of this topic have one folder of jobs, and with it of unsaved work."""
    from ObserverUncertaintySlicer.host import JOBS_VARIABLE

    folder = desktop.shared / "jobs"
    os.environ[JOBS_VARIABLE] = str(folder)
    return folder


def _folders():
    from ObserverUncertaintySlicer.unsavedWork import unsavedFolder

    return list(unsavedFolder().glob("*/record.json"))


def _export(desktop, button, name):
    desktop.fileDialogs((desktop.shared / name, "NRRD"))
    button.click()


def _startDrawing(desktop):
    desktop.loadCase("case01")
    panel = desktop.panel
    panel.disagreement.ui.expertEntropyButton.click()
    panel.correct.open()
    assert _colours(desktop), "the raters and their disagreement are seen"
    panel.correct.ui.furtherRaterButton.collapsed = False
    panel.correct.ui.furtherNameEdit.text = "Dora"
    panel.correct.ui.furtherStartButton.click()
    desktop.settle()
    return panel, panel.parameters.workingCopy


def _paint(desktop, row=0.4):
    desktop.panel.correct.ui.editor.setActiveEffectByName("Paint")
    desktop.mouse("Red", [(0.45, row), (0.55, row)])
    desktop.panel.correct.ui.editor.setActiveEffectByName("")
    desktop.settle()


def _contour(node):
    from ObserverUncertaintySlicer.raterMasks import raterMask
    from ObserverUncertaintySlicer.raters import ratersOfNode
    from ObserverUncertaintySlicer.segments import keptGrid

    (contour,) = ratersOfNode(node)
    return raterMask(contour, keptGrid(node))[0]


def _colours(desktop) -> int:
    """How many pixels in the middle of the views are no grey: of contours and maps. The axes lie in a corner."""
    found = 0
    for name in ("Red", "Green", "Yellow"):
        picture = desktop.pixels(name).astype(int)
        height, width, _rgb = picture.shape
        inner = picture[int(0.1 * height) : int(0.75 * height), int(0.1 * width) : int(0.98 * width)]
        found += int((inner.max(axis=2) - inner.min(axis=2) > 40).sum())
    return found
