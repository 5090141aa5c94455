"""Learning from corrections: reviewers join the cohort, a model is trained on, and stands beside the old one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import prepare_output_folder, refuse_inputs_as_outputs, write_json
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.records import field_names, from_json
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.joining import JoinedCohort, join_reviews
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
from ObserverUncertaintyLib.training.train import train

COHORT_FOLDER, MODEL_FOLDER, PREDICTIONS_FOLDER = "cohort", "model", "predictions"

COMPARISON_FILE = "comparison.json"

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
        folder: gets `cohort` (the joined one; see `join_reviews`), `model`, `predictions/before`, `predictions/after`
            and `comparison.json`.
        settings: what decides the learning, besides the settings of the old model's training.
        options: what may be done to files that do not lie on their case's grid.
        device: "auto", "cpu", "cuda:N", "mps", or one that was chosen already.
        resume: go on in a folder where the same was begun.
        progress: is told of every step, and can cancel.

    Raises:
        InputError: a review, a case, the model or a folder cannot be used, or another learning was begun there.
        DeviceError: the device is absent or ran out of memory.
        Cancelled: `progress` asked to stop; what is complete is kept.
    """
    folder, progress = Path(folder), progress or Progress()
    chosen = choose_device(device)
    old = read_description(model)
    training = _training_settings(Path(model), old, settings)
    outputs = [folder, folder / MODEL_FOLDER]
    refuse_inputs_as_outputs(outputs, {"the model that learns": model, "the reviews": reviews})
    prepare_output_folder(folder, resume=resume, overwrite=None)
    joined = join_reviews(manifest, reviews, folder / COHORT_FOLDER, resume=resume, progress=progress)
    whole = Cohort.open(joined.manifest)
    drawn = [name for name in whole.case_names if whole.files(name).raters]
    cohort = Cohort(whole.manifest, drawn)
    others = [name for name in drawn if name not in joined.corrected]
    _require_others(settings.held_out or (), whole, others, joined)
    cases = [_as_the_model_sees(case, old) for case in cohort.load_all(options, progress)]
    known = [case.name for case in cases if case.image_digest in old.training["case_images"]]
    held_out = _held_out(others, known, settings)
    cases = [case for case in cases if case.name not in held_out]
    warnings = _warnings(old, weights_digest(model, old), training, joined, whole, drawn)
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


def _require_others(held_out: Sequence[str], whole: Cohort, others: Sequence[str], joined: JoinedCohort) -> None:
    """Refuse to hold out what cannot be judged by, or is to be learned from."""
    Cohort(whole.manifest, held_out)  # refuses unknown names
    for name in held_out:
        if name in joined.corrected:
            raise InputError(f"{name} was corrected, so it is learned from; it cannot be held out. Name other cases.")
        if name not in others:
            raise InputError(f"{name} has no rater, so no model can be judged by it. Hold out cases that have one.")


def _as_the_model_sees(case: Case, old: ModelDescription) -> Case:
    """The case with the model's sequences in their order, if it has them all; else training refuses it by name."""
    return case.with_sequences(old.sequences) if set(old.sequences) <= set(case.sequences) else case


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
