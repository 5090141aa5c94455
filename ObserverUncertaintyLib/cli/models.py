"""Commands around a trained model: `predict` and `evaluate`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import refuse_inputs_as_outputs, refuse_long_names
from ObserverUncertaintyLib.base.tables import without_nan
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
    Resume,
    case_list,
    load_options,
    path,
)
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.case_files import CaseFiles
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.loading import MaskInterpolation, load_case
from ObserverUncertaintyLib.evaluation.tables import prepare_score_files, score_table, write_scores
from ObserverUncertaintyLib.formats.prediction_files import REPORT_FILE, SETTINGS_FILE
from ObserverUncertaintyLib.model.settings import (
    DEFAULT_SAMPLES,
    DropoutMasks,
    Precision,
    PredictionSettings,
)


def predict(
    model: Annotated[Path, typer.Argument(parser=path, help="Folder of the trained model.")],
    out: Annotated[Path, typer.Option(parser=path, help="Folder for the predictions, one sub-folder a case.")],
    manifest: Annotated[
        Path | None, typer.Argument(parser=path, help="The cohort's manifest; raters are not needed. Or give --image.")
    ] = None,
    image: Annotated[
        list[str] | None, typer.Option(help="An image of a single case, as SEQUENCE=FILE; once a sequence.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the single case given by --image.")] = "case",
    cases: Cases = None,
    samples: Annotated[int, typer.Option(min=1, help="T, the number of Monte Carlo samples.")] = DEFAULT_SAMPLES,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the dropout masks.")] = 0,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Slices computed at a time; without it what the device's memory holds.")
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="auto takes bfloat16 where the device computes in it natively.")
    ] = Precision.AUTO,
    dropout_masks: Annotated[
        DropoutMasks,
        typer.Option(help="balanced: 10 samples are as good as 20 independent ones, of a large network 5."),
    ] = DropoutMasks.INDEPENDENT,
    ensemble_with: Annotated[
        list[Path] | None,
        typer.Option(parser=path, help="A further model that predicts too; each draws its share of the samples."),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Every second sample sees the slices mirrored from left to right.")
    ] = False,
    rater: Annotated[
        str | None, typer.Option(help="Draw as this rater; for models that were trained with --rater-input.")
    ] = None,
    calibration: Annotated[
        bool, typer.Option(help="Apply the model's calibration to its experts, if it has one.")
    ] = True,
    save_samples: Annotated[
        int,
        typer.Option(
            min=0,
            help="Keep the first N samples of each case beside its maps, for whoever needs single ones. "
            "Rounded to 255ths a brain takes about 0.05 MB and 0.02 s a sample at 1.5 x 1.5 x 3 mm, "
            "0.35 MB and 0.15 s at 1 mm. Of balanced masks keep whole groups, five for p = 0.2.",
        ),
    ] = 0,
    device: Device = "auto",
    resample: Resample = False,
    masks: Masks = MaskInterpolation.NEAREST,
    register: Register = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going",
            help="Leave a case out that cannot be predicted, and go on with the next one; the exit code is then 1.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Predict probability, segmentation and uncertainty: Monte Carlo dropout approximates a Bayesian network.

    The predictive entropy is the model's whole uncertainty; the expected entropy is its aleatoric part, the mutual
    information its epistemic part. docs/method.md defines the words.

    \b
    Examples:
      observer-uncertainty predict model cohort.toml --out predictions
      observer-uncertainty predict model worklist.toml --out predictions --keep-going --resume
      observer-uncertainty predict model --image T1=t1.nii.gz --image FLAIR=flair.nii.gz --out predictions
    """  # noqa: D301
    prepare_to_compute()
    from ObserverUncertaintyLib.model.devices import choose_device, peak_memory_mib
    from ObserverUncertaintyLib.prediction.folder import predict_cases, refuse_predictions_over_inputs

    options = load_options(resample, masks, register)
    images = _images(image or [])
    if not re.fullmatch(r"[^/\\]+", name) or name in (".", ".."):
        raise InputError(f'--name "{name}" becomes a folder below --out, so it must be a plain name.')
    refuse_long_names(Path(name))
    if (manifest is None) == (not images):
        raise InputError("Give either a manifest, or the images of one case as --image SEQUENCE=FILE.")
    cohort = Cohort.open(manifest, case_list(cases), incomplete=keep_going) if manifest else None
    models = [model, *(ensemble_with or [])]
    further = {f"further model {n}": folder for n, folder in enumerate(models[1:], start=1)}
    refuse_inputs_as_outputs([out], {"the model": model, **further})
    # With --overwrite the maps may take the names of files that lie in the case's folder.
    refuse_predictions_over_inputs(out, cohort.files_by_case if cohort else {name: _single(name, images)})

    def load(case: str) -> Case:
        return cohort.load_images(case, options) if cohort else load_case(case, images, {}, options=options)

    chosen = choose_device(device)
    with ConsoleProgress().running() as progress:
        run = predict_cases(
            models,
            cohort.case_names if cohort else [name],
            load,
            out,
            PredictionSettings(samples, seed, batch_size, precision, dropout_masks, rater, flip),
            device=chosen,
            skull_stripped=cohort.manifest.skull_stripped if cohort else None,
            calibrated=calibration,
            save_samples=save_samples,
            resume=resume,
            overwrite=overwrite,
            keep_going=keep_going,
            progress=progress,
        )
    report = {
        "out": str(out),
        "device": run.device,
        "seconds": round(run.seconds, 2),
        "peak_memory_mib": peak_memory_mib(chosen),
        "cases": list(run.cases),
        "left_out": dict(run.left_out),
        "samples": samples,
    }
    many = "" if len(run.cases) == 1 else "s"
    text = (
        f"{len(run.cases)} case{many} in {out}: {run.seconds:.0f} s on {run.device}\n"
        "Research use only. Not a medical device."
    )
    if run.left_out:
        reasons = "".join(f"\n  {case}: {' '.join(why.split())}" for case, why in run.left_out.items())
        text += f"\nleft out: {len(run.left_out)} of {len(run.cases) + len(run.left_out)}{reasons}"
    print_result(report, text, as_json)
    if run.left_out:
        raise typer.Exit(1)


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(parser=path, help="Folder with CASE/probability.nii.gz, from predict or any tool.")
    ],
    manifest: Manifest,
    out: Annotated[
        Path, typer.Option(parser=path, help="The scores: FILE.csv or FILE.json; the other is written beside it.")
    ],
    cases: Cases = None,
    resample: Resample = False,
    masks: Masks = MaskInterpolation.NEAREST,
    register: Register = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Score predictions against the raters: WME, ME, Dice and calibration.

    WME says whether the model is unsure where the raters disagree, calibration whether it is overconfident;
    docs/method.md defines every column.

    \b
    Example:
      observer-uncertainty evaluate predictions cohort.toml --out scores.csv
    """  # noqa: D301
    from ObserverUncertaintyLib.evaluation.scoring import evaluate as evaluate_folder

    prepare_score_files(out, overwrite=overwrite)
    cohort = Cohort.open(manifest, case_list(cases))
    reports = {f"the report of case {case}": predictions / case / REPORT_FILE for case in cohort.case_names}
    read = {"the manifest": manifest, "the predictions' settings": predictions / SETTINGS_FILE, **reports}
    refuse_inputs_as_outputs([out.with_suffix(".csv"), out.with_suffix(".json")], read)
    with ConsoleProgress().running() as progress:
        evaluation = evaluate_folder(predictions, cohort, load_options(resample, masks, register), progress)
    csv_path, json_path = write_scores(out, evaluation)
    summary = without_nan(evaluation.summary)
    report = {"csv": str(csv_path), "json": str(json_path), "cases": len(evaluation.cases), "summary": summary}
    text = f"{score_table(evaluation)}\n\nwritten to {csv_path} and {json_path}"
    print_result(report, text, as_json)


def _single(name: str, images: dict[str, Path]) -> CaseFiles:
    return CaseFiles(name, {sequence: str(file) for sequence, file in images.items()}, {})


def _images(given: list[str]) -> dict[str, Path]:
    images: dict[str, Path] = {}
    for text in given:
        match = re.fullmatch(r"([^=]+)=(.+)", text)
        if not match:
            raise InputError(f'--image "{text}" is not SEQUENCE=FILE, such as T1=t1.nii.gz.')
        if match[1] in images:
            raise InputError(f"--image names the sequence {match[1]} twice.")
        images[match[1]] = path(match[2])
    return images
