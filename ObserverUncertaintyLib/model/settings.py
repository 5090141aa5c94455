"""Every choice that decides a trained model or a prediction, as plain values.

Nothing here loads torch, so that a program which only describes the work (a command line, Slicer) can use it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.records import inline
from ObserverUncertaintyLib.model.preprocessing import Crop, IntensityNorm, SliceAxis
from ObserverUncertaintyLib.raters.fusion import FusionMethod, Tie

DEFAULT_SAMPLES = 20
"""T, the number of Monte Carlo samples. Source: Jungo et al. 2018, section 3.1."""


class Precision(StrEnum):
    """Number format of the network's heavy operations; weights and sums stay in float32."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class DropoutKind(StrEnum):
    """What dropout sets to zero: single activations, or whole channels."""

    ELEMENT = "element"
    CHANNEL = "channel"


class FeatureNorm(StrEnum):
    """How features are normalised after a convolution."""

    BATCH = "batch"
    INSTANCE = "instance"
    NONE = "none"


class FinalActivation(StrEnum):
    """What makes a foreground probability of the network's last value.

    SIGMOID: of each pixel by itself.
    NORMALISED_RELU: the part above 0 as a share of the largest one, in a training step of the batch, in a prediction
        of the case. Source: SoftSeg (Gros et al., Med. Image Anal. 2021), as used by Lemay et al., MELBA 2022:031.
    """

    SIGMOID = "sigmoid"
    NORMALISED_RELU = "normalised-relu"


@dataclass(frozen=True)
class UNetSettings:
    """The shape of a U-Net.

    Attributes:
        depth: number of pooling steps; 2 in the paper's Experiment 1, 5 in Experiment 2.
        filters: filters of the first block, doubled at every pooling; 16 and 48 in the paper.
        dropout: probability that dropout sets a value to zero.
        dropout_kind: single activations (which reproduces the paper best) or whole channels.
        feature_norm: normalisation after each convolution.
        final_activation: what makes a probability of the last value.
    """

    depth: int = 2
    filters: int = 16
    dropout: float = 0.2
    dropout_kind: DropoutKind = DropoutKind.ELEMENT
    feature_norm: FeatureNorm = FeatureNorm.BATCH
    final_activation: FinalActivation = FinalActivation.SIGMOID

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        if self.depth < 0 or self.filters < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"no such U-Net: {self}")


class Loss(StrEnum):
    """What training minimises. A Dice loss makes the model overconfident and destroys the effect of the paper.

    "adaptive-wing" is a loss for regression: with the normalised ReLU and the raters' mean as target it is SoftSeg.
    """

    CROSS_ENTROPY = "cross-entropy"
    DICE = "dice"
    SUM = "cross-entropy+dice"
    ADAPTIVE_WING = "adaptive-wing"


class Schedule(StrEnum):
    """How the learning rate changes during training.

    "cosine" lets it fall to 0 along half a cosine, step by step: a short training then ends settled instead of where
    the last large steps threw it. Source: Loshchilov and Hutter, ICLR 2017, arXiv 1608.03983, without restarts.
    """

    CONSTANT = "constant"
    COSINE = "cosine"


class Augmentation(StrEnum):
    """How slices are varied during training; "flip" mirrors every second one from left to right."""

    NONE = "none"
    FLIP = "flip"


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides the trained weights, besides the data.

    Attributes:
        fusion: what a training step sees as label; "none" draws one rater for each slice and epoch.
        tie: what the majority vote makes of an even split.
        epochs: passes over all slices; the model of the last one is used.
        batch_size: slices in a step.
        background_slices: slices without the structure that an epoch sees, drawn anew each time, as a multiple of those
            with it; None sees all of them. With a small structure, fewer of them bring more of the steps to it.
        prior_bias: whether the last bias begins at the log-odds of the share of foreground that an epoch sees, instead
            of near 0. With a small structure the first epochs need not learn that most is background. Source: Lin et
            al., ICCV 2017 (Focal loss), section 4.1.
        learning_rate: of Adam; with a schedule the first one.
        schedule: how the learning rate changes; the paper's is constant.
        loss: what is minimised.
        augmentation: how slices are varied.
        rater_input: whether the network is told whose drawing it sees, so that it learns to draw as each rater would;
            without fusion only.
        may_be_missing: sequences that a case may lack when it is predicted. Of these, training leaves a number out of
            each slice, from none to all, each number as often.
        seed: of the first weights, the order of slices, the raters drawn and the dropout masks.
        network: the U-Net's shape.
        slice_axis, crop, intensity_norm: see `Preprocessing`.
        spacing: in-plane (row, column) spacing in mm of the model's grid; None takes the training cases' median.
        precision: number format of the network's heavy operations.
    """

    fusion: FusionMethod = FusionMethod.NONE
    tie: Tie = Tie.BACKGROUND
    epochs: int = 100
    batch_size: int = 4
    background_slices: float | None = None
    prior_bias: bool = False
    learning_rate: float = 1e-3
    schedule: Schedule = Schedule.CONSTANT
    loss: Loss = Loss.CROSS_ENTROPY
    augmentation: Augmentation = Augmentation.NONE
    rater_input: bool = False
    may_be_missing: tuple[str, ...] = ()
    seed: int = 0
    network: UNetSettings = inline(UNetSettings())
    slice_axis: SliceAxis = SliceAxis.AXIAL
    spacing: tuple[float, float] | None = None
    crop: Crop = Crop.FOREGROUND
    intensity_norm: IntensityNorm = IntensityNorm.ZSCORE
    precision: Precision = Precision.AUTO

    def __post_init__(self) -> None:
        """Refuse choices that exclude each other."""
        if self.rater_input and self.fusion is not FusionMethod.NONE:
            raise InputError(
                f"The network is to be told whose drawing it sees, but the raters are fused ({self.fusion}) into a "
                "drawing of nobody. Train without fusion, or without the rater as an input."
            )
        if self.network.final_activation is not FinalActivation.NORMALISED_RELU:
            return
        if self.loss in (Loss.CROSS_ENTROPY, Loss.SUM):
            raise InputError(
                f"{self.loss} is infinite where a normalised ReLU gives exactly 0. Choose the loss "
                f"{Loss.ADAPTIVE_WING} or {Loss.DICE}, or a sigmoid."
            )
        if self.prior_bias:
            raise InputError(
                "A prior bias is a log-odds, which a normalised ReLU cuts to 0 everywhere, so that nothing is learned. "
                "Train without it, or with a sigmoid."
            )


class DropoutMasks(StrEnum):
    """How the masks of several samples are drawn; each sample for itself has the same distribution."""

    INDEPENDENT = "independent"
    """Each for itself, as in the paper."""

    BALANCED = "balanced"
    """In groups, 5 for p = 0.2, within which each activation is dropped once: fewer samples have the same error."""


@dataclass(frozen=True)
class PredictionSettings:
    """What decides a prediction besides the model and the case.

    Attributes:
        samples: T, the number of Monte Carlo samples.
        seed: of the dropout masks.
        batch_size: slices computed at a time; None chooses by the device's memory. On a CPU the samples do not depend
            on it, on a GPU it decides the masks.
        precision: number format of the network's heavy operations.
        dropout_masks: how those of several samples are drawn; with balanced ones fewer samples have the same error.
        rater: of a model that was told whose drawing it saw, the rater to draw as; None draws as each of them in turn.
        flip: whether every second sample sees the slices mirrored from left to right, and is mirrored back. Source:
            Wang et al., Neurocomputing 2019 (test-time augmentation).
    """

    samples: int = DEFAULT_SAMPLES
    seed: int = 0
    batch_size: int | None = None
    precision: Precision = Precision.AUTO
    dropout_masks: DropoutMasks = DropoutMasks.INDEPENDENT
    rater: str | None = None
    flip: bool = False


def shares(samples: int, models: int) -> list[int]:
    """How many of T samples each of several models draws: as many as the others or one more, and one at least."""
    return [max(1, samples // models + (number < samples % models)) for number in range(models)]


@dataclass(frozen=True)
class LearningSettings:
    """What decides how a model learns on from corrections; all else is as in its own training.

    Attributes:
        epochs: passes over all slices of the corrected cases and of the others that are trained on.
        learning_rate: of Adam, the same in every step.
        batch_size: slices in a step; None takes that of the model's training.
        seed: of the order of slices, the raters drawn, the dropout masks, and the cases that are held out.
        held_out: cases without correction that are not trained on, by which the other cases are judged. None takes a
            quarter of them, at least one if there are two, and first those that the model was not trained on either;
            an empty list holds none out.
        samples: T of the predictions that are compared, with balanced masks.
    """

    epochs: int = 5
    learning_rate: float = 3e-4
    batch_size: int | None = None
    seed: int = 0
    held_out: tuple[str, ...] | None = None
    samples: int = 10

    def __post_init__(self) -> None:
        """Refuse values that nothing can be learned with."""
        numbers = {"epochs": self.epochs, "samples": self.samples, "a batch size of": self.batch_size}
        wrong = [f"{name} {n}, expected 1 or more" for name, n in numbers.items() if n is not None and n < 1]
        if not 0 < self.learning_rate < math.inf:
            wrong.append(f"the learning rate {self.learning_rate}, expected a number above 0")
        if self.seed < 0:
            wrong.append(f"the seed {self.seed}, expected 0 or more")
        if wrong:
            raise InputError(f"Nothing can be learned with {'; '.join(wrong)}.")


DEFAULT_LEARNING = LearningSettings()


def without_empty_economy(note: Mapping[str, Any]) -> dict[str, Any]:
    """A prediction's note without the economy that old ones hold, if it saved nothing: then it decided nothing."""
    nothing = {"likely_only": False, "entropy_tolerance": None}
    return {key: value for key, value in note.items() if (key, value) != ("economy", nothing)}
