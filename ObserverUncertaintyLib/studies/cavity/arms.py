"""The arms of the cavity study: a way of fusing the raters, or several models that predict together."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.model.settings import TrainingSettings
from ObserverUncertaintyLib.raters.fusion import FusionMethod

ENSEMBLE_SIZE = 5


class Several(StrEnum):
    """Arms of several models trained without fusion, each of which draws its share of the samples.

    ENSEMBLE: models from different first weights (Lakshminarayanan et al., NeurIPS 2017), with dropout in each.
    PER_RATER: a model for each rater, trained on what this one drew.
    """

    ENSEMBLE = "ensemble"
    PER_RATER = "per-rater"


CavityArm: TypeAlias = FusionMethod | Several

ARM_TITLES: dict[str, str] = {
    **{method: method.title for method in FusionMethod},
    Several.ENSEMBLE: f"Ensemble of {ENSEMBLE_SIZE}",
    Several.PER_RATER: "A model a rater",
}
"""What the arms are called in tables and figures."""

ARMS: tuple[str, ...] = tuple(ARM_TITLES)


def read_arm(text: str) -> CavityArm:
    """The arm with this name; raises ValueError if there is none."""
    return Several(text) if text in list(Several) else FusionMethod(text)


def models_of(arm: CavityArm, raters: int) -> int:
    """How many models an arm has on a cohort with so many raters."""
    match arm:
        case Several.ENSEMBLE:
            return ENSEMBLE_SIZE
        case Several.PER_RATER:
            return raters
    return 1


def training_of(arm: CavityArm, model: int, training: TrainingSettings, seed: int) -> TrainingSettings:
    """How a model of an arm is trained.

    Models of different arms have the same seed: first weights and order of slices are alike, so that the labels make
    the difference. Only those of an ensemble differ from each other.
    """
    fusion = FusionMethod.NONE if isinstance(arm, Several) else arm
    if arm is Several.ENSEMBLE and model:
        seed = int(np.random.default_rng((seed, model)).integers(2**31))
    return replace(training, fusion=fusion, seed=seed)


def seen_by(arm: CavityArm, model: int, raters: list[str], case: Case) -> Case | None:
    """A training case as a model of an arm sees it; None if its rater did not draw this one."""
    if arm is not Several.PER_RATER:
        return case
    if raters[model] not in case.rater_names:
        return None
    at = case.rater_names.index(raters[model])
    return replace(case, rater_names=(raters[model],), raters=case.raters[[at]])


def shares(samples: int, models: int) -> list[int]:
    """How many of T samples each model draws: as many as the others or one more, and one at least."""
    return [max(1, samples // models + (number < samples % models)) for number in range(models)]
