"""Learning in step 6: a tiny model learns from a review in a real process, and is used only if the user says so."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from first_step import theMessage
from opened_panel import DISCS, discImage, isOffered, openPanel, waitFor, writeDiscs

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.manifest import read_manifest
from ObserverUncertaintyLib.formats import read_mask, write_image, write_mask
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.learning import isBegunIn, learnFromReviews
from ObserverUncertaintySlicer.modelCards import readCard
from ObserverUncertaintySlicer.segments import setSegment


@pytest.fixture
def panel(workerPython, slicerApplication, moduleFile, monkeypatch, tmp_path):
    monkeypatch.setenv(host.PYTHON_VARIABLE, str(workerPython))
    panel = openPanel(slicerApplication, moduleFile, monkeypatch, tmp_path)
    panel.parameters.device = "cpu"
    panel.correct.open()
    return panel


@pytest.fixture(scope="module")
def predicted(tmp_path_factory, workerPython):
    """A folder with a cohort of four discs, a tiny model that was trained on it, and the model's predictions."""
    folder = tmp_path_factory.mktemp("predicted")
    manifest = writeDiscs(folder / "cohort")
    for number in (3, 4):
        image, distance = discImage(number)
        write_image(manifest.parent / f"p{number}" / "t1.nrrd", image, DISCS)
        write_mask(manifest.parent / f"p{number}" / "anna.nrrd", distance < 5, DISCS)
    small = ["--fusion", "none", "--epochs", "2", "--depth", "1", "--filters", "2"]
    for command in (
        ["train", str(manifest), "--out", str(folder / "model"), *small],
        ["predict", str(folder / "model"), str(manifest), "--out", str(folder / "predictions"), "--samples", "2"],
    ):
        whole = [str(workerPython), "-m", "ObserverUncertaintyLib.cli", *command, "--device", "cpu"]
        subprocess.run(whole, check=True, capture_output=True)
    return folder


@pytest.fixture
def reviewed(panel, slicerApplication, predicted, tmp_path):
    """The discs' list, whose worst case was drawn larger and saved as reviewed."""
    shutil.copytree(predicted, tmp_path, dirs_exist_ok=True)
    panel.modelInUse.choose(tmp_path / "model")
    section = panel.correct
    slicerApplication.dialogs.answer("getOpenFileName", str(tmp_path / "cohort" / "cohort.toml"))
    slicerApplication.dialogs.answer("getExistingDirectory", str(tmp_path / "predictions"))
    section.ui.openListButton.click()
    assert section.ui.learnButton.isHidden(), "there is no review yet"
    section.ui.nextCaseButton.click()
    drawn = discImage(int(panel.parameters.caseName[1:]))[1] < 8
    copy = section.workingCopy
    setSegment(copy.node, copy.segmentID, drawn, DISCS)
    section.ui.authorEdit.text = "Anna"
    section.ui.saveButton.click()
    (file,) = section.cases.reviews.rglob("*.seg.nrrd")
    np.testing.assert_array_equal(read_mask(file).array, drawn)
    return section


def learn(section, slicerApplication, folder, answer="Ok"):
    """Click, choose the folder and answer the question; returns what was asked."""
    import qt

    slicerApplication.dialogs.answer("getExistingDirectory", str(folder))
    slicerApplication.dialogs.answer("message", getattr(qt.QMessageBox, answer))
    section.ui.learnButton.click()
    return slicerApplication.dialogs.messages.pop().text


def finish(section):
    waitFor(lambda: not section.learning.bar.isRunning)


def test_a_model_learns_and_the_user_chooses(reviewed, panel, slicerApplication, tmp_path):
    section, ui, old = reviewed, reviewed.ui, panel.modelInUse.folder
    before = {file: file.read_bytes() for file in (tmp_path / "cohort").rglob("*") if file.is_file()}
    case = panel.parameters.caseName
    assert isOffered(ui.learnButton)
    assert ui.learnButton.text == "Learn from 1 review…"
    question = learn(section, slicerApplication, tmp_path / "learnt")
    for part in (f"Reviews: 1, of {case}, by Anna.", "The model model is trained on", str(tmp_path / "learnt")):
        assert part in question
    assert "Careful" not in question
    assert section.learning.bar.isRunning
    assert ui.learnedBox.isHidden()
    finish(section)
    assert not section.learning.bar.hasFailed, ui.learnLabel.text
    text = ui.learnLabel.text
    assert text.startswith("Corrected cases (1): Dice ")
    assert "Other cases (1, not trained on): Dice " in text
    table = [re.findall(r"<t[hd][^>]*>([^<]*)", row) for row in ui.comparisonLabel.text.split("<tr>")[1:]]
    assert table[0] == ["Case", "Dice with", "Old", "New", "Change"]
    assert {row[1]: row[0] == case for row in table[1:]} == {"review": True, "majority": False}
    for row in table[1:]:
        assert float(row[4]) == pytest.approx(float(row[3]) - float(row[2]), abs=0.0011)
    assert ui.learnButton.isHidden(), "first comes the choice"
    assert panel.modelInUse.folder == old, "nothing is replaced unasked"
    assert {file: file.read_bytes() for file in before} == before
    raters = read_manifest(tmp_path / "learnt" / "cohort" / "cohort.toml").raters
    assert list(raters) == ["anna", "ben", "reviewed by Anna"]
    ui.useModelButton.click()
    assert panel.modelInUse.folder == tmp_path / "learnt" / "model"
    assert readCard(panel.modelInUse.folder).description.training["start_from"]
    assert ui.learnedBox.isHidden()
    assert "The new model is in use: learnt/model." in ui.chosenLabel.text
    # Another learning from the same reviews, which are of the model before.
    question = learn(section, slicerApplication, tmp_path / "again", "Cancel")
    assert "Careful: 1 of the reviews are of another model's contour" in question
    assert not section.learning.bar.isRunning
    assert not (tmp_path / "again").exists()


def test_the_old_model_is_kept_and_a_learning_of_another_session_is_shown(reviewed, panel, slicerApplication, tmp_path):
    section, ui, old = reviewed, reviewed.ui, panel.modelInUse.folder
    learn(section, slicerApplication, tmp_path / "learnt")
    finish(section)
    ui.keepModelButton.click()
    assert panel.modelInUse.folder == old
    assert ui.chosenLabel.text == "The old model stays in use. The new one stays in learnt/model."
    assert ui.learnLabel.isHidden()
    jobs = panel.jobList
    jobs.refresh()
    jobs.ui.jobTable.selectRow(0)
    assert jobs.selected.request.kind == "learn"
    jobs.ui.loadButton.click()
    assert isOffered(ui.useModelButton)
    assert ui.learnLabel.text.startswith("Corrected cases (1)")
    assert panel.modelInUse.folder == old


def test_a_cancelled_learning_says_where_it_can_be_gone_on_with(reviewed, panel, slicerApplication, tmp_path):
    section, ui = reviewed, reviewed.ui
    learn(section, slicerApplication, tmp_path / "learnt")
    waitFor(lambda: ui.learnButton.enabled)
    assert ui.learnButton.text in ("Cancel", "Cancelling…")
    ui.learnButton.click()
    finish(section)
    assert ui.learnLabel.text == f"Cancelled. What was complete is kept in {tmp_path / 'learnt'}"
    assert ui.learnButton.text == "Learn from 1 review…"
    assert ui.learnedBox.isHidden()
    if (tmp_path / "learnt" / "cohort").exists():
        assert "is gone on with" in learn(section, slicerApplication, tmp_path / "learnt")
        finish(section)
        assert not section.learning.bar.hasFailed, ui.learnLabel.text


def test_a_folder_with_something_else_is_refused(reviewed, slicerApplication, tmp_path):
    slicerApplication.dialogs.answer("getExistingDirectory", str(tmp_path / "cohort"))
    reviewed.ui.learnButton.click()
    theMessage(slicerApplication, "is not empty")
    slicerApplication.dialogs.answer("getExistingDirectory", "")
    reviewed.ui.learnButton.click()
    assert not reviewed.learning.bar.isRunning


def test_without_reviews_or_a_model_nothing_starts(scene, tmp_path):
    manifest = writeDiscs(tmp_path / "cohort")
    with pytest.raises(InputError, match="no such folder of reviews"):
        learnFromReviews(manifest, tmp_path / "none", shipped_model(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not isBegunIn(tmp_path / "out")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="is not empty"):
        isBegunIn(tmp_path / "file")
