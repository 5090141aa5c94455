"""*Export…* in step 6: the dialog, the kinds of files, and what is never overwritten unasked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
from correct_step import readyToCorrect, start
from section_case import RATERS

from ObserverUncertaintyLib.formats import read_mask
from ObserverUncertaintySlicer import host


@pytest.fixture
def ready(panel):
    return readyToCorrect(panel)


def saveOne(ready, author="Dr. A"):
    """A correction to export."""
    start(ready, "rater anna")
    ready.ui.authorEdit.text = author
    ready.ui.saveButton.click()


def inExportDialog(slicerApplication, name=None, kind="", seen=None):
    """What the user does in the export's dialog: type a name, choose a kind of file, accept."""

    def act(dialog):
        if seen is not None:
            seen.update(title=dialog.windowTitle, folder=dialog.directory().absolutePath(), parent=dialog.parent())
            seen["proposed"] = Path(dialog.selectedFiles()[0]).name
        if name is not None:
            dialog.selectFile(name)
        if kind:
            dialog.selectNameFilter(next(text for text in dialog.nameFilters() if kind in text))
        return dialog.DialogCode.Accepted

    slicerApplication.dialogs.answer("dialog", act)


def test_the_proposed_file_name_is_one_that_every_system_allows(ready, slicerApplication):
    saveOne(ready, 'Dr. "A/B"')
    assert ":" in ready.parameters.lastCorrection.GetName()  # the time, and the rater after its node
    slicerApplication.dialogs.answer("dialog", lambda dialog: seen.append(dialog.selectedFiles()[0]) or 0)
    seen = []
    ready.ui.exportButton.click()
    proposed = Path(seen[0]).name
    assert not set(proposed) & set('<>:"/\\|?*')
    assert "reviewed by Dr. _A_B_" in proposed
    assert ready.ui.savedLabel.text.startswith("Saved in the scene as")


@pytest.mark.parametrize(
    ("typed", "kind", "written"),
    [
        (None, "", ".seg.nrrd"),
        ("Dr. A 12.30", "NIfTI", "Dr. A 12.30.nii.gz"),
        ("Dr. A 12.30", "NRRD", "Dr. A 12.30.nrrd"),
        ("a.seg.nrrd", "NIfTI", "a.seg.nrrd"),
        ("a.NII.GZ", "Segmentation", "a.nii.gz"),
        ("a.SEG.nrrd", "NIfTI", "a.seg.nrrd"),
    ],
)
def test_the_chosen_kind_of_file_is_written_unless_an_ending_was_typed(
    ready, slicerApplication, tmp_path, typed, kind, written
):
    saveOne(ready)
    host.saveSetting("ExportFolder", str(tmp_path))
    inExportDialog(slicerApplication, typed, kind)
    ready.ui.exportButton.click()
    (mask,) = [file for file in tmp_path.iterdir() if not file.name.endswith(".json")]
    assert mask.name.endswith(written)
    assert typed is None or mask.name == written
    assert mask.with_name(mask.name + ".json").is_file()
    assert ready.ui.savedLabel.text == f"Written to {mask}"
    if not mask.name.endswith(".seg.nrrd"):
        np.testing.assert_array_equal(read_mask(mask).array, RATERS["anna"])


def test_a_kind_of_file_that_is_not_written_is_refused_and_nothing_lies_there(ready, slicerApplication, tmp_path):
    saveOne(ready)
    host.saveSetting("ExportFolder", str(tmp_path))
    inExportDialog(slicerApplication, "a.mha", "NIfTI")
    ready.ui.exportButton.click()
    (message,) = slicerApplication.dialogs.messages
    assert "a.mha: corrections are written as .seg.nrrd, .nrrd, .nii.gz" in message.text
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_dialog_did_not_ask_about_is_replaced_only_after_a_question(ready, slicerApplication, tmp_path):
    import qt

    saveOne(ready)
    host.saveSetting("ExportFolder", str(tmp_path))
    (tmp_path / "a.nii.gz").write_text("another's", encoding="utf-8")
    # Declined, the dialog is there again, and another name can be given.
    inExportDialog(slicerApplication, "a", "NIfTI")
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    inExportDialog(slicerApplication, "b", "NIfTI")
    ready.ui.exportButton.click()
    assert "a.nii.gz exists already. Replace it?" in slicerApplication.dialogs.messages[0].text
    assert (tmp_path / "a.nii.gz").read_text(encoding="utf-8") == "another's"
    assert (tmp_path / "b.nii.gz").is_file()
    inExportDialog(slicerApplication, "a", "NIfTI")
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    ready.ui.exportButton.click()
    assert read_mask(tmp_path / "a.nii.gz").array.any()


def test_the_export_dialog_belongs_to_the_main_window_and_begins_in_the_last_folder(ready, slicerApplication, tmp_path):
    saveOne(ready)
    first, second = {}, {}
    inExportDialog(slicerApplication, str(tmp_path / "a.nrrd"), seen=first)
    ready.ui.exportButton.click()
    inExportDialog(slicerApplication, seen=second)
    ready.ui.exportButton.click()
    assert second["folder"] == str(tmp_path)
    assert first["parent"] is second["parent"] is slicer.util.mainWindow()
    assert first["title"] == f"Export {ready.parameters.lastCorrection.GetName()}"
    assert len(list(tmp_path.glob("*.json"))) == 2
