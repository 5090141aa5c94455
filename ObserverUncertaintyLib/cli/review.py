"""The command `review`: cases and places that deserve a look, plausible contours, what follows from corrections."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import prepare_output_file, prepare_output_folder
from ObserverUncertaintyLib.base.tables import aligned, number
from ObserverUncertaintyLib.cli.console import print_result
from ObserverUncertaintyLib.cli.learning import learn
from ObserverUncertaintyLib.cli.options import Cases, Json, Overwrite, case_list, path
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.formats import read_image, read_mask, write_image, write_mask
from ObserverUncertaintyLib.formats.marks import ResultKind
from ObserverUncertaintyLib.formats.prediction_files import predicted_files
from ObserverUncertaintyLib.formats.references import split_reference
from ObserverUncertaintyLib.images.grid import Grid, require_same_grid
from ObserverUncertaintyLib.model.preprocessing import SliceAxis
from ObserverUncertaintyLib.review import contours
from ObserverUncertaintyLib.review.alternatives import alternatives as find_alternatives
from ObserverUncertaintyLib.review.cases import cases_to_review
from ObserverUncertaintyLib.review.places import places_to_review
from ObserverUncertaintyLib.review.predicted import PredictedMaps, read_predicted
from ObserverUncertaintyLib.review.propagation import propagate as carry_on
from ObserverUncertaintyLib.review.slices import slices_to_edit

_ACROSS = {SliceAxis.AXIAL: "SI", SliceAxis.CORONAL: "AP", SliceAxis.SAGITTAL: "LR"}
_NEXT = 3
"""Slices to edit next that are named."""

Predicted = Annotated[
    Path,
    typer.Argument(parser=path, metavar="CASE", help="Folder of one predicted case, with its probability.nii.gz."),
]

review = typer.Typer(
    help="Review predictions, correct them, and learn from that.", no_args_is_help=True, rich_markup_mode=None
)


@review.callback()
def _review() -> None:
    """Review predictions, correct them, and learn from that."""


@review.command("cases")
def list_cases(
    predictions: Annotated[Path, typer.Argument(parser=path, help="Folder of predictions, one sub-folder a case.")],
    manifest: Annotated[Path | None, typer.Argument(parser=path, help="Only the cases of this cohort.")] = None,
    cases: Cases = None,
    as_json: Json = False,
) -> None:
    """List predicted cases, the worst first: by the Dice that each prediction lets one expect.

    It needs no raters. Where a model is wrong and sure of it, the Dice is lower than expected.

    \b
    Example:
      observer-uncertainty review cases predictions
    """  # noqa: D301
    names = list(Cohort.open(manifest, case_list(cases)).case_names) if manifest else case_list(cases)
    found = cases_to_review(predictions, names)
    for name, reason in found.left_out.items():
        typer.echo(f"warning: {name} is left out: {reason}", err=True)
    rows = [
        [
            each.case,
            "nothing segmented" if each.expected_dice is None else number(each.expected_dice, 3),
            number(each.volume_ml, 2),
            "; ".join(filter(None, [each.unlike_training, _counted(each.warnings)])),
        ]
        for each in found.cases
    ]
    text = aligned(["case", "expected Dice", "volume (mL)", "unlike training; warnings"], rows)
    print_result({"cases": [asdict(each) for each in found.cases], "left_out": found.left_out}, text, as_json)


@review.command()
def places(
    case: Predicted,
    out: Annotated[
        Path | None, typer.Option(parser=path, help="An image with the number of its place in each voxel.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """List the places of a case where the segmentation could flip, and slices to edit, those that matter most first.

    Positions are LPS in mm; slices are numbered from 0 as they lie in the file, along its last axis.

    \b
    Example:
      observer-uncertainty review places predictions/case07 --out places.nii.gz
    """  # noqa: D301
    if out:
        prepare_output_file(out, overwrite=overwrite, inputs=_inputs(case))
    maps = _read(case)
    try:
        found = places_to_review(maps.probability, maps.grid, maps.expected_entropy, maps.level)
    except InputError as error:
        raise InputError(f"{case}: {error}") from error
    if out:
        write_image(out, found.labels.astype(np.float32), maps.grid, kind=ResultKind.PREDICTED)
    rows, so_far = [], 0.0
    for place in found.places:
        so_far += place.share
        rows.append(
            [
                str(place.number),
                ", ".join(f"{value:.0f}" for value in place.position),
                "-".join(map(str, dict.fromkeys(place.slices))),
                number(place.volume_ml, 2),
                number(place.expected_error_ml, 2),
                f"{so_far:.0%}",
                number(place.mean_entropy, 2),
                "" if place.epistemic_share is None else f"{place.epistemic_share:.0%}",
            ]
        )
    header = ["place", "position", "slices", "mL", "expected wrong (mL)", "so far", "entropy (bits)", "epistemic"]
    text = aligned(header, rows) if rows else "No place could flip: the model is confident everywhere."
    if found.specks:
        text += f"\n{found.specks} specks are left out, with {found.specks_share:.1%} of the expected error."
    upcoming = _next_slices(maps.probability, maps.grid)
    text += f"\n{_said(upcoming, maps.grid)}"
    result = {
        "places": [asdict(place) for place in found.places],
        "expected_error_ml": found.expected_error_ml,
        "specks": found.specks,
        "specks_share": found.specks_share,
        "next_slices": upcoming,
        "slices": _direction(maps.grid),
        "warnings": list(maps.warnings),
        "out": None if out is None else str(out),
    }
    print_result(result, text, as_json)


@review.command()
def contour(
    case: Predicted,
    out: Annotated[Path, typer.Option(parser=path, help="The mask, such as outer.nii.gz.")],
    level: Annotated[
        float | None,
        typer.Option(
            help="Foreground above this probability: 0.9 the inner, 0.1 the outer contour. [that of the segmentation: "
            "0.5 unless it is calibrated]"
        ),
    ] = None,
    margin: Annotated[float, typer.Option(help="Margin in mm around it; negative to shrink.")] = 0.0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write the contour at a level of probability, with or without a margin.

    \b
    Example:
      observer-uncertainty review contour predictions/case07 --level 0.1 --margin 5 --out target.nii.gz
    """  # noqa: D301
    prepare_output_file(out, overwrite=overwrite, inputs=_inputs(case))
    maps = _read(case)
    level = maps.level if level is None else level
    mask = contours.contour_at(maps.probability, level)
    if margin:
        mask = contours.with_margin(mask, maps.grid, margin)
    write_mask(out, mask, maps.grid, kind=ResultKind.PREDICTED)
    volume = _volume_ml(mask, maps.grid)
    bounds = contours.volume_interval(maps.probability, maps.grid, level=maps.level)
    text = (
        f"{volume:.2f} mL above {level:g}{f' with a margin of {margin:g} mm' if margin else ''}, written to {out}\n"
        f"The segmentation has {bounds.volume_ml:.2f} mL, the inner contour (0.9) {bounds.low_ml:.2f}, the outer (0.1) "
        f"{bounds.high_ml:.2f}."
    )
    result = {"out": str(out), "level": level, "margin_mm": margin, "volume_ml": volume}
    result |= {"warnings": list(maps.warnings)}
    print_result(
        result | {"segmentation_ml": bounds.volume_ml, "inner_ml": bounds.low_ml, "outer_ml": bounds.high_ml},
        text,
        as_json,
    )


@review.command()
def alternatives(
    case: Predicted,
    out: Annotated[Path, typer.Option(parser=path, help="Folder for the masks, alternative1.nii.gz and so on.")],
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write up to five clearly different plausible contours, from the narrowest to the widest.

    \b
    Example:
      observer-uncertainty review alternatives predictions/case07 --out alternatives
    """  # noqa: D301
    maps = _read(case)
    found = find_alternatives(maps.probability, maps.grid)
    prepare_output_folder(out, resume=None, overwrite=overwrite)
    for file in out.iterdir():  # of another set, maybe with more
        if re.fullmatch(r"alternative\d+\.nii\.gz", file.name):
            file.unlink()
    rows, listed = [], []
    for place, each in enumerate(found.contours, start=1):
        file = out / f"alternative{place}.nii.gz"
        write_mask(file, each.mask, maps.grid, kind=ResultKind.PREDICTED)
        rows.append([file.name, each.meaning, f"{each.weight:.0%}"])
        listed.append({"file": str(file), "level": each.level, "weight": each.weight, "volume_ml": each.volume_ml})
    text = aligned(["file", "what it is", "weight"], rows)
    if found.why_few:
        text += f"\n{found.why_few}"
    result = {"alternatives": listed, "why_few": found.why_few, "warnings": list(maps.warnings)}
    print_result(result, text, as_json)


@review.command()
def propagate(
    case: Predicted,
    corrected: Annotated[Path, typer.Option(parser=path, help="The corrected mask, on the case's grid.")],
    out: Annotated[Path, typer.Option(parser=path, help="The mask that follows.")],
    slices: Annotated[
        str | None,
        typer.Option(
            help="Slices that are right as a whole in it, numbered from 0, such as 31,40-42. In the others what "
            "differs from the start counts as drawn."
        ),
    ] = None,
    direction: Annotated[
        SliceAxis | None, typer.Option(help="The slices that were drawn on. [as they lie in the file]")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(parser=path, help="What the correction began with. [the segmentation]")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(parser=path, help="An image on the case's grid; its edges stop the propagation.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Carry a correction of some slices, or of a part of them, on to the doubt around it.

    What was drawn stays as it is, what the model is certain of too. All that was corrected so far is handed over, not
    only what is new.

    \b
    Example:
      observer-uncertainty review propagate predictions/case07 --corrected mine.nii.gz --slices 31,40 --out out.nii.gz
    """  # noqa: D301
    given = {"the corrected mask": corrected, "the start": start, "the image": image}
    inputs = {role: split_reference(str(file))[0] for role, file in given.items() if file is not None}
    prepare_output_file(out, overwrite=overwrite, inputs=_inputs(case) | inputs)
    maps = _read(case)
    contour = _mask_on(maps.grid, case, corrected)
    begun = contours.contour_at(maps.probability, maps.level) if start is None else _mask_on(maps.grid, case, start)
    axis = _axis(maps.grid, direction)
    edited = _slices(slices, maps.grid.shape[axis])
    drawn = contour != begun
    np.moveaxis(drawn, axis, 0)[list(edited)] = True
    if not drawn.any():
        raise InputError(
            f"{corrected} does not differ from the start, so there is nothing to carry on. Name the slices that are "
            "right in it with --slices."
        )
    values = None
    if image is not None:
        volume = read_image(image)
        require_same_grid(maps.grid, str(case), volume.grid, str(image), "Give an image on the grid of the prediction.")
        values = volume.array
    found = carry_on(maps.probability, begun, contour, {axis: drawn}, maps.grid, values)
    write_mask(out, found.contour, maps.grid)
    seen = np.flatnonzero(np.moveaxis(drawn, axis, 0).any(axis=(1, 2))).tolist()
    result: dict[str, Any] = {
        "out": str(out),
        "volume_ml": _volume_ml(found.contour, maps.grid),
        "drawn_ml": _volume_ml(drawn & (contour != begun), maps.grid),
        "followed_ml": _volume_ml(found.followed, maps.grid),
        "next_slices": _next_slices(maps.probability, maps.grid, seen, axis),
        "slices": _direction(maps.grid, axis),
        "warnings": list(maps.warnings),
    }
    text = (
        f"{result['drawn_ml']:.2f} mL were changed by hand, {result['followed_ml']:.2f} mL followed: "
        f"{result['volume_ml']:.2f} mL, written to {out}\n{_said(result['next_slices'], maps.grid, axis)}"
    )
    print_result(result, text, as_json)


review.command()(learn)


def _counted(warnings: Sequence[str]) -> str:
    return f"{len(warnings)} warning{'s' if len(warnings) > 1 else ''}" if warnings else ""


def _inputs(case: Path) -> dict[str, Path]:
    """What a review reads or may read, with the samples: none of it is written over."""
    return {f"{file.name} of the case": file for file in predicted_files(case)}


def _read(case: Path) -> PredictedMaps:
    maps = read_predicted(case)
    _warn(maps.warnings)
    return maps


def _mask_on(grid: Grid, case: Path, file: Path) -> np.ndarray[Any, np.dtype[np.bool_]]:
    mask = read_mask(file)
    require_same_grid(grid, str(case), mask.grid, str(file), "Give a mask on the grid of the prediction.")
    _warn([f"{file}: {warning}" for warning in mask.warnings])
    if not mask.array.any():
        _warn([f"{file} is empty"])
    return mask.array


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


def _axis(grid: Grid, direction: SliceAxis | None) -> int:
    """The axis of the array across which slices lie; without a direction the file's own, its first."""
    if direction is None:
        return 0
    return next(2 - n for n, letter in enumerate(grid.orientation) if letter in _ACROSS[direction])


def _slices(text: str | None, count: int) -> tuple[int, ...]:
    """Numbers and ranges such as 31,40-42."""
    found: dict[int, None] = {}
    for part in [] if text is None else text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if match is None:
            raise InputError(f'--slices "{text}": "{part}" is no slice or range of slices; expected such as 31,40-42.')
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < count:
            raise InputError(f'--slices names "{part}"; the slices are numbered from 0 to {count - 1}, upwards.')
        found |= dict.fromkeys(range(first, last + 1))
    return tuple(found)


def _next_slices(probability: np.ndarray[Any, Any], grid: Grid, edited: Sequence[int] = (), axis: int = 0) -> list[int]:
    """The slices to edit next, each as if those before it were edited already."""
    found: list[int] = []
    while len(found) < _NEXT and (ranked := slices_to_edit(probability, grid, [*edited, *found], axis)):
        found.append(ranked[0].index)
    return found


def _direction(grid: Grid, axis: int = 0) -> str:
    """What slices across an axis are called."""
    letter = grid.orientation[2 - axis]
    return next(direction.value for direction, letters in _ACROSS.items() if letter in letters)


def _said(slices: Sequence[int], grid: Grid, axis: int = 0) -> str:
    if not slices:
        return "No further slice is unsure."
    return f"Slices to edit next, {_direction(grid, axis)}, numbered from 0: {', '.join(map(str, slices))}."


def _volume_ml(mask: np.ndarray[Any, np.dtype[np.bool_]], grid: Grid) -> float:
    return int(np.count_nonzero(mask)) * grid.voxel_volume_ml
