"""The command `review learn`: a model is trained on with what was corrected, and compared with the old one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cli.console import ConsoleProgress, prepare_to_compute, print_result
from ObserverUncertaintyLib.cli.options import (
    Device,
    Json,
    Manifest,
    Masks,
    Register,
    Resample,
    Resume,
    case_list,
    load_options,
    path,
)
from ObserverUncertaintyLib.cohort.loading import MaskInterpolation
from ObserverUncertaintyLib.model.settings import DEFAULT_LEARNING, LearningSettings


def learn(
    manifest: Manifest,
    reviews: Annotated[
        Path,
        typer.Argument(parser=path, help="Folder of the reviews, CASE/NAME.nrrd with NAME.nrrd.json beside it."),
    ],
    model: Annotated[Path, typer.Argument(parser=path, help="Folder of the model that learns; it stays as it is.")],
    out: Annotated[
        Path, typer.Option(parser=path, help="Folder for the new model, the new cohort and the comparison.")
    ],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over all slices.")] = DEFAULT_LEARNING.epochs,
    learning_rate: Annotated[float, typer.Option(help="Of Adam; constant.")] = DEFAULT_LEARNING.learning_rate,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Slices in a step. [as in the model's training]")
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option(
            help="Cases without correction that are not trained on, to judge both models by. [a quarter of them, first "
            "those that the model was not trained on either]",
            metavar="A,B,C",
        ),
    ] = None,
    train_on_all: Annotated[
        bool, typer.Option("--train-on-all", help="Hold no case out; the comparison flatters the new model then.")
    ] = False,
    samples: Annotated[
        int, typer.Option(min=1, help="Monte Carlo samples of the predictions that are compared, with balanced masks.")
    ] = DEFAULT_LEARNING.samples,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, data and device give the same model.")] = (
        DEFAULT_LEARNING.seed
    ),
    device: Device = "auto",
    resample: Resample = False,
    masks: Masks = MaskInterpolation.NEAREST,
    register: Register = False,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Train a model on with corrected cases, and say what was gained on them and lost on others.

    Each reviewer is a further rater of the cases that they corrected. Nothing is replaced: read the comparison, then
    use the new model or keep the old one.

    \b
    Example:
      observer-uncertainty review learn cohort.toml reviews model --out learned
    """  # noqa: D301
    if train_on_all and held_out:
        raise InputError("--train-on-all holds no case out, and --held-out names some. Give one of them.")
    chosen = tuple(case_list(held_out) or ()) if train_on_all or held_out is not None else None
    settings = LearningSettings(epochs, learning_rate, batch_size, seed, chosen, samples)
    prepare_to_compute()
    from ObserverUncertaintyLib.evaluation.learning import learn_from_reviews

    with ConsoleProgress().running() as progress:
        learned = learn_from_reviews(
            manifest,
            reviews,
            model,
            out,
            settings,
            options=load_options(resample, masks, register),
            device=device,
            resume=resume,
            progress=progress,
        )
    comparison = learned.comparison
    text = (
        f"{comparison.table()}\n\n{comparison.sentence()}\n"
        f"The new model is in {learned.model}; the old one stays in {model}.\nResearch use only. Not a medical device."
    )
    result = {
        "model": str(learned.model),
        "comparison": str(learned.comparison_file),
        "held_out": list(learned.held_out),
        **comparison.to_json(),
    }
    print_result(result, text, as_json)
