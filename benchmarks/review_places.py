"""Does a review find the errors first, and does it keep up? Wrong voxels in the order of review, and times.

The truth is one rater after the other. Of all voxels with a probability between 0.01 and 0.99, ranked, the first 5, 10
and 20 % hold which share of a case's wrong voxels, those outside that range counted as not found? Beside the order of
`review_order`: random; a band around the contour, the nearest voxels first; and the wrong voxels first, which is the
most that any order can find. Raters whom the model was trained on flatter it: give predictions of a model that did not
see the rater. Predictions are those of `benchmarks/shipped_model.py` unless others are given. Beside them, how often a
rater's volume lies within the bounds of the predicted one; with bounds from samples, where the predictions kept some.

    python benchmarks/review_places.py
    python benchmarks/review_places.py --predictions FOLDER --cohort MANIFEST --raters NAME

Times are of the process on one thread, for a structure that grows with the image.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from measuring import CannotRunError, Machine, Report, Series, Table, Target, interleaved, parser, run
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.scoring import read_probability
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE, REPORT_FILE
from ObserverUncertaintyLib.formats.prediction_samples import read_samples, saved_sample_files
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.contours import contour_at, volume_interval, with_margin
from ObserverUncertaintyLib.review.expected_error import review_order
from ObserverUncertaintyLib.review.places import places_to_review
from ObserverUncertaintyLib.review.propagation import propagate
from ObserverUncertaintyLib.review.slices import slices_to_edit
from ObserverUncertaintyLib.simulation.random_fields import smooth_field

PATIENTS = Path("study-output/shipped-model")
PREDICTIONS, MANIFEST = PATIENTS / "30-patients-shipped-4-sequences-T20", PATIENTS / "30-patients" / "cohort.toml"
OURS = "expected error"
VOLUMES = (0.05, 0.1, 0.2)
WANTED, WANTED_IN = 0.6, 0.2
SHAPES = ((64, 64, 64), (128, 128, 128), (182, 218, 182))
RANKING_SECONDS, CONTOUR_SECONDS = 1.0, 0.1
PROPAGATION_SECONDS, MANY_UNSURE = (0.5, 1.0), 75_000
"""Up to so many voxels in doubt, and beyond."""


def shares_found(order: NDArray[np.intp], wrong: NDArray[np.bool_]) -> list[float]:
    """Share of all wrong voxels in the first 5, 10 and 20 % of an order, and in all of it."""
    found = np.cumsum(wrong.ravel()[order]) / np.count_nonzero(wrong)
    return [float(found[round(part * len(order)) - 1]) for part in (*VOLUMES, 1.0)]


def orders(probability: NDArray[np.float32], grid: Grid, rng: np.random.Generator) -> dict[str, NDArray[np.intp]]:
    """The ranked voxels in our order, at random, and by their distance to the contour."""
    ours = review_order(probability, grid)
    # Many voxels are equally far away: chance decides between them.
    shuffled = rng.permutation(ours)
    inside = contour_at(probability, 0.5)
    spacing = grid.spacing[::-1]
    distance = np.where(
        inside, ndimage.distance_transform_edt(inside, spacing), ndimage.distance_transform_edt(~inside, spacing)
    )
    nearest = shuffled[np.argsort(distance.ravel()[shuffled], kind="stable")]
    return {OURS: ours, "band around the contour": nearest, "random": shuffled}


def of_case(
    folder: Path, case: Case, raters: Sequence[str], rng: np.random.Generator
) -> tuple[dict[str, list[list[float]]], dict[str, list[float]]]:
    """For each rater the shares found by each order, and figures of the places and of the volume.

    Nothing for a case without a segmentation, which has no contour, and for a rater who drew what was predicted.
    """
    probability = read_probability(folder / PROBABILITY_FILE, case)
    if not contour_at(probability, 0.5).any():
        return {}, {}
    ranked = orders(probability, case.grid, rng)
    places = places_to_review(probability, case.grid)
    bounds = bounds_of_volume(folder, probability, case.grid)
    volume = volume_interval(probability, case.grid).volume_ml
    shares: dict[str, list[list[float]]] = {}
    figures: dict[str, list[float]] = {}
    for rater in raters:
        mask = case.raters[case.rater_names.index(rater)]
        wrong = contour_at(probability, 0.5) != mask
        if not wrong.any():
            continue
        for name, order in ranked.items():
            shares.setdefault(name, []).append(shares_found(order, wrong))
        best = ranked[OURS][np.argsort(~wrong.ravel()[ranked[OURS]], kind="stable")]
        shares.setdefault("wrong voxels first", []).append(shares_found(best, wrong))
        wrong_ml, drawn_ml = (int(np.count_nonzero(each)) * case.grid.voxel_volume_ml for each in (wrong, mask))
        found = {
            "places": float(len(places.places)),
            "expected error in places": sum(place.share for place in places.places),
            "expected error in the first five": sum(place.share for place in places.places[:5]),
            "wrong voxels in places": float((places.labels[wrong] > 0).mean()),
            "wrong voxels in the first five": float(np.isin(places.labels[wrong], range(1, 6)).mean()),
            "expected / true error": places.expected_error_ml / wrong_ml,
            "rater's volume / segmentation's": drawn_ml / volume,
        }
        for name, (low, high) in bounds.items():
            found[f"{name}: lower bound / volume"] = low / volume
            found[f"{name}: upper bound / volume"] = high / volume
            found[f"{name}: rater's volume within"] = float(low <= drawn_ml <= high)
        for name, figure in found.items():
            figures.setdefault(name, []).append(figure)
    return shares, figures


def bounds_of_volume(folder: Path, probability: NDArray[np.float32], grid: Grid) -> dict[str, tuple[float, float]]:
    """Bounds of the volume in mL: of the inner and outer contour, of two nearer to one half, and of kept samples."""
    intervals = {"p > 0.9 and p > 0.1": volume_interval(probability, grid)}
    if (folder / REPORT_FILE).exists() and saved_sample_files(folder):
        intervals["samples"] = volume_interval(probability, grid, read_samples(folder).probability)
    bounds = {name: (each.low_ml, each.high_ml) for name, each in intervals.items()}
    low, high = (np.count_nonzero(contour_at(probability, level)) * grid.voxel_volume_ml for level in (0.75, 0.25))
    return bounds | {"p > 0.75 and p > 0.25": (low, high)}


def of_predictions(arguments: argparse.Namespace) -> tuple[list[Table], list[Series], list[str], Target]:
    """All cases that are predicted."""
    if not arguments.cohort.exists():
        raise CannotRunError(f"{arguments.cohort} is not there; run benchmarks/shipped_model.py, or name another.")
    cohort = Cohort.open(arguments.cohort)
    names = [name for name in cohort.case_names if (arguments.predictions / name / PROBABILITY_FILE).exists()]
    if not names:
        raise CannotRunError(f"{arguments.predictions} holds no prediction of {arguments.cohort}'s cases.")
    names = names[:2] if arguments.quick else names
    raters = arguments.raters or list(cohort.manifest.raters)
    unknown = sorted(set(raters) - set(cohort.manifest.raters))
    if unknown:
        raise CannotRunError(
            f"{arguments.cohort} knows no rater {unknown[0]}; it has {', '.join(cohort.manifest.raters)}."
        )
    rng = np.random.default_rng(0)
    shares: dict[str, list[list[float]]] = {}
    figures: dict[str, list[float]] = {}
    left_out = []
    for name in names:
        found, more = of_case(arguments.predictions / name, cohort.load(name), raters, rng)
        for order, values in found.items():
            shares.setdefault(order, []).extend(values)
        if not found:
            left_out.append(name)
        for figure, each in more.items():
            figures.setdefault(figure, []).extend(each)
    header = ("order", *(f"first {part:.0%}" for part in VOLUMES), "all ranked")
    series = [
        Series(f"{order}, {column}", values)
        for order, rows in shares.items()
        for column, values in zip(header[1:], zip(*rows, strict=True), strict=True)
    ]
    rows = tuple(
        (order, *(f"{np.mean(each):.3f}" for each in zip(*values, strict=True))) for order, values in shares.items()
    )
    places = [Series(name, tuple(values)) for name, values in figures.items()]
    spread = tuple(
        (each.name, *(f"{value:.2f}" for value in (statistics.mean(each.values), min(each.values), max(each.values))))
        for each in places
    )
    reached = statistics.mean(row[VOLUMES.index(WANTED_IN)] for row in shares[OURS])
    target = Target(
        f"{WANTED:.0%} of the wrong voxels in the first {WANTED_IN:.0%} of the volume",
        f"{reached:.1%}",
        reached >= WANTED,
    )
    note = (
        f"{len(names)} cases of {arguments.cohort} predicted in {arguments.predictions}, truth {', '.join(raters)} "
        "in turn; shares are means over cases and raters."
        + (f" Left out, without segmentation or error: {', '.join(left_out)}." if left_out else "")
    )
    if len(left_out) == len(names):
        raise CannotRunError(note)
    return [Table(header, rows), Table(("of a case", "mean", "min", "max"), spread)], series + places, [note], target


def growing_case(shape: tuple[int, int, int]) -> tuple[NDArray[np.float32], Grid]:
    """An uneven ball, on voxels of 1 mm, as unsure as a cavity from T1c alone."""
    grid = Grid(shape[::-1])
    width = shape[0]
    k, j, i = np.ogrid[tuple(slice(0.5 - n / 2, n / 2) for n in shape)]
    radius = np.sqrt(k**2 + j**2 + i**2) / width
    uneven = smooth_field(grid, width / 12, np.random.default_rng(0))
    logit = (0.12 - radius + 0.015 * uneven) / 0.013
    return (1 / (1 + np.exp(-logit))).astype(np.float32), grid


def edited_slice(probability: NDArray[np.float32]) -> tuple[NDArray[np.bool_], dict[int, NDArray[np.bool_]]]:
    """The segmentation with its middle slice as a generous expert draws it, and that slice as drawn."""
    contour, drawn = contour_at(probability, 0.5), np.zeros(probability.shape, bool)
    middle = len(probability) // 2
    drawn[middle] = True
    contour[middle] = probability[middle] > 0.2
    return contour, {0: drawn}


def times(quick: bool) -> tuple[Table, list[Series], list[Target]]:
    """Seconds of this process for images of several sizes."""
    rows, series, targets = [], [], []
    for shape in SHAPES[:1] if quick else SHAPES:
        probability, grid = growing_case(shape)
        mask = contour_at(probability, 0.5)
        edited = edited_slice(probability)
        work: dict[str, Callable[[], Any]] = {
            "places": partial(places_to_review, probability, grid),
            "order of voxels": partial(review_order, probability, grid),
            "order of slices": partial(slices_to_edit, probability, grid, (shape[0] // 2,)),
            "contour at a level": partial(contour_at, probability, 0.3),
            "margin of 5 mm": partial(with_margin, mask, grid, 5.0),
            "margin of -5 mm": partial(with_margin, mask, grid, -5.0),
            "volume and bounds": partial(volume_interval, probability, grid),
            "propagation of a slice": partial(propagate, probability, mask, *edited, grid, probability),
        }
        size = "x".join(map(str, shape))
        found = interleaved(work, 1 if quick else 5, clock=time.process_time)
        unsure = len(review_order(probability, grid))
        rows.append((size, f"{unsure}", *(f"{each.median:.3f}" for each in found)))
        series += [Series(f"{each.name}, {size} (s)", each.values) for each in found]
        seconds = {each.name: each.median for each in found}
        limits = {"places": RANKING_SECONDS, "contour at a level": CONTOUR_SECONDS}
        limits["propagation of a slice"] = PROPAGATION_SECONDS[0 if unsure <= MANY_UNSURE else 1]
        for name, limit in limits.items():
            targets.append(
                Target(f"{name} at {size} within {limit:g} s", f"{seconds[name]:.3f} s", seconds[name] <= limit)
            )
    return Table(("voxels", "0.01 < p < 0.99", *work), tuple(rows)), series, targets


def measure(arguments: argparse.Namespace) -> Report:
    """Errors found, and times."""
    tables, series, notes, target = of_predictions(arguments)
    seconds, more, limits = times(arguments.quick)
    return Report(
        "Errors found in the order of review",
        Machine.here(),
        (*tables, seconds),
        tuple(series + more),
        (*notes, "Times are the process's own seconds on one thread, median of five."),
        (target, *limits),
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--predictions", type=Path, default=PREDICTIONS, metavar="FOLDER", help="a folder a case")
    options.add_argument("--cohort", type=Path, default=MANIFEST, metavar="MANIFEST", help="with the raters")
    options.add_argument("--raters", nargs="*", metavar="NAME", help="who is the truth, in turn; all if not given")
    run(options, measure)
