"""Step 6, case by case: the list by the real dialogs, nothing of the last patient over the next, reviews as files."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import qt
import slicer
import slicer.util
import vtk
from controls import measure

SCREEN = (1920, 1080)
VIEWS = ("Red", "Green", "Yellow")
MOST_IN_A_STEP, WIDEST = 25, 420


def check_the_worst_case_comes_first_and_a_double_click_opens_a_row(desktop):
    correct, predictions = _openList(desktop)
    dice = [_report(predictions, name)["expected_dice"] for name in _names(correct)]
    assert len(dice) == 3
    assert dice == sorted(dice)
    desktop.shot("list")
    table = correct.ui.caseTable
    _doubleClick(table.viewport(), table.visualItemRect(table.item(1, 0)).center())
    desktop.settle()
    assert desktop.panel.parameters.caseName == _names(correct)[1]
    assert str(correct.ui.sliceLabel.text).startswith("Place 1."), correct.ui.sliceLabel.text
    assert correct.ui.editor.segmentationNode() is desktop.panel.parameters.workingCopy
    desktop.shot("opened")
    size = measure(desktop)
    desktop.tell(str(size))
    assert len(size.controls) <= MOST_IN_A_STEP, size.controls
    assert size.narrowest <= WIDEST


def check_nothing_of_the_last_case_is_left_in_views_and_scene(desktop):
    correct, _predictions = _openList(desktop)
    first, second = _names(correct)[:2]
    _open(desktop, second)
    alone, pictures = _scene(), {view: desktop.pixels(view) for view in VIEWS}
    slicer.mrmlScene.Clear(0)
    desktop.settle()
    correct, _predictions = _openList(desktop)
    _open(desktop, first)
    panel = desktop.panel
    panel.disagreement.ui.expertEntropyButton.click()
    panel.compare.ui.differenceCheck.checked = True
    panel.compare.ui.compareButton.click()
    panel.compare.ui.metricsButton.click()
    desktop.settle()
    correct.open()
    correct.ui.editor.setActiveEffectByName("Paint")
    correct.ui.confidenceCheck.click()
    desktop.mouse("OUPredictiveAxial", [(0.5, 0.5), (0.6, 0.55)])
    correct.ui.propagateButton.click()
    desktop.settle()
    correct.ui.confidenceCheck.click()
    _save(desktop, "Anna")
    correct.ui.nextCaseButton.click()
    desktop.settle()
    assert panel.parameters.caseName == second
    _waitForFusion(desktop)
    panel.compare.ui.differenceCheck.checked = False
    correct.ui.editor.setActiveEffect(None)
    desktop.settle()
    desktop.shot("second")
    left, lost = _scene() - alone, alone - _scene()
    # Slice nodes of the comparison stay with the layout, as Slicer keeps them.
    assert not {name for name in left if first in name}, left
    assert not lost, lost
    for view in VIEWS:
        found = desktop.pixels(view)
        assert found.shape == pictures[view].shape, view
        different = int((found != pictures[view]).any(axis=2).sum())
        assert not different, f"{different} pixels of {view} differ"


check_nothing_of_the_last_case_is_left_in_views_and_scene.seconds = 600


def check_the_whole_list_is_reviewed_and_every_case_can_still_be_painted_in(desktop):
    correct, predictions = _openList(desktop)
    count = len(_names(correct))
    began = time.monotonic()
    for number in range(count):
        correct.ui.nextCaseButton.click()
        desktop.settle()
        copy = desktop.panel.parameters.workingCopy
        before = desktop.voxels(copy)
        correct.ui.editor.setActiveEffectByName("Paint")
        desktop.mouse("Red", [(0.5, 0.5), (0.55, 0.56)])
        assert desktop.voxels(copy) != before, f"case {number}"
        correct.ui.editor.undo()
        assert desktop.voxels(copy) == before
        correct.ui.editor.redo()
        _save(desktop, "Dr. Ö")
    desktop.tell(f"{count} cases opened, painted in and saved in {time.monotonic() - began:.0f} s")
    assert [str(correct.ui.caseTable.item(row, 4).text()) for row in range(count)] == ["Dr. Ö"] * count
    written = sorted(predictions.with_name(predictions.name + "-reviews").rglob("*.seg.nrrd"))
    assert [file.parent.name for file in written] == sorted(_names(correct))
    records = [json.loads(file.with_name(file.name + ".json").read_text("utf-8")) for file in written]
    assert [record["Author"] for record in records] == ["Dr. Ö"] * count
    correct.ui.nextCaseButton.click()
    assert "No other case" in str(correct.ui.caseListLabel.text)
    desktop.shot("reviewed")


def check_unsaved_work_is_asked_for_and_stays(desktop):
    correct, _predictions = _openList(desktop)
    correct.ui.nextCaseButton.click()
    desktop.settle()
    parameters = desktop.panel.parameters
    copy, name = parameters.workingCopy, parameters.caseName
    correct.ui.editor.setActiveEffectByName("Paint")
    desktop.mouse("Red", [(0.5, 0.5), (0.6, 0.56)])
    painted = desktop.voxels(copy)
    desktop.answerBoxes(("has changes that were not saved", "Cancel"), ("has changes that were not saved", "OK"))
    correct.ui.nextCaseButton.click()
    assert parameters.caseName == name
    assert parameters.workingCopy is copy
    correct.ui.nextCaseButton.click()
    desktop.settle()
    assert parameters.caseName != name
    assert desktop.voxels(copy) == painted
    assert not copy.GetDisplayNode().GetVisibility()
    assert copy.GetName() in str(correct.ui.caseListLabel.text)
    desktop.shot("stays")
    copy.GetSegmentation().GetNthSegment(0).SetColor(1, 0, 0)  # a view with a pointer to what is gone would crash
    copy.GetDisplayNode().SetVisibility(True)
    desktop.settle()


def check_a_saved_scene_goes_on_with_the_list(desktop):
    correct, _predictions = _openList(desktop)
    correct.ui.nextCaseButton.click()
    desktop.settle()
    first = desktop.panel.parameters.caseName
    path = desktop.shared / "list ü.mrb"
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(0)
    desktop.settle()
    assert slicer.util.loadScene(str(path))
    desktop.settle()
    correct = desktop.panel.correct
    assert len(_names(correct)) == 3
    correct.open()
    _save(desktop, "Anna")
    assert str(correct.ui.caseTable.item(0, 4).text()) == "Anna"
    correct.ui.nextCaseButton.click()
    desktop.settle()
    assert desktop.panel.parameters.caseName not in ("", first)
    assert not [name for name in _scene() if first in name]


def check_a_model_learns_in_the_background_and_is_used_only_if_one_says_so(desktop):
    correct, predictions = _openList(desktop)
    correct.ui.nextCaseButton.click()
    desktop.settle()
    correct.ui.levelSlider.value = 0.3
    _save(desktop, "Anna")
    correct.ui.nextCaseButton.click()
    desktop.settle()
    _save(desktop, "Ben")
    folder = desktop.shared / f"learnt {time.monotonic_ns()}"
    folder.mkdir()
    old = desktop.panel.modelInUse.folder
    desktop.fileDialogs(folder)
    desktop.answerBoxes(("Reviews: 2, of", "OK"))
    began = time.monotonic()
    correct.ui.learnButton.click()
    desktop.settle()
    desktop.shot("learning")
    correct.ui.nextCaseButton.click()  # one goes on meanwhile
    desktop.wait(lambda: not correct.learning.bar.isRunning, "the learning", seconds=1500)
    desktop.settle()
    assert not correct.learning.bar.hasFailed, correct.ui.learnLabel.text
    desktop.tell(f"learnt in {time.monotonic() - began:.0f} s: {correct.ui.learnLabel.text}")
    desktop.shot("learnt")
    size = measure(desktop)
    desktop.tell(str(size))
    assert len(size.controls) <= MOST_IN_A_STEP, size.controls
    assert size.narrowest <= WIDEST
    assert str(correct.ui.learnLabel.text).startswith("Corrected cases (2)")
    assert desktop.panel.modelInUse.folder == old
    correct.ui.useModelButton.click()
    desktop.settle()
    assert desktop.panel.modelInUse.folder == folder / "model"
    assert predictions.is_dir()
    desktop.shot("used")


check_a_model_learns_in_the_background_and_is_used_only_if_one_says_so.seconds = 1800


def check_a_hundred_cases_are_listed_at_once(desktop):
    manifest, predictions = _predicted(desktop)
    names = [f"patient {number:03d}" for number in range(100)]
    report = (predictions / "case01" / "prediction.json").read_text("utf-8")
    folder = desktop.shared / "many predictions"
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "prediction.json").write_text(report, encoding="utf-8")
        (folder / name / "probability.nii.gz").touch()  # it is read when the case is opened
    many = desktop.shared / "many.toml"
    cases = f"cases = {json.dumps(names)}"
    lines = manifest.read_text("utf-8").splitlines()
    many.write_text("\n".join(cases if line.startswith("cases") else line for line in lines), encoding="utf-8")
    correct = desktop.panel.correct
    correct.open()
    correct.ui.casesButton.collapsed = False
    desktop.fileDialogs(many, folder)
    spent: list[float] = []
    listCases = desktop.panel.context.logic.listCases

    def timed(*given):
        began = time.monotonic()
        try:
            return listCases(*given)
        finally:
            spent.append(time.monotonic() - began)

    desktop.panel.context.logic.listCases = timed
    try:
        correct.ui.openListButton.click()
    finally:
        del desktop.panel.context.logic.listCases
    began = time.monotonic()
    correct.cases._shown = (None, "")
    desktop.panel.update()
    assert correct.ui.caseTable.rowCount == 100
    desktop.tell(f"100 cases read in {spent[0]:.2f} s and shown in {time.monotonic() - began:.2f} s")
    desktop.shot("hundred")
    assert desktop.panelWidth <= 420 or desktop.panelWidth == _narrowest(desktop)


def _narrowest(desktop):
    desktop.panelWidth = 0
    return desktop.panelWidth


def _predicted(desktop):
    """The small cohort and the shipped model's predictions of it, made once for all checks."""
    from ObserverUncertaintyLib.model.shipped import shipped_model
    from ObserverUncertaintySlicer.host import workerPython

    manifest, predictions = Path(desktop.task["cohort"]), desktop.shared / "Müllers predictions"
    if not (predictions / "case03" / "prediction.json").is_file():
        command = [workerPython(), "-m", "ObserverUncertaintyLib.cli", "predict", str(shipped_model()), str(manifest)]
        command += ["--out", str(predictions), "--samples", "5", "--dropout-masks", "balanced", "--device", "cpu"]
        # Slicer's own Python and libraries are not the worker's.
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LD_LIBRARY"))}
        checkout = Path(slicer.util.modulePath("ObserverUncertainty")).parents[1]
        done = subprocess.run(command, cwd=checkout, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return manifest, predictions


def _openList(desktop):
    """Open the list by its button; reviews of the checks before are gone."""
    manifest, predictions = _predicted(desktop)
    reviews = predictions.with_name(predictions.name + "-reviews")
    if reviews.is_dir():
        reviews.rename(reviews.with_name(f"{reviews.name} {time.monotonic_ns()}"))
    correct = desktop.panel.correct
    correct.open()
    correct.ui.casesButton.collapsed = False
    desktop.fileDialogs(manifest, predictions)
    correct.ui.openListButton.click()
    desktop.settle()
    assert correct.cases.cases is not None, correct.ui.caseListLabel.text
    return correct, predictions


def _open(desktop, name):
    correct = desktop.panel.correct
    correct.ui.caseTable.cellActivated(_names(correct).index(name), 0)
    desktop.settle()
    assert desktop.panel.parameters.caseName == name
    _waitForFusion(desktop)


def _waitForFusion(desktop):
    """The live fusion follows by a timer."""
    desktop.wait(lambda: desktop.panel.parameters.fusedSegmentation is not None, "the live fusion")
    desktop.settle()


def _save(desktop, author):
    ui = desktop.panel.correct.ui
    ui.authorEdit.text = author
    ui.saveButton.click()
    desktop.settle()
    assert "beside the predictions" in str(ui.savedLabel.text), ui.savedLabel.text


def _names(correct):
    table = correct.ui.caseTable
    return [str(table.item(row, 0).text()) for row in range(table.rowCount)]


def _report(predictions, name):
    return json.loads((predictions / name / "prediction.json").read_text("utf-8"))


def _scene():
    """What the scene and its hierarchy hold, by class and name; display nodes by their class alone."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    nodes = [slicer.mrmlScene.GetNthNode(number) for number in range(slicer.mrmlScene.GetNumberOfNodes())]
    held = [node for node in nodes if node.IsA("vtkMRMLStorableNode") and not node.IsA("vtkMRMLColorNode")]
    shown = [node for node in nodes if node.IsA("vtkMRMLDisplayNode") and not _isOfViews(node)]
    return Counter(
        [
            *(f"item {hierarchy.GetItemName(items.GetId(number))}" for number in range(items.GetNumberOfIds())),
            *(f"{node.GetClassName()} {node.GetName()}" for node in held),
            *(node.GetClassName() for node in shown),
        ]
    )


def _isOfViews(node):
    """Whether it is a colour table, or shows a slice view in 3D, of which the comparison has its own."""
    return node.IsA("vtkMRMLColorNode") or node.IsA("vtkMRMLSliceDisplayNode")


def _doubleClick(widget, position):
    for kind in (qt.QEvent.MouseButtonPress, qt.QEvent.MouseButtonRelease, qt.QEvent.MouseButtonDblClick):
        event = qt.QMouseEvent(kind, qt.QPointF(position), qt.Qt.LeftButton, qt.Qt.LeftButton, qt.Qt.NoModifier)
        slicer.app.sendEvent(widget, event)
