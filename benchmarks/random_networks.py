"""The paper's networks with random weights: what is measured does not depend on them."""

from __future__ import annotations

from dataclasses import dataclass

from ObserverUncertaintyLib.base.version import VERSION
from ObserverUncertaintyLib.model.description import Expectations, ModelDescription
from ObserverUncertaintyLib.model.preprocessing import Preprocessing
from ObserverUncertaintyLib.model.settings import UNetSettings

SHAPES = UNetSettings()
CAVITY = UNetSettings(depth=5, filters=48)
CAVITY_SEQUENCES = 4


@dataclass(frozen=True)
class Setup:
    """A network with the batch that it is given."""

    name: str
    sequences: int
    settings: UNetSettings
    rows: int
    columns: int
    batch: int

    def __str__(self) -> str:
        return f"{self.name}, {self.batch} of {self.rows}x{self.columns}"


def description(settings: UNetSettings, sequences: tuple[str, ...]) -> ModelDescription:
    """What `predict` has to know of a network, for skull-stripped images at 1 mm."""
    return ModelDescription(
        sequences=sequences,
        label="lesion",
        architecture=settings,
        preprocessing=Preprocessing(spacing=(1.0, 1.0)),
        expects=Expectations(3, (1.0, 1.0), 1.0, skull_stripped=True),
        training={"fusion": "none", "case_images": []},
        library_version=VERSION,
        created="2018-09-16",
    )
