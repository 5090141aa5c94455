"""What decides the cavity study: patients, folds, arms, training, and the two presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.loading import LoadOptions
from ObserverUncertaintyLib.model.settings import DEFAULT_SAMPLES, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.simulation.settings import CavitySettings
from ObserverUncertaintyLib.studies.cavity.arms import CavityArm


class Preset(StrEnum):
    """The study's size."""

    FULL = "full"
    SMALL = "small"


TRAINING = TrainingSettings(epochs=35, network=UNetSettings(depth=5, filters=48), prior_bias=True)
"""The paper's network and training; batch size, loss, first weights and the order of layers are not in it."""

SCANNER = CavitySettings(in_plane_spacing_mm=1.0, slice_thickness_mm=1.0)
"""The paper's voxel size."""


@dataclass(frozen=True)
class CavityStudySettings:
    """The study's settings; the defaults are the paper's.

    A study that is continued must have the same ones, except for `seeds` and `arms`.

    Attributes:
        seeds: each gives its own folds and trainings, and of simulated patients its own cohort.
        arms: what is compared; "none" is among them.
        folds: parts of the cross-validation; each is predicted by models trained on the others.
        patients: number of simulated patients; of a manifest all cases take part.
        scanner: of simulated patients.
        training: the arms differ from it by their fusion, or by what `training_of` says.
        samples: T.
        prediction_batch: slices predicted at a time.
        loading: what may be done to files that do not lie on one grid.
    """

    seeds: tuple[int, ...] = (0,)
    arms: tuple[CavityArm, ...] = (FusionMethod.NONE, FusionMethod.MAJORITY)
    folds: int = 6
    patients: int = 30
    scanner: CavitySettings = SCANNER
    training: TrainingSettings = TRAINING
    samples: int = DEFAULT_SAMPLES
    prediction_batch: int = 4
    loading: LoadOptions = LoadOptions()

    def __post_init__(self) -> None:
        """Refuse a study that compares nothing or has no training cases."""
        if FusionMethod.NONE not in self.arms or len(set(self.arms)) < 2:
            given = ", ".join(self.arms) or "none at all"
            raise InputError(f'The arms are {given}. Give "none" and at least one arm to compare it with.')
        if self.folds < 2:
            raise InputError(f"The cross-validation has {self.folds} fold; two or more are needed.")


PRESETS = {
    Preset.FULL: CavityStudySettings(),
    Preset.SMALL: CavityStudySettings(
        patients=18,
        scanner=CavitySettings(in_plane_spacing_mm=2.0, slice_thickness_mm=4.0),
        training=replace(
            TRAINING, epochs=16, batch_size=2, background_slices=0.6, network=UNetSettings(depth=4, filters=8)
        ),
    ),
}
"""The paper's study, and one for two cores: fewer patients and coarser voxels, a smaller network, fewer steps."""
