"""What a trained model says about itself, as the panel's card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ObserverUncertaintyLib.model.calibration import Calibration, read_calibration
from ObserverUncertaintyLib.model.description import ModelDescription, read_description
from ObserverUncertaintySlicer.host import tr as _


@dataclass(frozen=True)
class ModelCard:
    """A model's folder with its description.

    Attributes:
        folder: the model's folder.
        description: what model.json says.
        calibration: to its experts; None if it has none.
    """

    folder: Path
    description: ModelDescription
    calibration: Calibration | None = None

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of the input images, in the network's channel order."""
        return self.description.sequences

    @property
    def needed(self) -> tuple[str, ...]:
        """Those of the sequences that every case must have."""
        return tuple(name for name in self.sequences if name not in self.description.may_be_missing)

    @property
    def isSimulated(self) -> bool:
        """Whether the model was trained on simulated cases."""
        return bool(self.description.training.get("simulated"))

    def summary(self) -> str:
        """In one line what the model segments, and what it needs for it."""
        text = _("Segments: {structure}. Needs: {sequences}.").format(
            structure=self.description.label, sequences=", ".join(self.needed)
        )
        optional = self.description.may_be_missing
        return text + _(" Better with: {sequences}.").format(sequences=", ".join(optional)) if optional else text

    def lines(self) -> list[tuple[str, str]]:
        """The card as pairs of a heading and what it says."""
        training, expects = self.description.training, self.description.expects
        preprocessing = self.description.preprocessing
        row, column = preprocessing.spacing or expects.in_plane_spacing
        images = _("in-plane {row:.3g} × {column:.3g} mm").format(
            row=expects.in_plane_spacing[0], column=expects.in_plane_spacing[1]
        )
        if expects.slice_distance:
            images += _(", slices {distance:.3g} mm apart").format(distance=expects.slice_distance)
        if expects.skull_stripped is not None:
            images += _(", brain only") if expects.skull_stripped else _(", whole head")
        network = self.description.architecture
        size = _("{depth} poolings, {filters} filters, dropout {dropout:g}").format(
            depth=network.depth, filters=network.filters, dropout=network.dropout
        )
        cases, epochs = len(training["cases"]), len(training["losses"])
        lines = [
            (_("Structure"), self.description.label),
            (_("Sequences"), self._sequencesText()),
            (_("Expects"), images),
            (
                _("Computes on"),
                _("{axis} slices at {row:.3g} × {column:.3g} mm, intensities by {norm}").format(
                    axis=preprocessing.slice_axis.value, row=row, column=column, norm=preprocessing.intensity_norm.value
                ),
            ),
            (_("Fusion"), _fusionWords(training["fusion"])),
            (
                _("Training set"),
                _("{cohort}: {cases} cases, raters {raters}, {epochs} epochs").format(
                    cohort=training.get("cohort") or _("unnamed cohort"),
                    cases=cases,
                    raters=", ".join(training["raters"]),
                    epochs=epochs,
                ),
            ),
            (_("Network"), size),
            (_("Trained"), self.description.created),
        ]
        if self.calibration is not None:
            lines.append((_("Calibration"), f"{self.calibration.summary}: {self.calibration.details}"))
        if self.isSimulated:
            lines.insert(0, (_("Notice"), _("Simulated data, not for patients.")))
        return lines

    def _sequencesText(self) -> str:
        names, optional = ", ".join(self.sequences), self.description.may_be_missing
        return (
            names
            if not optional
            else _("{names}; {optional} may be missing").format(names=names, optional=", ".join(optional))
        )


def _fusionWords(fusion: str) -> str:
    if fusion == "none":
        return _("none: each training sample saw one rater, drawn at random")
    return _("the raters' mean as a soft label") if fusion == "mean" else fusion


def readCard(modelPath: str | Path) -> ModelCard:
    """Read a model's card; raises ModelError with the folder, what was found and what was expected."""
    description = read_description(modelPath)
    return ModelCard(Path(modelPath), description, read_calibration(modelPath, description))
