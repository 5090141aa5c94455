"""A trained model's description, `model.json`: everything needed to use its weights again, readable without torch."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.records import from_json, to_json
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.fingerprints import content_digest, file_digest
from ObserverUncertaintyLib.model.likeness import Looks, TrainingLooks
from ObserverUncertaintyLib.model.preprocessing import (
    Preprocessing,
    in_plane_spacing,
    slice_distance,
)
from ObserverUncertaintyLib.model.settings import FinalActivation, UNetSettings

FORMAT = "observer-uncertainty model"

FORMAT_VERSION = 1

NOTICE = "Research use only. Not a medical device."

DESCRIPTION_FILE = "model.json"

WEIGHTS_FILE = "weights.safetensors"

CHECKPOINT_FOLDER = "checkpoint"

CHECKPOINT_SETTINGS_FILE = "settings.json"
"""In the model's folder while it is trained: what the training began with."""

WARN_SPACING_RATIO = 1.5

REFUSE_SPACING_RATIO = 4.0


class ModelError(InputError):
    """The folder holds no usable model, or the model does not fit the case."""


@dataclass(frozen=True)
class Expectations:
    """What the training images were like, so that unlike ones can be refused or warned about.

    Attributes:
        dimension: 2 for single slices, 3 for volumes.
        in_plane_spacing: median (row, column) spacing in mm of the training cases.
        slice_distance: median distance between slices in mm; None for 2-D images.
        skull_stripped: whether the images show the brain only; None if the cohort did not say.
        looks: what they look like, or those of the model that training started from, if the cases are too few to say;
            None for 2-D images, for few cases, and in models of earlier versions.
    """

    dimension: int
    in_plane_spacing: tuple[float, float]
    slice_distance: float | None
    skull_stripped: bool | None
    looks: TrainingLooks | None = None

    def unlike(self, looks: Looks | None) -> str | None:
        """In what a case is unlike the training images, as a phrase; None if in nothing, or if nothing is known."""
        if self.looks is None or looks is None:
            return None
        return "; ".join(self.looks.unlike(looks, self.skull_stripped)) or None

    def seems_a_head(self, looks: Looks | None) -> bool:
        """Whether a case shows more than the brain, where the training images show nothing else; `unlike` says so."""
        if not self.skull_stripped or self.looks is None or looks is None:
            return False
        return self.looks.seems_a_head(looks)


@dataclass(frozen=True)
class ModelDescription:
    """Everything about a model but its weights.

    Attributes:
        sequences: names of the input images in channel order.
        label: the one structure that the model segments.
        architecture: the U-Net's shape.
        preprocessing: what happens to a case before the network sees it.
        expects: what the training images were like.
        training: how it was trained (cohort, raters, fusion, seed, epochs, loss per epoch, fingerprint of the weights
            that it started from, ...), for the record.
        library_version: version of this library that trained it.
        created: date of training, ISO 8601.
        may_be_missing: those of the sequences that a case may lack; training did without them at times.
        imitates: the raters that it can draw as, in the order of their channels after the sequences; none if it was
            not told whose drawing it saw.
        weights_digest: fingerprint of the weights' file; None before they are written, and in a model that an earlier
            version wrote.
    """

    sequences: tuple[str, ...]
    label: str
    architecture: UNetSettings
    preprocessing: Preprocessing
    expects: Expectations
    training: dict[str, Any]
    library_version: str
    created: str
    may_be_missing: tuple[str, ...] = ()
    imitates: tuple[str, ...] = ()
    weights_digest: str | None = None

    @property
    def digest(self) -> str:
        """A fingerprint of all but the weights that decides a prediction."""
        network = self._network()
        if self.architecture.final_activation is FinalActivation.SIGMOID:
            del network["final_activation"]  # which models of earlier versions do not name
        raters = [list(self.imitates)] if self.imitates else []
        return content_digest((list(self.sequences), network, to_json(self.preprocessing), *raters))

    def _network(self) -> dict[str, Any]:
        return {"sequences": len(self.sequences), **to_json(self.architecture)}

    @property
    def channels(self) -> int:
        """How many images the network sees: the sequences, and one for each rater that it can draw as."""
        return len(self.sequences) + len(self.imitates)

    def present(self, sequences: Collection[str]) -> tuple[str, ...]:
        """Those of the model's sequences that are among these, in channel order."""
        return tuple(sequence for sequence in self.sequences if sequence in sequences)

    def lacking(self, sequences: Collection[str]) -> tuple[str, ...]:
        """Those of the model's sequences that are not among these, in channel order."""
        return tuple(sequence for sequence in self.sequences if sequence not in sequences)

    def check_case(self, case: Case, skull_stripped: bool | None = None) -> list[str]:
        """Refuse a case that the model cannot be used on; return warnings for one that is unlike its training.

        Raises:
            ModelError: the sequences differ, or the in-plane spacing is far beyond the training's.
        """
        lacking = self.lacking(case.sequences)
        needed = [sequence for sequence in lacking if sequence not in self.may_be_missing]
        if needed:
            optional = f" (of which {', '.join(self.may_be_missing)} may be missing)" if self.may_be_missing else ""
            raise ModelError(
                f"{case.name}: the model needs the sequences {', '.join(self.sequences)}{optional}, the case has "
                f"{', '.join(case.sequences)}; {', '.join(needed)} is missing. Name the images as the model does."
            )
        warnings = []
        if lacking:
            warnings.append(
                f"{case.name} has no {', '.join(lacking)}: the model was trained to do without, but it sees less then"
            )
        dimension = case.grid.dimension
        if dimension != self.expects.dimension:
            warnings.append(f"{case.name} is {dimension}-D, the model was trained on {self.expects.dimension}-D images")
        warnings += self._check_spacing(case)
        expected = self.expects.skull_stripped
        if None not in (expected, skull_stripped) and expected != skull_stripped:
            show = {True: "the brain only", False: "the whole head"}
            warnings.append(
                f"{case.name} shows {show[bool(skull_stripped)]}, the training images {show[bool(expected)]}"
            )
        return warnings

    def _check_spacing(self, case: Case) -> list[str]:
        axis = self.preprocessing.slice_axis
        found = in_plane_spacing(case.grid, axis)
        expected = self.expects.in_plane_spacing
        ratio = max(max(f / e, e / f) for f, e in zip(found, expected, strict=True))
        text = (
            f"{case.name} has an in-plane spacing of {found[0]:.3g} x {found[1]:.3g} mm, the training images "
            f"{expected[0]:.3g} x {expected[1]:.3g} mm"
        )
        if ratio > REFUSE_SPACING_RATIO:
            raise ModelError(f"{text}: too far apart for this model. Resample the case, or train on such images.")
        warnings = [f"{text}: be careful with the result"] if ratio > WARN_SPACING_RATIO else []
        distance, expected_distance = slice_distance(case.grid, axis), self.expects.slice_distance
        if distance and expected_distance:
            ratio = max(distance / expected_distance, expected_distance / distance)
            if ratio > WARN_SPACING_RATIO:
                warnings.append(
                    f"{case.name} has slices {distance:.3g} mm apart, the training images {expected_distance:.3g} mm: "
                    "be careful with the result"
                )
        return warnings

    def to_json(self) -> dict[str, Any]:
        """The content of model.json."""
        head = {"format": FORMAT, "format_version": FORMAT_VERSION, "notice": NOTICE}
        return {**head, **to_json(self), "architecture": self._network()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ModelDescription:
        """Read the content of model.json; raises KeyError, TypeError or ValueError if it is not such."""
        values = {each.name: content[each.name] for each in fields(cls) if each.name in content}
        architecture = dict(values["architecture"])
        if architecture.pop("sequences") != len(values["sequences"]):
            raise ValueError(f"the network has not {len(values['sequences'])} input images")
        # Models of an earlier version were trained on images with their padding.
        if not set(values.get("may_be_missing", ())) < set(values["sequences"]):
            raise ValueError(f"{values['may_be_missing']} may be missing, of {values['sequences']}")
        preprocessing = {"replace_padding": False, **values["preprocessing"]}
        described = from_json(cls, {**values, "architecture": architecture, "preprocessing": preprocessing})
        spacing = described.preprocessing.spacing
        if spacing is not None and not min(spacing) > 0:
            raise ValueError(f"spacing must be above 0, not {spacing}")
        return described


def read_description(folder: str | Path) -> ModelDescription:
    """Read a model's description; raises ModelError with the file, what was found and what was expected."""
    path = Path(folder) / DESCRIPTION_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        unfinished = (Path(folder) / CHECKPOINT_FOLDER).is_dir()
        advice = "Its training is not finished: resume it." if unfinished else "Give the folder of a trained model."
        raise ModelError(f"{folder} holds no model: there is no {DESCRIPTION_FILE}. {advice}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Copy the model again, or train it again.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(f'{path} describes no model: its "format" is not "{FORMAT}".')
    if content.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"{path} has format version {content.get('format_version')}, this library reads {FORMAT_VERSION}. "
            "Use the library version that wrote it."
        )
    try:
        return ModelDescription.from_json(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged: {error!r}. Copy the model again, or train it again.") from error


def begun_training(folder: str | Path) -> dict[str, Any] | None:
    """What the training in a folder began with, finished or interrupted; None if there is none.

    Raises:
        InputError: it cannot be read.
    """
    folder = Path(folder)
    if (folder / DESCRIPTION_FILE).is_file():
        return read_description(folder).training
    settings = folder / CHECKPOINT_FOLDER / CHECKPOINT_SETTINGS_FILE
    if not settings.is_file():
        return None
    try:
        content: dict[str, Any] = dict(json.loads(settings.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise ModelError(f"{settings} cannot be read: {error}. Begin again, or choose another folder.") from error
    return content


def require_own_weights(folder: str | Path, description: ModelDescription) -> None:
    """Refuse a model whose weights are missing, damaged or another's; one without their fingerprint is let pass."""
    path = Path(folder) / WEIGHTS_FILE
    try:
        found = file_digest(path)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}. Copy the model again, or train it again."
        ) from error
    if description.weights_digest not in (None, found):
        raise ModelError(
            f"{path} holds other weights than those that {DESCRIPTION_FILE} was written with: its fingerprint is "
            f"{found}, expected {description.weights_digest}. It is damaged or another model's; copy both files of one "
            "model again."
        )


def weights_digest(folder: str | Path, description: ModelDescription) -> str:
    """The fingerprint of a model's weights, read from their file where an earlier version wrote the description."""
    return description.weights_digest or file_digest(Path(folder) / WEIGHTS_FILE)


def fingerprint_warning(folder: str | Path, description: ModelDescription) -> str | None:
    """What to say of a model that an earlier version wrote, whose weights cannot be known for its own."""
    if description.weights_digest is not None:
        return None
    return (
        f"{Path(folder) / DESCRIPTION_FILE} carries no fingerprint of the weights, since an earlier version wrote it: "
        "whether they are this model's cannot be checked"
    )
