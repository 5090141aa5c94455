"""Which few contours of a case cover raters whom the model does not know? Those of levels, samples or single raters?

For each rater in turn a model is trained without them, and its test cases are predicted. Every way of choosing contours
is scored with the rater who was held out: the Dice of the contour that is nearest to them, and the squared generalised
energy distance with the contours' weights. Beside simulated cavities (the demo's cohort, trained with the demo's
settings) also QUBIQ brain growth, if its folder is given; pictures of it may not be published. Takes about 40
minutes on one core; a second call goes on.

    python benchmarks/alternatives.py --data DATA/brain_growth
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from brain_growth import TRAINING_CASES, write_manifest
from demo_seeds import SETTINGS, of_seed
from numpy.typing import NDArray
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from scipy.special import ndtri

from measuring import Machine, Report, Series, Table, Target, interleaved, parser, run, spread
from ObserverUncertaintyLib.base.output_files import written_atomically
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.settings import PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.review.alternatives import alternatives
from ObserverUncertaintyLib.training.train import train

SAMPLES = 20
FEW = (3, 4, 5)
LIMIT_S = 1.0
FIELD_MM, WAVES = 20.0, 100
LEVELS = tuple(round(0.02 * number, 2) for number in range(1, 50))
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

SCORES = {
    "contours": "contours",
    "dice": "best Dice",
    "ged": "GED",
    "apart": "Dice between contours",
    "least": "of the least alike two",
}
"""Of the contours of a case with the raters who were held out, and their titles."""


@dataclass(frozen=True)
class Data:
    """Cases of one kind, and how their models are trained.

    Attributes:
        name: of its folder and in the tables.
        training, test: the cases.
        settings: of every model.
        held_out: the raters that are held out together.
        skull_stripped: whether the images show the brain only, if known.
    """

    name: str
    training: Sequence[Case]
    test: Sequence[Case]
    settings: TrainingSettings
    held_out: Sequence[tuple[str, ...]]
    skull_stripped: bool | None = None

    @property
    def raters(self) -> tuple[str, ...]:
        """All of them."""
        return self.training[0].rater_names


@dataclass(frozen=True)
class Predicted:
    """A prediction, with its samples.

    Attributes:
        probability: mean foreground probability, float32, shape (k, j, i).
        samples: the samples' masks, bool, shape (sample, k, j, i).
    """

    probability: NDArray[np.float32]
    samples: NDArray[np.bool_]


def cavities(demo: Path, quick: bool) -> Data:
    """Simulated cavities: the demo's, each of the three raters held out in turn."""
    settings = replace(SETTINGS, training_cases=2, test_cases=1, epochs=1, filters=2) if quick else SETTINGS
    comparison = of_seed(demo, settings, 0)
    comparison.simulate(1)
    cohort = Cohort.open(comparison.manifest)
    cases = [cohort.load(name) for name in cohort.case_names]
    raters = cases[0].rater_names
    training, test = cases[: settings.training_cases], cases[settings.training_cases :]
    return Data("cavities", training, test, settings.training, [(rater,) for rater in raters], skull_stripped=True)


def brain_growth(data: Path, out: Path, quick: bool) -> Data:
    """Brain growth: seven raters, held out by twos and threes."""
    cases = Cohort.open(write_manifest(data, out)).load_all()
    raters = cases[0].rater_names
    settings = TrainingSettings(network=UNetSettings(depth=3, filters=16), epochs=1 if quick else 60)
    return Data(
        "brain growth",
        cases[:TRAINING_CASES],
        cases[TRAINING_CASES:],
        settings,
        [raters[:2], raters[2:4], raters[4:]],
    )


def predicted(data: Data, raters: Sequence[str], folder: Path, samples: int) -> list[Predicted]:
    """The test cases, predicted by a model that knows these raters alone; what is complete is not done again."""
    model = folder / data.name.replace(" ", "-") / "-".join(raters)
    train(
        [drawn_by(case, raters) for case in data.training],
        model / "model",
        data.settings,
        skull_stripped=data.skull_stripped,
        device="cpu",
        resume=True,
    )
    network, description = load_model(model / "model")
    found = []
    for case in data.test:
        file = model / f"{case.name}-T{samples}.npz"
        if not file.exists():
            masks: list[NDArray[np.bool_]] = []
            prediction = predict(
                network,
                description,
                case,
                PredictionSettings(samples=samples, precision=data.settings.precision),
                skull_stripped=data.skull_stripped,
                on_sample=partial(_keep, masks),
            )
            with written_atomically(file) as temporary:
                np.savez_compressed(temporary, probability=prediction.probability, samples=np.array(masks))
        with np.load(file) as arrays:
            found.append(Predicted(arrays["probability"], arrays["samples"]))
    return found


def _keep(masks: list[NDArray[np.bool_]], sample: NDArray[np.float32]) -> None:
    masks.append(sample > 0.5)


def drawn_by(case: Case, raters: Sequence[str]) -> Case:
    """The case with these of its raters alone."""
    kept = [case.rater_names.index(rater) for rater in raters]
    return replace(case, rater_names=tuple(raters), raters=case.raters[kept])


@dataclass(frozen=True)
class Choice:
    """Some contours of a case.

    Attributes:
        masks: bool, shape (contour, k, j, i).
        weights: of the contours, shape (contour,); they add up to 1.
    """

    masks: NDArray[np.bool_]
    weights: NDArray[np.float64]

    @classmethod
    def alike(cls, masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_]) -> Choice:
        """All with the same weight."""
        return cls(np.asarray(masks), np.full(len(masks), 1 / len(masks)))


def cut_at(probability: NDArray[np.float32], levels: Sequence[float]) -> Choice:
    """The probability, cut at some levels."""
    return Choice.alike([probability > level for level in levels])


def middles(count: int, low: float, high: float) -> tuple[float, ...]:
    """Of so many equal shares of a range of levels."""
    return tuple(round(low + (high - low) * (number + 0.5) / count, 4) for number in range(count))


def random_fields(probability: NDArray[np.float32], grid: Grid, count: int) -> NDArray[np.bool_]:
    """Masks by smooth random fields that mark each voxel as often as its probability says, shape (mask, k, j, i).

    A voxel belongs to a mask where a Gaussian field of variance 1 is below the probability's quantile: the nearer the
    voxels, the more alike are the field's values, so that a mask is strict here and generous 20 mm away. The field is
    a sum of waves with random directions (Rahimi and Recht, NeurIPS 2007).
    """
    generator = np.random.default_rng(0)
    quantile = ndtri(np.clip(probability, 1e-4, 1 - 1e-4).astype(np.float64))
    masks = []
    for _ in range(count):
        frequency = generator.standard_normal((3, WAVES)) / FIELD_MM
        k, j, i = (
            np.exp(1j * np.arange(size)[:, None] * spacing * each)
            for size, spacing, each in zip(grid.shape, grid.spacing[::-1], frequency, strict=True)
        )
        height = (generator.standard_normal(WAVES) + 1j * generator.standard_normal(WAVES)) / np.sqrt(WAVES)
        wave = ((k[:, None] * j * height).reshape(-1, WAVES) @ i.T).real.reshape(grid.shape)
        masks.append(wave < quantile)
    return np.array(masks)


def medoids(samples: NDArray[np.bool_], count: int) -> Choice:
    """The samples with the least mean distance of all samples to the nearest one, found among all ways to choose."""
    distance = 1 - overlaps(samples, samples)
    chosen = min(
        map(list, itertools.combinations(range(len(samples)), count)),
        key=lambda some: float(distance[:, some].min(axis=1).sum()),
    )
    nearest = distance[:, chosen].argmin(axis=1)
    return Choice(samples[chosen], np.bincount(nearest, minlength=count) / len(samples))


def clusters(samples: NDArray[np.bool_], count: int) -> Choice:
    """The majority of each cluster of samples, found by joining the nearest ones (average linkage)."""
    distance = 1 - overlaps(samples, samples)
    tree = hierarchy.linkage(squareform(distance, checks=False), "average")
    cluster = hierarchy.fcluster(tree, count, "maxclust")
    masks = [samples[cluster == each].mean(axis=0) > 0.5 for each in np.unique(cluster)]
    return Choice(np.array(masks), np.unique(cluster, return_counts=True)[1] / len(samples))


def overlaps(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union of every mask of one set with every one of another, shape (a, b); 1 for empty ones."""
    anywhere = a.any(axis=0) | b.any(axis=0)
    x, y = (masks[:, anywhere].astype(np.float64) for masks in (a, b))
    both = x @ y.T
    either = x.sum(axis=1)[:, None] + y.sum(axis=1) - both
    return np.divide(both, either, out=np.ones_like(both), where=either > 0)


def dice_of(overlap: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Dice that an intersection over union is."""
    return 2 * overlap / (1 + overlap)


def choices(known: Case, predicted: Predicted, alone: Sequence[Predicted]) -> dict[str, Choice]:
    """Every way of choosing contours of a case.

    Args:
        known: the case, with the raters that the model knows.
        predicted: what it predicts.
        alone: what a model of each of these raters alone predicts.
    """
    probability, samples = predicted.probability, predicted.samples
    fields = random_fields(probability, known.grid, len(samples))
    found = alternatives(probability, known.grid).contours
    ways = {
        "segmentation alone": cut_at(probability, (0.5,)),
        "alternatives of the library": Choice(
            np.array([contour.mask for contour in found]), np.array([contour.weight for contour in found])
        ),
    }
    for count in FEW:
        ways[f"{count} levels, middles of shares of 0.1 to 0.9"] = cut_at(probability, middles(count, 0.1, 0.9))
        ways[f"{count} levels, of 0.2 to 0.8"] = cut_at(probability, middles(count, 0.2, 0.8))
        ways[f"{count} levels, of 0 to 1"] = cut_at(probability, middles(count, 0, 1))
        ways[f"{count} medoids of samples"] = medoids(samples, count)
        ways[f"{count} clusters of samples, majority"] = clusters(samples, count)
        ways[f"{count} medoids of random fields"] = medoids(fields, count)
    return ways | {
        f"{len(samples)} levels, of 0 to 1": cut_at(probability, middles(len(samples), 0, 1)),
        f"{len(samples)} samples": Choice.alike(samples),
        f"{len(samples)} random fields": Choice.alike(fields),
        "models of single raters": Choice.alike([each.probability > 0.5 for each in alone]),
        "(what these raters drew)": Choice.alike(known.raters),
    }


def scores(choice: Choice, held_out: NDArray[np.bool_]) -> dict[str, float]:
    """How well contours cover raters, bool, shape (rater, k, j, i), and how different they are."""
    across, between = overlaps(choice.masks, held_out), overlaps(choice.masks, choice.masks)
    pairs = dice_of(between)[np.triu_indices(len(between), 1)]
    weights = choice.weights
    ged = 2 * weights @ (1 - across).mean(axis=1) - weights @ (1 - between) @ weights
    return {
        "contours": len(weights),
        "dice": float(dice_of(across).max(axis=0).mean()),
        "ged": float(ged - (1 - overlaps(held_out, held_out)).mean()),
        "apart": float(pairs.mean()) if len(pairs) else 1.0,
        "least": float(pairs.min()) if len(pairs) else 1.0,
    }


@dataclass
class Comparison:
    """What was found on cases of one kind.

    Attributes:
        scores: of every way, for every test case and every group of raters that was held out.
        nearest: the level of probability whose contour is nearest to a rater who was held out, for each of them.
    """

    scores: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    nearest: list[float] = field(default_factory=list)


def compared(data: Data, out: Path, samples: int) -> Comparison:
    """Train, predict and score all ways."""
    alone = {rater: predicted(data, (rater,), out, samples) for rater in data.raters}
    found = Comparison()
    for held_out in data.held_out:
        known = [rater for rater in data.raters if rater not in held_out]
        for number, each in enumerate(predicted(data, known, out, samples)):
            case, raters = drawn_by(data.test[number], known), drawn_by(data.test[number], held_out).raters
            for way, choice in choices(case, each, [alone[rater][number] for rater in known]).items():
                found.scores.setdefault(way, []).append(scores(choice, raters))
            closeness = overlaps(cut_at(each.probability, LEVELS).masks, raters)
            found.nearest += [LEVELS[level] for level in closeness.argmax(axis=0)]
    return found


def table(name: str, found: Mapping[str, Sequence[Mapping[str, float]]]) -> Table:
    """The means of every way, a row each."""
    rows = [
        (way, *(f"{statistics.fmean(one[score] for one in each):.3f}" for score in SCORES))
        for way, each in found.items()
    ]
    return Table((name, *SCORES.values()), tuple(rows))


def at_one_millimetre(repetitions: int) -> Series:
    """Processor seconds of the alternatives of a blurred ball in a brain's image of 182 x 218 x 182 voxels."""
    shape = (182, 218, 182)
    axes = np.meshgrid(*(np.arange(size) - size / 2 for size in shape), indexing="ij", sparse=True)
    distance = np.sqrt(sum(axis**2 for axis in axes))
    probability = np.clip(0.5 - (distance - 25) / 12, 0, 1).astype(np.float32)
    grid = Grid((182, 218, 182))
    call = {"alternatives at 1 mm (s)": lambda: alternatives(probability, grid)}
    return interleaved(call, repetitions, clock=time.process_time)[0]


def measure(arguments: argparse.Namespace) -> Report:
    """Both kinds of cases."""
    out, quick = arguments.out / "quick" if arguments.quick else arguments.out, arguments.quick
    samples = max(FEW) if quick else SAMPLES
    kinds = [cavities(arguments.demo / "quick" if quick else arguments.demo, quick)]
    if arguments.data:
        kinds.append(brain_growth(arguments.data, out, quick))
    found = {data.name: compared(data, out, samples) for data in kinds}
    seconds = at_one_millimetre(3 if quick else 7)
    held_out = "; ".join(f"{data.name}: {len(data.test)} cases, {len(data.held_out)} models" for data in kinds)
    return Report(
        "Alternatives: a few contours for raters who were held out",
        Machine.here(),
        (
            *(table(name, each.scores) for name, each in found.items()),
            Table(
                ("level nearest to a rater held out", *(f"quantile {quantile}" for quantile in QUANTILES)),
                tuple(
                    (name, *(f"{level:.2f}" for level in np.quantile(each.nearest, QUANTILES)))
                    for name, each in found.items()
                ),
            ),
            spread("processor time", (seconds,)),
        ),
        (
            *(
                Series(f"{name}, {way}: {title}", tuple(one[score] for one in each))
                for name, comparison in found.items()
                for way, each in comparison.scores.items()
                for score, title in SCORES.items()
            ),
            *(Series(f"{name}, nearest level", tuple(each.nearest)) for name, each in found.items()),
            seconds,
        ),
        (
            f"T = {samples}. Means over cases and raters held out ({held_out}). Best Dice: of the nearest contour with "
            "each rater who was held out. GED: squared generalised energy distance from them, with the weights; 0 is "
            f"the best. Random fields: smooth over {FIELD_MM:.0f} mm, each voxel marked as often as its probability "
            "says.",
        ),
        (
            Target(
                f"the alternatives of a 1 mm brain within {LIMIT_S} s of processor time",
                f"{seconds.median:.3f} s",
                seconds.median <= LIMIT_S,
            ),
        ),
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--data", type=Path, help="the folder of brain growth, with case01 to case24")
    options.add_argument("--demo", type=Path, default=Path("study-output/demo-seeds"), help="of demo_seeds.py")
    options.add_argument("--out", type=Path, default=Path("study-output/alternatives"), help="for what is made")
    run(options, measure)
