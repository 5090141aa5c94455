"""The sizes of the demo."""

from __future__ import annotations

from dataclasses import dataclass

from ObserverUncertaintyLib.model.settings import Augmentation, Precision, Schedule, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.simulation.settings import CavitySettings


@dataclass(frozen=True)
class DemoSettings:
    """Sizes of the demo, chosen by what docs/results.md ("The demo's sizes") tells of.

    Attributes:
        training_cases: simulated patients to train on.
        test_cases: further patients to predict.
        in_plane_spacing_mm: voxel size within their axial slices.
        slice_thickness_mm: distance of their axial slices, as in many clinical exams.
        network_spacing_mm: in-plane spacing that the network works at; its output comes back on the case's own grid.
        epochs: passes over the training slices.
        batch_size: slices in a step.
        learning_rate: of the first step; it falls to 0 along a cosine.
        background_slices: slices without a cavity in an epoch, as a multiple of those with one.
        depth: pooling steps of the U-Net.
        filters: of its first block.
        samples: Monte Carlo samples, with balanced masks.
        precision: number format of the heavy operations.
        seed: of everything.
    """

    training_cases: int = 32
    test_cases: int = 10
    in_plane_spacing_mm: float = 2.0
    slice_thickness_mm: float = 4.0
    network_spacing_mm: float = 3.0
    epochs: int = 8
    batch_size: int = 4
    learning_rate: float = 2e-3
    background_slices: float = 0.6
    depth: int = 3
    filters: int = 16
    samples: int = 5
    precision: Precision = Precision.AUTO
    seed: int = 0

    @property
    def scanner(self) -> CavitySettings:
        """How the cohort is simulated."""
        return CavitySettings(in_plane_spacing_mm=self.in_plane_spacing_mm, slice_thickness_mm=self.slice_thickness_mm)

    @property
    def training(self) -> TrainingSettings:
        """How both models are trained, but for the fusion."""
        return TrainingSettings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            schedule=Schedule.COSINE,
            augmentation=Augmentation.FLIP,
            background_slices=self.background_slices,
            prior_bias=True,
            network=UNetSettings(depth=self.depth, filters=self.filters),
            spacing=(self.network_spacing_mm, self.network_spacing_mm),
            precision=self.precision,
            seed=self.seed,
        )
