"""The steps whose growth is measured: for a size, the input made ready and the call that does the work."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cost import forward_flops
from drawn_raters import drawn_raters
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cpu.unet import unet_for_training
from ObserverUncertaintyLib.evaluation.scoring import evaluate, score_case
from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.settings import Loss, Precision, PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.network.unet import UNet
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.raters.fusion import FusionMethod, fuse, mean
from ObserverUncertaintyLib.scores.entropy import expert_entropy
from ObserverUncertaintyLib.simulation.cohort_folder import MANIFEST_FILE, write_cohort, write_manifest
from ObserverUncertaintyLib.training.step import make_optimiser, training_step
from ObserverUncertaintyLib.training.train import train
from random_networks import description

Work = Callable[[], object]

WIDTH = 64
_BLOCK = 8
"""Slices of one lesion: a larger image holds several, so that all of it grows."""


@dataclass(frozen=True)
class Growth:
    """A step that takes more of something.

    Attributes:
        step: what is done.
        variable: what grows.
        sizes: how much of it there is, ascending.
        prepare: makes the input of a size in an empty folder and returns the work.
        operations: floating-point operations of a size, where the work is not proportional to it by definition.
    """

    step: str
    variable: str
    sizes: tuple[int, ...]
    prepare: Callable[[int, Path], Work]
    operations: Callable[[int], float] | None = None


def growths() -> list[Growth]:
    """Every step against everything that it can have more of."""
    slices, raters = _doubled(128, 8192), _doubled(1, 64)
    methods = [method for method in FusionMethod if method is not FusionMethod.NONE]
    network = UNetSettings(depth=1, filters=4)

    def network_flops(filters: int) -> float:
        return forward_flops(1, replace(network, depth=2, filters=filters), WIDTH, WIDTH)

    return [
        Growth("loading a case", "slices", _doubled(16, 512), partial(_loading, raters=3)),
        Growth("loading a case", "raters", raters, lambda count, folder: _loading(_BLOCK, folder, raters=count)),
        *(
            Growth(f"fusion, {method.value}", "slices", slices, partial(_fusion, method=method, raters=3))
            for method in methods
        ),
        *(
            Growth(f"fusion, {method.value}", "raters", raters, partial(_fusion_of_raters, method=method))
            for method in methods
        ),
        Growth("expert entropy", "slices", slices, lambda count, _: partial(expert_entropy, _masks(count, 3))),
        Growth("expert entropy", "raters", raters, lambda count, _: partial(expert_entropy, _masks(128, count))),
        Growth("training step", "slices", _doubled(2, 64), partial(_training_step, settings=network)),
        Growth("training step", "filters", _doubled(2, 32), _training_step_of_filters, network_flops),
        Growth("training, one epoch", "cases", _doubled(1, 16), _training),
        Growth("prediction", "slices", _doubled(8, 256), partial(_prediction, settings=network, samples=1)),
        Growth("prediction", "T", _doubled(1, 32), partial(_prediction_of_samples, settings=network)),
        Growth("prediction", "filters", _doubled(2, 32), _prediction_of_filters, network_flops),
        Growth("scoring a case", "slices", _doubled(64, 4096), lambda count, _: _scoring(count, 3)),
        Growth("scoring a case", "raters", raters, lambda count, _: _scoring(32, count)),
        Growth("evaluation", "cases", _doubled(1, 32), _evaluation),
    ]


def _doubled(first: int, last: int) -> tuple[int, ...]:
    return tuple(itertools.takewhile(lambda size: size <= last, (first << doublings for doublings in range(12))))


def _masks(slices: int, raters: int) -> np.ndarray:
    return np.tile(drawn_raters(raters, (_BLOCK, 2 * WIDTH, 2 * WIDTH)), (1, slices // _BLOCK, 1, 1))


def _case(slices: int, raters: int) -> Case:
    """A case of one sequence with an ellipsoid's worth of tissue in every slice."""
    shape = (slices, WIDTH, WIDTH)
    _, j, i = np.ogrid[:slices, :WIDTH, :WIDTH]
    tissue = np.broadcast_to(np.hypot(j - WIDTH / 2, i - WIDTH / 2) < 0.45 * WIDTH, shape)
    noise = np.random.default_rng(0).normal(500, 50, shape).astype(np.float32)
    block = drawn_raters(raters, (_BLOCK, WIDTH, WIDTH))
    return Case(
        name="case1",
        grid=Grid(shape[::-1]),
        sequences=("MR",),
        images=(tissue * noise)[None],
        rater_names=tuple(f"rater{n + 1}" for n in range(raters)),
        raters=np.tile(block, (1, -(-slices // _BLOCK), 1, 1))[:, :slices],
    )


def _cohort(case: Case, count: int, folder: Path) -> Cohort:
    """A cohort of so many copies of a case, in files."""
    names = [f"case{number + 1}" for number in range(count)]
    write_cohort(folder, lambda _: case, names[:1], {}, name="Copies", label="lesion", skull_stripped=True)
    for name in names[1:]:
        shutil.copytree(folder / names[0], folder / name)
    write_manifest(folder / MANIFEST_FILE, names, name="Copies", label="lesion", skull_stripped=True)
    return Cohort.open(folder / MANIFEST_FILE)


def _loading(slices: int, folder: Path, *, raters: int) -> Work:
    cohort = _cohort(_case(slices, raters), 1, folder)
    return lambda: cohort.load("case1")


def _fusion(slices: int, folder: Path, *, method: FusionMethod, raters: int) -> Work:  # noqa: ARG001  (needs no file)
    return partial(fuse, _masks(slices, raters), method)


def _fusion_of_raters(raters: int, folder: Path, *, method: FusionMethod) -> Work:
    return _fusion(128, folder, method=method, raters=raters)


def _training_step(slices: int, folder: Path, *, settings: UNetSettings) -> Work:  # noqa: ARG001
    network = unet_for_training(1, settings, torch.device("cpu"))
    images = torch.randn(slices, 1, WIDTH, WIDTH).to(memory_format=torch.channels_last)
    target = (torch.randn(slices, 1, WIDTH, WIDTH) > 0).float()
    return partial(
        training_step,
        network,
        make_optimiser(network, 1e-3),
        images,
        target,
        Loss.CROSS_ENTROPY,
        Precision.FLOAT32,
    )


def _training_step_of_filters(filters: int, folder: Path) -> Work:
    return _training_step(4, folder, settings=UNetSettings(depth=2, filters=filters))


def _training(count: int, folder: Path) -> Work:
    case = _case(_BLOCK, 3)
    cases = [replace(case, name=f"case{number}", images=case.images.copy()) for number in range(count)]
    settings = TrainingSettings(epochs=1, network=UNetSettings(depth=1, filters=4), precision=Precision.FLOAT32)
    return lambda: train(cases, folder / "model", settings, device="cpu", overwrite=True)


def _prediction(slices: int, folder: Path, *, settings: UNetSettings, samples: int) -> Work:  # noqa: ARG001
    case = _case(slices, 1)
    network = UNet(1, settings).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return lambda: predict(
        network,
        description(settings, case.sequences),
        case,
        PredictionSettings(samples=samples, precision=Precision.FLOAT32),
    )


def _prediction_of_samples(samples: int, folder: Path, *, settings: UNetSettings) -> Work:
    return _prediction(_BLOCK, folder, settings=settings, samples=samples)


def _prediction_of_filters(filters: int, folder: Path) -> Work:
    settings = UNetSettings(depth=2, filters=filters)
    return _prediction(_BLOCK, folder, settings=settings, samples=1)


def _scoring(slices: int, raters: int) -> Work:
    case = _case(slices, raters)
    return partial(score_case, case, mean(case.raters))


def _evaluation(count: int, folder: Path) -> Work:
    case = _case(_BLOCK, 3)
    cohort = _cohort(case, count, folder / "cohort")
    for name in cohort.case_names:
        write_image(folder / "predictions" / name / PROBABILITY_FILE, mean(case.raters), case.grid)
    return lambda: evaluate(folder / "predictions", cohort)
