"""The module opens, and its sample case comes in by one click."""

from __future__ import annotations

import subprocess
from pathlib import Path

import slicer

STEPS = ("1. Case", "2. Expert disagreement", "3. Model", "4. Model uncertainty", "5. Compare", "6. Correct")


def check_panel_shows_six_steps(desktop):
    titles = [str(section.ui.sectionButton.text) for section in desktop.panel.sections]
    for step in STEPS:
        assert any(title.startswith(step) for title in titles), f"no step {step} in {titles}"
    assert slicer.util.selectedModule() == "ObserverUncertainty"
    assert [section.uiName for section in desktop.panel.sections if section.isOpen] == ["Case"]
    assert "load a case" in str(desktop.panel.guide.ui.nextLabel.text)
    desktop.shot("opened")


def check_sample_case_loads(desktop):
    desktop.loadSample()
    parameters = desktop.panel.parameters
    assert list(parameters.sequences) == ["T1", "T1c", "T2", "FLAIR"]
    assert len(parameters.raters) == 3
    segments = desktop.voxels(parameters.raters[0].node)
    assert all(count > 1000 for count, _hash in segments.values()), segments
    desktop.lookAt(parameters.raters[0].node)
    # Brain and contours are drawn: neither black nor grey alone.
    picture = desktop.pixels("Red").astype(int)
    assert (picture.max(axis=2) - picture.min(axis=2) > 60).sum() > 50, "no coloured contour in the axial view"
    assert (picture.min(axis=2) > 60).mean() > 0.1, "no image in the axial view"
    desktop.shot("loaded")


def check_one_step_is_open_and_a_closed_one_hides_its_contents(desktop):
    case, compare = desktop.panel.case.ui, desktop.panel.compare.ui
    compare.sectionButton.click()
    desktop.settle()
    assert compare.missingLabel.visible
    assert not case.loadSampleButton.visible, "two steps are open"
    compare.sectionButton.click()
    desktop.settle()
    assert not compare.missingLabel.visible
    compare.sectionButton.click()
    desktop.settle()
    assert compare.missingLabel.visible
    assert not compare.metricsView.visible, "what was hidden before is hidden again"
    pitch = [section.widget.y for section in desktop.panel.sections if section.widget.visible]
    title = case.sectionButton.height
    assert pitch[1] - pitch[0] <= title + 10, "a gap between closed steps"


def check_steps_have_the_height_they_need_after_another_module(desktop):
    desktop.loadCase("case01")
    panel = desktop.panel
    panel.disagreement.ui.expertEntropyButton.click()
    panel.correct.open()
    panel.correct.ui.startButton.click()
    for module in ("Data", "ObserverUncertainty"):
        slicer.util.selectModule(module)
        desktop.settle()
    for section in panel.sections:
        if section.widget.visible:
            section.open()
            desktop.settle()
            needed = section.widget.layout().totalHeightForWidth(section.widget.width)
            assert section.widget.height >= needed, f"{section.uiName}: {section.widget.height} of {needed} pixels"
    desktop.shot("back")


def check_the_panel_opens_without_a_main_window(desktop):
    """As Slicer's own test of every module does."""
    script = desktop.shared / "open.py"
    script.write_text(
        "import slicer\n"
        "widget = slicer.modules.observeruncertainty.widgetRepresentation()\n"
        "panel = slicer.modules.ObserverUncertaintyWidget.panel\n"
        "print('sections:', len(panel.sections))\n"
        "slicer.util.exit(0)\n",
        encoding="utf-8",
    )
    folder = str(Path(slicer.modules.observeruncertainty.path).parent)
    options = ["--no-splash", "--no-main-window", "--disable-settings", "--additional-module-paths", folder]
    run = subprocess.run(
        [desktop.task["slicer"], *options, "--python-script", str(script)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=200,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "sections: 7" in run.stdout, run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr, run.stdout + run.stderr


def check_a_path_too_long_leaves_the_panel_alive(desktop):
    long = "/" + "x" * 300
    ui = desktop.panel.model.ui
    for field in (ui.modelPath, ui.manifestPath, ui.folderPath, desktop.panel.compare.ui.cohortScoresPath):
        field.currentPath = long
    desktop.loadCase("case01")
    assert desktop.panel.case.ui.ratersTable.rowCount == 3
