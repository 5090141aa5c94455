"""Corrections as files, with who, when and from what beside them."""

from __future__ import annotations

from pathlib import Path

import slicer

from ObserverUncertaintyLib.errors import InputError
from ObserverUncertaintyLib.files import write_json, written_atomically
from ObserverUncertaintyLib.formats import write_mask
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.raters import raterMask, ratersOfNode
from ObserverUncertaintySlicer.segments import referenceGrid
from ObserverUncertaintySlicer.volumes import requireInScene

EXTENSIONS = (".seg.nrrd", ".nrrd", ".nii.gz")
_PREFIX = "ObserverUncertainty."


def exportCorrected(node, path: str | Path, overwrite: bool = False) -> Path:
    """Write a correction as .seg.nrrd, .nrrd or .nii.gz, and beside it a .json file with who, when and from what.

    Args:
        node: a segmentation node with one segment.
        path: the file; the extension names the format.
        overwrite: whether files of these names may be replaced.

    Returns:
        The path of the mask's file.

    Raises:
        InputError: another extension, a file that is there already, or a folder that cannot be written to.
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
        if file.exists() and not overwrite:
            raise InputError(_("{file} exists already. Give another name, or allow overwriting.").format(file=file))
    contours, grid = ratersOfNode(node), referenceGrid(node)
    if len(contours) != 1 or grid is None:
        raise InputError(
            _("{node} has {count} segments; expected one on an image's grid.").format(
                node=node.GetName(), count=len(contours)
            )
        )
    if path.name.endswith(".seg.nrrd"):
        _writeSegmentation(node, path)
    else:
        write_mask(path, raterMask(contours[0], grid)[0], grid)
    write_json(record, {"name": node.GetName(), "segment": contours[0].name, **_attributes(node)})
    return path


def _writeSegmentation(node, path: Path) -> None:
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetUseCompression(True)
    try:
        with written_atomically(path) as temporary:
            storage.SetFileName(str(temporary))
            if not storage.WriteData(node) or not temporary.is_file():
                raise OSError(_("Slicer could not write the segmentation"))
    except OSError as error:
        raise InputError(
            _("{path}: the file cannot be written: {error}. Choose a folder with write permission and space.").format(
                path=path, error=error
            )
        ) from error


def _attributes(node) -> dict[str, str]:
    """The module's attributes of a node, without their prefix."""
    return {
        name.removeprefix(_PREFIX): node.GetAttribute(name)
        for name in node.GetAttributeNames()
        if name.startswith(_PREFIX)
    }
