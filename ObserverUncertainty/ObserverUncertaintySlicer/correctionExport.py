"""Corrections as files, with who, when and from what beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import written_atomically
from ObserverUncertaintyLib.formats import write_mask
from ObserverUncertaintyLib.formats.errors import UnwritableFileError
from ObserverUncertaintyLib.formats.writing import NOTE
from ObserverUncertaintySlicer.attributes import NOTICE, recorded
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.raterMasks import raterMask
from ObserverUncertaintySlicer.raters import Rater, ratersOfNode
from ObserverUncertaintySlicer.segments import keptGrid, setReferenceGrid, setSegment
from ObserverUncertaintySlicer.volumes import requireInScene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ObserverUncertaintyLib.images.grid import Grid

EXTENSIONS = (".seg.nrrd", ".nrrd", ".nii.gz")


def exportReviewed(node, path: str | Path, overwrite: bool = False) -> Path:
    """Write a correction as .seg.nrrd, .nrrd or .nii.gz, and beside it a .json file with who, when and from what.

    The mask lies on the grid it was drawn on, in world coordinates: parent transforms of the node are folded in.

    Args:
        node: a segmentation node with one segment.
        path: the file; the extension names the format.
        overwrite: whether files of these names may be replaced.

    Returns:
        The path of the mask's file.

    Raises:
        InputError: another extension, a file that is there already, or a node that is no single contour on a grid.
        UnwritableFileError: writing fails; neither file appears or changes then.
    """
    requireInScene(node, _("the correction to export"))
    path = Path(path)
    if not path.name.endswith(EXTENSIONS):
        raise InputError(
            _("{path}: corrections are written as {known}. Change the file's extension.").format(
                path=path, known=", ".join(EXTENSIONS)
            )
        )
    record = path.with_name(path.name + ".json")
    for file in (path, record):
        if file.is_dir():
            raise InputError(_("{file} is a folder; give the name of a file.").format(file=file))
        if file.exists() and not overwrite:
            raise InputError(_("{file} exists already. Give another name, or allow overwriting.").format(file=file))
    contour, grid = onlyContour(node)
    mask, note = raterMask(contour, grid)
    content = {"name": node.GetName(), "segment": contour.name, "notice": NOTE, **recorded(node)}
    if note is not None:
        content["exportNote"] = note
    try:
        with written_atomically(record) as temporary:
            temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            # Inside the block: the record moves into place only after the mask did.
            if path.name.endswith(".seg.nrrd"):
                _writeSegmentation(contour, mask, grid, path)
            else:
                write_mask(path, mask, grid)
    except OSError as error:
        raise UnwritableFileError(
            _("{path}: the file cannot be written: {error}. Choose a folder with write permission and space.").format(
                path=path, error=error
            )
        ) from error
    return path


def onlyContour(node) -> tuple[Rater, Grid]:
    """The one contour of a segmentation node, and the grid that it was drawn on; InputError if it has none or more."""
    contours, grid = ratersOfNode(node), None
    if node.IsA("vtkMRMLSegmentationNode"):
        grid = keptGrid(node)
    if len(contours) != 1 or grid is None:
        raise InputError(
            _("{node} has {count} segments; expected a segmentation with one, drawn on an image's grid.").format(
                node=node.GetName(), count=len(contours)
            )
        )
    return contours[0], grid


def _writeSegmentation(contour: Rater, mask: NDArray[np.bool_], grid: Grid, path: Path) -> None:
    """Write a segmentation as Slicer does, from a copy in world coordinates: files know no parent transforms."""
    segment = contour.node.GetSegmentation().GetSegment(contour.segmentID)
    copy = slicer.vtkMRMLSegmentationNode()
    copy.GetSegmentation().AddEmptySegment(contour.segmentID, segment.GetName(), segment.GetColor())
    copy.GetSegmentation().GetSegment(contour.segmentID).SetTag(NOTICE.name, NOTE)
    setReferenceGrid(copy, grid)
    setSegment(copy, contour.segmentID, mask, grid)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetUseCompression(True)
    with written_atomically(path) as temporary:
        storage.SetFileName(str(temporary))
        if not storage.WriteData(copy) or not temporary.is_file():
            raise OSError(_("Slicer could not write the segmentation"))
