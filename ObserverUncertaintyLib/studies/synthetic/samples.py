"""The samples of the study: made when needed, always the same for a seed, and written as a cohort."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort, write_manifest
from ObserverUncertaintyLib.simulation.shapes import STATES, ShapeSettings, simulate_shape
from ObserverUncertaintyLib.studies.synthetic.settings import SyntheticSettings

LABEL = "shape"
FIRST_TEST = 10_000
FIRST_CALIBRATION = 20_000
"""Numbers from which test samples, and samples to calibrate on, are counted: however many are trained on, they stay."""

CALIBRATION_SAMPLES = 40


@lru_cache(maxsize=4)
def samples(seed: int, shapes: ShapeSettings, first: int, count: int) -> tuple[Case, ...]:
    """Samples of a seed by their numbers."""
    return tuple(simulate_shape(number, seed, shapes, sample_name(number)) for number in range(first, first + count))


def training_samples(seed: int, shapes: ShapeSettings, count: int) -> tuple[Case, ...]:
    """The samples trained on; the first ones are the same whatever their number."""
    return samples(seed, shapes, 0, count)


def test_samples(seed: int, shapes: ShapeSettings, count: int) -> tuple[Case, ...]:
    """The samples scored."""
    return samples(seed, shapes, FIRST_TEST, count)


def calibration_samples(seed: int, shapes: ShapeSettings) -> tuple[Case, ...]:
    """Further samples, neither trained on nor scored."""
    return samples(seed, shapes, FIRST_CALIBRATION, CALIBRATION_SAMPLES)


def sample_name(number: int) -> str:
    """Such as "train001" or "test001"."""
    for first, kind in ((FIRST_CALIBRATION, "calibration"), (FIRST_TEST, "test"), (0, "train")):
        if number >= first:
            return f"{kind}{number - first + 1:03d}"
    raise ValueError(f"samples are numbered from 0, not {number}")


def write_samples(folder: Path, seed: int, settings: SyntheticSettings, progress: Progress) -> None:
    """Write a seed's training and test samples as a cohort; one that is complete is kept.

    Beside `cohort.toml` with everything lie `unperturbed-train.toml`, `unperturbed-test.toml` and the same for the
    perturbed images, which the commands `train`, `predict` and `evaluate` take as they are.
    """
    numbers = [*range(settings.train), *range(FIRST_TEST, FIRST_TEST + settings.test)]
    names = [sample_name(number) for number in numbers]
    title = "Synthetic shapes"
    write_cohort(
        folder,
        lambda index: simulate_shape(numbers[index], seed, settings.shapes, names[index]),
        names,
        {"seed": seed, **asdict(settings.shapes)},
        name=title,
        label=LABEL,
        resume=True,
        progress=progress,
    )
    for state in STATES:
        for kind in ("train", "test"):
            chosen = [name for name in names if name.startswith(kind)]
            path = folder / f"{state}-{kind}.toml"
            write_manifest(path, chosen, name=f"{title}, {state}, {kind}", label=LABEL, sequences=[state])
