"""Step 6 as a review, with the mouse and the real segment editor: propagation, its undo, what is protected, levels."""

from __future__ import annotations

import numpy as np
import qt
import slicer
import slicer.util

FROM, TO = (0.5, 0.5), (0.53, 0.56)
"""A stroke in a view, which the place to review is in the middle of."""


def check_a_stroke_is_carried_on_and_undo_restores_exactly(desktop):
    correct = _startReviewing(desktop)
    start = _contour(desktop)
    drawn = _paint(desktop)
    assert (drawn != start).any()
    raters = desktop.voxels(desktop.panel.parameters.raters[0].node)
    correct.ui.propagateButton.click()
    carried = _contour(desktop)
    assert (carried != drawn).any(), correct.ui.sliceLabel.text
    assert "followed what you drew" in str(correct.ui.sliceLabel.text)
    desktop.shot("propagated")
    for wanted, step in ((drawn, "undo"), (start, "undo"), (drawn, "redo"), (carried, "redo")):
        getattr(correct.ui.editor, step)()
        _settle(desktop)
        assert (_contour(desktop) == wanted).all(), step
    assert _found(correct)[0] == "edited"
    assert desktop.voxels(desktop.panel.parameters.raters[0].node) == raters


def check_at_once_every_stroke_is_carried_on_and_can_be_undone(desktop):
    correct = _startReviewing(desktop)
    correct.ui.propagateAtOnceCheck.click()
    start = _contour(desktop)
    carried = _paint(desktop)
    desktop.wait(lambda: "followed" in str(correct.ui.sliceLabel.text), "the propagation")
    carried = _contour(desktop)
    correct.ui.editor.undo()
    _settle(desktop)
    drawn = _contour(desktop)
    assert 0 < np.count_nonzero(drawn != start) < np.count_nonzero(carried != start)
    correct.ui.editor.undo()
    _settle(desktop)
    assert (_contour(desktop) == start).all()


def check_what_the_model_is_sure_of_is_protected(desktop):
    from ObserverUncertaintySlicer.volumes import arrayOfVolume

    correct = _startReviewing(desktop)
    correct.ui.onlyUnsureCheck.click()
    probability = arrayOfVolume(desktop.panel.parameters.probability)
    start = _contour(desktop)
    changed = _paint(desktop, (0.3, 0.3), (0.6, 0.6)) != start
    assert changed.any(), "the stroke crosses the doubtful band"
    assert probability[changed].min() >= 0.01
    assert probability[changed].max() <= 0.99
    desktop.shot("protected")
    correct.ui.onlyUnsureCheck.click()
    changed = _paint(desktop, (0.3, 0.3), (0.6, 0.6)) != start
    assert probability[changed].min() < 0.01, "nothing is protected any more"


def check_the_slider_moves_the_contour_and_is_undone_in_one_go(desktop):
    from ObserverUncertaintySlicer.volumes import arrayOfVolume

    correct = _startReviewing(desktop)
    probability = arrayOfVolume(desktop.panel.parameters.probability)
    start = _contour(desktop)
    for level in (0.45, 0.4, 0.3):
        correct.ui.levelSlider.value = level
    assert (_contour(desktop) == (probability > 0.3)).all()
    desktop.shot("level")
    _settle(desktop)
    correct.ui.editor.undo()
    _settle(desktop)
    assert (_contour(desktop) == start).all()
    assert correct.ui.levelSlider.value == 0.5
    combo = correct.ui.alternativeCombo
    assert combo.count > 2, "the case has alternatives"
    combo.setCurrentIndex(1)
    correct.tools.onAlternative(1)
    assert np.count_nonzero(_contour(desktop)) < np.count_nonzero(start)


def check_slices_are_found_right_by_a_key_and_lead_to_the_next(desktop):
    correct = _startReviewing(desktop)
    _paint(desktop)
    before = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed").GetSliceOffset()
    _press(desktop, "S")
    desktop.wait(lambda: correct.tools.review.drawn, "the slice")
    (axis,) = correct.tools.review.drawn
    decided = correct.tools.review.drawn[axis]
    whole = decided.all(axis=tuple(other for other in range(3) if other != axis))
    assert whole.sum() == 1, "one whole slice is decided"
    assert slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed").GetSliceOffset() != before
    desktop.shot("next-slice")


def check_places_are_accepted_by_a_key_and_outlined(desktop):
    correct = _startReviewing(desktop)
    _press(desktop, "A")
    desktop.wait(lambda: _found(correct)[0] == "accepted", "the place to be accepted")
    assert "Reviewed: 1 of " in str(correct.ui.sliceLabel.text)
    correct.ui.confidenceCheck.click()
    desktop.shot("places")
    table = correct.ui.placesTable
    _click(desktop, table.viewport(), table.visualItemRect(table.item(2, 1)).center())
    desktop.wait(lambda: str(correct.ui.sliceLabel.text).startswith("Place 3."), "the third place")


def _startReviewing(desktop):
    """The sample case with the model's result, a working copy of its segmentation, the first place, and the brush."""
    desktop.loadSample()
    desktop.panel.case.ui.showButton.click()
    desktop.waitForJobs()
    correct = desktop.panel.correct
    correct.open()
    correct.ui.startButton.click()
    desktop.settle()
    assert str(correct.ui.sliceLabel.text).startswith("Place 1."), correct.ui.sliceLabel.text
    correct.ui.editor.setActiveEffectByName("Paint")
    return correct


def _contour(desktop):
    from ObserverUncertaintySlicer.correction import contentsOf

    return contentsOf(desktop.panel.correct.workingCopy)[1]


def _paint(desktop, begin=FROM, end=TO):
    """Paint with the mouse; returns the contour once the step has taken it up."""
    desktop.mouse("Red", [begin, end])
    _settle(desktop)
    return _contour(desktop)


def _settle(desktop):
    desktop.settle()
    desktop.wait(lambda: not desktop.panel.correct._live.isActive(), "the step to follow")


def _found(correct):
    table = correct.ui.placesTable
    return [str(table.item(row, 4).text()) for row in range(table.rowCount)]


def _press(desktop, letter):
    """A key of the step, as its shortcut takes it."""
    (key,) = [
        key
        for key in desktop.window.findChildren(qt.QShortcut)
        if key.parent() is desktop.window and key.enabled and key.key.toString() == letter
    ]
    key.activated()
    desktop.settle()


def _click(desktop, widget, position):
    """A click with the mouse."""
    for kind in (qt.QEvent.MouseButtonPress, qt.QEvent.MouseButtonRelease):
        event = qt.QMouseEvent(kind, qt.QPointF(position), qt.Qt.LeftButton, qt.Qt.LeftButton, qt.Qt.NoModifier)
        slicer.app.sendEvent(widget, event)
    desktop.settle()
