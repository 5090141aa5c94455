"""What decides the synthetic study: sizes, seeds, and everything the paper leaves open."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ObserverUncertaintyLib.model.preprocessing import Crop, IntensityNorm
from ObserverUncertaintyLib.model.settings import DEFAULT_SAMPLES, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.simulation.shapes import ShapeSettings


class Part(StrEnum):
    """A part of the study that can be asked for by itself."""

    TABLE1 = "table1"
    EXTRAS = "extras"
    SWEEPS = "sweeps"


TRAINING = TrainingSettings(
    epochs=100, batch_size=8, network=UNetSettings(), crop=Crop.NONE, intensity_norm=IntensityNorm.IMAGE
)
"""The paper's network and training; it does not state batch size, loss, order of layers or normalisation."""


@dataclass(frozen=True)
class SyntheticSettings:
    """The study's settings; a study that is continued must have the same ones, except for `parts` and `seeds`.

    Attributes:
        parts: what is done.
        seeds: each gives its own samples and its own trainings.
        shapes: the samples of Table 1.
        train: training samples of each seed. The paper has 100 samples in all and does not state the split.
        test: further samples to score, more than the paper's so that means are stable.
        training: the paper's arms differ from it by their fusion only.
        samples: T.
        side_width: pixels in a row of the extras and sweeps, which would take days at the paper's size.
    """

    parts: tuple[Part, ...] = (Part.TABLE1,)
    seeds: tuple[int, ...] = (0, 1, 2)
    shapes: ShapeSettings = field(default_factory=ShapeSettings)
    train: int = 80
    test: int = 200
    training: TrainingSettings = TRAINING
    samples: int = DEFAULT_SAMPLES
    side_width: int = 64
