"""The arms of the synthetic study: what is trained and how it predicts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ObserverUncertaintyLib.base.records import changed
from ObserverUncertaintyLib.model.preprocessing import IntensityNorm
from ObserverUncertaintyLib.model.settings import DropoutKind, FeatureNorm, Loss, TrainingSettings
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.simulation.shapes import PERTURBED, STATES, UNPERTURBED, ShapeSettings
from ObserverUncertaintyLib.studies.synthetic.paper import PAPERS_FUSIONS
from ObserverUncertaintyLib.studies.synthetic.settings import Part, SyntheticSettings

ENSEMBLE_SIZE = 5


class Method(StrEnum):
    """How the foreground probability of a test image comes about."""

    DROPOUT = "Monte Carlo dropout"
    DETERMINISTIC = "one pass without dropout"
    ENSEMBLE = "deep ensemble"
    DROPOUT_ENSEMBLE = "deep ensemble, Monte Carlo dropout in each member"
    AUGMENTATION = "test-time augmentation"
    TEMPERATURE = "Monte Carlo dropout, temperature-scaled"
    ISOTONIC = "Monte Carlo dropout, isotonic calibration"
    RATER_MEAN = "the raters' mean itself"
    MANY_RATERS = "the mean of many further observers"


@dataclass(frozen=True)
class ShapesArm:
    """One row of a table, for each seed.

    Attributes:
        name: unique in the study.
        part: the part it belongs to.
        state: the image state trained and tested on.
        shapes: the samples.
        train: number of training samples.
        training: how the model is trained; its seed is the study's.
        method: how it predicts.
        samples: T.
        base: name of the arm whose model is used; empty if the arm trains its own.
        members: name of the ensemble whose further members are used.
        parameter, value: what a sweep varies, and to what.
    """

    name: str
    part: Part
    state: str
    shapes: ShapeSettings
    train: int
    training: TrainingSettings
    method: Method = Method.DROPOUT
    samples: int = 20
    base: str = ""
    members: str = ""
    parameter: str = ""
    value: str = ""

    @property
    def test_shapes(self) -> ShapeSettings:
        """The test samples: always with the paper's five observers, whatever the training samples have."""
        return replace(self.shapes, observers=ShapeSettings().observers)

    @property
    def pixels(self) -> int:
        """Of an image, as a multiple of 64 x 64."""
        return max(1, round((self.shapes.width / 64) ** 2))

    @property
    def fusion(self) -> FusionMethod:
        """What training sees as label."""
        return self.training.fusion


def study_arms(settings: SyntheticSettings) -> list[ShapesArm]:
    """Every arm of the parts that are asked for, in the order of work."""
    arms = []
    if Part.TABLE1 in settings.parts:
        arms += _table1(settings)
    if Part.EXTRAS in settings.parts:
        arms += _extras(settings)
    if Part.SWEEPS in settings.parts:
        arms += _sweeps(settings)
    # Arms of two parts may share a base.
    return list({arm.name: arm for arm in arms}.values())


def _table1(settings: SyntheticSettings) -> list[ShapesArm]:
    return [
        ShapesArm(
            name=f"{state}-{fusion}",
            part=Part.TABLE1,
            state=state,
            shapes=settings.shapes,
            train=settings.train,
            training=replace(settings.training, fusion=fusion),
            samples=settings.samples,
        )
        for state in STATES
        for fusion in PAPERS_FUSIONS
    ]


def _side(
    settings: SyntheticSettings, name: str, fusion: FusionMethod, state: str = PERTURBED, **other: Any
) -> ShapesArm:
    """An arm at the smaller size of extras and sweeps."""
    values: dict[str, Any] = {
        "part": Part.EXTRAS,
        "shapes": replace(settings.shapes, width=settings.side_width),
        "train": settings.train,
        "samples": settings.samples,
    }
    training = changed(settings.training, {"fusion": fusion, **other.pop("training", {})})
    return ShapesArm(name=name, state=state, training=training, **(values | other))


def _bases(settings: SyntheticSettings) -> list[ShapesArm]:
    return [
        _side(settings, f"side-{state}-{fusion}", fusion, state)
        for state in (PERTURBED, UNPERTURBED)
        for fusion in (FusionMethod.NONE, FusionMethod.MAJORITY)
    ]


def _extras(settings: SyntheticSettings) -> list[ShapesArm]:
    """Targets beyond the paper's, the alternatives to dropout, and what a well-calibrated model would score."""
    arms = _bases(settings)
    for state in (PERTURBED, UNPERTURBED):
        none = f"side-{state}-none"
        targets = (fusion for fusion in FusionMethod if fusion not in PAPERS_FUSIONS)
        arms += [_side(settings, f"side-{state}-{fusion}", fusion, state) for fusion in targets]
        for method, name in (
            (Method.DETERMINISTIC, "deterministic"),
            (Method.TEMPERATURE, "temperature"),
            (Method.ISOTONIC, "isotonic"),
            (Method.AUGMENTATION, "augmentation"),
            (Method.ENSEMBLE, "ensemble"),
        ):
            arms.append(_side(settings, f"{none}-{name}", FusionMethod.NONE, state, method=method, base=none))
        arms.append(
            _side(
                settings,
                f"{none}-dropout-ensemble",
                FusionMethod.NONE,
                state,
                method=Method.DROPOUT_ENSEMBLE,
                # As many passes in all as one model draws.
                samples=max(1, settings.samples // ENSEMBLE_SIZE),
                base=none,
                members=f"{none}-ensemble",
            )
        )
        mean = f"side-{state}-mean"
        for method, name in (
            (Method.TEMPERATURE, "temperature"),
            (Method.ISOTONIC, "isotonic"),
            (Method.ENSEMBLE, "ensemble"),
        ):
            arms.append(_side(settings, f"{mean}-{name}", FusionMethod.MEAN, state, method=method, base=mean))
    arms.append(_side(settings, "reference-rater-mean", FusionMethod.NONE, method=Method.RATER_MEAN))
    arms.append(_side(settings, "reference-many-raters", FusionMethod.NONE, method=Method.MANY_RATERS))
    return arms


def _sweeps(settings: SyntheticSettings) -> list[ShapesArm]:
    """One choice varied at a time, on perturbed images; what the paper leaves open and matters most comes first."""
    none, majority, mean = (
        _Sweep(settings, fusion) for fusion in (FusionMethod.NONE, FusionMethod.MAJORITY, FusionMethod.MEAN)
    )
    shapes = replace(settings.shapes, width=settings.side_width)
    # One observer of each training sample, always the same: another reading of "sampled randomly".
    arms = [*_bases(settings), none.arm("raters", 1, shapes=replace(shapes, observers=1))]
    # 500: as many steps as if every observer's mask were a sample of its own.
    arms += [sweep.arm("epochs", 500, training={"epochs": 500}) for sweep in (none, majority)]
    for epochs in (10, 20, 50):
        arms += [sweep.arm("epochs", epochs, training={"epochs": epochs}) for sweep in (none, mean)]
    for sweep in (none, majority):
        base = f"side-{PERTURBED}-{sweep.fusion}"
        arms += [sweep.arm("T", count, samples=count, base=base) for count in (1, 2, 5, 10, 50, 100)]
    for name, values in _TRAINING_SWEEPS.items():
        arms += [sweep.arm(name, value, training={name: value}) for value in values for sweep in (none, majority)]
    varied: list[tuple[str, Any, ShapeSettings]] = [
        *(("raters", count, replace(shapes, observers=count)) for count in (2, 3, 4, 7, 9)),
        *(("blur", factor, replace(shapes, blur=_scaled(shapes.blur, factor))) for factor in (0.5, 2.0)),
        ("decay", "none", replace(shapes, decay=(0.0, 0.0))),
        *(("radius", radius, replace(shapes, radius=radius)) for radius in (0.15, 0.23)),
    ]
    arms += [sweep.arm(name, value, shapes=each) for name, value, each in varied for sweep in (none, majority)]
    arms += [sweep.arm("train", train, train=train) for train in (10, 20, 40, 160, 400) for sweep in (none, majority)]
    arms += [sweep.arm("width", 128, shapes=replace(shapes, width=128)) for sweep in (none, majority)]
    longest = none.arm("train+batch_size", "400+2", train=400, training={"batch_size": 2})
    arms.append(longest)
    # What is left of the calibration error once the model has seen much.
    long = ("sweep-epochs-500-none", "sweep-train-400-none", longest.name)
    arms += [_predicting(arm, Method.ISOTONIC, "isotonic") for arm in arms if arm.name in long]
    # Whether a pass without dropout suffers from batch normalisation, whose statistics were gathered with it.
    norms = [arm for arm in arms if arm.parameter == "feature_norm" and arm.fusion is FusionMethod.NONE]
    return [*arms, *(_predicting(arm, Method.DETERMINISTIC, "deterministic") for arm in norms)]


def _predicting(arm: ShapesArm, method: Method, name: str) -> ShapesArm:
    """The same model, predicting otherwise."""
    return replace(arm, name=f"{arm.name}-{name}", method=method, base=arm.name)


def _scaled(interval: tuple[float, float], factor: float) -> tuple[float, float]:
    return (factor * interval[0], factor * interval[1])


_TRAINING_SWEEPS: dict[str, tuple[Any, ...]] = {
    "loss": (Loss.DICE,),
    "dropout_kind": (DropoutKind.CHANNEL,),
    "feature_norm": (FeatureNorm.INSTANCE, FeatureNorm.NONE),
    "intensity_norm": (IntensityNorm.ZSCORE, IntensityNorm.NONE),
    "batch_size": (2, 32),
}


@dataclass(frozen=True)
class _Sweep:
    settings: SyntheticSettings
    fusion: FusionMethod

    def arm(self, parameter: str, value: Any, **other: Any) -> ShapesArm:
        name = f"sweep-{parameter}-{value}-{self.fusion}"
        return _side(self.settings, name, self.fusion, part=Part.SWEEPS, parameter=parameter, value=str(value), **other)
