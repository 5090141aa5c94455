"""Steps 1 and 4 warn of a head before the model runs; a program that stands in for others extracts the brain."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from first_step import openPanel
from opened_panel import isOffered, simulatedSequences, waitFor
from section_case import addSequence
from stand_in_brain import command, with_head, write_program

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.foreground import foreground
from ObserverUncertaintyLib.jobs import JobState
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintySlicer import brainExtraction
from ObserverUncertaintySlicer.attributes import textsOf
from ObserverUncertaintySlicer.brainExtraction import COMMAND_SETTING, extractBrain, suggestedCommand
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.headCheck import seemsAHead
from ObserverUncertaintySlicer.host import saveSetting, setting
from ObserverUncertaintySlicer.volumes import arrayOfVolume, importVolume

WARNING = "The images do not seem to be skull-stripped"


@pytest.fixture
def panel(slicerApplication, moduleFile, tmp_path, monkeypatch):
    return openPanel(slicerApplication, moduleFile, tmp_path, monkeypatch)


@pytest.fixture
def ui(panel):
    return panel.case.ui


@pytest.fixture
def program(tmp_path):
    return write_program(tmp_path)


def headSequences(names=("T1c", "FLAIR")):
    """A simulated patient's volumes with a head around the brain."""
    brains = simulatedSequences("Anna")
    for name in names:
        slicer.util.updateVolumeFromArray(brains[name], with_head(arrayOfVolume(brains[name])))
    return {name: brains[name] for name in names}


def answerWith(application, text):
    """Let the dialog that comes next be given a command."""

    def answer(dialog):
        import qt

        slicer.util.findChild(dialog, "commandEdit").text = text
        assert slicer.util.findChild(dialog, "extractButton").enabled, slicer.util.findChild(
            dialog, "problemLabel"
        ).text
        return qt.QDialog.Accepted

    application.dialogs.answer("dialog", answer)


def finished(panel):
    return not panel.case.brain.bar.isRunning


def test_a_head_is_warned_of_in_both_steps_and_a_brain_is_not(panel, ui):
    panel.parameters.sequences = simulatedSequences()
    for label in (ui.headLabel, panel.uncertainty.ui.headLabel):
        assert label.isHidden()
    assert not isOffered(ui.headButton)
    assert isOffered(ui.extractButton), "for who knows better"
    panel.parameters.sequences = headSequences()
    assert WARNING in ui.headLabel.text
    assert isOffered(ui.headButton)
    assert (WARNING in panel.uncertainty.ui.headLabel.text) is (not panel.uncertainty.missing())
    # It is looked at again once the voxels change.
    for node in panel.parameters.sequences.values():
        slicer.util.updateVolumeFromArray(node, arrayOfVolume(simulatedSequences("other")["T1c"]))
    panel.update()
    assert ui.headLabel.isHidden()


def test_the_images_are_looked_at_once(panel, monkeypatch):
    from ObserverUncertaintySlicer.panel import headWarning

    asked = []
    monkeypatch.setattr(headWarning, "seemsAHead", lambda *arguments: bool(asked.append(arguments)))
    panel.parameters.sequences = headSequences()
    for _time in range(3):
        panel.update()
    assert len(asked) == 1


def test_the_stripped_images_take_the_originals_place(slicerApplication, panel, ui, program):
    originals = headSequences()
    panel.parameters.sequences = originals
    panel.parameters.predictiveEntropy = addSequence("entropy of the head")
    answerWith(slicerApplication, command(program, "peel"))
    ui.headButton.click()
    assert (ui.headButton.text, ui.extractButton.text) == ("Cancel", "Cancel")
    waitFor(lambda: finished(panel))
    assert slicerApplication.dialogs.messages == []
    stripped = panel.parameters.sequences
    assert [node.GetName() for node in stripped.values()] == ["Anna T1c brain", "Anna FLAIR brain"], (
        ui.headProgressLabel.text
    )
    brain = foreground(arrayOfVolume(simulatedSequences("again")["T1c"]))
    for name, node in stripped.items():
        assert slicer.mrmlScene.IsNodePresent(originals[name])
        head, kept = arrayOfVolume(originals[name]), arrayOfVolume(node)
        inside = kept != 0
        np.testing.assert_array_equal(kept[inside], head[inside])
        assert np.count_nonzero(inside ^ brain) < 0.15 * brain.sum(), "gaps of two voxels are closed"
        assert textsOf(node)[0][0].endswith(" mL")
    assert ui.headLabel.isHidden()
    assert "found the brain in T1c" in ui.headProgressLabel.text
    assert "Look at the brain" in ui.headProgressLabel.text
    assert panel.parameters.predictiveEntropy is None, "it is of the head"
    assert "no longer this case's" in ui.loadedLabel.text
    assert setting(COMMAND_SETTING) == command(program, "peel")
    # A result can be chosen as a case's image again.
    ui.volumeSelector.setCurrentNode(stripped["T1c"])
    panel.parameters.sequences = {}
    ui.addSequenceButton.click()
    assert list(panel.parameters.sequences.values()) == [stripped["T1c"]]


def test_a_program_that_fails_is_told_and_changes_nothing(slicerApplication, panel, ui, program):
    panel.parameters.sequences = headSequences()
    before = panel.parameters.sequences
    answerWith(slicerApplication, command(program, "fail"))
    ui.extractButton.click()
    waitFor(lambda: finished(panel))
    assert "no model file: set STRIP_HOME" in ui.headProgressLabel.text
    assert panel.case.state() == "the brain was not extracted"
    assert panel.parameters.sequences == before
    assert WARNING in ui.headLabel.text


def test_the_same_button_cancels(slicerApplication, panel, ui, program):
    panel.parameters.sequences = headSequences()
    before = panel.parameters.sequences
    answerWith(slicerApplication, command(program, "hang"))
    ui.headButton.click()
    job = panel.case.brain.bar.job
    waitFor(program.with_name("started").exists)
    waitFor(lambda: ui.headButton.enabled and "looks for the brain" in ui.headProgressLabel.text)
    ui.headButton.click()
    waitFor(lambda: finished(panel))
    assert job.state is JobState.CANCELLED
    assert panel.parameters.sequences == before


def test_a_case_that_was_loaded_meanwhile_is_left_alone(slicerApplication, panel, ui, program):
    panel.parameters.sequences = headSequences()
    answerWith(slicerApplication, command(program, "peel"))
    ui.headButton.click()
    other = {"T1c": addSequence("other T1c")}
    panel.case.loading.apply(LoadedCase("other", other, []))
    waitFor(lambda: finished(panel))
    assert panel.parameters.sequences == other
    assert "In the scene only" in ui.headProgressLabel.text
    assert "Anna T1c brain" in ui.headProgressLabel.text


def test_the_dialog_says_what_is_missing_and_changes_nothing_without_an_answer(
    slicerApplication, panel, ui, monkeypatch
):
    import qt

    monkeypatch.setattr(brainExtraction.shutil, "which", lambda _program: None)
    opened = []
    module = SimpleNamespace(name="HDBrainExtractionTool", title="HD Brain Extraction Tool")
    monkeypatch.setattr(slicer.modules, "hdbrainextractiontool", module, raising=False)
    monkeypatch.setattr(slicer.util, "selectModule", opened.append)

    def look(dialog):
        programs, edit = slicer.util.findChild(dialog, "programCombo"), slicer.util.findChild(dialog, "commandEdit")
        extract, problem = slicer.util.findChild(dialog, "extractButton"), slicer.util.findChild(dialog, "problemLabel")
        assert (edit.text, extract.enabled) == ("", False)
        assert "Choose a program" in problem.text
        programs.setCurrentIndex(1)
        programs.activated.emit(1)
        assert edit.text == "mri_synthstrip -i {input} -m {mask}"
        assert "no program mri_synthstrip on this computer's search path" in problem.text
        edit.text = "strip"
        assert "{input} for the image" in problem.text
        assert programs.currentIndex == 0
        assert not extract.enabled
        (other,) = [each for each in dialog.findChildren(qt.QPushButton) if each.text.startswith("Open ")]
        assert other.text == "Open HD Brain Extraction Tool"
        other.click()
        return qt.QDialog.Rejected

    slicerApplication.dialogs.answer("dialog", look)
    panel.parameters.sequences = headSequences()
    before = panel.parameters.sequences
    ui.headButton.click()
    assert opened == ["HDBrainExtractionTool"]
    assert finished(panel)
    assert panel.parameters.sequences == before
    assert setting(COMMAND_SETTING) == ""


def test_what_is_on_the_search_path_is_suggested_until_a_command_was_kept(panel, monkeypatch):
    monkeypatch.setattr(brainExtraction.shutil, "which", lambda program: program if program == "hd-bet" else None)
    assert suggestedCommand().startswith("hd-bet -i {input} -o {output}")
    saveSetting(COMMAND_SETTING, "mine {input} {output}")
    assert suggestedCommand() == "mine {input} {output}"


def test_scripts_name_the_command_and_the_reference(panel, program):
    sequences = headSequences()
    found = extractBrain(sequences, command(program, "peel", python=sys.executable), "FLAIR").result()
    assert "found the brain in FLAIR" in found.notes[0]
    assert found.volumeMl > 0
    assert list(found.sequences) == ["T1c", "FLAIR"]
    with pytest.raises(InputError, match="no sequence"):
        extractBrain({})
    with pytest.raises(InputError, match=r"\{input\} for the image"):
        extractBrain(sequences, "strip")


@pytest.mark.parametrize(
    ("files", "isHead"),
    [
        ({"T1c": "post_op_t1c/patient01/T1c.nii.gz"}, True),
        ({"T1c": "post_op_t1c/patient02/T1c.nii.gz"}, True),
        ({"T1c": "open_ms_unregistered/patient01/study1_T1W.nii.gz"}, True),
        ({"T1c": "open_ms_unregistered/patient01/study2_T1W.nii.gz"}, True),
        ({name: f"open_ms/patient07/{name}.nii.gz" for name in ("T1", "T1c", "T2", "FLAIR")}, False),
        ({name: f"open_ms/patient19/{name}.nii.gz" for name in ("T1", "T1c", "T2", "FLAIR")}, False),
        ({"T1c": "open_ms/patient07/T1c.nii.gz"}, False),
    ],
)
def test_real_heads_are_told_from_real_brains(scene, testData, files, isHead):
    nodes = {name: importVolume(testData / file, name) for name, file in files.items()}
    assert seemsAHead(nodes, read_description(shipped_model())) is isHead
