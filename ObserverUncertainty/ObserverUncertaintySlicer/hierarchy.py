"""Where new nodes stand in the subject hierarchy, with or without the application.

The application gives every node an item by itself; plain MRML gives none, so items are made where they are missing.
"""

from __future__ import annotations

import slicer


def itemOf(node) -> int:
    """The subject hierarchy item of a node; made at the top level where the node has none."""
    hierarchy = _hierarchy()
    item = hierarchy.GetItemByDataNode(node)
    if item == hierarchy.GetInvalidItemID():
        item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    return item


def placeBeside(node, beside) -> None:
    """Put a node under the same parent as another; nothing changes if `beside` is None."""
    if beside is not None:
        placeUnder(node, _hierarchy().GetItemParent(itemOf(beside)))


def placeUnder(node, parentItem: int) -> None:
    """Put a node under an item of the subject hierarchy."""
    _hierarchy().SetItemParent(itemOf(node), parentItem)


def addFolder(name: str) -> int:
    """Add a folder at the top level of the subject hierarchy and return its item."""
    hierarchy = _hierarchy()
    return hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), name)


def _hierarchy():
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
