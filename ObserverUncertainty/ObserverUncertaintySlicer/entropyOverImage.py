"""One entropy over the image in the ordinary slice views, on the fixed scale and with its legend."""

from __future__ import annotations

from ObserverUncertaintySlicer.attributes import Role
from ObserverUncertaintySlicer.compareViews import presentViews
from ObserverUncertaintySlicer.display import LEGENDS, showAsEntropy, showLegend
from ObserverUncertaintySlicer.parameters import Parameters
from ObserverUncertaintySlicer.sliceViews import compositeNodeOf, ordinarySliceNodes, showOverImage


def showEntropyOverImage(volume, parameters: Parameters) -> None:
    """Show the case's predictive or expert entropy over its first image; views of a comparison stay as they are.

    Raises:
        InputError: the volume is no entropy that can be shown.
    """
    showAsEntropy(volume, parameters.threshold)
    showOverImage(volume, parameters.opacity, parameters.reference)
    role = Role.EXPERT_ENTROPY if volume is parameters.expertEntropy else Role.PREDICTIVE_ENTROPY
    if presentViews() is None:  # the comparison has legends of its own
        showLegend(volume, LEGENDS[role], ordinarySliceNodes())


def isSomethingElseShown(parameters: Parameters, but) -> bool:
    """Whether an ordinary view shows an image that is not the case's, or another uncertainty than `but`.

    What else the user chose there, such as another sequence, or no uncertainty, is no reason to show anything else.
    """
    images = [node.GetID() for node in parameters.sequences.values()]
    others = [
        node.GetID()
        for node in (parameters.predictiveEntropy, parameters.expertEntropy)
        if node is not None and node is not but
    ]
    composites = [compositeNodeOf(node) for node in ordinarySliceNodes() if node.IsMappedInLayout()]
    return any(
        composite.GetBackgroundVolumeID() not in images or composite.GetForegroundVolumeID() in others
        for composite in composites
    )
