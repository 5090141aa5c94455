"""A small case with known volumes, overlaps and entropies, for the tests of the panel's sections."""

from __future__ import annotations

import numpy as np
from opened_panel import waitFor

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.segments import addEmptySegmentation, addSegment, segmentVoxels, setSegment
from ObserverUncertaintySlicer.volumes import addVolume

GRID = Grid(
    size=(32, 30, 20), spacing=(2.0, 2.0, 2.5), origin=(-31.0, -29.0, -24.0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)
)
VOXEL_ML = 0.01


def head(shift=(0, 0, 0)):
    """A bright ball on black, moved by voxels (k, j, i)."""
    k, j, i = np.ogrid[: GRID.shape[0], : GRID.shape[1], : GRID.shape[2]]
    centre = np.array([10, 15, 16]) + shift
    distance = ((k - centre[0]) / 7) ** 2 + ((j - centre[1]) / 10) ** 2 + ((i - centre[2]) / 10) ** 2
    texture = 40 * np.sin(i / 2.0) * np.cos(j / 3.0) + 5 * k
    return np.where(distance <= 1, 200.0 + texture, 0.0).astype(np.float32)


def box(low, high):
    """A mask of 10 x 10 voxels in k and j, and from `low` to `high` (left out) in i."""
    mask = np.zeros(GRID.shape, bool)
    mask[5:15, 10:20, low:high] = True
    return mask


RATERS = {"anna": box(10, 20), "ben": box(12, 22), "cara": box(10, 15)}
"""1000, 1000 and 500 voxels: 10, 10 and 5 mL. Dice: 2*800/2000, 2*500/1500, 2*300/1500."""


def addRaters(masks=RATERS, name="case raters"):
    """A segmentation node with overlapping segments."""
    node = addEmptySegmentation(GRID, name)
    for number, (rater, mask) in enumerate(masks.items()):
        setSegment(node, addSegment(node, rater, (0.2 + 0.3 * number, 0.4, 0.6)), mask, GRID)
    return node


def addSequence(name, shift=(0, 0, 0)):
    """A volume of the head."""
    return addVolume(head(shift), GRID, name)


def fill(panel):
    """Put a reference and three raters into the panel; returns the raters' node."""
    panel.parameters.sequences = {"T1": addSequence("case T1")}
    node = addRaters()
    panel.parameters.raterChoices = [RaterChoice(rater) for rater in ratersOfNode(node)]
    return node


def segmentOf(node, grid=GRID):
    """The first segment's voxels on the whole grid, placed by the matrix that MRML gives."""
    voxels, ijkToRas, _note = segmentVoxels(node, node.GetSegmentation().GetNthSegmentID(0), grid)
    mask = np.zeros(grid.shape, bool)
    start = np.linalg.solve(np.diag([-1.0, -1, 1, 1]) @ grid.index_to_physical(), ijkToRas[:, 3])
    i, j, k = np.rint(start[:3]).astype(int)
    mask[k : k + voxels.shape[0], j : j + voxels.shape[1], i : i + voxels.shape[2]] = voxels
    return mask


def cells(table):
    """A QTableWidget's texts, row by row."""
    return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]


def settle(application, section):
    """Wait until a section has nothing left to follow up."""
    application.processEvents()
    waitFor(lambda: not section._timer.active)


# FIXIMPORT
