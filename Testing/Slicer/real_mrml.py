"""Real MRML without the Slicer application: the scene and the module logics of the slicer-core wheel.

Nothing in this file imitates anything. What the wheel lacks (Qt, `slicer.app`, scripted modules) is in `imitation`.
"""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import sys
import tempfile
import types
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
import vtk

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE_LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Data": "vtkSlicerDataModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}


class CoreModule:
    """A loadable module as `slicer.modules.<name>` shows it, reduced to its name and its real logic."""

    def __init__(self, name, logic):
        self.name = name
        self.title = name
        self._logic = logic

    def logic(self):
        """The module's logic, one per application."""
        return self._logic


class VtkMessages:
    """Collects what VTK reports as an error or a warning; a test says which errors it expects."""

    def __init__(self):
        self.errors = []
        self.warnings = []
        window = vtk.vtkOutputWindow()
        window.SetDisplayModeToNever()
        for event, messages in ((vtk.vtkCommand.ErrorEvent, "errors"), (vtk.vtkCommand.WarningEvent, "warnings")):
            callback = functools.partial(self._store, messages)
            callback.CallDataType = vtk.VTK_STRING  # type: ignore[attr-defined]
            window.AddObserver(event, callback)
        vtk.vtkOutputWindow.SetInstance(window)
        self._window = window

    def _store(self, messages, _caller, _event, text):
        getattr(self, messages).append(text)

    def clear(self):
        """Forgets all messages."""
        self.errors.clear()
        self.warnings.clear()

    @contextlib.contextmanager
    def expectErrors(self, pattern: str) -> Iterator[None]:
        """Takes errors matching the regular expression off the record; fails when none came inside the block."""
        before = len(self.errors)
        yield
        new = self.errors[before:]
        rest = [text for text in new if not re.search(pattern, text)]
        if len(rest) == len(new):
            raise AssertionError(f"VTK reported no error matching {pattern!r}; it reported {new}")
        self.errors[before:] = rest


class RealMrml:
    """One booted application logic with its scene, data input and output, and module logics.

    Like the application, a process has one of it (see `boot`), because displayable manager factories and
    `slicer.mrmlScene` are global.
    """

    def __init__(self):
        self.vtkMessages = VtkMessages()
        self.temporaryPath = tempfile.mkdtemp(prefix="observer-uncertainty-mrml-")
        self.scene = slicer.vtkMRMLScene()
        slicer.mrmlScene = self.scene
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)

        self.applicationLogic = slicer.vtkSlicerApplicationLogic()
        self.applicationLogic.SetMRMLScene(self.scene)
        self.applicationLogic.SetTemporaryPath(self.temporaryPath)
        self.applicationLogic.GetColorLogic().SetMRMLScene(self.scene)
        self.applicationLogic.GetColorLogic().AddDefaultColorNodes()
        self.applicationLogic.SetSliceLogics(vtk.vtkCollection())
        self.applicationLogic.SetViewLogics(vtk.vtkCollection())
        for factory in (
            slicer.vtkMRMLThreeDViewDisplayableManagerFactory,
            slicer.vtkMRMLSliceViewDisplayableManagerFactory,
        ):
            factory.GetInstance().SetMRMLApplicationLogic(self.applicationLogic)

        self._startDataIO()
        self.logics = {name: self._startLogic(name, className) for name, className in MODULE_LOGICS.items()}
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self._publishModules()
        self.removedDisplays: list[str] = []
        onRemoval = functools.partial(self._noteRemovedDisplay)
        onRemoval.CallDataType = vtk.VTK_OBJECT  # type: ignore[attr-defined]
        self.scene.AddObserver(self.scene.NodeAboutToBeRemovedEvent, onRemoval)
        self._ownNodeIDs = {node.GetID() for node in self._nodes()}

    def _startDataIO(self):
        """Without these two, scenes that refer to data files (`.mrml`, `.mrb`) come back without the data."""
        self.remoteIOLogic = slicer.vtkMRMLRemoteIOLogic()
        self.remoteIOLogic.SetMRMLScene(self.scene)
        self.remoteIOLogic.SetMRMLApplicationLogic(self.applicationLogic)
        self.remoteIOLogic.GetCacheManager().SetRemoteCacheDirectory(str(Path(self.temporaryPath, "cache")))
        self.dataIOManagerLogic = slicer.vtkDataIOManagerLogic()
        self.dataIOManagerLogic.SetMRMLScene(self.scene)
        self.dataIOManagerLogic.SetMRMLApplicationLogic(self.applicationLogic)
        self.dataIOManagerLogic.SetAndObserveDataIOManager(self.remoteIOLogic.GetDataIOManager())
        self.remoteIOLogic.AddDataIOToScene()

    def _startLogic(self, name, className):
        logic = getattr(slicer, className)()
        if hasattr(logic, "SetModuleShareDirectory"):
            logic.SetModuleShareDirectory(self.temporaryPath)
        logic.SetMRMLApplicationLogic(self.applicationLogic)
        logic.SetMRMLScene(self.scene)
        self.applicationLogic.SetModuleLogic(name, logic)
        return logic

    def _publishModules(self):
        modules = types.ModuleType("slicer.modules")
        for name, logic in self.logics.items():
            setattr(modules, name.lower(), CoreModule(name, logic))
        sys.modules["slicer.modules"] = slicer.modules = modules

    def _noteRemovedDisplay(self, scene, _event, node):
        """Slicer's views keep a pointer to a segmentation's display node that leaves the scene before it."""
        if node.IsA("vtkMRMLSegmentationDisplayNode") and not scene.IsClosing():
            segmentation = node.GetDisplayableNode()
            if segmentation is not None and scene.IsNodePresent(segmentation):
                self.removedDisplays.append(f"{node.GetName()} of {segmentation.GetName()}")

    def _nodes(self):
        return [self.scene.GetNthNode(index) for index in range(self.scene.GetNumberOfNodes())]

    def clear(self):
        """Closes the scene as the application does, then removes the singletons that a closed scene keeps."""
        sliceLogics = self.applicationLogic.GetSliceLogics()
        for index in range(sliceLogics.GetNumberOfItems()):
            # The traceback of a failed test may keep the logic alive: it must not touch the next test's scene.
            sliceLogics.GetItemAsObject(index).SetMRMLScene(None)
        sliceLogics.RemoveAllItems()
        self.scene.Clear(0)
        for node in self._nodes():
            if node.GetID() not in self._ownNodeIDs:
                self.scene.RemoveNode(node)
        self.scene.SetURL("")
        self.scene.ClearUndoStack()
        self.scene.ClearRedoStack()

    def sliceLogic(self, sliceNode):
        """The slice logic of a slice node of the scene, made on first use as the application's slice view does."""
        logic = self.applicationLogic.GetSliceLogic(sliceNode)
        if logic is None:
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLApplicationLogic(self.applicationLogic)
            logic.SetMRMLScene(self.scene)
            logic.SetSliceNode(sliceNode)
            self.applicationLogic.GetSliceLogics().AddItem(logic)
        return logic

    def removeTemporaryFiles(self):
        """Deletes the cache and whatever else was put into the temporary path."""
        shutil.rmtree(self.temporaryPath, ignore_errors=True)


@functools.cache
def boot() -> RealMrml:
    """The process's one application logic and scene; started on the first call."""
    return RealMrml()
