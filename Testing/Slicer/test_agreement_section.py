"""The part of step 2 that compares the raters, against the library's figures."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from section_case import GRID, RATERS, box, cells, fill, settle

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.scores.agreement import reliability_of_mean
from ObserverUncertaintyLib.scores.case_agreement import case_agreement
from ObserverUncertaintySlicer.segments import setSegment

STACK = np.stack(list(RATERS.values()))


@pytest.fixture
def section(panel):
    return panel.disagreement


def test_raters_are_compared_at_a_click_as_the_library_compares_them(panel, section):
    fill(panel)
    ui = section.ui
    assert ui.agreementTable.isHidden()
    assert ui.agreementLabel.isHidden()
    ui.agreementButton.click()
    names = [rater.name for rater in panel.parameters.raters]
    expected = case_agreement(STACK, names, GRID)
    rows = cells(ui.agreementTable)
    assert [row[0] for row in rows] == names
    assert [row[1] for row in rows] == [f"{rater.larger_mm:+.1f}" for rater in expected.raters]
    assert [row[2] for row in rows] == [f"{rater.larger_ml:+.2f}" for rater in expected.raters]
    of_first = [pair for pair in expected.pairs if names[0] in (pair.first, pair.second)]
    assert rows[0][3] == f"{np.mean([pair.surface_distance_mm for pair in of_first]):.1f}"
    assert f"Fleiss' kappa {expected.fleiss_kappa:.2f}" in ui.agreementLabel.text
    reliability = reliability_of_mean(expected.fleiss_kappa, 3)
    assert f"the raters' mean has a reliability of {reliability:.2f}." in ui.agreementLabel.text


def test_figures_of_raters_that_changed_are_not_shown(slicerApplication, panel, section):
    node = fill(panel)
    section.ui.agreementButton.click()
    setSegment(node, node.GetSegmentation().GetNthSegmentID(0), box(5, 9), GRID)
    settle(slicerApplication, section)
    panel.context.update()
    assert section.ui.agreementTable.isHidden()
    assert section.ui.agreementLabel.text == "The raters changed since: compare again."
    section.ui.agreementButton.click()
    assert not section.ui.agreementTable.isHidden()
    slicer.mrmlScene.Clear(0)
    fill(panel)
    assert section.ui.agreementTable.isHidden()


def test_an_empty_rater_has_a_volume_and_no_distance(panel, section):
    node = fill(panel)
    setSegment(node, node.GetSegmentation().GetNthSegmentID(0), np.zeros(GRID.shape, bool), GRID)
    section.ui.agreementButton.click()
    assert cells(section.ui.agreementTable)[0][1] == "-"
    assert cells(section.ui.agreementTable)[0][2].startswith("-")


def test_scripts_compare_raters_too(panel):
    fill(panel)
    logic = panel.context.logic
    found = logic.raterAgreement(panel.parameters.raters)
    assert [pair.dice for pair in found.pairs] == [
        pytest.approx(pair.dice) for pair in case_agreement(STACK, ["a", "b", "c"], GRID).pairs
    ]
    with pytest.raises(InputError, match="Agreement needs two raters"):
        logic.raterAgreement(panel.parameters.raters[:1])
