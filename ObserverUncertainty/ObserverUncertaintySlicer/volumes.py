"""Volumes of the scene as arrays on the library's grids, and back.

The only file that turns MRML's RAS into the library's LPS. Arrays are (k, j, i); grids lie in world coordinates: the
transforms a node stands under are folded in.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.images.foreground import background_value
from ObserverUncertaintyLib.images.grid import Grid, same_grid
from ObserverUncertaintyLib.images.resampling import resample
from ObserverUncertaintySlicer.hierarchy import placeBeside

if TYPE_CHECKING:
    from numpy.typing import NDArray

AXES_TOLERANCE = 1e-3
"""Largest cosine between two axes: rounding in file headers stays far below it, a tilted gantry far above."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def contentTime(volumeNode) -> int:
    """Grows when a volume's voxels are changed; 0 for a volume without any, or None."""
    image = None if volumeNode is None else volumeNode.GetImageData()
    return 0 if image is None else image.GetMTime()


def rasOf(position: tuple[float, float, float]) -> tuple[float, float, float]:
    """A position of the library (LPS, mm) in the scene (RAS, mm)."""
    return -position[0], -position[1], position[2]


def gridOfVolume(volumeNode) -> Grid:
    """The voxel grid of a volume node in world coordinates, its parent transforms folded in.

    Raises:
        InputError: the node has no voxels, stands under a non-linear transform, or its axes are not perpendicular.
    """
    ijkToRas = worldMatrixOfVolume(volumeNode)
    return gridOfMatrix(ijkToRas, volumeNode.GetImageData().GetDimensions(), volumeNode.GetName())


def worldMatrixOfVolume(volumeNode) -> NDArray[np.float64]:
    """The 4x4 matrix from voxel index to world RAS mm of a volume, also where its axes are not perpendicular.

    Raises:
        InputError: the node has no voxels, or stands under a non-linear transform.
    """
    image = _imageOf(volumeNode)
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    ijkToRas = worldFromLocal(volumeNode) @ arrayOfMatrix(matrix)
    ijkToRas[:, 3] = ijkToRas @ np.array([*image.GetExtent()[::2], 1.0])
    return ijkToRas


def gridOfMatrix(ijkToRas: NDArray[np.float64], size: tuple[int, int, int], name: str) -> Grid:
    """The grid that a 4x4 matrix from voxel index to RAS mm describes; `name` is used in errors.

    Raises:
        InputError: the axes are not perpendicular, which no image file can hold.
    """
    grid = gridWithAnyAxes(ijkToRas, size)
    axes = np.reshape(grid.direction, (3, 3))
    if np.abs(axes.T @ axes - np.eye(3)).max() > AXES_TOLERANCE:
        raise InputError(
            f"{name}: the axes of its voxel grid are not perpendicular in the scene (a shear, or scaling along slanted "
            "directions); expected perpendicular axes. Use a rigid parent transform, or resample the node onto "
            "another volume's grid (module Resample Image) first."
        )
    return grid


def gridWithAnyAxes(ijkToRas: NDArray[np.float64], size: tuple[int, int, int]) -> Grid:
    """The grid of a 4x4 matrix from voxel index to RAS mm, also where its axes are not perpendicular.

    Good for resampling from it; not for files or results, see `gridOfMatrix`.
    """
    matrix = _LPS_TO_RAS @ ijkToRas
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    i, j, k = (int(n) for n in size)
    return Grid(
        size=(i, j, k),
        spacing=tuple(spacing.tolist()),
        origin=tuple(matrix[:3, 3].tolist()),
        direction=tuple((matrix[:3, :3] / spacing).ravel().tolist()),
    )


def matrixOfGrid(grid: Grid) -> NDArray[np.float64]:
    """The 4x4 matrix from voxel index (i, j, k, 1) to RAS position in mm."""
    return _LPS_TO_RAS @ grid.index_to_physical()


def vtkMatrixOfGrid(grid: Grid) -> vtk.vtkMatrix4x4:
    """`matrixOfGrid` as VTK wants it."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(matrixOfGrid(grid).ravel())
    return matrix


def worldFromLocal(node) -> NDArray[np.float64]:
    """The 4x4 matrix of the parent transforms of a node, from its own RAS to the world's; the identity if none.

    Raises:
        InputError: one of them is not linear.
    """
    transform = node.GetParentTransformNode()
    if transform is None:
        return np.eye(4)
    if not transform.IsTransformToWorldLinear():
        raise InputError(
            f"{node.GetName()}: it stands under the non-linear transform {transform.GetName()}; expected a linear "
            "transform or none. Harden the transform (module Data, right click on the transform's icon) first."
        )
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return arrayOfMatrix(matrix)


def arrayOfVolume(volumeNode) -> NDArray[np.float32]:
    """A copy of the voxels of a scalar volume, float32, shape (k, j, i); raises InputError if there are none."""
    return voxelsOf(volumeNode).astype(np.float32)


def arrayOnGrid(volumeNode, grid: Grid) -> NDArray[np.float32]:
    """`arrayOfVolume` on another grid: resampled (linear) unless it is the volume's own; background lies outside it."""
    array, own = arrayOfVolume(volumeNode), gridOfVolume(volumeNode)
    if same_grid(grid, own):
        return array
    return resample(array, own, grid, "linear", outside=background_value(array))


def voxelsOf(volumeNode) -> NDArray[Any]:
    """The voxels of a scalar volume in their own type, shape (k, j, i): a view, not to be written to.

    Raises:
        InputError: the node has no voxels, or several values per voxel.
    """
    image = _imageOf(volumeNode)
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(
            f"{volumeNode.GetName()}: it has {image.GetNumberOfScalarComponents()} values per voxel (a colour or "
            "vector volume); expected one. Choose a scalar volume."
        )
    return arrayOfImage(image)


def arrayOfImage(image: vtk.vtkImageData) -> NDArray[Any]:
    """The values of a VTK image with one component, shape (k, j, i): a view."""
    values = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    return values.reshape(image.GetDimensions()[::-1])


def fillImage(image: vtk.vtkImageData, array: NDArray[Any], start: tuple[int, int, int] = (0, 0, 0)) -> None:
    """Give a VTK image a copy of an array (k, j, i), its first voxel at index `start` (i, j, k)."""
    size = array.shape[::-1]
    image.SetExtent([bound for low, n in zip(start, size, strict=True) for bound in (low, low + n - 1)])
    # deep=True: VTK would otherwise point into numpy's memory.
    values = numpy_support.numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True)
    values.SetName("ImageScalars")
    image.GetPointData().SetScalars(values)


def addVolume(array: NDArray[Any], grid: Grid, name: str, beside=None):
    """Add a scalar volume node with a copy of an array.

    Args:
        array: shape (k, j, i) on `grid`; bool and uint8 become uint8, every other type float32.
        grid: in world coordinates.
        name: the node's name.
        beside: a node whose place in the subject hierarchy the new one shares.

    Returns:
        The vtkMRMLScalarVolumeNode, with a display node.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    updateVolume(node, array, grid)
    node.CreateDefaultDisplayNodes()
    placeBeside(node, beside)
    return node


def updateVolume(volumeNode, array: NDArray[Any], grid: Grid) -> None:
    """Replace the voxels and the grid of a volume node in one step; `grid` is in world coordinates.

    A parent transform is taken off, since it would move the result away from where it was computed.
    """
    if array.shape != grid.shape:
        raise ValueError(f"array has shape {array.shape}, the grid {grid.shape}")
    image = vtk.vtkImageData()
    fillImage(image, array.astype(np.uint8 if array.dtype in (np.bool_, np.uint8) else np.float32, copy=False))
    wasModifying = volumeNode.StartModify()
    try:
        volumeNode.SetAndObserveTransformNodeID(None)
        volumeNode.SetIJKToRASMatrix(vtkMatrixOfGrid(grid))
        volumeNode.SetAndObserveImageData(image)
        volumeNode.StorableModified()
    finally:
        volumeNode.EndModify(wasModifying)


def importVolume(path: str | Path, name: str, beside=None):
    """Read an image file or a DICOM folder into a new scalar volume node.

    Raises:
        InputError: the file cannot be used; no node is added then.
    """
    volume = read_image(path)
    return addVolume(volume.array, volume.grid, name, beside)


def requireInScene(node, role: str) -> None:
    """Raise InputError unless `node` is a node of the scene; `role` says what it was to be, such as "a rater"."""
    if node is None or not hasattr(node, "GetScene"):
        raise InputError(f"{node!r} was given as {role}; expected a node of the scene. Choose one.")
    if not slicer.mrmlScene.IsNodePresent(node):
        raise InputError(f"{node.GetName()}: it is {role}, but it is no longer in the scene. Choose another node.")


def _imageOf(volumeNode):
    requireInScene(volumeNode, "a volume")
    if not volumeNode.IsA("vtkMRMLVolumeNode"):
        raise InputError(f"{volumeNode.GetName()}: it is a {volumeNode.GetNodeTagName()} node; expected a volume.")
    image = volumeNode.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None or image.GetNumberOfPoints() == 0:
        raise InputError(f"{volumeNode.GetName()}: the volume holds no voxels; expected an image. Load it again.")
    return image


def arrayOfMatrix(matrix: vtk.vtkMatrix4x4) -> NDArray[np.float64]:
    """A VTK matrix as a numpy array, shape (4, 4)."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
