"""Step 6: a further rater draws a case from nothing, while what the others and the model drew is hidden.

The contour becomes a rater of the case like any other; no rater and no result is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import slicer
import slicer.util

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.attributes import Role
from ObserverUncertaintySlicer.compareViews import presentViews
from ObserverUncertaintySlicer.correction import WorkingCopy, addWorkingCopy, contentsOf, requireNothingElseDrawn
from ObserverUncertaintySlicer.display import LEGENDS
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.outlines import showAsOutline
from ObserverUncertaintySlicer.palette import RATER_COLORS
from ObserverUncertaintySlicer.raters import Rater, giveOwnColors, raterNames
from ObserverUncertaintySlicer.segments import addSegmentation, setReferenceGrid
from ObserverUncertaintySlicer.volumes import gridOfVolume, requireInScene

_MAPS = (
    *(Role.RATER_MEAN, Role.EXPERT_ENTROPY, Role.PROBABILITY, Role.ENTROPY_DIFFERENCE),
    *(Role.PREDICTIVE_ENTROPY, Role.EXPECTED_ENTROPY, Role.MUTUAL_INFORMATION),
)
"""Volumes that tell where others drew, or where the model would."""

_HIDDEN_FOR_GOOD = (Role.PLACE, Role.CONFIDENCE, Role.WORKING_COPY)
"""Outlines that step 6 shows again where they are wanted."""


def startFurtherRater(name: str, referenceVolume, raters: Sequence[Rater] = ()) -> WorkingCopy:
    """Make an empty working copy in which a further rater draws.

    Args:
        name: of the rater.
        referenceVolume: the case's first image, on whose grid the contour lies.
        raters: of the case.

    Raises:
        InputError: the name is missing or one of the raters has it, or the image cannot be used.
    """
    name = _newName(name, raters)
    requireInScene(referenceVolume, _("the image to draw on"))
    grid = gridOfVolume(referenceVolume)
    nothing = np.zeros(grid.shape, bool)
    title = _("{rater} on {image} (drawing)").format(rater=name, image=referenceVolume.GetName())
    copy = addWorkingCopy(nothing, nothing, grid, referenceVolume, title, name)
    attributes.FURTHER_RATER.set(copy.node, name)
    attributes.DRAWN_BLIND.set(copy.node, True)
    return copy


def finishFurtherRater(workingCopy: WorkingCopy, referenceVolume, raters: Sequence[Rater] = ()) -> Rater:
    """Make what a further rater drew a rater of the case: a segmentation node of its own, in a colour of its own.

    Args:
        workingCopy: of `startFurtherRater`; it stays as it is.
        referenceVolume: the case's first image; the new node belongs to the same case.
        raters: of the case.

    Returns:
        The rater. The node says who drew it, from when to when, how many seconds, and whether blind.

    Raises:
        InputError: the working copy is no further rater's, its segment was deleted, something was drawn in another
            segment of it, or one of the raters has its name by now.
    """
    node = workingCopy.node
    name = attributes.FURTHER_RATER.of(node)
    if name is None:
        raise InputError(
            _("{node} is a correction, not a further rater's contour. Save it as reviewed.").format(node=node.GetName())
        )
    name = _newName(name, raters)
    requireInScene(referenceVolume, _("the case's first image"))
    grid, mask, note = contentsOf(workingCopy)
    requireNothingElseDrawn(workingCopy, grid)
    unique = slicer.mrmlScene.GenerateUniqueName(name)
    drawn = addSegmentation(mask, grid, unique, name, RATER_COLORS[len(raters) % len(RATER_COLORS)], referenceVolume)
    setReferenceGrid(drawn, grid, referenceVolume)
    showAsOutline(drawn)
    attributes.ROLE.set(drawn, Role.RATER)
    attributes.AUTHOR.set(drawn, name)
    attributes.STARTED.set(drawn, attributes.STARTED.of(node))
    attributes.FINISHED.set(drawn, datetime.now().astimezone().isoformat(timespec="seconds"))
    attributes.SECONDS.set(drawn, attributes.SECONDS.of(node, 0.0))
    attributes.DRAWN_BLIND.set(drawn, attributes.DRAWN_BLIND.of(node))
    attributes.VOLUME_ML.set(drawn, float(np.count_nonzero(mask)) * grid.voxel_volume_ml)
    attributes.NOTE.set(drawn, note)
    attributes.CASE.set(drawn, attributes.CASE.of(referenceVolume))
    attributes.SIMULATED.set(drawn, attributes.SIMULATED.of(referenceVolume))
    rater = Rater(drawn, drawn.GetSegmentation().GetNthSegmentID(0))
    giveOwnColors([rater], raters)
    return rater


def hideOthers(workingCopy: WorkingCopy) -> bool:
    """Hide all contours but a working copy's own, and every map that tells of others or of the model, in every view.

    A comparison ends. What is hidden is noted, so that `showOthers` finds it, also in a scene that was saved meanwhile.

    Returns:
        Whether anything had to be hidden.
    """
    views = presentViews()
    if views is not None:
        views.restoreLayout()
    wasShown = views is not None
    for display in (*_displays("vtkMRMLSegmentationDisplayNode"), *_displays("vtkMRMLColorLegendDisplayNode")):
        shown = display.GetDisplayableNode()
        if not display.GetVisibility() or shown is None or shown is workingCopy.node:
            continue
        if shown.IsA("vtkMRMLVolumeNode") and attributes.ROLE.of(shown) not in LEGENDS:
            continue
        display.SetVisibility(False)
        if attributes.ROLE.of(shown) not in _HIDDEN_FOR_GOOD:
            attributes.WAS_SHOWN.set(display, True)
        wasShown = True
    background = workingCopy.node.GetNodeReference(workingCopy.node.GetReferenceImageGeometryReferenceRole())
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        wasShown = _uncover(composite, background) or wasShown
    return wasShown


def showOthers() -> None:
    """Show again what `hideOthers` hid."""
    for display in _hidden():
        display.SetVisibility(True)
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        overlay = attributes.EARLIER_OVERLAY.of(composite)
        if overlay is not None and not composite.GetForegroundVolumeID():
            composite.SetForegroundVolumeID(overlay.GetID())
    forgetOthers()


def forgetOthers() -> None:
    """Leave hidden what `hideOthers` hid, such as where the case is another one by now."""
    for display in _hidden():
        attributes.WAS_SHOWN.set(display, None)
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        attributes.EARLIER_OVERLAY.set(composite, None)


def _newName(name: str, raters: Sequence[Rater]) -> str:
    name = name.strip()
    if not name:
        raise InputError(_("The rater's name is missing: the contour says who drew it. Give a name."))
    taken = {other.casefold() for other in (*raterNames(raters), *(rater.name for rater in raters))}
    if name.casefold() in taken:
        raise InputError(
            _("The case has a rater {name} already. Give another name, such as {name} (2).").format(name=name)
        )
    return name


def _displays(kind: str) -> list[Any]:
    return slicer.util.getNodesByClass(kind)


def _hidden() -> Iterator[Any]:
    for kind in ("vtkMRMLSegmentationDisplayNode", "vtkMRMLColorLegendDisplayNode"):
        yield from (display for display in _displays(kind) if attributes.WAS_SHOWN.of(display))


def _uncover(composite, background) -> bool:
    """Take the maps, and labelmaps, out of a slice view; whether there were any."""
    scene = slicer.mrmlScene
    isCovered = False
    overlay = scene.GetNodeByID(composite.GetForegroundVolumeID() or "")
    if overlay is not None and _tells(overlay):
        attributes.EARLIER_OVERLAY.set(composite, overlay)
        composite.SetForegroundVolumeID(None)
        isCovered = True
    shown = scene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
    if shown is not None and _tells(shown):
        composite.SetBackgroundVolumeID(None if background is None else background.GetID())
        isCovered = True
    if composite.GetLabelVolumeID():
        composite.SetLabelVolumeID(None)
        isCovered = True
    return isCovered


def _tells(volume) -> bool:
    return volume.IsA("vtkMRMLLabelMapVolumeNode") or attributes.ROLE.of(volume) in _MAPS
