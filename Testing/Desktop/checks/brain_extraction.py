"""Step 1: a head is warned of, and a program that stands in for SynthStrip extracts the brain, by the buttons."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import qt
import slicer
from stand_in_brain import command, with_head, write_program

VIEWS = ("Red", "Green", "Yellow")


def check_a_head_is_warned_of_and_its_brain_extracted(desktop):
    originals = _loadHead(desktop)
    panel, ui = desktop.panel, desktop.panel.case.ui
    assert "do not seem to be skull-stripped" in str(ui.headLabel.text)
    assert ui.headLabel.visible
    assert ui.headButton.visible
    desktop.shot("head")
    panel.uncertainty.open()
    desktop.settle()
    assert panel.uncertainty.ui.headLabel.visible
    desktop.shot("head_in_step_4")
    panel.case.open()
    desktop.settle()
    before = {view: desktop.pixels(view).mean() for view in VIEWS}
    _answer(desktop, _command("peel"))
    ui.headButton.click()
    desktop.waitForJobs()
    desktop.settle()
    assert not panel.case.brain.bar.hasFailed, str(ui.headProgressLabel.text)
    for name, node in panel.parameters.sequences.items():
        assert node.GetName() == f"{originals[name].GetName()} brain"
        kept = slicer.util.arrayFromVolume(node)
        head = slicer.util.arrayFromVolume(originals[name])
        assert 0.3 < np.count_nonzero(kept) / np.count_nonzero(head) < 0.9
    assert not ui.headLabel.visible
    assert not ui.headButton.visible
    assert "found the brain in T1" in str(ui.headProgressLabel.text)
    assert all(desktop.pixels(view).mean() != before[view] for view in VIEWS), "the views show the head still"
    desktop.shot("brain")
    ui.advancedButton.collapsed = False
    desktop.settle()
    assert ui.extractButton.visible
    desktop.shot("button_beside_the_alignment")
    ui.advancedButton.collapsed = True
    desktop.predict()
    assert "skull" not in str(panel.guide.ui.unlikeLabel.text)
    desktop.shot("predicted")


def check_a_program_that_hangs_is_cancelled_and_one_that_fails_is_told(desktop):
    originals = _loadHead(desktop)
    panel, ui = desktop.panel, desktop.panel.case.ui
    program = _command("hang")
    _answer(desktop, program)
    ui.headButton.click()
    desktop.wait(lambda: "looks for the brain" in str(ui.headProgressLabel.text), "the program")
    desktop.shot("running")
    assert str(ui.headButton.text) == "Cancel"
    desktop.wait(lambda: ui.headButton.enabled, "the button")
    ui.headButton.click()
    desktop.waitForJobs()
    assert str(ui.headProgressLabel.text) == "Cancelled."
    _answer(desktop, _command("fail"))
    ui.headButton.click()
    desktop.waitForJobs()
    assert "set STRIP_HOME" in str(ui.headProgressLabel.text)
    desktop.shot("failed")
    assert panel.parameters.sequences == originals


def check_the_dialog_says_how_to_get_a_program(desktop):
    _loadHead(desktop)
    seen = []

    def look(dialog, text):
        desktop.settle()
        seen.append((text, dialog.findChild(qt.QPushButton, "extractButton").enabled))
        desktop.shot("dialog")
        combo = dialog.findChild(qt.QComboBox, "programCombo")
        combo.setCurrentIndex(1)
        combo.activated(1)
        seen.append((str(dialog.findChild(qt.QLabel, "problemLabel").text), None))
        desktop.settle()
        for label in dialog.findChildren(qt.QLabel):
            assert label.height >= label.heightForWidth(label.width), f"{label.text} is cut"
        desktop.shot("dialog_without_the_program")
        dialog.reject()

    desktop.dialogs.decide = look
    slicer.app.userSettings().remove("ObserverUncertainty/BrainExtractionCommand")
    desktop.panel.case.ui.headButton.click()
    desktop.dialogs.decide = None
    (text, isEnabled), (problem, _none) = seen
    assert "HDBrainExtraction" in text
    assert not isEnabled
    assert "no program mri_synthstrip" in problem


def check_the_interface_does_not_freeze_over_a_large_head(desktop):
    """256 x 256 x 150 voxels in four sequences, as large as exams are."""
    from ObserverUncertaintyLib.images.grid import Grid
    from ObserverUncertaintyLib.images.resampling import resample
    from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume, gridOfVolume

    originals = _loadHead(desktop)
    grid = gridOfVolume(originals["T1c"])
    size = (256, 256, 150)
    spacing = tuple(width * n / m for width, n, m in zip(grid.spacing, grid.size, size, strict=True))
    large = Grid(size, spacing, grid.origin, grid.direction)
    volumes = {
        name: addVolume(resample(arrayOfVolume(node), grid, large, "linear"), large, f"large {name}")
        for name, node in originals.items()
    }
    began = time.process_time()
    desktop.panel.parameters.sequences = volumes
    first = time.process_time() - began
    desktop.panel.update()
    again = time.process_time() - began - first
    desktop.tell(f"four large sequences are shown in {first:.2f} s of the processor, and again in {again:.2f} s")
    assert desktop.panel.case.ui.headLabel.visible
    assert first < 3
    assert again < 0.5


def _loadHead(desktop):
    """A small simulated case with a head around its brain; returns its volumes by sequence."""
    desktop.loadCase("case01")
    sequences = dict(desktop.panel.parameters.sequences)
    for node in sequences.values():
        slicer.util.updateVolumeFromArray(node, with_head(slicer.util.arrayFromVolume(node)))
        node.GetDisplayNode().AutoWindowLevelOn()
    desktop.panel.update()
    desktop.settle()
    return sequences


def _command(mode: str) -> str:
    from ObserverUncertaintySlicer.host import workerPython

    return command(write_program(Path(tempfile.mkdtemp())), mode, python=workerPython())


def _answer(desktop, text: str) -> None:
    """Keep the command, which the dialog that comes next shows, and agree to it."""
    from ObserverUncertaintySlicer.brainExtraction import COMMAND_SETTING
    from ObserverUncertaintySlicer.host import saveSetting

    saveSetting(COMMAND_SETTING, text)
    desktop.answerBoxes(("Extract the brain", "Extract"))
