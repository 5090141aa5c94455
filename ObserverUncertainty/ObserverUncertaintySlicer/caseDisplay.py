"""How a case comes on the screen: its image and its raters' outlines, and nothing of another patient over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.compareViews import presentViews
from ObserverUncertaintySlicer.display import hideLegends
from ObserverUncertaintySlicer.host import application
from ObserverUncertaintySlicer.outlines import hideAllSegmentations, showRaterOutlines
from ObserverUncertaintySlicer.raterMasks import commonGrid, raterMasks
from ObserverUncertaintySlicer.raters import Rater
from ObserverUncertaintySlicer.sliceViews import jumpAllViews, ordinarySliceNodes, showPatientAxes
from ObserverUncertaintySlicer.volumes import matrixOfGrid

if TYPE_CHECKING:
    from ObserverUncertaintySlicer.caseLoading import LoadedCase


def showCase(case: LoadedCase) -> list[str]:
    """Show a case's whole first image in the slice views, its raters as outlines and the slices through their middle.

    Contours of the scene that are not the case's are hidden, for they may be of another patient; a comparison ends.

    Returns:
        The names of the segmentations that were hidden.
    """
    views = presentViews()
    if views is not None:
        views.restoreLayout()
    hideLegends()
    hidden = hideAllSegmentations(but=[rater.node for rater in case.raters])
    image = next(iter(case.sequences.values()), None)
    if image is not None:
        _showImage(image)
    for sliceNode in ordinarySliceNodes():
        showPatientAxes(sliceNode)
    showRaterOutlines(case.raters)
    place = centreOfRaters(case.raters, image)
    if place is not None:
        jumpAllViews(place, centred=False)
    return hidden


def centreOfRaters(raters: Sequence[Rater], image: Any = None) -> tuple[float, float, float] | None:
    """The place (RAS, mm) that some rater drew and that is nearest to the middle of all they drew; None if nothing."""
    try:
        masks = raterMasks(raters, commonGrid(raters, image))
    except InputError:  # no rater at all, or one that step 1 tells of
        return None
    indices = np.argwhere(masks.masks.any(axis=0))[:, ::-1]
    if not len(indices):
        return None
    apart = ((indices - indices.mean(axis=0)) * masks.grid.spacing) ** 2
    nearest = indices[int(np.argmin(apart.sum(axis=1)))]
    return tuple((matrixOfGrid(masks.grid) @ (*nearest, 1))[:3].tolist())


def _showImage(volumeNode) -> None:
    app = application()
    if app is None:
        return
    # As Slicer shows what it loads: in the views that follow the selection, along the image's own axes.
    logic = app.applicationLogic()
    selection = logic.GetSelectionNode()
    selection.SetActiveVolumeID(volumeNode.GetID())
    selection.SetSecondaryVolumeID(None)
    selection.SetActiveLabelVolumeID(None)
    logic.PropagateVolumeSelection(1)
