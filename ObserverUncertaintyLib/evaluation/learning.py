"""Learning from corrections: reviewers join the cohort, a model is trained on, and stands beside the old one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import prepare_output_folder, write_json
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.records import field_names, from_json, to_json
from ObserverUncertaintyLib.base.resuming import refuse_other_settings
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.fingerprints import file_digest
from ObserverUncertaintyLib.cohort.joining import JoinedCohort, Joining, check_reviews
from ObserverUncertaintyLib.cohort.loading import LoadOptions
from ObserverUncertaintyLib.evaluation.two_models import Comparison, compare_models
from ObserverUncertaintyLib.model.description import (
    DESCRIPTION_FILE,
    ModelDescription,
    ModelError,
    read_description,
    weights_digest,
)
from ObserverUncertaintyLib.model.devices import choose_device
from ObserverUncertaintyLib.model.settings import (
    DEFAULT_LEARNING,
    DropoutMasks,
    LearningSettings,
    PredictionSettings,
    Schedule,
    TrainingSettings,
)
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.training.start import Start
from ObserverUncertaintyLib.training.train import train

COHORT_FOLDER, MODEL_FOLDER, PREDICTIONS_FOLDER = "cohort", "model", "predictions"

COMPARISON_FILE = "comparison.json"
BEGUN_FILE = "learning.json"
"""What a learning began with, which is written first."""

_HELD_OUT = 4
"""One of so many cases without correction is held out."""


@dataclass(frozen=True)
class Learned:
    """A model that learned from corrections.

    Attributes:
        model: the new model's folder.
        comparison: it beside the old one.
        comparison_file: the comparison as JSON.
        held_out: the cases that were not trained on.
    """

    model: Path
    comparison: Comparison
    comparison_file: Path
    held_out: tuple[str, ...]


def learn_from_reviews(
    manifest: str | Path,
    reviews: str | Path,
    model: str | Path,
    folder: str | Path,
    settings: LearningSettings = DEFAULT_LEARNING,
    *,
    options: LoadOptions = LoadOptions(),
    device: str | torch.device = "auto",
    resume: bool = False,
    progress: Progress | None = None,
) -> Learned:
    """Train a model on, on a cohort that its reviewers joined, and compare both; the old model is only read.

    Args:
        manifest: the cohort's manifest.
        reviews: the folder of reviews; see `read_reviews`.
        model: folder of the old model.
        folder: gets `learning.json` (what it began with), `cohort` (the joined one; see `join_reviews`), `model`,
            `predictions/before`, `predictions/after` and `comparison.json`.
        settings: what decides the learning, besides the settings of the old model's training.
        options: what may be done to files that do not lie on their case's grid.
        device: "auto", "cpu", "cuda:N", "mps", or one that was chosen already.
        resume: go on in a folder where the same was begun.
        progress: is told of every step, and can cancel.

    Raises:
        InputError: a review, a case, the model or a folder cannot be used, or another learning was begun there. What
            reviews, manifest, model and settings are wrong with is told before anything is written.
        DeviceError: the device is absent or ran out of memory.
        Cancelled: `progress` asked to stop; what is complete is kept.
    """
    folder, progress = Path(folder), progress or Progress()
    chosen = choose_device(device)
    old = read_description(model)
    training = _training_settings(Path(model), old, settings)
    Start.read(model, old.sequences, training)  # a damaged model is told before anything is written
    _refuse_inputs_inside(folder, {"the manifest": manifest, "the reviews": reviews, "the model that learns": model})
    joining = check_reviews(manifest, reviews, folder / COHORT_FOLDER, progress)
    _require_sequences(old, Path(model), joining.cohort)
    _require_others(settings.held_out or (), joining)
    digest = weights_digest(model, old)
    _begin(folder, _decisive(joining, digest, settings, options), resume)
    joined = joining.write(progress)
    whole = Cohort.open(joined.manifest)
    drawn = [name for name in whole.case_names if whole.files(name).raters]
    cohort = Cohort(whole.manifest, drawn)
    others = [name for name in drawn if name not in joined.corrected]
    cases = [case.with_sequences(old.sequences) for case in cohort.load_all(options, progress)]
    known = [case.name for case in cases if case.image_digest in old.training["case_images"]]
    held_out = _held_out(others, known, settings)
    cases = [case for case in cases if case.name not in held_out]
    warnings = _warnings(old, digest, training, joined, whole, drawn)
    for warning in warnings:
        progress.warning(warning)
    if held_out:
        progress.message(f"not trained on, to judge both models by: {', '.join(held_out)}")
    trained = train(
        cases,
        folder / MODEL_FOLDER,
        training,
        cohort_name=cohort.name,
        label=cohort.manifest.label,
        skull_stripped=cohort.manifest.skull_stripped,
        simulated=cohort.manifest.simulated,
        start_from=model,
        device=chosen,
        resume=resume,
        progress=progress,
    )
    judged = held_out or others
    folders = {"before": Path(model), "after": trained.folder}
    for name, predicting in folders.items():
        predict_cases(
            predicting,
            [*joined.corrected, *judged],
            lambda case: cohort.load_images(case, options),
            folder / PREDICTIONS_FOLDER / name,
            PredictionSettings(settings.samples, dropout_masks=DropoutMasks.BALANCED),
            device=chosen,
            skull_stripped=cohort.manifest.skull_stripped,
            resume=resume,
            progress=progress,
        )
    comparison = compare_models(
        folder / PREDICTIONS_FOLDER / "before",
        folder / PREDICTIONS_FOLDER / "after",
        lambda case: cohort.load(case, options),
        joined.corrected,
        judged,
        held_out=held_out,
        in_old_training=known,
        notes=[*joined.reviews.notes, *warnings],
        progress=progress,
    )
    write_json(folder / COMPARISON_FILE, comparison.to_json())
    return Learned(trained.folder, comparison, folder / COMPARISON_FILE, held_out)


def _training_settings(model: Path, old: ModelDescription, settings: LearningSettings) -> TrainingSettings:
    """The settings of the old model's training, but for what decides the learning."""
    names = field_names(TrainingSettings)
    try:
        before = from_json(TrainingSettings, {name: old.training[name] for name in names if name in old.training})
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{model / DESCRIPTION_FILE} does not say how the model was trained: {error}. Copy the model again."
        ) from error
    return replace(
        before,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size or before.batch_size,
        seed=settings.seed,
        schedule=Schedule.CONSTANT,
        prior_bias=False,
        spacing=None,
    )


def _refuse_inputs_inside(folder: Path, inputs: Mapping[str, str | Path]) -> None:
    for what, path in inputs.items():
        if Path(path).resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f"{path} ({what}) lies in {folder}, which is to be written into. An input is never written over. Give "
                "another folder."
            )


def _require_sequences(old: ModelDescription, model: Path, cohort: Cohort) -> None:
    if missing := [name for name in old.sequences if name not in cohort.sequences]:
        raise InputError(
            f"{cohort.manifest.path} has the sequences {', '.join(cohort.sequences)}, and {model} was trained on "
            f"{', '.join(old.sequences)}: {', '.join(missing)} is missing. Name the files in [images], under the "
            "model's names."
        )


def _require_others(held_out: Sequence[str], joining: Joining) -> None:
    """Refuse to hold out what cannot be judged by, or is to be learned from."""
    Cohort(joining.cohort.manifest, held_out)  # refuses unknown names
    for name in held_out:
        if name in joining.corrected:
            raise InputError(f"{name} was corrected, so it is learned from; it cannot be held out. Name other cases.")
        if not joining.cohort.files(name).raters:
            raise InputError(f"{name} has no rater, so no model can be judged by it. Hold out cases that have one.")


def _decisive(joining: Joining, digest: str, settings: LearningSettings, options: LoadOptions) -> dict[str, Any]:
    """What a learning that goes on must have begun with."""
    reviews = {f"{each.case} {each.rater}": file_digest(each.mask) for each in joining.reviews.latest}
    return {
        "manifest": str(joining.cohort.manifest.path.absolute()),
        "model": digest,
        "reviews": reviews,
        **to_json(settings),
        **to_json(options),
    }


def _begin(folder: Path, decisive: dict[str, Any], resume: bool) -> None:
    """Make the folder, or see that the same was begun there; then what was joined there is joined again."""
    prepare_output_folder(folder, resume=resume, overwrite=None)
    record = folder / BEGUN_FILE
    if any(folder.iterdir()):
        try:
            before = dict(json.loads(record.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{folder} holds no learning that can go on: {record} is not there, or cannot be read. Give another "
                "folder."
            ) from error
        refuse_other_settings(folder, before, decisive, overwritable=False)
        shutil.rmtree(folder / COHORT_FOLDER, ignore_errors=True)  # may be half a cohort
    write_json(record, decisive)


def _held_out(others: Sequence[str], known: Sequence[str], settings: LearningSettings) -> tuple[str, ...]:
    if settings.held_out is not None:
        return settings.held_out
    if len(others) < 2:
        return ()
    order = [others[number] for number in np.random.default_rng(settings.seed).permutation(len(others))]
    # By cases that neither model was trained on both can be judged alike.
    order.sort(key=lambda name: name in known)
    chosen = order[: max(1, round(len(others) / _HELD_OUT))]
    return tuple(name for name in others if name in chosen)


def _warnings(
    old: ModelDescription,
    weights: str,
    training: TrainingSettings,
    joined: JoinedCohort,
    whole: Cohort,
    drawn: Sequence[str],
) -> list[str]:
    """What the user should know of how the new model comes about."""
    warnings = []
    latest = joined.reviews.latest
    other = [f"{review.case} by {review.reviewer}" for review in latest if review.model != weights]
    if other:
        warnings.append(
            f"{len(other)} of {len(latest)} reviews are not of this model's segmentation, but of another model's or "
            f"another contour: {', '.join(other)}"
        )
    if training.fusion is not FusionMethod.NONE:
        warnings.append(
            f"the model learns from all raters of a case fused by {training.fusion}: a review is one vote among theirs"
        )
    if old.label != whole.manifest.label:
        warnings.append(f'the model segments "{old.label}", the cohort\'s raters drew "{whole.manifest.label}"')
    without = [name for name in whole.case_names if name not in drawn]
    if without:
        warnings.append(f"left out, since nobody drew in them: {', '.join(without)}")
    return warnings
