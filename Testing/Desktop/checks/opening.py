"""The module opens, and its sample case comes in by one click."""

from __future__ import annotations

import slicer

STEPS = ("1. Case", "2. Disagreement", "3. Model", "4. Uncertainty", "5. Compare", "6. Correct")


def check_panel_shows_six_steps(desktop):
    titles = [str(section.ui.sectionButton.text) for section in desktop.panel.sections]
    for step in STEPS:
        assert any(title.startswith(step) for title in titles), f"no step {step} in {titles}"
    assert slicer.util.selectedModule() == "ObserverUncertainty"
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
