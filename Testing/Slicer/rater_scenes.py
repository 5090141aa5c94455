"""Scenes with raters whose truth is known without MRML: shapes given by formulas, and transforms as matrices."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import slicer
import slicer.util
import vtk

from ObserverUncertaintyLib.images.grid import Grid

PLAIN = Grid((40, 36, 24), (1.0, 1.0, 1.5), (-20.0, -18.0, 7.0))


def rotation(degrees, axis=(1.0, 2.0, 3.0)):
    """The 3x3 matrix of a rotation about an axis (Rodrigues)."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


OBLIQUE = Grid((30, 42, 26), (1.3, 0.8, 2.1), (-22.0, -15.0, 5.0), tuple(rotation(17).ravel()))


def affine(matrix, shift=(0.0, 0.0, 0.0)):
    """A 4x4 matrix."""
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = matrix, shift
    return result


def ellipsoid(grid, centre, radii):
    """The voxels of an ellipsoid, given by centre and radii in LPS mm, with the grid's own index to position rule."""
    k, j, i = np.indices(grid.shape)
    index = np.stack([i, j, k], axis=-1) * np.array(grid.spacing)
    places = index @ np.reshape(grid.direction, (3, 3)).T + np.array(grid.origin)
    return (((places - np.array(centre)) / np.array(radii)) ** 2).sum(axis=-1) < 1


def threeRaters(grid, centre=(0.0, 0.0, 25.0)):
    """Three overlapping ellipsoids, shape (3, k, j, i)."""
    shifts = ((0, 0, 0), (2, -1, 1), (-1, 3, 2))
    return np.stack([ellipsoid(grid, np.add(centre, shift), (9 + n, 8, 7)) for n, shift in enumerate(shifts)])


def addReference(grid, name="Reference"):
    """A volume node on a grid, made by Slicer's own functions."""
    matrix = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine(
        np.reshape(grid.direction, (3, 3)) * np.array(grid.spacing), grid.origin
    )
    return slicer.util.addVolumeFromArray(np.zeros(grid.shape, np.float32), ijkToRAS=matrix, name=name)


def addSegmentation(reference, masks, name="Raters", names=None):
    """A segmentation node with one segment a mask, made by Slicer's own functions; segment IDs rater0, rater1, ..."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    for index, mask in enumerate(masks):
        segmentID = f"rater{index}"
        node.GetSegmentation().AddEmptySegment(segmentID, names[index] if names else f"Rater {index}")
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, segmentID, reference)
    return node


def addLabelmap(reference, mask, name="Labelmap", label=1):
    """A labelmap volume node with a mask on the grid of a volume node."""
    matrix = vtk.vtkMatrix4x4()
    reference.GetIJKToRASMatrix(matrix)
    array = mask.astype(np.uint8) * label
    return slicer.util.addVolumeFromArray(array, matrix, name, "vtkMRMLLabelMapVolumeNode")


def addTransform(matrix, name="Transform"):
    """A linear transform node from a 4x4 matrix in RAS."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def addBendingTransform(name="Bending"):
    """A thin plate spline transform: not linear."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", name)
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for point in ((0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50), (30, 30, 30)):
        source.InsertNextPoint(point)
        target.InsertNextPoint(point if point[2] < 30 else (point[0] + 8, point[1], point[2]))
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    node.SetAndObserveTransformToParent(spline)
    return node


def resampledBySimpleITK(mask, source, target, toWorldRas):
    """A mask on another grid after a linear transform in RAS, computed by SimpleITK alone: nearest voxel."""
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    inverse = np.linalg.inv(flip @ toWorldRas @ flip)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(inverse[:3, :3].ravel().tolist())
    transform.SetTranslation(inverse[:3, 3].tolist())
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(source.spacing)
    image.SetOrigin(source.origin)
    image.SetDirection(source.direction)
    found = sitk.Resample(
        image, target.size, transform, sitk.sitkNearestNeighbor, target.origin, target.spacing, target.direction, 0
    )
    return sitk.GetArrayFromImage(found) > 0


def segmentArray(node, segmentID, reference):
    """The voxels of a segment by Slicer's own export."""
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segmentID, reference) > 0


def parentItemName(node):
    """The name of the subject hierarchy item that a node stands under."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    return hierarchy.GetItemName(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)))
