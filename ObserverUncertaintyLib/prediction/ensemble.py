"""One model, or several that predict together: each draws its share of the samples, and all samples count alike.

Source: Lakshminarayanan et al., NeurIPS 2017, with dropout in each model.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.progress import PassedOn, Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.fingerprints import content_digest
from ObserverUncertaintyLib.formats.prediction_files import MADE_FROM
from ObserverUncertaintyLib.formats.prediction_samples import to_levels
from ObserverUncertaintyLib.model.calibration import Calibration, read_calibration
from ObserverUncertaintyLib.model.description import ModelDescription, fingerprint_warning, weights_digest
from ObserverUncertaintyLib.model.settings import PredictionSettings, shares
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.network.unet import UNet
from ObserverUncertaintyLib.prediction.case import predict_case, prediction_origin
from ObserverUncertaintyLib.prediction.inference import OnSample
from ObserverUncertaintyLib.prediction.maps import Prediction, report_of_maps
from ObserverUncertaintyLib.prediction.sums import MonteCarloSums


@dataclass(frozen=True)
class Member:
    """A model that is loaded to predict.

    Attributes:
        network: on the device to be used.
        description: the model's description.
        weights: fingerprint of its weights.
        calibration: what is applied to its prediction; None if it has none, or none is wanted.
    """

    network: UNet
    description: ModelDescription
    weights: str
    calibration: Calibration | None


@dataclass(frozen=True)
class Ensemble:
    """The models that predict a case together; often one.

    Attributes:
        members: the models.
    """

    members: tuple[Member, ...]

    @classmethod
    def read(
        cls,
        models: str | Path | Sequence[str | Path],
        device: torch.device,
        *,
        calibrated: bool = True,
        progress: Progress | None = None,
    ) -> Ensemble:
        """Load one model or several.

        Args:
            models: the folder of a model, or several.
            device: where they compute.
            calibrated: whether a model's calibration is applied; never that of several models, which none was fitted
                to.
            progress: is told what cannot be checked, and of calibrations that are left out.

        Raises:
            ModelError: a folder holds no usable model.
            InputError: there is none, one is named twice, or they segment different structures or see other sequences.
        """
        folders = [models] if isinstance(models, str | Path) else list(models)
        if not folders:
            raise InputError("No model is named to predict with. Name one or more.")
        progress, members, left_out = progress or Progress(), [], []
        for folder in folders:
            network, description = load_model(folder, device)
            if (unknown := fingerprint_warning(folder, description)) is not None:
                progress.warning(unknown)
            calibration = read_calibration(folder, description) if calibrated else None
            if calibration is not None and len(folders) > 1:
                calibration = None
                left_out.append(str(folder))
            members.append(Member(network, description, weights_digest(folder, description), calibration))
        if left_out:
            progress.warning(
                f"The calibration of {', '.join(left_out)} is not applied: it was fitted to this model alone, and "
                "several predict together"
            )
        _require_alike(folders, members)
        # Each model's random numbers do not depend on the order in which they are named.
        return cls(tuple(sorted(members, key=lambda member: member.weights)))

    @property
    def weights(self) -> str:
        """A fingerprint of all weights, in whatever order the models are named."""
        each = sorted(member.weights for member in self.members)
        return each[0] if len(each) == 1 else content_digest(each)

    @property
    def model_digest(self) -> str:
        """A fingerprint of all but the weights that decides a prediction."""
        each = sorted(member.description.digest for member in self.members)
        return each[0] if len(each) == 1 else content_digest(each)

    def calibration(self, settings: PredictionSettings, progress: Progress | None = None) -> Calibration | None:
        """What is applied to a prediction with these settings.

        Args:
            settings: those of one rater's drawing, or with mirrored samples, are other than a calibration is fitted to.
            progress: is told of a calibration that is left out for them.
        """
        found = self.members[0].calibration
        if found is None or (settings.rater is None and not settings.flip):
            return found
        why = "mirrored samples" if settings.rater is None else f"the drawing of {settings.rater} alone"
        (progress or Progress()).warning(
            f"The model's calibration is not applied: it was fitted to the mean of all raters and to samples that are "
            f"not mirrored, and not to {why}"
        )
        return None

    def origin(self, case: Case, settings: PredictionSettings) -> dict[str, Any]:
        """What a prediction depends on; see `prediction_origin`."""
        one = self.members[0]
        origins = [prediction_origin(case, each.description, each.weights, settings) for each in self.members]
        if len(origins) > 1:
            return {**origins[0], "weights": self.weights, "model": self.model_digest}
        return prediction_origin(case, one.description, one.weights, settings, self.calibration(settings))

    def predict(
        self,
        case: Case,
        settings: PredictionSettings,
        *,
        made_from: dict[str, Any] | None = None,
        skull_stripped: bool | None = None,
        keep_samples: int = 0,
        progress: Progress | None = None,
        on_sample: OnSample | None = None,
    ) -> tuple[Prediction, dict[str, Any]]:
        """Predict one case, and say in a report how; arguments and errors as for `predict_case`."""
        if len(self.members) == 1:
            (one,) = self.members
            return predict_case(
                one.network,
                one.description,
                case,
                settings,
                weights=one.weights,
                made_from=made_from,
                skull_stripped=skull_stripped,
                calibration=self.calibration(settings),
                keep_samples=keep_samples,
                progress=progress,
                on_sample=on_sample,
            )
        started = time.monotonic()
        sums, kept = MonteCarloSums(case.grid.shape), np.empty((keep_samples, *case.grid.shape), np.uint8)

        def add(sample: NDArray[np.float32]) -> None:
            if sums.samples < keep_samples:
                kept[sums.samples] = to_levels(sample)
            sums.add(sample)
            if on_sample:
                on_sample(sample)

        drawn = shares(settings.samples, len(self.members))
        together_told = _OneTask(progress or Progress(), sum(drawn))
        predictions, reports = [], []
        for number, (member, share) in enumerate(zip(self.members, drawn, strict=True)):
            prediction, report = predict_case(
                member.network,
                member.description,
                case,
                replace(settings, samples=share, seed=settings.seed + number),
                weights=member.weights,
                skull_stripped=skull_stripped,
                progress=together_told.part(share),
                on_sample=add,
            )
            predictions.append(prediction)
            reports.append(report)
        together = replace(
            predictions[0],
            probability=sums.mean_probability().astype(np.float32),
            uncertainty=sums.uncertainty(),
            samples=sums.samples,
            not_looked_at=_nowhere_seen([each.not_looked_at for each in predictions]),
            kept_samples=kept,
        )
        return together, {
            **reports[0],
            **report_of_maps(together, case.grid),
            "samples": sums.samples,
            "seed": settings.seed,
            "fusion": ", ".join(dict.fromkeys(report["fusion"] for report in reports)),
            "notes": list(dict.fromkeys(note for report in reports for note in report["notes"])),
            "warnings": list(dict.fromkeys(warning for report in reports for warning in report["warnings"])),
            "unlike_training": next((unlike for each in reports if (unlike := each["unlike_training"])), None),
            "weights": self.weights,
            "ensemble": [report["weights"] for report in reports],
            MADE_FROM: made_from or self.origin(case, settings),
            "seconds": round(time.monotonic() - started, 2),
        }

    def require_samples(self, samples: int) -> None:
        """Raise InputError unless each model has a sample to draw."""
        if samples < len(self.members):
            raise InputError(
                f"{len(self.members)} models share {samples} samples, so that some would draw none. Draw at least one "
                "for each, or name fewer models."
            )


class _OneTask(PassedOn):
    """Tells of what several models do one after the other as one task.

    Args:
        whole: is told.
        samples: of all models.
    """

    def __init__(self, whole: Progress, samples: int) -> None:
        super().__init__(whole)
        self._samples = samples
        self._share = 0

    def part(self, samples: int) -> Progress:
        """For the model that draws so many samples next."""
        self._has_begun = self._share > 0
        self._share = samples
        return self

    def start(self, task: str, steps: int, done: int = 0) -> None:
        if not self._has_begun:
            self._whole.start(task, steps * self._samples // self._share, done)


def _nowhere_seen(unseen: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.bool_] | None:
    """Where none of the models saw anything; None if one of them saw everything."""
    known = [each for each in unseen if each is not None]
    return np.logical_and.reduce(known) if len(known) == len(unseen) else None


def _require_alike(folders: Sequence[str | Path], members: Sequence[Member]) -> None:
    first, weights = members[0].description, [member.weights for member in members]
    for number, (folder, member) in enumerate(zip(folders, members, strict=True)):
        if member.weights in weights[:number]:
            raise InputError(
                f"{folder} is the same model as {folders[weights.index(member.weights)]}, which would count twice. "
                "Name each model once."
            )
        found = member.description
        if found.label != first.label:
            raise InputError(
                f"{folder} segments {found.label}, {folders[0]} {first.label}. Models that predict together segment "
                "one structure."
            )
        if set(found.sequences) != set(first.sequences):
            raise InputError(
                f"{folder} sees {', '.join(found.sequences)}, {folders[0]} {', '.join(first.sequences)}. Models that "
                "predict together see the same sequences."
            )
