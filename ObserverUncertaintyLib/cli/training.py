"""The command `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ObserverUncertaintyLib.base.errors import InputError
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
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.loading import MaskInterpolation
from ObserverUncertaintyLib.model.preprocessing import Crop, IntensityNorm, SliceAxis
from ObserverUncertaintyLib.model.settings import (
    Augmentation,
    DropoutKind,
    FeatureNorm,
    FinalActivation,
    Loss,
    Precision,
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
