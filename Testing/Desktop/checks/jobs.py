"""Work in the background: its curve, its list, and how its failures are told while the user goes on working."""

from __future__ import annotations

import os
import shutil
import signal

import numpy as np
import qt
import slicer

WIDTH = 400
"""Of the module's panel in pixels, which everything must fit into."""
HEIGHT = 520
"""What a window of 1080 lines leaves to an open step, in pixels."""


def _manifest(desktop) -> str:
    """Of two tiny cases of two raters, written once."""
    from ObserverUncertaintyLib.cohort.case import Case
    from ObserverUncertaintyLib.images.grid import Grid
    from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort

    folder = desktop.shared / "discs"
    if folder.is_dir():
        return str(folder / "cohort.toml")
    rows, columns = np.mgrid[:24, :24]

    def case(number):
        distance = np.repeat(np.hypot(rows - 11, columns - 10 - number)[None], 4, axis=0)
        image = ((distance < 6) * 50.0 + 20 + (rows % 3)).astype(np.float32)
        masks = np.stack([distance < 5, distance < 7])
        grid = Grid(size=(24, 24, 4), spacing=(2.0, 2.0, 4.0))
        return Case(f"p{number}", grid, ("T1",), image[None], ("anna", "ben"), masks)

    return str(write_cohort(folder, case, ["p0", "p1"], {}, name="Discs", label="disc", skull_stripped=True))


def _prepareTraining(desktop, folder, epochs):
    ui = desktop.panel.model.ui
    ui.sectionButton.collapsed = ui.trainingButton.collapsed = False
    ui.manifestPath.currentPath = _manifest(desktop)
    ui.folderPath.currentPath = str(folder)
    ui.epochsSpin.value = epochs
    desktop.wait(lambda: ui.trainButton.enabled, "Train: " + ui.trainingMissingLabel.text)


def _train(desktop):
    ui = desktop.panel.model.ui
    ui.trainButton.click()
    desktop.waitForJobs()
    assert ui.trainLabel.text.startswith("Trained"), ui.trainLabel.text


def _axes():
    """The ranges that the plot view really has: of the epochs, of the loss."""
    (view,) = slicer.app.layoutManager().plotWidget(0).findChildren("qMRMLPlotView")
    ranges = []
    for axis in (1, 0):
        low_high = [0.0, 0.0]
        view.chart().GetAxis(axis).GetUnscaledRange(low_high)
        ranges.append(tuple(low_high))
    return ranges


def check_loss_curve_shows_every_epoch_while_it_grows(desktop):
    folder = desktop.shared / "curve"
    _prepareTraining(desktop, folder, 2)
    _train(desktop)
    ui, parameters = desktop.panel.model.ui, desktop.panel.parameters
    ui.lossButton.click()
    desktop.settle()
    assert _axes()[0] == (0, 3), _axes()
    # The chart is shown now; this is what a plot view does not fit its axes to.
    ui.epochsSpin.value = 5
    ui.existingCombo.setCurrentIndex(1)
    desktop.answerBoxes(("will be replaced", "OK"))
    _train(desktop)
    desktop.settle()
    table = parameters.lossChart.GetNthPlotSeriesNode(0).GetTableNode()
    losses = slicer.util.arrayFromTableColumn(table, "Loss")
    assert len(losses) == 5
    (left, right), (bottom, top) = _axes()
    assert left <= 1, _axes()
    assert right >= 5, _axes()
    assert bottom <= losses.min(), _axes()
    assert losses.max() <= top < 2 * losses.max(), _axes()
    desktop.shot("curve")


def check_curves_of_one_point_and_of_none_are_drawn(desktop):
    from ObserverUncertaintySlicer.charts import lossPlot, showPlotLayout

    nan = float("nan")
    chart = None
    for losses, validation in (([0.9], [nan]), ([0.9, 0.5], [nan, 0.7]), ([nan], None), ([0.8], None)):
        chart = lossPlot(losses, validation, chart)
        showPlotLayout(chart)
        desktop.settle()
        assert _axes()[0] == (0, len(losses) + 1)
    desktop.shot("one")


def check_resuming_with_other_settings_is_refused_before_a_worker_starts(desktop):
    folder = desktop.shared / "resumed"
    _prepareTraining(desktop, folder, 2)
    _train(desktop)
    jobs = desktop.panel.jobList.ui.jobTable.rowCount
    ui = desktop.panel.model.ui
    ui.epochsSpin.value = 3
    ui.fusionCombo.setCurrentIndex(1)
    desktop.answerBoxes((f"{folder} holds a training", "OK"))
    ui.trainButton.click()
    (text,) = desktop.dialogs.texts
    assert "Epochs: 2, now 3" in text, text
    assert "Fusion: none, now majority" in text, text
    assert "begin again" in text, text
    assert "--" not in text, text
    desktop.panel.jobList.refresh()
    assert desktop.panel.jobList.ui.jobTable.rowCount == jobs, "no worker was started"


def check_job_list_can_be_read_in_a_narrow_panel(desktop):
    _prepareTraining(desktop, desktop.shared / "a folder with a long name for a model", 1)
    _train(desktop)
    desktop.panelWidth = WIDTH
    section = desktop.panel.jobList
    for other in desktop.panel.sections:
        other.ui.sectionButton.collapsed = other is not section
    desktop.settle()
    table = section.ui.jobTable
    header = table.horizontalHeader()
    titles = [table.horizontalHeaderItem(column).text() for column in range(table.columnCount)]
    assert titles == ["State", "Progress", "Job", "Started"]
    widths = [header.sectionSize(column) for column in range(table.columnCount)]
    assert sum(widths) <= table.viewport().width, (widths, table.viewport().width)
    assert not table.horizontalScrollBar().visible
    for column in (0, 1, 3):
        assert widths[column] >= table.sizeHintForColumn(column), (titles[column], widths)
    assert widths[2] >= 90, widths
    (row,) = [row for row in range(table.rowCount) if "long name" in str(section._jobs[row].request.model)][:1]
    assert [table.item(row, column).text() for column in (0, 1, 2)] == [
        "done",
        "100 %",
        "train without fusion on Discs",
    ]
    assert str(section._jobs[row].folder) in table.item(row, 0).toolTip()
    desktop.shot("list")


def _damagedModel(desktop):
    from ObserverUncertaintyLib.model.shipped import shipped_model

    folder = desktop.shared / "damaged"
    if not folder.is_dir():
        shutil.copytree(shipped_model(), folder)
        (folder / "weights.safetensors").write_bytes(b"no weights")
    return folder


def _assertFailureIsTold(desktop, part):
    ui, table = desktop.panel.uncertainty.ui, desktop.panel.jobList.ui.jobTable
    ui.sectionButton.collapsed = False
    assert ui.runLabel.visible
    assert ui.runLabel.text.startswith("Failed: "), ui.runLabel.text
    assert part in ui.runLabel.text, ui.runLabel.text
    assert "Show log" in ui.runLabel.text
    assert "log.txt" in ui.runLabel.toolTip
    assert ui.sectionButton.text == "4. Model uncertainty: failed"
    assert [table.item(0, column).text() for column in (0, 1)] == ["failed", ""]
    assert "running" not in desktop.panel.jobList.ui.sectionButton.text
    assert "failed" in slicer.util.mainWindow().statusBar().currentMessage()


def _run(desktop, samples):
    ui = desktop.panel.uncertainty.ui
    ui.samplesSpin.value = samples
    desktop.wait(lambda: ui.runButton.enabled, "Run: " + ui.missingLabel.text)
    ui.runButton.click()


def check_failure_is_told_without_a_box(desktop):
    desktop.loadCase("case01")
    desktop.panel.model.ui.modelPath.currentPath = str(_damagedModel(desktop))
    _run(desktop, 2)
    bar = desktop.panel.uncertainty.bar
    desktop.wait(lambda: not bar.isRunning)
    _assertFailureIsTold(desktop, "damaged")
    for section in desktop.panel.sections:
        section.ui.sectionButton.collapsed = section not in (desktop.panel.uncertainty, desktop.panel.jobList)
    desktop.shot("failed")
    # What follows is not spoilt by it.
    desktop.panel.model.ui.modelCombo.setCurrentIndex(0)
    desktop.predict()
    assert "resection cavity" in desktop.panel.uncertainty.state()
    assert desktop.panel.uncertainty.ui.runLabel.text == ""


def check_killed_worker_is_told(desktop):
    from ObserverUncertaintyLib.jobs.folder import Heartbeat

    desktop.loadCase("case01")
    _run(desktop, 900)
    bar = desktop.panel.uncertainty.bar
    job = bar.job.job
    desktop.wait(lambda: job.progress.done > 0, "the first sample")
    os.kill(Heartbeat.read(job.folder).pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    desktop.wait(lambda: not bar.isRunning, "the end to be noticed")
    _assertFailureIsTold(desktop, "killed it")


def check_scores_have_their_titles_and_cannot_be_typed_over(desktop):
    desktop.loadCase("case01")
    desktop.predict()
    ui = desktop.panel.compare.ui
    desktop.panel.disagreement.ui.expertEntropyButton.click()
    ui.metricsButton.click()
    model = ui.metricsView.model()
    header = [model.headerData(column, qt.Qt.Horizontal) for column in range(model.columnCount())]
    assert header == ["Measure", "Value", "Unit", "Explanation", "Name", "Exact value"]
    first = [model.data(model.index(0, column)) for column in (0, 4)]
    assert first == ["Dice with the raters' majority", "dice_majority"], first
    editable = [
        (row, column)
        for row in range(model.rowCount())
        for column in range(model.columnCount())
        if int(model.flags(model.index(row, column))) & int(qt.Qt.ItemIsEditable)
    ]
    assert editable == []
    desktop.shot("scores")


def _type(desktop, field, text):
    """Type into a path field in place of what is there."""
    edit = field.comboBox().lineEdit()
    edit.setFocus()
    edit.selectAll()
    desktop.press(edit, qt.Qt.Key_Backspace)
    for letter in text:
        slicer.app.sendEvent(edit, qt.QKeyEvent(qt.QEvent.KeyPress, 0, qt.Qt.NoModifier, letter))
    desktop.settle()
    assert field.currentPath == text


def _leave(desktop, field):
    desktop.press(field.comboBox().lineEdit(), qt.Qt.Key_Return)
    desktop.settle()


def check_path_that_is_shown_is_the_one_in_force(desktop):
    _prepareTraining(desktop, desktop.shared / "shown", 1)
    ui, parameters = desktop.panel.model.ui, desktop.panel.parameters
    cases = (
        (
            ui.manifestPath,
            "trainingManifest",
            {"": "Choose the cohort", "/images/t1.nrrd": "/images/t1.nrrd is no .toml"},
        ),
        (ui.folderPath, "trainingFolder", {"": "Choose a folder", "half": "half is no whole path"}),
    )
    for field, name, impossible in cases:
        good = before = getattr(parameters, name)
        for text, why in impossible.items():
            _type(desktop, field, text)
            assert getattr(parameters, name) == before, "nothing is taken while it is typed"
            _leave(desktop, field)
            assert getattr(parameters, name) == text
            assert field.currentPath == text
            assert not ui.trainButton.enabled
            assert why in ui.trainingMissingLabel.text, ui.trainingMissingLabel.text
            before = text
        field.currentPath = good
        assert ui.trainButton.enabled, ui.trainingMissingLabel.text
    _type(desktop, ui.modelPath, "")
    _leave(desktop, ui.modelPath)
    assert ui.modelPath.currentPath == ""
    assert "no usable model" in ui.sectionButton.text
    assert "Choose a model" in ui.problemLabel.text
    assert "Choose a model" in desktop.panel.modelInUse.missing()
    ui.modelCombo.setCurrentIndex(0)
    assert desktop.panel.modelInUse.card is not None
    scores = desktop.panel.compare.ui
    assert not scores.cohortChartButton.enabled
    scores.cohortScoresPath.currentPath = str(desktop.shared / "none.csv")
    assert not scores.cohortChartButton.enabled
    assert "none.csv" in scores.cohortChartButton.toolTip


def check_nothing_long_widens_the_steps_of_models_and_jobs(desktop):
    panel = desktop.panel
    long = "a very long name without any blank ".replace(" ", "_") * 10
    desktop.loadCase("case01")
    panel.model.ui.trainingButton.collapsed = False
    panel.model.ui.modelPath.currentPath = str(desktop.shared / long[:200])
    for label in (
        *(panel.model.ui.packagesLabel, panel.model.ui.trainLabel, panel.model.ui.trainTextLabel),
        *(panel.model.ui.trainingWarningLabel, panel.model.ui.trainingMissingLabel, panel.model.ui.sceneLabel),
        *(panel.model.ui.summaryLabel, panel.uncertainty.ui.samplingLabel),
        *(panel.uncertainty.ui.runLabel, panel.uncertainty.ui.processorLabel, panel.uncertainty.ui.resultLabel),
        panel.jobList.ui.loadedLabel,
    ):
        label.text = long
        label.visible = True
    for combo in (panel.model.ui.modelCombo, panel.model.ui.trainingDeviceCombo, panel.uncertainty.ui.deviceCombo):
        wasBlocked = combo.blockSignals(True)
        combo.addItem(long)
        combo.setCurrentIndex(combo.count - 1)
        combo.blockSignals(wasBlocked)
    desktop.settle()
    for section in (panel.model, panel.uncertainty, panel.compare, panel.jobList):
        section.ui.sectionButton.collapsed = False
        least = section.ui.sectionButton.layout().minimumSize().width()
        assert least <= WIDTH, (section.uiName, least)
    panel.model.ui.modelCombo.clear()
    panel.model._models = []
    for label in (panel.uncertainty.ui.runLabel, panel.model.ui.trainLabel, panel.model.ui.trainTextLabel):
        panel.model.say(label, "")
    panel.jobList.say(panel.jobList.ui.loadedLabel, "")
    panel.model.ui.modelPath.currentPath = ""
    panel.update()


def check_step_of_the_model_fits_whichever_part_is_open(desktop):
    desktop.loadCase("case01")
    folder = desktop.shared / "holds files"
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_text("something", encoding="utf-8")
    desktop.panel.parameters.trainingFolder = str(folder)
    desktop.panelWidth = WIDTH
    ui = desktop.panel.model.ui
    for section in desktop.panel.sections:
        section.ui.sectionButton.collapsed = section is not desktop.panel.model
    for opened, other in ((ui.advancedButton, ui.trainingButton), (ui.trainingButton, ui.advancedButton)):
        for source in ("manifest", "scene"):
            desktop.panel.parameters.trainingSource = source
            opened.collapsed = False
            desktop.settle()
            assert other.collapsed
            height = ui.sectionButton.height
            assert height <= HEIGHT, f"{opened.text}, {source}: {height} px"
        desktop.shot(str(opened.objectName))
    assert ui.trainingSettings.visible
    desktop.panel.parameters.trainingSource, desktop.panel.parameters.trainingFolder = "manifest", ""


def check_missing_packages_are_told_with_what_to_click(desktop):
    from ObserverUncertaintySlicer import dependencies

    desktop.loadCase("case01")
    panel, found = desktop.panel, dependencies.missingPackages
    dependencies.missingPackages = lambda: ["torch"]
    try:
        panel.model.ui.sectionButton.collapsed = False
        panel.update()
        desktop.settle()
        ui = panel.model.ui
        assert ui.installButton.visible
        assert ui.offlineButton.visible
        assert ui.lookButton.visible
        assert not ui.trainingButton.visible
        assert str(ui.installButton.text) in panel.uncertainty.missing()
        desktop.shot("step3")
        panel.uncertainty.ui.sectionButton.collapsed = False
        desktop.settle()
        assert panel.uncertainty.ui.missingLabel.visible
        assert not panel.uncertainty.ui.runButton.visible
        assert not panel.uncertainty.ui.advancedButton.visible
        desktop.shot("step4")
    finally:
        dependencies.missingPackages = found
        panel.update()
    assert panel.model.ui.trainingButton.visible or panel.model.ui.sectionButton.collapsed


def check_cancelled_work_ends_and_a_training_goes_on(desktop):
    desktop.loadCase("case01")
    _run(desktop, 900)
    bar = desktop.panel.uncertainty.bar
    desktop.wait(lambda: bar.job.job.progress.done > 0, "the first sample")
    desktop.panel.uncertainty.ui.runButton.click()
    desktop.wait(lambda: not bar.isRunning, "the end of the prediction")
    assert str(desktop.panel.uncertainty.ui.runLabel.text).startswith("Cancelled.")
    folder = desktop.shared / "cancelled model"
    _prepareTraining(desktop, folder, 2000)
    ui, training = desktop.panel.model.ui, desktop.panel.model.training.bar
    ui.trainButton.click()
    desktop.wait(lambda: len(training.job.job.losses) > 0, "the first epoch")
    ui.trainButton.click()
    desktop.wait(lambda: not training.isRunning, "the end of the training")
    assert str(folder) in str(ui.trainLabel.text).replace("\u200b", ""), ui.trainLabel.text
    # With the same settings it goes on where it stopped.
    ui.trainButton.click()
    desktop.wait(lambda: training.job.job.progress.done > 0, "the next epoch")
    log = training.job.job.log
    desktop.wait(lambda: log.is_file(), "the log")
    ui.trainButton.click()
    desktop.wait(lambda: not training.isRunning, "the end of the training")
