"""The question before a working copy with changes is left behind."""

from __future__ import annotations

import slicer

from ObserverUncertaintySlicer.attributes import FURTHER_RATER
from ObserverUncertaintySlicer.correction import hasUnsavedChanges, workingCopyOf
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.parameters import Parameters


def hasUnsavedWork(parameters: Parameters) -> bool:
    """Whether the panel's working copy has changes that were not saved as reviewed."""
    node = parameters.workingCopy
    copy = None if node is None else workingCopyOf(node)
    return copy is not None and hasUnsavedChanges(copy, parameters.lastCorrection)


def mayLeaveWorkingCopy(parameters: Parameters) -> bool:
    """Whether the panel may let go of its working copy; the user is asked if it has changes that were not saved."""
    if not hasUnsavedWork(parameters):
        return True
    question = _("{name} has changes that were not saved as reviewed. Go on without it? It stays in the scene.")
    if FURTHER_RATER.of(parameters.workingCopy):
        question = _("{name} is not finished. Go on without it? It stays in the scene.")
    return bool(slicer.util.confirmOkCancelDisplay(question.format(name=parameters.workingCopy.GetName())))
