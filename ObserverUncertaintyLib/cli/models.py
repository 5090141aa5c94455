"""Commands around a model: `train`, `predict` and `evaluate`."""

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
from ObserverUncertaintyLib.model.preprocessing import Crop, IntensityNorm, SliceAxis
from ObserverUncertaintyLib.model.settings import (
    DEFAULT_SAMPLES,
    Augmentation,
    DropoutKind,
    DropoutMasks,
    FeatureNorm,
    FinalActivation,
    Loss,
    Precision,
    PredictionSettings,
    Schedule,
    TrainingSettings,
    UNetSettings,
)
from ObserverUncertaintyLib.raters.fusion import FusionMethod, Tie

_DEFAULTS = TrainingSettings()


def train(
    manifest: Manifest,
    fusion: Annotated[FusionMethod, typer.Option(help="What training sees as label; none draws one rater at random.")],
    out: Annotated[Path, typer.Option(parser=path, help="Folder for the model.")],
    cases: Cases = None,
    validation_cases: Annotated[
        str | None, typer.Option(help="Cases whose loss is recorded after each epoch; they decide nothing.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over all slices; the last model is used.")] = (
        _DEFAULTS.epochs
    ),
    depth: Annotated[
        int, typer.Option(min=0, max=8, help="Pooling steps: 2 for the paper's shapes, 5 for its cavities.")
    ] = _DEFAULTS.network.depth,
    filters: Annotated[
        int, typer.Option(min=1, help="Filters of the first block: 16 for the paper's shapes, 48 for its cavities.")
    ] = _DEFAULTS.network.filters,
    dropout: Annotated[float, typer.Option(min=0, max=0.95, help="Dropout probability.")] = _DEFAULTS.network.dropout,
    dropout_kind: Annotated[
        DropoutKind, typer.Option(help="Drop single activations or whole channels.")
    ] = _DEFAULTS.network.dropout_kind,
    feature_norm: Annotated[
        FeatureNorm, typer.Option(help="Normalisation after each convolution.")
    ] = _DEFAULTS.network.feature_norm,
    batch_size: Annotated[int, typer.Option(min=1, help="Slices in a step.")] = _DEFAULTS.batch_size,
    background_slices: Annotated[
        float | None,
        typer.Option(
            help="Slices without the structure in an epoch, as a multiple of those with it, drawn anew each time; "
            "all by default."
        ),
    ] = None,
    prior_bias: Annotated[
        bool,
        typer.Option(
            "--prior-bias", help="Begin at the share of foreground: with a small structure far fewer epochs are needed."
        ),
    ] = _DEFAULTS.prior_bias,
    learning_rate: Annotated[float, typer.Option(help="Of Adam.")] = _DEFAULTS.learning_rate,
    schedule: Annotated[
        Schedule,
        typer.Option(
            help="cosine lets the learning rate fall to 0: a short training ends better. The paper's: constant."
        ),
    ] = _DEFAULTS.schedule,
    loss: Annotated[Loss, typer.Option(help="A Dice loss makes the model overconfident.")] = _DEFAULTS.loss,
    final_activation: Annotated[
        FinalActivation,
        typer.Option(help="SoftSeg is normalised-relu with --loss adaptive-wing and --fusion mean."),
    ] = _DEFAULTS.network.final_activation,
    rater_input: Annotated[
        bool,
        typer.Option(
            "--rater-input", help="Tell the network whose drawing it sees; predict --rater then draws as one of them."
        ),
    ] = _DEFAULTS.rater_input,
    augmentation: Annotated[
        Augmentation, typer.Option(help="flip mirrors every second slice from left to right.")
    ] = _DEFAULTS.augmentation,
    may_be_missing: Annotated[
        str,
        typer.Option(
            help="Sequences, separated by commas, that a case to predict may lack; training leaves them out at times."
        ),
    ] = "",
    tie: Annotated[Tie, typer.Option(help="What majority makes of an even split.")] = _DEFAULTS.tie,
    slice_axis: Annotated[SliceAxis, typer.Option(help="Anatomical direction of the slices.")] = _DEFAULTS.slice_axis,
    spacing: Annotated[
        str | None,
        typer.Option(
            help="In-plane spacing ROW,COLUMN in mm of the network's input; by default the cases' median, or that of "
            "the model that training starts from."
        ),
    ] = None,
    crop: Annotated[Crop, typer.Option(help="Crop slices to the brain or body.")] = _DEFAULTS.crop,
    intensity_norm: Annotated[
        IntensityNorm, typer.Option(help="Normalisation of each sequence inside the brain or body.")
    ] = _DEFAULTS.intensity_norm,
    precision: Annotated[
        Precision, typer.Option(help="auto takes bfloat16 where the device computes in it natively.")
    ] = _DEFAULTS.precision,
    start_from: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="Start from the weights of this model, which must have the same sequences, network and preprocessing.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, data and device give the same model.")] = _DEFAULTS.seed,
    device: Device = "auto",
    resample: Resample = False,
    masks: Masks = MaskInterpolation.NEAREST,
    register: Register = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Train a dropout U-Net on a cohort.

    \b
    Example:
      observer-uncertainty train cohort.toml --fusion none --out model --epochs 100
    \b
    The paper's cavity network:
      observer-uncertainty train cohort.toml --fusion none --out model --depth 5 --filters 48 --epochs 35
    """  # noqa: D301
    prepare_to_compute()
    from ObserverUncertaintyLib.model.devices import choose_device, peak_memory_mib
    from ObserverUncertaintyLib.training.train import train as train_model

    settings = TrainingSettings(
        fusion=fusion,
        tie=tie,
        epochs=epochs,
        batch_size=batch_size,
        background_slices=background_slices,
        prior_bias=prior_bias,
        learning_rate=learning_rate,
        schedule=schedule,
        loss=loss,
        augmentation=augmentation,
        rater_input=rater_input,
        may_be_missing=tuple(name.strip() for name in may_be_missing.split(",") if name.strip()),
        seed=seed,
        network=UNetSettings(depth, filters, dropout, dropout_kind, feature_norm, final_activation),
        slice_axis=slice_axis,
        spacing=_spacing(spacing),
        crop=crop,
        intensity_norm=intensity_norm,
        precision=precision,
    )
    chosen = choose_device(device)
    training_names, validation_names = case_list(cases), case_list(validation_cases)
    if both := [name for name in training_names or () if name in (validation_names or ())]:
        raise InputError(
            f"{', '.join(both)}: in --cases and in --validation-cases. A case is trained on or validated on, not both; "
            "leave it out of one of the two."
        )
    validation = Cohort.open(manifest, validation_names) if validation_names else None
    cohort = Cohort.open(manifest, training_names).without(validation_names or ())
    if not cohort.case_names:
        raise InputError("--validation-cases names every case, so that none is left to train on. Leave some out.")
    options = load_options(resample, masks, register)
    with ConsoleProgress().running() as progress:
        result = train_model(
            cohort.load_all(options, progress),
            out,
            settings,
            cohort_name=cohort.name,
            label=cohort.manifest.label,
            skull_stripped=cohort.manifest.skull_stripped,
            simulated=cohort.manifest.simulated,
            validation=validation.load_all(options, progress) if validation else (),
            start_from=start_from,
            device=chosen,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    report = {
        "out": str(out),
        "device": result.device,
        "seconds": round(result.seconds, 2),
        "peak_memory_mib": peak_memory_mib(chosen),
        "fusion": fusion.value,
        "epochs": epochs,
        "loss": result.description.training["losses"][-1],
    }
    text = f"model in {out}: last loss {report['loss']:.4f}, {result.seconds:.0f} s on {result.device}"
    print_result(report, text, as_json)


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


def _spacing(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        row, column = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f'--spacing "{text}" is not ROW,COLUMN in mm, such as 1,1.') from None
    if row <= 0 or column <= 0:
        raise InputError("--spacing must be above 0.")
    return row, column
