"""Step 1 of the panel: alignment and the sample case, by real jobs in another process."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
from first_step import add, openPanel
from opened_panel import waitFor
from section_case import addSequence, cells, head
from simulated_cases import simulatedCase

from ObserverUncertaintyLib.images.grid import same_grid
from ObserverUncertaintyLib.jobs import JobState
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.volumes import addVolume, gridOfVolume


@pytest.fixture
def panel(slicerApplication, moduleFile, tmp_path, monkeypatch):
    return openPanel(slicerApplication, moduleFile, tmp_path, monkeypatch)


@pytest.fixture
def section(panel):
    return panel.case


@pytest.fixture(scope="module")
def simulated():
    return simulatedCase(seed=1, inPlane=2.5, thickness=5.0)


def test_sequences_that_hardly_overlap_are_pointed_out_until_something_changes(panel, section):
    far = addSequence("case T2", shift=(5, 9, 9))
    panel.parameters.sequences = {"T1": addSequence("case T1"), "T2": far}
    assert section.ui.alignmentLabel.text == "Alignment is not checked yet."
    section.ui.checkAlignmentButton.click()
    assert "T2 hardly overlaps T1 (Dice 0." in section.ui.alignmentLabel.text
    slicer.util.updateVolumeFromArray(far, head())
    panel.update()
    assert section.ui.alignmentLabel.text == "Alignment is not checked yet."
    section.ui.checkAlignmentButton.click()
    assert section.ui.alignmentLabel.text == "All sequences overlap T1."


def test_alignment_replaces_the_moved_sequences_and_says_how_far(slicerApplication, panel, section, simulated):
    shift = np.array([6.0, -4.0, 3.0])
    away = replace(simulated.grid, origin=tuple(np.add(simulated.grid.origin, shift).tolist()))
    t1 = addVolume(simulated.image("T1"), simulated.grid, "case T1")
    t2 = addVolume(simulated.image("T2"), away, "case T2")
    panel.parameters.sequences = {"T1": t1, "T2": t2}
    section.ui.alignButton.click()
    assert section.ui.alignButton.text == "Cancel"
    assert not section.ui.alignBar.isHidden()
    panel.update()
    waitFor(lambda: section.ui.alignButton.enabled)
    waitFor(lambda: not section._align.isRunning)
    assert section.ui.alignButton.text == "Align to the reference"
    assert section.ui.alignBar.isHidden()
    aligned = section.parameters.sequences
    assert aligned["T1"] is t1
    assert aligned["T2"] is not t2
    assert same_grid(gridOfVolume(aligned["T2"]), gridOfVolume(t1))
    assert slicer.mrmlScene.IsNodePresent(t2)
    text = section.ui.alignmentLabel.text
    assert "already" not in text
    found = float(text.split("shift ")[1].split(" mm")[0])
    assert found == pytest.approx(np.linalg.norm(shift), abs=1.5)
    assert "T2 was aligned: rotation" in text
    assert "All sequences overlap T1." in text


def test_what_is_aligned_already_stays_and_this_is_said(slicerApplication, panel, section, simulated):
    names = ("T1", "T2")
    sequences = {name: addVolume(simulated.image(name), simulated.grid, name) for name in names}
    panel.parameters.sequences = sequences
    section.ui.alignButton.click()
    waitFor(lambda: not section._align.isRunning)
    assert section.parameters.sequences == sequences
    assert slicer.mrmlScene.GetFirstNodeByName("T2 aligned") is None
    line = section.ui.alignmentLabel.text.splitlines()[0]
    assert line.startswith("T2 was aligned already and stays as it is (moved by 0.")
    section.ui.sequencesTable.selectRow(1)
    section.ui.makeReferenceButton.click()
    assert "already" not in section.ui.alignmentLabel.text


def test_alignment_that_ends_after_another_case_was_loaded_leaves_that_case_alone(
    slicerApplication, panel, section, simulated
):
    names = ("T1", "T2")
    away = replace(simulated.grid, origin=tuple(np.add(simulated.grid.origin, (6.0, -4.0, 3.0)).tolist()))
    panel.parameters.sequences = {
        name: addVolume(simulated.image(name), grid, name)
        for name, grid in zip(names, (simulated.grid, away), strict=True)
    }
    section.ui.alignButton.click()
    other = {name: addSequence(f"other {name}") for name in names}
    section.loading.apply(LoadedCase("other", other, []))
    waitFor(lambda: not section._align.isRunning)
    assert section.parameters.sequences == other
    assert slicer.mrmlScene.GetFirstNodeByName("T2 aligned") is not None
    assert "T2" in section.ui.alignProgressLabel.text
    assert not section.ui.alignProgressLabel.isHidden()


def test_a_sequence_that_was_renamed_during_its_alignment_is_replaced(panel, section):
    t1, t2, aligned = addSequence("a"), addSequence("b"), addSequence("b aligned")
    panel.parameters.sequences = {"T1": t1, "T2": t2}
    section._aligning = {"T1": t1.GetID(), "T2": t2.GetID()}
    panel.parameters.sequences = {"T1": t1, "FLAIR": t2}
    section._useAligned({"T1": t1, "T2": aligned})
    assert panel.parameters.sequences == {"T1": t1, "FLAIR": aligned}
    assert section.ui.alignProgressLabel.text == ""


def test_alignment_is_cancelled_by_the_same_button(slicerApplication, panel, section, simulated):
    names = ("T1", "T1c", "T2", "FLAIR")
    sequences = {name: addVolume(simulated.image(name), simulated.grid, name) for name in names}
    panel.parameters.sequences = sequences
    section.ui.alignButton.click()
    job = section._align.job
    waitFor(lambda: section.ui.alignButton.enabled)
    section.ui.alignButton.click()
    waitFor(lambda: not section._align.isRunning)
    assert job.state is JobState.CANCELLED
    assert section.parameters.sequences == sequences
    assert section.ui.alignProgressLabel.text.startswith("Cancelled")
    assert section.ui.alignButton.enabled
    assert slicerApplication.dialogs.messages == []


def test_the_scene_may_close_in_the_middle_of_the_alignment(slicerApplication, panel, section, simulated):
    names = ("T1", "T2")
    panel.parameters.sequences = {name: addVolume(simulated.image(name), simulated.grid, name) for name in names}
    section.ui.alignButton.click()
    job = section._align.job
    slicer.mrmlScene.Clear()
    assert not section._align.isRunning
    waitFor(lambda: job.state.finished)
    assert section.state() == "no image yet"
    assert section.ui.sequencesTable.rowCount == 0
    add(section, addSequence("next T1"))
    assert list(section.parameters.sequences) == ["T1"]
    assert slicerApplication.dialogs.messages == []


def test_the_sample_case_is_made_once_in_the_background_and_then_kept(slicerApplication, panel, section):
    section.ui.loadSampleButton.click()
    assert section.loading.bar.isRunning
    assert section.ui.loadSampleButton.text == "Cancel"
    waitFor(lambda: not section.loading.bar.isRunning)
    assert slicerApplication.dialogs.messages == []
    assert section.state() == "T1, T1c, T2, FLAIR; 3 raters, mean Dice 0.89"
    assert all(float(row[2]) > 0 for row in cells(section.ui.ratersTable))
    slicer.mrmlScene.Clear()
    assert section.state() == "no image yet"
    section.ui.loadSampleButton.click()
    assert not section.loading.bar.isRunning
    assert section.state() == "T1, T1c, T2, FLAIR; 3 raters, mean Dice 0.89"
