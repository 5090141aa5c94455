"""The command `export`: a case's contours and maps as DICOM objects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.paths import expand_home
from ObserverUncertaintyLib.cli.console import ConsoleProgress, print_result
from ObserverUncertaintyLib.cli.options import Json, Overwrite, path
from ObserverUncertaintyLib.export.case import export_case
from ObserverUncertaintyLib.export.contours import case_contours
from ObserverUncertaintyLib.export.map_object import QUANTITIES
from ObserverUncertaintyLib.formats import read_image, read_mask
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE
from ObserverUncertaintyLib.images.grid import require_same_grid
from ObserverUncertaintyLib.review.predicted import read_predicted, read_predicted_map


def export(
    case: Annotated[
        Path,
        typer.Argument(parser=path, metavar="CASE", help="Folder of one predicted case, with its probability.nii.gz."),
    ],
    series: Annotated[
        str,
        typer.Option(
            parser=expand_home,
            metavar="FOLDER",
            help="The DICOM series that it belongs to: its folder, or FOLDER#SeriesInstanceUID.",
        ),
    ],
    out: Annotated[Path, typer.Option(parser=path, help="Folder for the DICOM files.")],
    reviewed: Annotated[
        str | None,
        typer.Option(
            parser=expand_home, metavar="FILE", help="The contour that a reviewer approved, on the same grid."
        ),
    ] = None,
    margin: Annotated[
        float, typer.Option(help="A further contour with this margin in mm around the reviewed or segmented one.")
    ] = 0.0,
    structure: Annotated[str, typer.Option(help="What was segmented, for the contours' names.")] = "structure",
    maps: Annotated[bool, typer.Option(help="Also the probability and the entropies.")] = True,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a case as DICOM: contours as SEG and RTSTRUCT, maps as parametric maps, the entropy in bands as SEG.

    The files hold the patient's name and IDs, which they take from the series. Research use only.

    \b
    Example:
      observer-uncertainty export predictions/case07 --series dicom/T1c --reviewed case07.nrrd --margin 5 --out objects
    """  # noqa: D301
    predicted = read_predicted(case)
    mask, told = None, list(predicted.warnings)
    if reviewed is not None:
        found = read_mask(reviewed, read_image(series).space)
        advice = "Give the contour that was reviewed on this case."
        require_same_grid(predicted.grid, str(case), found.grid, reviewed, advice)
        mask = found.array
        told += [f"{reviewed}: {text}" for text in found.warnings]
    try:
        contours = case_contours(
            predicted.grid,
            structure=structure,
            reviewed=mask,
            probability=predicted.probability,
            level=predicted.level,
            margin_mm=margin,
        )
    except InputError as error:
        raise InputError(f"{case}: {error}") from error
    stored = {name: read_predicted_map(case, name, predicted.grid) for name in QUANTITIES} if maps else {}
    with ConsoleProgress("Nothing was exported.").running() as progress:
        for text in told:
            progress.warning(text)
        files = export_case(
            series,
            out,
            predicted.grid,
            contours,
            {name: values for name, values in stored.items() if values is not None},
            inputs={"the predicted case": case / PROBABILITY_FILE}
            | ({} if reviewed is None else {"the reviewed contour": reviewed}),
            overwrite=overwrite,
            progress=progress,
        )
    text = "\n".join([*map(str, files), "They hold the patient's name and IDs, taken from the series."])
    print_result({"files": [str(file) for file in files]}, text, as_json)
