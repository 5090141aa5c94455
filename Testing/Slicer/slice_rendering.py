"""Pictures of slice views without a screen: real slice logic, real displayable managers, VTK's offscreen window."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import slicer
import vtk
from real_mrml import boot
from vtk.util.numpy_support import vtk_to_numpy

# Without it VTK first tries an X server, and warns when there is none.
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

# Those of the application's slice views that draw what this module puts into them, in the application's order.
DISPLAYABLE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)


class SliceViewRenderer:
    """Draws an existing slice node with what its composite node shows, as the application's slice view would.

    Args:
        sliceNode: A `vtkMRMLSliceNode` of the booted scene. It keeps its orientation, offset and field of view; its
            dimensions become `size`. Its composite node is the one with the same layout name; where the scene has
            none, the slice logic makes it.
        size: Width and height in pixels.
    """

    def __init__(self, sliceNode, size=(600, 600)):
        self.sliceNode = sliceNode
        self.size = size
        self.sliceLogic = boot().sliceLogic(sliceNode)
        self.compositeNode = self.sliceLogic.GetSliceCompositeNode()

        self._renderer = vtk.vtkRenderer()
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.ShowWindowOff()
        self._window.SetMultiSamples(0)
        self._window.SetAlphaBitPlanes(1)
        self._window.AddRenderer(self._renderer)
        self._window.SetSize(*size)
        # Displayable managers read the window's interactor and crash without one.
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)

        # A slice view counts as shown only when mapped: otherwise nothing is computed for it.
        self.sliceNode.SetMappedInLayout(1)
        self.sliceLogic.ResizeSliceNode(*size)
        self._displayableManagers = slicer.vtkMRMLDisplayableManagerGroup()
        self._displayableManagers.SetRenderer(self._renderer)
        self._displayableManagers.Initialize(_displayableManagerFactory(), self._renderer)
        self._displayableManagers.SetMRMLDisplayableNode(sliceNode)

        self._showEarlierLegends()

        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._layers = vtk.vtkActor2D()
        self._layers.SetMapper(self._mapper)
        self._layers.GetProperty().SetDisplayLocationToBackground()

    def render(self, png: Path | str | None = None) -> np.ndarray:
        """Draws the view as it is now.

        Args:
            png: Where to save the picture, if anywhere.

        Returns:
            `(height, width, 3)` in uint8, red green blue, the first row at the top.
        """
        self._showLayers()
        self._window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self._window)
        grabber.SetInputBufferTypeToRGB()
        grabber.ReadFrontBufferOff()
        grabber.ShouldRerenderOff()
        grabber.Update()
        if png is not None:
            _writePng(grabber.GetOutputPort(), Path(png))
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)
        return pixels[::-1].copy()

    def _showEarlierLegends(self):
        """The application's views are older than the legends; this view learns of them as if its layers had changed."""
        flags = self.compositeNode.GetInteractionFlags()
        self.compositeNode.SetInteractionFlags(slicer.vtkMRMLSliceCompositeNode.BackgroundVolumeFlag)
        self.compositeNode.Modified()
        self.compositeNode.SetInteractionFlags(flags)

    def _showLayers(self):
        """A view without any volume has no image to show, and the mapper would complain of its missing input."""
        connection = self.sliceLogic.GetImageDataConnection()
        shown = bool(self._renderer.HasViewProp(self._layers))
        if connection is not None:
            self._mapper.SetInputConnection(connection)
            if not shown:
                self._renderer.AddViewProp(self._layers)
        elif shown:
            self._renderer.RemoveViewProp(self._layers)

    def pixel(self, ras) -> tuple[int, int]:
        """Row and column of the picture at which a position (RAS, mm) lies; the position must be in the slice."""
        rasToXY = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.sliceNode.GetXYToRAS(), rasToXY)
        x, y, z, _ = rasToXY.MultiplyPoint((*ras, 1.0))
        if abs(z) > 1e-3:
            raise ValueError(f"{self.sliceNode.GetName()}: {tuple(ras)} lies {z:g} slices away from the shown one")
        return self.size[1] - 1 - round(y), round(x)

    def close(self):
        """Detaches the view from the scene; the slice node and its composite node stay."""
        self._displayableManagers.SetMRMLDisplayableNode(None)
        self._displayableManagers.SetRenderer(None)
        self._mapper.RemoveAllInputs()
        self._window.Finalize()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()


def renderSliceView(
    background=None,
    foreground=None,
    foregroundOpacity=0.5,
    orientation="Axial",
    offset=None,
    layoutName="Rendered",
    size=(600, 600),
    png=None,
) -> np.ndarray:
    """Draws volumes, and every visible segmentation and legend of the scene, in a slice view of their own.

    Args:
        background: Volume node at the bottom, to which the view is fitted.
        foreground: Volume node over it.
        foregroundOpacity: 0 to 1.
        orientation: Axial, Sagittal or Coronal.
        offset: Position along the slice normal in mm; the middle of the background by default.
        layoutName: Name of the slice node that is made (or taken again).
        size: Width and height in pixels.
        png: Where to save the picture, if anywhere.

    Returns:
        `(height, width, 3)` in uint8, the first row at the top.
    """
    scene = boot().scene
    sliceNode = scene.GetSingletonNode(layoutName, "vtkMRMLSliceNode")
    if sliceNode is None:
        # Not the constructor: only the scene's factory gives a slice node its orientation presets.
        sliceNode = scene.CreateNodeByClass("vtkMRMLSliceNode")
        sliceNode.UnRegister(None)
        sliceNode.SetName(layoutName)
        sliceNode.SetLayoutName(layoutName)
        sliceNode.SetSingletonTag(layoutName)
        sliceNode = scene.AddNode(sliceNode)
    sliceNode.SetOrientation(orientation)
    with SliceViewRenderer(sliceNode, size) as renderer:
        composite = renderer.compositeNode
        composite.SetBackgroundVolumeID(background.GetID() if background else None)
        composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)
        composite.SetForegroundOpacity(foregroundOpacity)
        renderer.sliceLogic.FitSliceToAll()
        if offset is not None:
            renderer.sliceLogic.SetSliceOffset(offset)
        return renderer.render(png)


def _displayableManagerFactory():
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    for name in DISPLAYABLE_MANAGERS:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    return factory


def _writePng(connection, path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputConnection(connection)
    writer.Write()
    if writer.GetErrorCode():
        raise OSError(f"{path}: the picture could not be written")
