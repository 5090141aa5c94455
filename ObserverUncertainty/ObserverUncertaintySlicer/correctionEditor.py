"""Editing a working copy without a window: for scripts, with the Segment Editor's own logic and its undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.correction import WorkingCopy, configureEditor
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.segments import boundingBox, keptGrid
from ObserverUncertaintySlicer.volumes import fillImage, matrixOfGrid, requireInScene, worldFromLocal

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNDO_STATES = 20


class CorrectionEditor:
    """Adds to and removes from a working copy, step by step; close it, or use it in a `with` block.

    In the panel the segment editor does this, with an undo of its own: each knows only its own steps.
    """

    def __init__(self, workingCopy: WorkingCopy) -> None:
        scene = slicer.mrmlScene
        node = scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        self._workingCopy = workingCopy
        self._editorNode = scene.AddNode(node)
        try:
            configureEditor(self._editorNode, workingCopy)
        except InputError:
            self.close()
            raise
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetMRMLScene(scene)
        self._logic.SetSegmentEditorNode(self._editorNode)
        self._logic.SetMaximumNumberOfUndoStates(UNDO_STATES)

    def __enter__(self) -> CorrectionEditor:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def add(self, mask: NDArray[np.bool_]) -> None:
        """Draw: the contour holds these voxels too.

        Args:
            mask: bool, shape (k, j, i), on the grid of the image that the correction was started on.

        Raises:
            InputError: the mask has another shape, or the working copy was deleted.
        """
        self._modify(mask, self._logic.ModificationModeAdd)

    def remove(self, mask: NDArray[np.bool_]) -> None:
        """Erase: the contour holds none of these voxels any more; arguments and errors as for `add`."""
        self._modify(mask, self._logic.ModificationModeRemove)

    def undo(self) -> bool:
        """Take the last step back; false if there is none. Raises InputError if the working copy was deleted."""
        self._requirePresent()
        possible = bool(self._logic.CanUndo())
        if possible:
            self._logic.Undo()
        return possible

    def redo(self) -> bool:
        """Do again what was last undone; false if there is nothing. Raises InputError as `undo` does."""
        self._requirePresent()
        possible = bool(self._logic.CanRedo())
        if possible:
            self._logic.Redo()
        return possible

    def close(self) -> None:
        """Forget the steps; the working copy stays."""
        slicer.mrmlScene.RemoveNode(self._editorNode)

    def _modify(self, mask: NDArray[np.bool_], mode: int) -> None:
        self._requirePresent()
        node = self._workingCopy.node
        grid = keptGrid(node)
        if grid is None or mask.shape != grid.shape:
            raise InputError(
                _("{node}: the mask has the shape {found}; expected that of its image, {expected} (k, j, i).").format(
                    node=node.GetName(), found=mask.shape, expected=None if grid is None else grid.shape
                )
            )
        box = boundingBox(mask)
        if box is None:
            return
        image = slicer.vtkOrientedImageData()
        fillImage(image, mask[box].astype(np.uint8), tuple(side.start for side in reversed(box)))
        toNode = vtk.vtkMatrix4x4()
        toNode.DeepCopy((np.linalg.inv(worldFromLocal(node)) @ matrixOfGrid(grid)).ravel())
        image.SetImageToWorldMatrix(toNode)
        self._logic.SaveStateForUndo()
        self._logic.ModifySegmentByLabelmap(node, self._workingCopy.segmentID, image, mode, True, False)

    def _requirePresent(self) -> None:
        # Checked again each time: the user may delete the node or its segment at any moment.
        requireInScene(self._workingCopy.node, _("the working copy"))
        requireInScene(self._editorNode, _("the editor, which was closed"))
        configureEditor(self._editorNode, self._workingCopy)
