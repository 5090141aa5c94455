"""How volumes look in slice views: entropy, difference and probability on fixed scales, with their colour legends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
import slicer.util

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.attributes import ROLE, Role
from ObserverUncertaintySlicer.colors import differenceColors, entropyColors
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.volumes import voxelsOf

if TYPE_CHECKING:
    from collections.abc import Iterable

LEGENDS = {
    Role.PREDICTIVE_ENTROPY: _("Model\nuncertainty\n(bits)"),
    Role.EXPERT_ENTROPY: _("Expert\ndisagreement\n(bits)"),
    Role.ENTROPY_DIFFERENCE: _("Model\n- experts\n(bits)"),
}
"""Titles of the colour legends by the role of a volume, in the order of the comparison's rows."""

DEFAULT_THRESHOLD = 0.05
"""Entropy in bits below which nothing is drawn: less than that of one vote in 180."""

# Rounding may carry a float32 a little over 1; such a voxel must not drop out at the upper threshold.
_TOP = 1.001


def showAsEntropy(volumeNode, threshold: float = DEFAULT_THRESHOLD) -> None:
    """Show a volume as entropy: colours from 0 to 1 bits whatever its values are, nothing below the threshold.

    Args:
        volumeNode: scalar volume in bits, 0 to 1.
        threshold: in bits, from 0 to below 1. Entropy of exactly 0 is never drawn.

    Raises:
        InputError: not a scalar volume with voxels, or the threshold is outside its range.
    """
    threshold = _checked(threshold)
    _showOnScale(volumeNode, entropyColors(), 0.0, 1.0, threshold)


def showAsDifference(volumeNode, threshold: float = DEFAULT_THRESHOLD) -> None:
    """Show a volume as difference of entropies: colours from -1 to 1 bits, nothing nearer to 0 than the threshold.

    The threshold holds for all differences in the scene, see `differenceColors`.

    Args:
        volumeNode: scalar volume in bits, -1 to 1: predictive minus expert entropy.
        threshold: in bits, from 0 to below 1.

    Raises:
        InputError: as for `showAsEntropy`.
    """
    _showOnScale(volumeNode, differenceColors(_checked(threshold)), -1.0, 1.0, None)


def showAsProbability(volumeNode) -> None:
    """Show a volume as probability: grey from 0 (black) to 1 (white) whatever its values are.

    Raises:
        InputError: not a scalar volume with voxels.
    """
    _showOnScale(volumeNode, slicer.mrmlScene.GetNodeByID("vtkMRMLColorTableNodeGrey"), 0.0, 1.0, None)


def showLegend(volumeNode, title: str, viewNodes: Iterable | None = None):
    """Show the colour legend of a volume.

    Args:
        volumeNode: a volume with a colour table, such as after `showAsEntropy`.
        title: what the values are, with their unit.
        viewNodes: the views that show it; all that show the volume if None.

    Returns:
        The vtkMRMLColorLegendDisplayNode, in place of the one that the volume had: Slicer does not draw one that came
        with a scene.
    """
    earlier = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(volumeNode)
    if earlier is not None:
        earlier.SetVisibility(False)  # of one that is removed while it is visible, the picture stays
        slicer.mrmlScene.RemoveNode(earlier)
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(volumeNode)
    wasModifying = legend.StartModify()
    try:
        legend.SetTitleText(title)
        legend.SetLabelFormat("%.2f")
        legend.SetNumberOfLabels(5)
        # The text is as large as this width allows.
        legend.SetSize(0.08, 0.5)
        legend.SetPosition(0.98, 0.5)
        for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
            text.SetFontFamilyToArial()
            text.ShadowOn()
            text.ItalicOff()
            text.BoldOff()
        legend.RemoveAllViewNodeIDs()
        for viewNode in viewNodes or ():
            legend.AddViewNodeID(viewNode.GetID())
        legend.SetVisibility(True)
    finally:
        legend.EndModify(wasModifying)
    return legend


def hideLegends() -> None:
    """Hide the legends of all entropies and differences.

    Slicer may go on drawing one in a view that shows its volume no longer.
    """
    for legend in slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode"):
        volume = legend.GetDisplayableNode()
        if volume is not None and ROLE.of(volume) in LEGENDS:
            legend.SetVisibility(False)


def _showOnScale(volumeNode, colors, lowest: float, highest: float, threshold: float | None) -> None:
    voxelsOf(volumeNode)
    if not volumeNode.IsA("vtkMRMLScalarVolumeNode") or volumeNode.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError(
            _(
                "{name}: it is a {kind} node; expected a scalar volume. Convert it (module Volumes, Volume "
                "Information) or choose another one."
            ).format(name=volumeNode.GetName(), kind=volumeNode.GetNodeTagName())
        )
    volumeNode.CreateDefaultDisplayNodes()
    display = volumeNode.GetVolumeDisplayNode()
    wasModifying = display.StartModify()
    try:
        display.SetAndObserveColorNodeID(colors.GetID())
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(lowest, highest)
        display.AutoThresholdOff()
        display.SetApplyThreshold(threshold is not None)
        if threshold is not None:
            display.SetThreshold(threshold, _TOP)
    finally:
        display.EndModify(wasModifying)


def _checked(threshold: float) -> float:
    if not 0 <= threshold < 1:
        raise InputError(
            _("The threshold is {threshold:g}; expected bits from 0 to below 1.").format(threshold=threshold)
        )
    return float(threshold)
