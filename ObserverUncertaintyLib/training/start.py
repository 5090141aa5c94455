"""The model that a training starts from, in the place of random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.records import to_json
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.model.description import ModelDescription, ModelError, weights_digest
from ObserverUncertaintyLib.model.settings import TrainingSettings
from ObserverUncertaintyLib.network.stored import load_model


@dataclass(frozen=True)
class Start:
    """The model that a training starts from.

    Attributes:
        network: its network, with its weights.
        description: its description.
        fingerprint: of its weights.
    """

    network: nn.Module
    description: ModelDescription
    fingerprint: str

    @classmethod
    def read(cls, folder: str | Path, sequences: Sequence[str], settings: TrainingSettings) -> Start:
        """Read a model, if it has the sequences, the network and the preprocessing that is asked for.

        Raises:
            InputError: it differs, which is said by name; or the settings ask for a bias of the first weights.
            ModelError: the folder holds no usable model.
        """
        network, description = load_model(folder)
        if settings.prior_bias:
            raise InputError(
                f"Training starts from {folder}, so the last bias is that of this model; it cannot begin at the share "
                "of foreground (prior bias) too. Choose one of them."
            )
        seen = description.preprocessing
        found: dict[str, Any] = {
            "sequences": description.sequences,
            **to_json(description.architecture),
            "slice_axis": seen.slice_axis,
            "spacing": seen.spacing,
            "crop": seen.crop,
            "intensity_norm": seen.intensity_norm,
            "rater_input": bool(description.imitates),
        }
        wanted = {**to_json(settings), "sequences": tuple(sequences)}
        wanted["spacing"] = settings.spacing or seen.spacing
        different = [
            f"  {name}: the model has {_shown(value)}, the training {_shown(wanted[name])}"
            for name, value in found.items()
            if value != wanted[name]
        ]
        if different:
            raise ModelError(
                f"Training cannot start from {folder}, which is another network or sees cases otherwise:\n"
                + "\n".join(different)
                + "\nGive the model's values, or train without it."
            )
        return cls(network, description, weights_digest(folder, description))


def imitated_raters(cases: Sequence[Case], start: Start | None) -> tuple[str, ...]:
    """The raters that a network learns to draw as: all of the cases', or those of the model that training starts from.

    Raises:
        InputError: that model does not know a rater of a case.
    """
    raters = tuple(dict.fromkeys(rater for case in cases for rater in case.rater_names))
    if start is None:
        return raters
    known = start.description.imitates
    if unknown := [rater for rater in raters if rater not in known]:
        raise InputError(
            f"The model that training starts from draws as {', '.join(known)}, and has no input for "
            f"{', '.join(unknown)}. Leave out these raters, or train without a model to start from."
        )
    return known


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
