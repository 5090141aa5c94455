"""The panel takes the fusion methods, their titles and what they do from the library's table."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from section_case import RATERS, fill, segmentOf

from ObserverUncertaintyLib.raters import fusion
from ObserverUncertaintyLib.raters.fusion import FusionMethod

NAMES = os.environ.get("FUSION_METHODS", "none majority staple union intersection mean").split()


def test_both_lists_hold_every_method_and_each_can_be_chosen(slicerApplication, panel):
    fill(panel)
    steps, training = panel.disagreement, panel.model.ui.fusionCombo
    combo = steps.ui.methodCombo
    assert [combo.itemText(n) for n in range(combo.count)] == [method.title for method in FusionMethod]
    assert [training.itemText(n) for n in range(training.count)] == [method.title for method in FusionMethod]
    assert [method.value for method in FusionMethod] == NAMES
    for number, method in enumerate(FusionMethod):
        combo.currentIndex = number
        training.setCurrentIndex(number)
        assert panel.parameters.fusionMethod is method
        assert panel.parameters.trainingFusion is method
        assert steps.ui.methodLabel.text == method.explanation
        if method is not FusionMethod.NONE:
            steps.onFuse()
            fused = panel.parameters.fusedSegmentation
            assert method.title in fused.GetName()
            expected = fusion.fuse(np.stack(list(RATERS.values())), method) > 0.5
            np.testing.assert_array_equal(segmentOf(fused), expected)


def test_a_further_row_of_the_table_is_all_that_the_panel_needs(tmp_path):
    """The test above, with a copy of the library that has one method more."""
    library, tests = tmp_path / "ObserverUncertaintyLib", Path(__file__).parent
    shutil.copytree(Path(fusion.__file__).parents[1], library, ignore=shutil.ignore_patterns("__pycache__"))
    table = library / "raters" / "fusion.py"
    row = (
        '    TWO = ("two", "Two or more", "Where two raters or more drew.", '
        "lambda raters, _: Votes.of(raters).on_grid(Votes.of(raters).patterns.sum(axis=1) >= 2))\n\n"
    )
    before, after = table.read_text(encoding="utf-8").split("    def __new__(")
    table.write_text(f"{before}{row}    def __new__({after}", encoding="utf-8")
    # What is on the path already is not put before it by the tests' setting up.
    path = [tmp_path, tests.parents[1], tests.parents[1] / "ObserverUncertainty"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}::{_INNER.__name__}"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "FUSION_METHODS": " ".join([*NAMES, "two"]),
        },
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


_INNER = test_both_lists_hold_every_method_and_each_can_be_chosen
