"""A correction and the model's maps as DICOM objects that refer to the series that was drawn on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.export.case import export_case
from ObserverUncertaintyLib.export.contours import case_contours
from ObserverUncertaintyLib.images.grid import require_same_grid
from ObserverUncertaintySlicer.correctionExport import onlyContour
from ObserverUncertaintySlicer.dicomSources import seriesOf
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.raterMasks import raterMask
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume, requireInScene

MAPS = {
    "probability": "probability",
    "predictiveEntropy": "predictive_entropy",
    "expectedEntropy": "expected_entropy",
    "mutualInformation": "mutual_information",
}
"""A prediction's nodes by their keys, and what their files are called."""


def exportDicom(
    node,
    folder: str | Path,
    series: str | Path | None = None,
    *,
    referenceVolume=None,
    maps: Mapping[str, Any] = {},
    marginMm: float = 0.0,
    overwrite: bool = False,
) -> list[Path]:
    """Write a correction as SEG and RTSTRUCT, with inner and outer contour, margin and maps where they are given.

    The files hold the patient's name and IDs, which they take from the series.

    Args:
        node: a segmentation node with one segment.
        folder: for the files.
        series: folder of the DICOM series that was drawn on, `folder#SeriesInstanceUID`, or a multi-frame file; if None
            that of the reference volume, where it is known.
        referenceVolume: the volume that was drawn on.
        maps: the prediction's volumes by the keys of `MAPS`; they must lie on the correction's grid.
        marginMm: of a further contour around it; 0 for none.
        overwrite: whether the files of a former export may be replaced.

    Returns:
        The files.

    Raises:
        InputError: the series is not known, cannot be used or lies on another grid; the folder holds files; or the node
            is no single contour. Nothing is written then.
    """
    requireInScene(node, _("the correction to export"))
    if series is None:
        series = "" if referenceVolume is None else seriesOf(referenceVolume)
        if not series:
            raise InputError(
                _(
                    "{node}: it is not known which DICOM series was drawn on; expected its folder. Name the folder of "
                    "the series, whose patient and study the files will refer to."
                ).format(node=node.GetName())
            )
    contour, grid = onlyContour(node)
    mask, _note = raterMask(contour, grid)
    arrays = {}
    for key, volume in maps.items():
        advice = _("Predict the case again, or export without the model's maps.")
        require_same_grid(grid, node.GetName(), gridOfVolume(volume), volume.GetName(), advice)
        arrays[MAPS[key]] = arrayOfVolume(volume)
    contours = case_contours(
        grid, structure=contour.name, reviewed=mask, probability=arrays.get("probability"), margin_mm=marginMm
    )
    return export_case(series, folder, grid, contours, arrays, overwrite=overwrite, progress=Progress())
