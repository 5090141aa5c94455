"""The command `calibrate`: a model's probabilities brought to the share of experts who agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ObserverUncertaintyLib.base.tables import aligned, number
from ObserverUncertaintyLib.cli.console import ConsoleProgress, prepare_to_compute, print_result
from ObserverUncertaintyLib.cli.options import (
    Cases,
    Device,
    Json,
    Manifest,
    Masks,
    Overwrite,
    Register,
    Resample,
    case_list,
    load_options,
    path,
)
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.loading import MaskInterpolation
from ObserverUncertaintyLib.model.calibration import CALIBRATION_FILE, CalibrationKind
from ObserverUncertaintyLib.model.settings import DEFAULT_SAMPLES, DropoutMasks, PredictionSettings


def calibrate(
    model: Annotated[Path, typer.Argument(parser=path, help="Folder of the trained model, where the map is kept.")],
    manifest: Manifest,
    cases: Cases = None,
    kind: Annotated[
        CalibrationKind,
        typer.Option("--map", help="isotonic: any increasing map. temperature: slope and bias of the log-odds."),
    ] = CalibrationKind.ISOTONIC,
    samples: Annotated[int, typer.Option(min=1, help="T, the number of Monte Carlo samples.")] = DEFAULT_SAMPLES,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the dropout masks.")] = 0,
    dropout_masks: Annotated[
        DropoutMasks, typer.Option(help="As for predict; balanced needs fewer samples.")
    ] = DropoutMasks.INDEPENDENT,
    device: Device = "auto",
    resample: Resample = False,
    masks: Masks = MaskInterpolation.NEAREST,
    register: Register = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Calibrate a model to its experts, on a few cases with several raters that it was not trained on.

    An increasing map of the mean probability is fitted around what any rater marked. predict applies it from then on
    and says so; the segmentation stays. The figures are of cases that the map was not fitted to (cross-validation). An
    interrupted call goes on where it stopped.

    \b
    Example:
      observer-uncertainty calibrate model cohort.toml --cases case19,case20,case21,case22,case23
    """  # noqa: D301
    prepare_to_compute()
    from ObserverUncertaintyLib.evaluation.calibrating import calibrate as calibrate_model

    cohort = Cohort.open(manifest, case_list(cases))
    advice = "The cases that are predicted are kept; run the same command again to go on."
    with ConsoleProgress(advice).running() as progress:
        found = calibrate_model(
            model,
            cohort,
            kind,
            PredictionSettings(samples, seed, dropout_masks=dropout_masks),
            options=load_options(resample, masks, register),
            device=device,
            overwrite=overwrite,
            progress=progress,
        )
    rows = [[name, *(_shown(values[when]) for when in ("before", "after"))] for name, values in found.figures.items()]
    text = (
        f"{aligned(['score', 'before', 'after'], rows)}\n"
        f"Each case by a map that was fitted to the others. In {model / CALIBRATION_FILE}: {found.summary}, "
        f"{found.map.text}."
    )
    print_result({"out": str(model / CALIBRATION_FILE), **found.to_json()}, text, as_json)


def _shown(value: float | None) -> str:
    return "" if value is None else number(value, 4)
