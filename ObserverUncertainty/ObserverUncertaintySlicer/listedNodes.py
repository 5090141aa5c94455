"""What the list of cases brings into the scene for a case, and takes out again with the next one.

A node is taken out only if the list brought it and it is as it came, or if it can be had again at a click: neither what
the user made or loaded otherwise, nor what was changed and is saved nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.attributes import (
    DRAWN,
    LISTED_CASE,
    LISTED_CONTENT,
    RATER_MEAN,
    ROLE,
    SOURCE,
    START,
    Role,
)
from ObserverUncertaintySlicer.correction import hasUnsavedChanges, workingCopyOf
from ObserverUncertaintySlicer.hierarchy import itemOf
from ObserverUncertaintySlicer.outlines import hideSegmentation
from ObserverUncertaintySlicer.parameters import Parameters
from ObserverUncertaintySlicer.raterMasks import raterMask
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.segments import keptGrid
from ObserverUncertaintySlicer.volumes import voxelsOf

_DERIVED = ("fusedSegmentation", "expertEntropy", "difference", "metricsTable")
"""Parameters that refer to what the panel computes of a case's nodes."""
_MADE_AGAIN = (
    *(Role.FUSED_RATERS, Role.RATER_MEAN, Role.EXPERT_ENTROPY, Role.ENTROPY_DIFFERENCE, Role.METRICS),
    Role.DRAWN,
)
"""What a click makes again, or what means nothing without its working copy."""


def markListed(nodes: Iterable[Any], caseName: str) -> None:
    """Note that nodes are there for a case of the list, and what they hold."""
    for node in nodes:
        LISTED_CASE.set(node, caseName)
        LISTED_CONTENT.set(node, _content(node))


def listedCase(parameters: Parameters) -> str:
    """The name of the case that is in the panel, if the list brought it; else ""."""
    reference, name = parameters.reference, parameters.listedCase
    return name if reference is not None and name and LISTED_CASE.of(reference) == name else ""


def markDerived(parameters: Parameters) -> None:
    """Note what was made of the list's present case, such as the fused raters and a working copy."""
    name = listedCase(parameters)
    if not name:
        return
    fused, copy = parameters.fusedSegmentation, parameters.workingCopy
    made = [getattr(parameters, key) for key in _DERIVED]
    made += [fused and RATER_MEAN.of(fused), copy, copy and DRAWN.of(copy)]
    for node in made:
        if node is not None and LISTED_CASE.of(node) != name:
            LISTED_CASE.set(node, name)
    start = copy and START.of(copy)
    if start is not None and LISTED_CASE.of(start) != name:
        markListed([start], name)


def listedNodes() -> list[Any]:
    """All nodes of the scene that are there for cases of the list."""
    return [node for node in slicer.util.getNodesByClass("vtkMRMLStorableNode") if LISTED_CASE.of(node)]


def hideContours(nodes: Iterable[Any]) -> None:
    """Hide the segmentations among nodes."""
    for node in nodes:
        if node.IsA("vtkMRMLSegmentationNode"):
            hideSegmentation(node)


def takeOut(nodes: Collection[Any]) -> list[str]:
    """Take nodes of earlier cases of the list out of the scene.

    Args:
        nodes: as `listedNodes` gave them before the next case came.

    Returns:
        Names of the nodes that stay, since they hold what is saved nowhere else. They are the user's from now on.
    """
    present = [node for node in nodes if slicer.mrmlScene.IsNodePresent(node)]
    copies = [node for node in present if ROLE.of(node) == Role.WORKING_COPY]
    staying = [node for node in present if node not in copies and not _mayGo(node)]
    for copy in copies:
        parts = [node for node in (START.of(copy), DRAWN.of(copy)) if node is not None]
        staying = [node for node in staying if node not in parts]
        if _isUnsaved(copy):
            staying += [copy, *parts]
        else:
            present += [node for node in parts if node not in present]
    for node in staying:
        LISTED_CASE.set(node, None)
        LISTED_CONTENT.set(node, None)
    for node in present:
        if node not in staying:
            removeNode(node, LISTED_CASE.of(node, ""))
    return [node.GetName() for node in staying if not node.GetHideFromEditors()]


def removeNode(node, caseName: str) -> None:
    """Take a node out of the scene, with how it is shown and stored, and its case's folder once that is empty."""
    shown = node.GetNumberOfDisplayNodes() if node.IsA("vtkMRMLDisplayableNode") else 0
    belonging = [node.GetNthDisplayNode(number) for number in range(shown)]
    belonging += [node.GetNthStorageNode(number) for number in range(node.GetNumberOfStorageNodes())]
    with _folderGoes(node, caseName):
        # The node first: slice views keep a pointer to a display node that goes before its segmentation.
        for each in (node, *belonging):
            if each is not None and slicer.mrmlScene.IsNodePresent(each):
                slicer.mrmlScene.RemoveNode(each)


@contextmanager
def _folderGoes(node, caseName: str) -> Iterator[None]:
    """Remove the folder that was made for a node's case, if it is empty after the block."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = itemOf(node)
    folder = hierarchy.GetItemParent(item)
    yield
    if item in _children(hierarchy, folder):  # the application itself takes it out
        hierarchy.RemoveItem(item, False, False)
    isOfCase = folder != hierarchy.GetSceneItemID() and hierarchy.GetItemName(folder) == caseName
    if isOfCase and hierarchy.GetItemDataNode(folder) is None and not _children(hierarchy, folder):
        hierarchy.RemoveItem(folder)


def _children(hierarchy, item: int) -> list[int]:
    found = vtk.vtkIdList()
    hierarchy.GetItemChildren(item, found)
    return [found.GetId(number) for number in range(found.GetNumberOfIds())]


def _isUnsaved(copyNode) -> bool:
    """Whether a working copy holds work that no correction of the scene has."""
    copy = workingCopyOf(copyNode)
    saved = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        if ROLE.of(node) == Role.CORRECTION and SOURCE.of(node) == SOURCE.of(copyNode)
    ]
    return copy is not None and all(hasUnsavedChanges(copy, each) for each in (None, *saved))


def _mayGo(node) -> bool:
    """Whether nothing is lost with a node that is no working copy."""
    known = LISTED_CONTENT.of(node)
    return ROLE.of(node) in _MADE_AGAIN or (known is not None and known == _content(node))


def _content(node) -> str | None:
    """Changes with the voxels of a volume or segmentation and the names of its segments; None if it cannot be read."""
    digest = hashlib.sha1(usedforsecurity=False)
    try:
        if node.IsA("vtkMRMLSegmentationNode"):
            grid = keptGrid(node)
            for rater in ratersOfNode(node) if grid is not None else []:
                digest.update(rater.name.encode())
                digest.update(np.packbits(raterMask(rater, grid)[0]).data)
        else:
            digest.update(np.ascontiguousarray(voxelsOf(node)).data)
    except InputError:  # such as under a transform that is not linear
        return None
    return digest.hexdigest()
