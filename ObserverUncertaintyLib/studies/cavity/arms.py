"""The arms of the cavity study: fused raters, another way of training, several models together, or an ideal."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.model.settings import FinalActivation, Loss, TrainingSettings
from ObserverUncertaintyLib.raters.fusion import FusionMethod

ENSEMBLE_SIZE = 5


class Several(StrEnum):
    """Arms of several models trained without fusion, each of which draws its share of the samples.

    ENSEMBLE: models from different first weights (Lakshminarayanan et al., NeurIPS 2017), with dropout in each.
    PER_RATER: a model for each rater, trained on what this one drew.
    """

    ENSEMBLE = "ensemble"
    PER_RATER = "per-rater"


class Variant(StrEnum):
    """Arms of one model that is trained in another way than by cross-entropy on one fused or sampled label.

    SOFTSEG: segmentation as regression of the raters' mean, with a normalised ReLU and the adaptive wing loss (Lemay et
        al., MELBA 2022:031).
    RATER_INPUT: without fusion, told whose drawing it sees; its samples draw as each rater in turn.
    FORECASTER: no model, but the forecast of somebody who knows the true cavity and how the raters draw, though not
        what they drew: the best that any model could do. Of simulated patients only.
    """

    SOFTSEG = "softseg"
    RATER_INPUT = "rater-input"
    FORECASTER = "forecaster"


CavityArm: TypeAlias = FusionMethod | Several | Variant

ARM_TITLES: dict[str, str] = {
    **{method: method.title for method in FusionMethod},
    Several.ENSEMBLE: f"Ensemble of {ENSEMBLE_SIZE}",
    Several.PER_RATER: "A model a rater",
    Variant.SOFTSEG: "SoftSeg",
    Variant.RATER_INPUT: "Rater as input",
    Variant.FORECASTER: "Ideal forecaster",
}
"""What the arms are called in tables and figures."""

ARMS: tuple[str, ...] = tuple(ARM_TITLES)


def read_arm(text: str) -> CavityArm:
    """The arm with this name; raises ValueError if there is none."""
    for kind in (Several, Variant):
        if text in list(kind):
            return kind(text)
    return FusionMethod(text)


def models_of(arm: CavityArm, raters: int) -> int:
    """How many models an arm has on a cohort with so many raters."""
    match arm:
        case Several.ENSEMBLE:
            return ENSEMBLE_SIZE
        case Several.PER_RATER:
            return raters
        case Variant.FORECASTER:
            return 0
    return 1


def training_of(arm: CavityArm, model: int, training: TrainingSettings, seed: int) -> TrainingSettings:
    """How a model of an arm is trained.

    Models of different arms have the same seed: first weights and order of slices are alike, so that the labels make
    the difference. Only those of an ensemble differ from each other.
    """
    if arm is Several.ENSEMBLE and model:
        seed = int(np.random.default_rng((seed, model)).integers(2**31))
    training = replace(training, seed=seed)
    match arm:
        case Variant.SOFTSEG:
            network = replace(training.network, final_activation=FinalActivation.NORMALISED_RELU)
            # A prior bias would cut a ReLU to 0 everywhere.
            return replace(
                training, fusion=FusionMethod.MEAN, loss=Loss.ADAPTIVE_WING, network=network, prior_bias=False
            )
        case Variant.RATER_INPUT:
            return replace(training, fusion=FusionMethod.NONE, rater_input=True)
        case FusionMethod():
            return replace(training, fusion=arm)
    return replace(training, fusion=FusionMethod.NONE)


def seen_by(arm: CavityArm, model: int, raters: list[str], case: Case) -> Case | None:
    """A training case as a model of an arm sees it; None if its rater did not draw this one."""
    if arm is not Several.PER_RATER:
        return case
    if raters[model] not in case.rater_names:
        return None
    at = case.rater_names.index(raters[model])
    return replace(case, rater_names=(raters[model],), raters=case.raters[[at]])
