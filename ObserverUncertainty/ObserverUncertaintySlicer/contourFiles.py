"""Contours from a file into the scene, beside the volume that they were drawn on; each structure is a rater."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import slicer.util

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_masks
from ObserverUncertaintyLib.formats.dicom.headers import DicomKind, dicom_kind, is_dicom_file
from ObserverUncertaintyLib.formats.marks import result_kind
from ObserverUncertaintyLib.formats.references import stem
from ObserverUncertaintySlicer.caseLoading import LoadedContours, addRaters
from ObserverUncertaintySlicer.dicomSources import spaceOf
from ObserverUncertaintySlicer.hierarchy import placeBeside
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.raters import Rater, ratersOfNode
from ObserverUncertaintySlicer.volumes import requireInScene

_SLICER_RT = "DicomRtImportExportPlugin"


def loadContours(path: str | Path, referenceVolume) -> LoadedContours:
    """Load what one or several raters drew: a DICOM RTSTRUCT or SEG, or a mask of another format.

    An RTSTRUCT is read by SlicerRT where that is installed, else by the library.

    Args:
        path: the file.
        referenceVolume: the volume that was drawn on.

    Raises:
        InputError: the file cannot be read, holds a result of this program, or was drawn in another frame of reference
            than the volume; the scene is unchanged then.
    """
    path = Path(path)
    requireInScene(referenceVolume, _("the volume that was drawn on"))
    plugin = getattr(slicer.modules, "dicomPlugins", {}).get(_SLICER_RT)
    if plugin is not None and _isStructureSet(path):
        return LoadedContours(_bySlicerRt(plugin(), path, referenceVolume))
    masks = read_masks(path, spaceOf(referenceVolume))
    for mask in masks:
        if mask.computed or result_kind(path, mask.array):
            raise InputError(
                _("{path}: {name} is a result of this program, and no rater's drawing. Choose another file.").format(
                    path=path, name=mask.name
                )
            )
    return addRaters({mask.name: mask for mask in masks}, spaceOf(referenceVolume).grid, stem(path), referenceVolume)


def _isStructureSet(path: Path) -> bool:
    return path.is_file() and is_dicom_file(path) and dicom_kind(path) is DicomKind.STRUCTURE_SET


def _bySlicerRt(plugin: Any, path: Path, referenceVolume) -> list[Rater]:
    before = set(slicer.util.getNodesByClass("vtkMRMLSegmentationNode"))
    loadables = plugin.examineForImport([[str(path)]])
    if not loadables or not plugin.load(loadables[0]):
        raise InputError(
            _("{path}: SlicerRT cannot load this file. Load its study in the module DICOM, which says why.").format(
                path=path
            )
        )
    nodes = [node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if node not in before]
    for node in nodes:
        placeBeside(node, referenceVolume)
        node.SetReferenceImageGeometryParameterFromVolumeNode(referenceVolume)
        node.CreateBinaryLabelmapRepresentation()
    return [rater for node in nodes for rater in ratersOfNode(node)]
