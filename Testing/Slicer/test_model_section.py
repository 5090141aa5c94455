"""Step 3 of the panel: the model and its card, packages and devices; real workers in the imitated application."""

from __future__ import annotations

import json
import shutil
import sys
import types

import pytest
from opened_panel import openPanel, pretendDevices, simulatedSequences, waitFor, waitForDevices

from ObserverUncertaintyLib.jobs.packages import Lack
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintySlicer import devices, host
from ObserverUncertaintySlicer.devices import Device, knownDevices
from ObserverUncertaintySlicer.knownModels import MOST_REMEMBERED, knownModels, rememberModel
from ObserverUncertaintySlicer.modelCards import readCard


@pytest.fixture
def panel(slicerApplication, moduleFile, monkeypatch, tmp_path):
    """The panel with Slicer's own Python as worker, which has no torch."""
    monkeypatch.delenv(host.PYTHON_VARIABLE, raising=False)
    return openPanel(slicerApplication, moduleFile, monkeypatch, tmp_path)


@pytest.fixture
def ui(panel):
    return panel.model.ui


@pytest.fixture
def realModel(tmp_path):
    """A copy of the shipped model that says nothing of a simulation and needs T1 only."""
    folder = tmp_path / "Modell ü"
    shutil.copytree(shipped_model(), folder)
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    content["sequences"], content["architecture"]["sequences"] = ["T1"], 1
    content["may_be_missing"] = []
    content["training"]["simulated"] = False
    content["label"] = "tumour <core>"
    (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_the_shipped_model_is_used_until_another_is_chosen(panel, ui):
    assert panel.parameters.modelFolder == ""
    assert panel.modelInUse.folder == shipped_model()
    assert ui.modelPath.currentPath == str(shipped_model())
    assert ui.modelCombo.currentText == "SimulatedCavity (ships with the module)"
    for heading, text in readCard(shipped_model()).lines():
        assert heading in ui.cardLabel.text
        assert text in ui.cardLabel.text
    assert not ui.noticeLabel.isHidden()
    assert "Simulated data, not for patients." in ui.noticeLabel.text
    assert ui.problemLabel.isHidden()
    assert ui.summaryLabel.text == readCard(shipped_model()).summary()


def test_the_networks_words_stand_in_the_card_alone_which_is_under_advanced(ui):
    assert ui.advancedButton.collapsed
    assert "poolings" in ui.cardLabel.text
    entries = [ui.presetCombo.itemText(row) for row in range(ui.presetCombo.count)]
    for text in (ui.summaryLabel.text, ui.noticeLabel.text, ui.sequencesLabel.text, *entries):
        assert not any(word in text for word in ("pooling", "filter", "dropout"))


def test_advanced_and_training_close_each_other(ui):
    for opened, other in ((ui.advancedButton, ui.trainingButton), (ui.trainingButton, ui.advancedButton)):
        opened.collapsed = False
        assert not opened.collapsed
        assert other.collapsed
    ui.trainingButton.collapsed = True
    assert ui.advancedButton.collapsed


def test_a_model_of_another_folder_shows_its_card_and_is_offered_again(panel, ui, realModel):
    ui.modelPath.currentPath = str(realModel)
    assert panel.parameters.modelFolder == str(realModel)
    assert "tumour &lt;core&gt;" in ui.cardLabel.text
    assert ui.noticeLabel.isHidden()
    assert ui.modelCombo.currentText == "Modell ü"
    assert knownModels() == [shipped_model(), realModel]
    ui.modelCombo.setCurrentIndex(0)
    assert panel.parameters.modelFolder == ""
    assert not ui.noticeLabel.isHidden()
    ui.modelCombo.setCurrentIndex(1)
    assert panel.parameters.modelFolder == str(realModel)


def test_a_folder_without_model_is_told_in_the_panel_without_a_message(panel, ui, slicerApplication, tmp_path):
    ui.modelPath.currentPath = str(tmp_path)
    assert str(tmp_path) in ui.problemLabel.text
    assert not ui.problemLabel.isHidden()
    assert ui.cardLabel.isHidden()
    assert "no usable model" in ui.sectionButton.text
    assert knownModels() == [shipped_model()]
    assert slicerApplication.dialogs.messages == []


def test_an_emptied_field_means_no_model_until_one_is_chosen(panel, ui, scene):
    ui.modelPath.currentPath = ""
    assert ui.modelPath.currentPath == ""
    assert ui.modelCombo.currentIndex == -1
    assert "Choose a model in step 3" in ui.problemLabel.text
    assert panel.modelInUse.missing() == ui.problemLabel.text
    assert "no usable model" in ui.sectionButton.text
    ui.modelCombo.setCurrentIndex(0)
    assert ui.modelPath.currentPath == str(shipped_model())
    assert panel.modelInUse.card is not None
    ui.modelPath.currentPath = ""
    scene.Clear()
    assert ui.modelPath.currentPath == str(shipped_model())


def test_a_description_that_lacks_something_is_a_problem_and_not_a_crash(panel, ui, realModel):
    content = json.loads((realModel / "model.json").read_text(encoding="utf-8"))
    del content["training"]["losses"]
    (realModel / "model.json").write_text(json.dumps(content), encoding="utf-8")
    ui.modelPath.currentPath = str(realModel)
    assert "losses" in ui.problemLabel.text


def test_the_card_follows_the_file(panel, ui, realModel):
    import os

    ui.modelPath.currentPath = str(realModel)
    shutil.copy(shipped_model() / "model.json", realModel / "model.json")
    os.utime(realModel / "model.json", (1, 1))
    panel.update()
    assert not ui.noticeLabel.isHidden()


def test_models_that_are_gone_are_no_longer_offered_and_not_too_many_are_kept(slicerApplication, tmp_path):
    for number in range(MOST_REMEMBERED + 3):
        folder = tmp_path / str(number)
        shutil.copytree(shipped_model(), folder)
        rememberModel(folder)
    offered = knownModels()
    assert len(offered) == 1 + MOST_REMEMBERED
    assert offered[1].name == str(MOST_REMEMBERED + 2)
    shutil.rmtree(offered[1])
    assert knownModels() == [offered[0], *offered[2:]]
    host.saveSetting("RecentModels", "{not json")
    assert knownModels() == [shipped_model()]


def test_what_the_case_lacks_for_the_model_is_named(panel, ui, tmp_path):
    assert "no volume yet" in ui.sequencesLabel.text
    sequences = simulatedSequences()
    panel.parameters.sequences = {"T1": sequences["T1"], "T2": sequences["T2"]}
    assert ui.sequencesLabel.text.startswith("Needs the sequence T1c: add its volume in step 1")
    needsAll = shutil.copytree(shipped_model(), tmp_path / "needs all")
    content = json.loads((needsAll / "model.json").read_text(encoding="utf-8"))
    (needsAll / "model.json").write_text(json.dumps({**content, "may_be_missing": []}), encoding="utf-8")
    panel.modelInUse.choose(needsAll)
    assert ui.sequencesLabel.text.startswith("Needs the sequences T1c, FLAIR: add their volumes in step 1")
    panel.parameters.sequences = {**sequences, "ADC": sequences["T1"]}
    assert "all sequences" in ui.sequencesLabel.text
    assert "Not used: ADC" in ui.sequencesLabel.text


def test_missing_packages_are_named_with_buttons_to_get_them(panel, ui):
    assert "torch, safetensors" in ui.packagesLabel.text
    assert "steps 1, 2 and 6 work" in ui.packagesLabel.text  # a rater's contour can be corrected
    assert not ui.installButton.isHidden()
    assert not ui.offlineButton.isHidden()
    assert "needs torch, safetensors" in ui.sectionButton.text
    assert ui.trainingButton.isHidden()
    assert panel.modelInUse.missing() == "Needs torch, safetensors: click Install… in step 3."
    assert panel.uncertainty.missing().startswith("Needs a volume")


def test_an_installation_that_is_impossible_is_told_once(ui, slicerApplication):
    ui.installButton.click()
    (message,) = slicerApplication.dialogs.messages
    assert "PyTorch" in message.text
    assert slicerApplication.packages.installed == []


def test_an_installation_asks_first_and_then_looks_for_devices_again(panel, ui, slicerApplication, monkeypatch):
    import qt

    utils = types.ModuleType("PyTorchUtils")
    utils.PyTorchUtilsLogic = type("Logic", (), {"installTorch": lambda *_arguments, **_options: utils})
    monkeypatch.setitem(sys.modules, "PyTorchUtils", utils)
    before = knownDevices()
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    ui.installButton.click()
    assert slicerApplication.packages.installed == []
    assert not panel.model.probe.isRunning
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    ui.installButton.click()
    assert [call["requirements"] for call in slicerApplication.packages.installed] == [["safetensors>=0.4.3"]]
    assert panel.model.probe.isRunning
    waitForDevices(panel)
    assert knownDevices() is not before


def test_no_wait_cursor_lies_over_the_questions(ui, slicerApplication, monkeypatch):
    import qt

    seen = []

    def ask(*_arguments, **_options):
        seen.append(qt.QApplication.overrideCursor())

    utils = types.ModuleType("PyTorchUtils")
    utils.PyTorchUtilsLogic = type("Logic", (), {"installTorch": ask})
    monkeypatch.setitem(sys.modules, "PyTorchUtils", utils)
    ui.installButton.click()
    assert seen == [None]


def test_a_torch_of_another_version_is_named_and_offered_anew(
    workerPython, slicerApplication, moduleFile, monkeypatch, tmp_path
):
    panel = openPanel(slicerApplication, moduleFile, monkeypatch, tmp_path)
    report = devices.DeviceReport((Device("cpu", "AMD"),), "2.5.1", (Lack("torch", "2.5.1"),), (), "3.12", "python")
    monkeypatch.setitem(devices._known, host.workerPython(), report)
    panel.update()
    ui = panel.model.ui
    assert "torch >=2.11,<2.16 (found 2.5.1)" in ui.packagesLabel.text
    assert not ui.installButton.isHidden()
    assert "torch >=2.11,<2.16 (found 2.5.1)" in panel.modelInUse.missing()


def test_offline_instructions_can_be_copied(panel, ui, slicerApplication):
    import qt

    ui.offlineButton.click()
    (dialog,) = panel.model.widget.findChildren(qt.QDialog)
    assert dialog.visible
    text = dialog.findChild(qt.QPlainTextEdit, "textView")
    assert "--no-index --find-links" in text.plainText
    dialog.findChild(qt.QPushButton, "copyButton").click()
    assert slicerApplication.app.clipboard().text() == text.plainText
    dialog.findChild(qt.QPushButton, "closeButton").click()
    slicerApplication.processEvents()
    assert panel.model.widget.findChildren(qt.QDialog) == []


def test_packages_that_are_there_need_no_button(workerPython, slicerApplication, moduleFile, monkeypatch, tmp_path):
    panel = openPanel(slicerApplication, moduleFile, monkeypatch, tmp_path)
    ui = panel.model.ui
    assert f"torch {knownDevices().torch}" in ui.torchLabel.text
    for widget in (ui.packagesLabel, ui.installButton, ui.offlineButton, ui.lookButton):
        assert widget.isHidden()
    assert not ui.trainingButton.isHidden()
    assert ui.sectionButton.text == "3. Model: SimulatedCavity (simulated data)"
    sequences = simulatedSequences()
    panel.parameters.sequences = {"T1": sequences["T1"], "T2": sequences["T2"]}
    assert ui.sectionButton.text == "3. Model: SimulatedCavity needs T1c"


def test_a_damaged_package_is_told(panel, ui, monkeypatch):
    report = pretendDevices(monkeypatch, Device("cpu", "AMD"))
    broken = devices.DeviceReport(report.devices, None, (), ("torch cannot be used: no libcudart",), "3.12", "python")
    monkeypatch.setitem(devices._known, host.workerPython(), broken)
    monkeypatch.setattr("ObserverUncertaintySlicer.dependencies.missingPackages", list)
    panel.update()
    assert "no libcudart" in ui.packagesLabel.text
    assert "no libcudart" in panel.modelInUse.missing()
    assert ui.installButton.isHidden()
    assert not ui.lookButton.isHidden()
    assert ui.trainingButton.isHidden()


def test_devices_are_listed_and_chosen_for_both_steps(panel, monkeypatch):
    gpu = Device("cuda:0", "NVIDIA RTX A5000", 24564, 20480)
    pretendDevices(monkeypatch, Device("cpu", "AMD", 65536, 30000), gpu)
    panel.update()
    combos = panel.model.ui.trainingDeviceCombo, panel.uncertainty.ui.deviceCombo
    for combo in combos:
        assert [combo.itemText(row) for row in range(combo.count)] == [
            "Automatic: cuda:0",
            "cpu — AMD, 64 GB (29 GB free)",
            "cuda:0 — NVIDIA RTX A5000, 24 GB (20 GB free)",
        ]
    combos[0].setCurrentIndex(2)
    assert panel.parameters.device == "cuda:0"
    assert combos[1].currentIndex == 2
    combos[1].setCurrentIndex(1)
    assert panel.parameters.device == "cpu"
    assert combos[0].currentIndex == 1


def test_a_device_that_is_not_here_is_shown_as_such_and_kept(panel, monkeypatch):
    pretendDevices(monkeypatch, Device("cpu", "AMD"))
    panel.parameters.device = "cuda:7"
    combo = panel.uncertainty.ui.deviceCombo
    assert combo.currentText == "cuda:7 (not found)"
    assert panel.parameters.device == "cuda:7"


def test_devices_are_looked_for_again_on_a_click_and_not_twice_at_once(panel, ui):
    before = knownDevices()
    ui.trainingFindButton.click()
    assert knownDevices() is None
    assert not ui.trainingFindButton.enabled
    assert not panel.uncertainty.ui.findButton.enabled
    assert "looking" in ui.trainingDeviceCombo.currentText
    waitForDevices(panel)
    assert knownDevices() == before or knownDevices().devices[0].memoryMib == before.devices[0].memoryMib
    assert ui.trainingFindButton.enabled
    panel.uncertainty.ui.findButton.click()
    assert panel.model.probe.isRunning
    waitForDevices(panel)


def test_packages_that_were_installed_by_hand_are_looked_for_on_a_click(panel, ui):
    before = knownDevices()
    ui.lookButton.click()
    assert panel.model.probe.isRunning
    assert not ui.lookButton.enabled
    waitForDevices(panel)
    assert knownDevices() is not before
    assert ui.lookButton.enabled


def test_a_python_that_cannot_be_started_is_told_in_the_panel(panel, ui, slicerApplication, monkeypatch):
    monkeypatch.setenv(host.PYTHON_VARIABLE, "/nowhere/python")
    ui.trainingFindButton.click()
    assert "/nowhere/python" in ui.packagesLabel.text
    assert slicerApplication.dialogs.messages == []
    assert not panel.model.probe.isRunning


def test_closing_the_scene_and_the_panel_while_devices_are_looked_for_is_safe(panel, ui, scene):
    ui.trainingFindButton.click()
    scene.Clear()
    waitForDevices(panel)
    assert knownDevices() is not None
    ui.trainingFindButton.click()
    job = panel.model.probe._job
    panel.cleanup()
    waitFor(lambda: job.state.finished)
    assert not panel.model.probe.isRunning
