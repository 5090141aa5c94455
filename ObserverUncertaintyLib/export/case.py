"""A case's contours and maps as DICOM files in a folder, all of them or none."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import prepare_output_folder, writing
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.export.contours import BAND_EDGES, Contour, entropy_bands
from ObserverUncertaintyLib.export.map_object import QUANTITIES, map_object
from ObserverUncertaintyLib.export.segmentation_object import segmentation_object
from ObserverUncertaintyLib.export.source import SourceSeries, read_source
from ObserverUncertaintyLib.export.structure_set_object import structure_set_object
from ObserverUncertaintyLib.formats.dicom.headers import dicom_package
from ObserverUncertaintyLib.images.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom import Dataset

CONTOURS_SEG, CONTOURS_RTSTRUCT, BANDS_SEG = "contours_seg.dcm", "contours_rtstruct.dcm", "entropy_bands_seg.dcm"

FILES = (CONTOURS_SEG, CONTOURS_RTSTRUCT, BANDS_SEG, *(f"{name}.dcm" for name in QUANTITIES))
"""Every name that an exported file has."""

_BANDED = "predictive_entropy"

FIRST_SERIES_NUMBER = 9001
"""Of the exported series, each of which has a number of its own; scanners number theirs from 1."""


def export_case(
    series: str | Path,
    out: str | Path,
    grid: Grid,
    contours: Sequence[Contour],
    maps: Mapping[str, NDArray[np.float32]] = {},
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Write what a clinic's systems take: contours as SEG and RTSTRUCT, maps as parametric maps, entropy in bands.

    Every object refers to the series, its patient and its study, whose names and IDs it therefore holds.

    Args:
        series: folder of the DICOM series, `folder#SeriesInstanceUID`, or a multi-frame file.
        out: the folder to write; its files are called by what they hold.
        grid: that of contours and maps, which must be the series'.
        contours: see `case_contours`; those without a voxel are left out, and this is said.
        maps: by the names of a prediction's files.
        overwrite: whether files of a former export may be replaced.
        progress: is told of every file, and can cancel.

    Returns:
        The files.

    Raises:
        InputError: the series cannot be used or lies on another grid, nothing is there to export, or the folder holds
            files; nothing is written then.
    """
    progress, out = progress or Progress(), Path(out)
    dicom_package("highdicom", out, "an export to DICOM")
    drawn = [contour for contour in contours if contour.mask.any()]
    for contour in contours:
        if not contour.mask.any():
            progress.warning(f"{contour.name} has no voxel and is left out")
    if not drawn and not maps:
        raise InputError(f"{out}: there is nothing to export; expected a contour with a voxel, or a map.")
    source = read_source(series, grid, "what is exported")
    makers = _makers(source, drawn, maps, progress)
    prepare_output_folder(out, resume=False, overwrite=overwrite)
    progress.start("export", len(makers))
    with writing(out), tempfile.TemporaryDirectory(dir=out, prefix=".export-") as held:
        for number, (name, make) in enumerate(makers.items()):
            progress.check_cancelled()
            make(series_number=FIRST_SERIES_NUMBER + number).save_as(Path(held) / name, enforce_file_format=True)
            progress.advance(1, name)
        for name in FILES:  # a former export may have had more
            (out / name).unlink(missing_ok=True)
        return [(Path(held) / name).replace(out / name) for name in makers]


def _makers(
    source: SourceSeries, contours: Sequence[Contour], maps: Mapping[str, NDArray[np.float32]], progress: Progress
) -> dict[str, Callable[..., Dataset]]:
    """What makes each object, given the number of its series, by the names of the files."""
    makers: dict[str, Callable[..., Dataset]] = {}
    if contours:
        makers[CONTOURS_SEG] = partial(segmentation_object, source, contours, "contours", property_type="lesion")
        makers[CONTOURS_RTSTRUCT] = partial(structure_set_object, source, contours)
    for name, values in maps.items():
        makers[f"{name}.dcm"] = partial(map_object, source, name, values)
    if _BANDED in maps:
        bands = entropy_bands(maps[_BANDED])
        if bands:
            makers[BANDS_SEG] = partial(segmentation_object, source, bands, "entropy bands", property_type="entropy")
        else:
            progress.warning(f"the entropy is below {BAND_EDGES[0]:g} bit everywhere, so that it has no bands")
    return makers
