"""The command `import-samples`: what another program predicted becomes a prediction like ours."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import (
    prepare_output_folder,
    refuse_inputs_as_outputs,
    refuse_long_names,
    writing,
)
from ObserverUncertaintyLib.base.tables import number
from ObserverUncertaintyLib.cli.console import ConsoleProgress, print_result
from ObserverUncertaintyLib.cli.options import Json, Overwrite, path
from ObserverUncertaintyLib.formats.prediction_files import EXPECTED_DICE, PROBABILITY_FILE, predicted_files
from ObserverUncertaintyLib.formats.references import split_reference
from ObserverUncertaintyLib.formats.writing import require_writable_grid
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.description import NOTICE
from ObserverUncertaintyLib.prediction.imported import ArrayAxes, SampleFiles
from ObserverUncertaintyLib.prediction.imported import import_samples as read_samples
from ObserverUncertaintyLib.prediction.maps import Prediction, save_prediction

_NEW = ".new-"
"""A folder in the case's, in which a prediction is written before it takes the place of the one that is there."""


def import_samples(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Probabilities or masks: images, 4-D images, arrays (.npy, .npz, or FILE.npz#NAME); each is a sample, "
            "or holds several."
        ),
    ],
    out: Annotated[Path, typer.Option(parser=path, help="Folder for the predictions, one sub-folder a case.")],
    name: Annotated[str, typer.Option(help="The case's name, as in the manifest.")] = "case",
    geometry: Annotated[
        str | None, typer.Option(help="An image on whose grid the samples lie; arrays need one.")
    ] = None,
    channel: Annotated[
        int | None,
        typer.Option(
            min=0, help="Of files with a probability for each class, the foreground's; background is usually 0."
        ),
    ] = None,
    label_value: Annotated[int | None, typer.Option(help="Of label maps, the value of the foreground.")] = None,
    array_axes: Annotated[
        ArrayAxes, typer.Option(help="Of arrays: kji as SimpleITK and nnU-Net have them, ijk as nibabel and MONAI.")
    ] = ArrayAxes.KJI,
    label: Annotated[str, typer.Option(help="The structure's name.")] = "structure",
    tool: Annotated[str, typer.Option(help="The program that predicted it, for the report.")] = "another program",
    save_samples: Annotated[int, typer.Option(min=0, help="Keep the first N samples beside the maps.")] = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Make a prediction with all maps of what any other program predicted.

    Afterwards evaluate, review and 3D Slicer take it for one of ours. Several files are samples of one case: folds,
    models of an ensemble, test-time augmentation, Monte Carlo dropout.

    \b
    Examples:
      observer-uncertainty import-samples fold*/case07.nii.gz --out predictions --name case07
      observer-uncertainty import-samples case07.npz --geometry t1.nii.gz --channel 1 --out predictions --name case07
    """  # noqa: D301
    if not re.fullmatch(r"[^/\\]+", name) or name in (".", "..") or not (name.strip() and name.isprintable()):
        raise InputError(f"--name {name!r} becomes a folder below --out, so it must be a plain name.")
    if not tool.strip():
        raise InputError("--tool is blank. Name the program, or leave the option out.")
    folder = out / name
    refuse_long_names(Path(name))
    source = SampleFiles(tuple(files), geometry, channel, label_value, array_axes)
    read = {f"sample file {n}": split_reference(file)[0] for n, file in enumerate(files, start=1)}
    read |= {} if geometry is None else {"the geometry": split_reference(geometry)[0]}
    refuse_inputs_as_outputs(predicted_files(folder), read)
    prepare_output_folder(folder, resume=None, overwrite=overwrite)
    try:
        with ConsoleProgress("Nothing was written; run the same command again.").running() as progress:
            prediction, grid, report = read_samples(
                source, name, label=label, tool=tool.strip(), keep_samples=save_samples, progress=progress
            )
        require_writable_grid(folder / PROBABILITY_FILE, grid)
        _replace_prediction(folder, prediction, grid, report)
    except BaseException:
        if not any(folder.iterdir()):
            folder.rmdir()  # nothing came of it
        raise
    dice = report[EXPECTED_DICE]
    text = (
        f"{name} in {folder}: {prediction.samples} sample{'' if prediction.samples == 1 else 's'}, "
        f"{report['volume_ml']:.2f} mL, expected Dice {'unknown' if dice is None else number(dice, 3)}\n{NOTICE}"
    )
    print_result({"out": str(out), **report}, text, as_json)


def _replace_prediction(folder: Path, prediction: Prediction, grid: Grid, report: dict[str, Any]) -> None:
    """Write a prediction in the place of the one that is there, which stays unless all of the new one was written."""
    for left in folder.glob(f"{_NEW}*"):  # of a call that was killed
        shutil.rmtree(left, ignore_errors=True)
    new = folder / f"{_NEW}{os.getpid()}"
    try:
        save_prediction(new, grid, prediction, report)
        for file in predicted_files(folder):
            with writing(file):
                file.unlink(missing_ok=True)
        for file in reversed(predicted_files(new)):  # the report comes last
            if file.exists():
                place = folder / file.relative_to(new)
                place.parent.mkdir(exist_ok=True)
                with writing(place):
                    file.replace(place)
    finally:
        shutil.rmtree(new, ignore_errors=True)
