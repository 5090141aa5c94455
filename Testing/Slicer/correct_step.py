"""Step 6 of the panel as a user fills it, for the tests of its parts."""

from __future__ import annotations

import numpy as np
from section_case import GRID, fill

from ObserverUncertaintyLib.scores.entropy import binary_entropy
from ObserverUncertaintySlicer.segments import addSegmentation, setSegment
from ObserverUncertaintySlicer.volumes import addVolume

LOWER, UPPER = np.s_[5:7, 10:20, 10:20], np.s_[15:17, 10:20, 10:20]
"""Where the model is unsure: of 200 voxels each, 0.8 and 0.6 mL are expected to be wrong."""


def readyToCorrect(panel):
    """Step 6 on a case with the model's result: sure of the middle, and less of a slab at each end of the cavity."""
    fill(panel)
    probability = modelsProbability()
    parameters = panel.parameters
    parameters.segmentation = addSegmentation(probability > 0.5, GRID, "model", "cavity", (0, 0, 1))
    parameters.probability = addVolume(probability, GRID, "probability")
    parameters.expectedEntropy = addVolume((0.75 * binary_entropy(probability)).astype(np.float32), GRID, "expected")
    parameters.predictiveEntropy = addVolume(binary_entropy(probability).astype(np.float32), GRID, "entropy")
    return panel.correct


def modelsProbability():
    """Anna's contour from slice 7 on for sure, slices 5 and 6 with 0.6, and above it slices 15 and 16 with 0.3."""
    probability = np.zeros(GRID.shape, np.float32)
    probability[7:15, 10:20, 10:20] = 1.0
    probability[LOWER] = 0.6
    probability[UPPER] = 0.3
    return probability


def start(section, title="model's segmentation"):
    """Start a working copy of the contour whose title begins so; returns its node."""
    titles = [section.ui.sourceCombo.itemText(n) for n in range(section.ui.sourceCombo.count)]
    section.ui.sourceCombo.currentIndex = next(n for n, text in enumerate(titles) if text.startswith(title))
    section.ui.startButton.click()
    return section.parameters.workingCopy


def choose(section, row):
    """Choose a source as the user does."""
    section.ui.sourceCombo.currentIndex = row
    section.ui.sourceCombo.activated.emit(row)


def edit(node, mask):
    """Make the first segment this mask."""
    setSegment(node, node.GetSegmentation().GetNthSegmentID(0), mask, GRID)
