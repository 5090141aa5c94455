"""A small case with known values at known places, for the pictures of the comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import slicer.util

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintySlicer.volumes import addVolume

SIZE = (64, 64, 40)
SPACING = 2.0
# Index (i, j, k) to RAS mm: an axial scan, patient's right at i = 0.
RAS_ORIGIN = np.array([63.0, 63.0, -40.0])
RAS_STEP = np.array([-2.0, -2.0, 2.0])

GREY = 100.0  # in a window from 0 to 200
DIM, PLATEAU = 0.02, 0.8  # bits: below and above the default threshold

PREDICTIVE_CENTRE, EXPERT_CENTRE = (20, 20, 24), (44, 20, 24)
HALF = 8
RATER_CENTRE, RATER_HALF, RATER_SHIFT = (32, 40, 20), 10, 5
FIRST_COLOR, SECOND_COLOR = (0.0, 1.0, 0.0), (0.0, 0.8, 1.0)


def ras(i, j, k):
    """Position of a voxel's centre in RAS mm."""
    return tuple(RAS_ORIGIN + RAS_STEP * (i, j, k))


def cube(centre, half, shift=0):
    """Boolean (k, j, i) array of a cube around a voxel (i, j, k), shifted by as many voxels along each axis."""
    k, j, i = np.ogrid[: SIZE[2], : SIZE[1], : SIZE[0]]
    x, y, z = (index - place - shift for index, place in zip((i, j, k), centre, strict=True))
    return (abs(x) <= half) & (abs(y) <= half) & (abs(z) <= half)


@dataclass
class CompareCase:
    """Nodes of the case."""

    background: Any
    predictive: Any
    expert: Any
    difference: Any
    segmentation: Any

    @property
    def raters(self):
        """Both raters, as scripts give them."""
        return [(self.segmentation, "first"), (self.segmentation, "second")]


def makeCase():
    """Add the case to the scene."""
    origin = RAS_ORIGIN * (-1, -1, 1)
    grid = Grid(size=SIZE, spacing=(SPACING,) * 3, origin=tuple(origin), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))
    background = addVolume(np.full(SIZE[::-1], GREY), grid, "MRI")
    background.GetDisplayNode().AutoWindowLevelOff()
    background.GetDisplayNode().SetWindowLevelMinMax(0, 200)
    predictive = np.where(cube(PREDICTIVE_CENTRE, HALF), PLATEAU, DIM)
    expert = np.where(cube(EXPERT_CENTRE, HALF), PLATEAU, DIM)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Case raters")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(background)
    for name, color, shift in (("first", FIRST_COLOR, 0), ("second", SECOND_COLOR, RATER_SHIFT)):
        segmentation.GetSegmentation().AddEmptySegment(name, f"Rater {name}", color)
        mask = cube(RATER_CENTRE, RATER_HALF, shift).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, name, background)
    return CompareCase(
        background,
        addVolume(predictive, grid, "Predictive entropy"),
        addVolume(expert, grid, "Expert entropy"),
        addVolume(predictive - expert, grid, "Difference"),
        segmentation,
    )


def hasColor(picture, color, tolerance=12):
    """Boolean (row, column): where the picture has a colour, given as 0 to 1."""
    return (abs(picture.astype(int) - np.round(255 * np.array(color))) <= tolerance).all(axis=-1)


def isGrey(picture):
    """Boolean (row, column): where red, green and blue are equal."""
    return np.ptp(picture.astype(int), axis=-1) == 0
