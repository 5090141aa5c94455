"""Step 6 of the panel as a user fills it, for the tests of its parts."""

from __future__ import annotations

import numpy as np
from section_case import GRID, RATERS, fill

from ObserverUncertaintySlicer.segments import addSegmentation, setSegment
from ObserverUncertaintySlicer.volumes import addVolume


def readyToCorrect(panel):
    """Step 6 on a case with the model's segmentation and an uncertain slab at its lower and one at its upper end."""
    fill(panel)
    entropy = np.zeros(GRID.shape, np.float32)
    entropy[4, 10:20, 10:20] = 0.9
    entropy[14, 10:20, 10:20] = 0.5
    panel.parameters.segmentation = addSegmentation(RATERS["anna"], GRID, "model", "cavity", (0, 0, 1))
    panel.parameters.predictiveEntropy = addVolume(entropy, GRID, "entropy")
    return panel.correct


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
