"""The module's own self-test: the first five minutes of a clinician, every line of it passed."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import slicer

CHECKS_WITH_THE_MODEL = 20
PICTURES = 10


def check_the_test_class_passes_as_slicer_runs_it(desktop):
    import ObserverUncertainty
    from ObserverUncertaintySlicer.selfTest.byPanel import PICTURES_VARIABLE

    pictures = Path(desktop.task["pictures"]) / "self-test"
    os.environ[PICTURES_VARIABLE] = str(pictures)
    test = ObserverUncertainty.ObserverUncertaintyTest()
    test.delayDisplay = lambda text, *_args, **_options: slicer.util.showStatusMessage(text)  # no box to wait for
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        test.runTest()
    _requirePassed(printed.getvalue().splitlines())
    assert len(list(pictures.glob("*.png"))) == PICTURES
    desktop.shot("end")


def check_it_passes_without_a_panel(desktop):
    import ObserverUncertainty
    from ObserverUncertaintySlicer.selfTest.walk import runSelfTest

    _requirePassed(runSelfTest(ObserverUncertainty.ObserverUncertaintyLogic(), lambda _text: desktop.settle(0.1)))


def _requirePassed(lines):
    checks = [line for line in lines if not line.startswith("pictures: ")]
    assert all(line.startswith("ok: ") for line in checks), lines
    assert len(checks) >= CHECKS_WITH_THE_MODEL, lines


check_the_test_class_passes_as_slicer_runs_it.seconds = 900
check_it_passes_without_a_panel.seconds = 900
