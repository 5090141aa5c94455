"""Cases that come in from files and from Sample Data, and files that go out, by the application's real dialogs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import qt
import slicer

SAMPLE_BUTTON = "SimulatedCavityPushButton"
JOBS_VARIABLE = "OBSERVER_UNCERTAINTY_JOBS"


def check_sample_data_shows_the_case_it_makes(desktop):
    from ObserverUncertaintySlicer.sampleData import sampleFolder

    shutil.rmtree(sampleFolder(), ignore_errors=True)
    seen = []
    watch = _repeat(lambda: seen.append(_progressText()))
    _sampleButton(desktop).click()
    watch.stop()
    assert any("simulate the sample case" in text for text in seen), "nothing was said while the case was made"
    assert sampleFolder().is_dir()
    _requireShown(desktop)
    desktop.shot("made")
    # It is kept, so the second time it is there at once, and the first one's contours do not lie over it.
    _sampleButton(desktop).click()
    _requireShown(desktop)
    visible = [node for node in _segmentations() if node.GetDisplayNode().GetVisibility()]
    assert len(_segmentations()) == 2
    assert len(visible) == 1


def check_sample_data_tells_what_goes_wrong(desktop):
    from ObserverUncertaintySlicer.sampleData import sampleFolder

    shutil.rmtree(sampleFolder(), ignore_errors=True)
    blocked = desktop.shared / "file"
    blocked.write_text("no folder", encoding="utf-8")
    jobs = os.environ[JOBS_VARIABLE]
    os.environ[JOBS_VARIABLE] = str(blocked / "jobs")
    try:
        desktop.answerBoxes(("the folder cannot be made", "OK"))
        _sampleButton(desktop).click()
    finally:
        os.environ[JOBS_VARIABLE] = jobs
    assert _segmentations() == []


def check_a_simulated_cases_folder_has_its_raters_and_no_truth(desktop):
    folder = _cohort(desktop) / "case01"
    assert (folder / "truth.nii.gz").is_file()
    desktop.fileDialogs(folder)
    desktop.panel.case.ui.loadFolderButton.click()
    names = [rater.name for rater in desktop.panel.parameters.raters]
    assert names == ["rater_2y", "rater_4y", "rater_6y"], names
    assert "truth.nii.gz" in str(desktop.panel.case.ui.loadedLabel.text)
    desktop.shot("loaded")
    # The next dialog begins beside this case, and it belongs to the window.
    began = []

    def cancel(dialog):
        began.append((Path(str(dialog.directory().absolutePath())), dialog.parent()))

    desktop.dialogs.decideFile = cancel
    desktop.panel.case.ui.loadFolderButton.click()
    desktop.panel.case.ui.loadCohortButton.click()
    assert [place for place, _parent in began] == [folder.parent] * 2
    assert all(parent is desktop.window for _place, parent in began)


def check_cohort_lists_its_cases_and_works_by_keys(desktop):
    folder = desktop.shared / "many"
    shutil.rmtree(folder, ignore_errors=True)
    names = [f"patient {number:02d}" for number in range(1, 13)]
    for name in names:
        shutil.copytree(_cohort(desktop) / "case01", folder / name)
    (folder / "patient 07" / "T1.nii.gz").unlink()
    text = (_cohort(desktop) / "cohort.toml").read_text(encoding="utf-8")
    listed = ", ".join(f'"{name}"' for name in names)
    lines = [f"cases = [{listed}]" if line.startswith("cases") else line for line in text.splitlines()]
    (folder / "cohort.toml").write_text("\n".join(lines), encoding="utf-8")
    done = []

    def drive(dialog, _text):
        done.append(_driveList(desktop, dialog, names))

    desktop.dialogs.decide = drive
    desktop.fileDialogs(folder / "cohort.toml")
    desktop.panel.case.ui.loadCohortButton.click()
    assert done == [True], "the list came once, and all was as it should be"
    assert desktop.panel.parameters.caseName == "patient 11", desktop.panel.parameters.caseName


def _driveList(desktop, dialog, names):
    entries, load = dialog.findChild(qt.QListWidget, "caseList"), dialog.findChild(qt.QPushButton, "loadButton")
    search = dialog.findChild(qt.QLineEdit, "filterEdit")
    try:
        title = str(dialog.windowTitle)
        assert dialog.width > qt.QFontMetrics(dialog.font).boundingRect(title).width() + 150, "the title is cut"
        assert dialog.parent() is desktop.window
        shown = [str(entries.item(row).text()) for row in range(entries.count)]
        assert shown == [name if name != "patient 07" else "patient 07  (no image T1)" for name in names], shown
        assert not load.enabled
        desktop.wait(search.hasFocus, "the keyboard in the field for searching")
        entries.setCurrentRow(6)
        assert not load.enabled
        problem = dialog.findChild(qt.QPlainTextEdit, "problemView")
        assert "patient 07 has no image T1" in str(problem.toPlainText())
        desktop.shot("incomplete")
        slicer.app.sendEvent(search, qt.QKeyEvent(qt.QEvent.KeyPress, qt.Qt.Key_1, qt.Qt.NoModifier, "1"))
        for _time in range(2):
            desktop.press(slicer.app.focusWidget(), qt.Qt.Key_Down)
        desktop.wait(entries.hasFocus, "the keyboard in the list")
        assert load.enabled
        desktop.press(entries, qt.Qt.Key_Return)
        return True
    except Exception:
        dialog.reject()
        raise


def check_export_writes_the_chosen_kind_of_file(desktop):
    from ObserverUncertaintyLib.formats import read_masks

    desktop.loadCase("case01")
    ui = desktop.panel.correct.ui
    ui.startButton.click()
    ui.authorEdit.text = "Dr. A 12.30"
    ui.saveButton.click()
    folder = desktop.shared / "exported"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    desktop.fileDialogs(
        (folder / "Dr. A 12.30", "NIfTI"),
        ("second", "NRRD"),
        ("third", "Segmentation"),
        ("typed.nrrd", "NIfTI"),
        ("second", "NRRD"),
        None,
    )
    desktop.answerBoxes(("second.nrrd exists already. Replace it?", "Cancel"))
    for _dialog in range(5):
        ui.exportButton.click()
    names = {"Dr. A 12.30.nii.gz", "second.nrrd", "third.seg.nrrd", "typed.nrrd"}
    assert {path.name for path in folder.iterdir()} == names | {f"{name}.json" for name in names}
    counts = {int(mask.array.sum()) for name in names for mask in read_masks(folder / name)}
    assert len(counts) == 1
    assert slicer.util.loadSegmentation(str(folder / "third.seg.nrrd")) is not None


def check_what_is_aligned_already_is_not_resampled(desktop):
    desktop.loadCase("case01")
    before = dict(desktop.panel.parameters.sequences)
    desktop.panel.case.ui.alignButton.click()
    desktop.waitForJobs()
    assert desktop.panel.parameters.sequences == before
    text = str(desktop.panel.case.ui.alignmentLabel.text)
    for name in list(before)[1:]:
        assert f"{name} was aligned already and stays as it is (moved by 0." in text, text


def _cohort(desktop) -> Path:
    return Path(desktop.task["cohort"]).parent


def _sampleButton(desktop):
    slicer.util.selectModule("SampleData")
    desktop.settle()
    return slicer.util.findChild(desktop.window, SAMPLE_BUTTON)


def _progressText() -> str:
    dialog = slicer.app.activeModalWidget()
    return str(dialog.labelText) if dialog is not None and dialog.inherits("QProgressDialog") else ""


def _repeat(act):
    timer = qt.QTimer(slicer.app)
    timer.connect("timeout()", act)
    timer.start(50)
    return timer


def _segmentations() -> list:
    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def _requireShown(desktop) -> None:
    """The image in every view, the raters as outlines over it."""
    desktop.settle()
    for view in ("Red", "Green", "Yellow"):
        picture = desktop.pixels(view).astype(int)
        assert (picture.min(axis=2) > 60).mean() > 0.05, f"no image in {view}"
        coloured = picture.max(axis=2) - picture.min(axis=2) > 60
        assert 20 < coloured.sum() < 0.05 * coloured.size, f"no outlines in {view}: {coloured.sum()} coloured pixels"
