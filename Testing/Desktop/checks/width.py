"""The panel keeps the width that the user gives it, whatever a case's names are; long texts are cut and told whole."""

from __future__ import annotations

import slicer

LONG = "Segmentation of the post-operative cavity after re-resection, third planning scan of 2026-11-29, reviewed twice"
NARROW = 420


def check_long_names_do_not_widen_panel_or_window(desktop):
    desktop.loadCase("case01")
    desktop.panelWidth = 0  # as narrow as it goes
    narrowest, window = desktop.panelWidth, desktop.windowSize[0]
    assert narrowest <= NARROW, narrowest
    desktop.showComparison()
    desktop.panel.compare.ui.backButton.click()
    desktop.panel.compare.ui.metricsButton.click()
    desktop.panel.correct.ui.startButton.click()
    _requireWidth(desktop, narrowest, window, "with everything there")
    parameters = desktop.panel.parameters
    nodes = [*parameters.sequences.values(), parameters.raters[0].node, parameters.fusedSegmentation]
    nodes += [parameters.segmentation, parameters.workingCopy, parameters.expertEntropy, parameters.predictiveEntropy]
    for node in nodes:
        node.SetName(f"{LONG} {node.GetID()}")
    for number in range(3):
        parameters.raters[number].node.GetSegmentation().GetNthSegment(number).SetName(f"{LONG} {number}")
    parameters.caseName = LONG
    desktop.panel.update()
    _requireWidth(desktop, narrowest, window, "with long names")
    desktop.shot("long_names")


def check_titles_are_cut_and_told_whole(desktop):
    desktop.loadCase("case01")
    desktop.panel.correct.ui.startButton.click()
    desktop.panel.parameters.workingCopy.SetName(LONG)
    desktop.panel.update()
    desktop.panelWidth = 0
    button = desktop.panel.correct.ui.sectionButton
    assert str(button.text).startswith("6. Correct")
    assert "…" in str(button.text)
    assert LONG in str(button.toolTip)
    narrow = len(str(button.text))
    desktop.panelWidth = 700
    assert len(str(button.text)) > narrow, "the title does not follow the panel's width"


def check_no_step_wants_more_than_the_narrowest_panel(desktop):
    from ObserverUncertaintySlicer.panel.widths import MINIMUM_WIDTH

    desktop.loadCase("case01")
    desktop.panel.correct.ui.startButton.click()
    # With an effect chosen Slicer's own options want up to 535 pixels; they are squeezed until the panel is wider.
    wanted = {}
    for section in desktop.panel.sections:
        section.open()
        desktop.settle(0.1)
        wanted[section.uiName] = section.ui.sectionButton.layout().minimumSize().width()
    assert max(wanted.values()) <= MINIMUM_WIDTH, wanted


def check_tables_show_all_their_rows(desktop):
    desktop.loadCase("case01")
    for table, rows in ((desktop.panel.case.ui.ratersTable, 3), (desktop.panel.case.ui.sequencesTable, 4)):
        assert table.rowCount == rows
        assert not table.verticalScrollBar().visible
        last = table.visualItemRect(table.item(rows - 1, 0))
        assert last.bottom() < table.viewport().height, "the last row is cut"


def _requireWidth(desktop, narrowest, window, when):
    for section in desktop.panel.sections:
        section.open()
        desktop.settle()
        now, open_ = desktop.panelWidth, section.uiName
        assert now == narrowest, f"the panel went from {narrowest} to {now} pixels {when}, {open_} open"
        assert desktop.windowSize[0] == window, (
            f"the window went to {desktop.windowSize[0]} pixels {when}, {open_} open"
        )
    bar = slicer.util.findChild(desktop.window, "PanelDockWidget")
    assert bar.visible
