"""A case's contours and maps as DICOM files in a folder, all of them or none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError, ObserverUncertaintyError
from ObserverUncertaintyLib.base.output_files import prepare_output_folder, refuse_inputs_as_outputs, writing
from ObserverUncertaintyLib.base.paths import identity
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.export.contours import BAND_EDGES, Contour, entropy_bands
from ObserverUncertaintyLib.export.map_object import QUANTITIES, map_object
from ObserverUncertaintyLib.export.segmentation_object import segmentation_object
from ObserverUncertaintyLib.export.source import SourceSeries, read_source
from ObserverUncertaintyLib.export.structure_set_object import structure_set_object
from ObserverUncertaintyLib.formats.dicom.headers import dicom_package, quiet_pydicom
from ObserverUncertaintyLib.formats.references import split_reference
from ObserverUncertaintyLib.images.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom import Dataset

CONTOURS_SEG, CONTOURS_RTSTRUCT, BANDS_SEG = "contours_seg.dcm", "contours_rtstruct.dcm", "entropy_bands_seg.dcm"

_HELD = ".export-"
"""Begins the name of the folder in which files wait until all are there."""

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
    inputs: Mapping[str, str | Path] = {},
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
        inputs: what was read for it, which is never written over, such as "the reviewed contour".
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
    for text in source.warnings:
        progress.warning(text)
    makers = _makers(source, drawn, maps, progress)
    _prepare(out, series, inputs, overwrite)
    progress.start("export", len(makers))
    with writing(out), tempfile.TemporaryDirectory(dir=out, prefix=_HELD) as held:
        for number, (name, make) in enumerate(makers.items()):
            progress.check_cancelled()
            with _usable_headers(series, name), quiet_pydicom():
                made = make(series_number=FIRST_SERIES_NUMBER + number)
            with quiet_pydicom():
                made.save_as(Path(held) / name, enforce_file_format=True)
            progress.advance(1, name)
        written = [(Path(held) / name).replace(out / name) for name in makers]
        for name in FILES:  # a former export may have had more
            if name not in makers:
                (out / name).unlink(missing_ok=True)
        return written


def _prepare(out: Path, series: str | Path, inputs: Mapping[str, str | Path], overwrite: bool) -> None:
    """Make the folder, and refuse one whose files are read."""
    folder = split_reference(series)[0]
    if identity(out) == identity(folder if folder.is_dir() else folder.parent):
        raise InputError(
            f"{out} holds the series that the files refer to, which would be no series then. Give another."
        )
    read = {what: split_reference(file)[0] for what, file in inputs.items()}
    refuse_inputs_as_outputs([out / name for name in FILES], read)
    for left in out.glob(f"{_HELD}*") if out.is_dir() else ():  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    prepare_output_folder(out, resume=None, overwrite=overwrite)


@contextmanager
def _usable_headers(series: str | Path, name: str) -> Iterator[None]:
    """Turn what highdicom raises for a header into an error that quotes no value of it."""
    try:
        yield
    except ObserverUncertaintyError:
        raise
    except (MemoryError, OSError):
        raise
    except Exception as error:  # noqa: BLE001  (what an odd value leads to has no common class)
        raise InputError(
            f"{series}: the headers of this series cannot be taken over into {name} ({type(error).__name__}); expected "
            "those of a scanner. Export the series again, or remove what is wrong in its patient's and study's fields."
        ) from None


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
