"""Colour tables of the overlays: fixed scales, so that the same value has the same colour in every view and case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer

from ObserverUncertaintySlicer.attributes import THRESHOLD
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.palette import DIFFERENCE_STEPS, ENTROPY_STEPS, Color

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NUMBER_OF_COLORS = 256


def entropyColors():
    """The colour table of entropies, 0 to 1 bits; one in a scene.

    Entropy 0 is transparent, so that a threshold of 0 still leaves the image grey where nothing is uncertain.

    Returns:
        A vtkMRMLColorTableNode of 256 colours, perceptually uniform.
    """
    table = _existing("ObserverUncertaintyEntropyColors")
    if table is None:
        table = _newTable("ObserverUncertaintyEntropyColors", _("Entropy (0 to 1 bits)"), ENTROPY_STEPS)
        _setOpaque(table, np.arange(NUMBER_OF_COLORS) > 0)
    return table


def differenceColors(threshold: float | None = None):
    """The colour table of entropy differences, -1 to 1 bits; one in a scene.

    A display node's threshold is one interval and cannot hide the middle, so the table does: all differences of a
    scene share colours and threshold.

    Args:
        threshold: differences nearer to 0 are transparent, to within half a colour (0.004); None keeps what is set.

    Returns:
        A vtkMRMLColorTableNode of 256 colours, diverging, safe for colour-blind readers.
    """
    table = _existing("ObserverUncertaintyDifferenceColors")
    if table is None:
        table = _newTable(
            "ObserverUncertaintyDifferenceColors", _("Entropy difference (-1 to 1 bits)"), DIFFERENCE_STEPS
        )
    if threshold is not None and THRESHOLD.of(table) != threshold:
        values = np.linspace(-1.0, 1.0, NUMBER_OF_COLORS)
        _setOpaque(table, np.abs(values) >= threshold)
        THRESHOLD.set(table, threshold)
    return table


def _existing(tag: str):
    return slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLColorTableNode")


def _newTable(tag: str, name: str, steps: Sequence[Color]):
    table = slicer.mrmlScene.CreateNodeByClass("vtkMRMLColorTableNode")
    table.UnRegister(None)
    table.SetSingletonTag(tag)
    table.SetName(name)
    table.SetAttribute("Category", "ObserverUncertainty")
    table.SetTypeToUser()
    table.SetNumberOfColors(NUMBER_OF_COLORS)
    for index, (red, green, blue) in enumerate(_interpolated(steps)):
        table.SetColor(index, str(index), red, green, blue, 1.0)
    return slicer.mrmlScene.AddNode(table)


def _interpolated(steps: Sequence[Color]) -> NDArray[np.float64]:
    """`NUMBER_OF_COLORS` rows of red, green and blue, 0 to 1, linear between the given colours."""
    places = np.linspace(0, len(steps) - 1, NUMBER_OF_COLORS)
    return np.stack([np.interp(places, np.arange(len(steps)), channel) for channel in np.transpose(steps)], axis=1)


def _setOpaque(table, opaque: NDArray[np.bool_]) -> None:
    """A slice view draws a colour fully or, where its opacity is 0, not at all."""
    wasModifying = table.StartModify()
    try:
        for index, isOpaque in enumerate(opaque):
            table.SetOpacity(index, float(isOpaque))
    finally:
        table.EndModify(wasModifying)
