"""All measures of 5 raters on 240x240x155, of a prediction and between raters; surfaces beside `surface-distance`.

The prediction is the raters' mean, blurred, so that every score has a value. The peer measures the surface Dice at 1
and 2 mm, the 95 % Hausdorff and the average surface distance of every two raters, and so does what stands beside it.

    python benchmarks/measures.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from drawn_raters import SHAPE, drawn_raters
from measuring import Machine, Report, Target, interleaved, parser, run, spread
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.scores.case_agreement import case_agreement
from ObserverUncertaintyLib.scores.case_scores import case_scores
from ObserverUncertaintyLib.scores.entropy import binary_entropy
from ObserverUncertaintyLib.scores.surfaces import Surface, SurfaceDistances

RATERS = 5
LIMIT_SECONDS = 10.0
OURS, PEER = "surfaces of 10 pairs", "the same by surface-distance"

Measured = list[tuple[float, ...]]


def by_surfaces(raters: NDArray[np.bool_], grid: Grid) -> Measured:
    """The library's distances of every two raters."""
    surfaces = [Surface.of(mask, grid) for mask in raters]
    found = [SurfaceDistances.of(*pair) for pair in combinations(surfaces, 2)]
    return [(each.surface_dice(1.0), each.surface_dice(2.0), each.hausdorff(), each.average()) for each in found]


def by_peer(metrics: Any, raters: NDArray[np.bool_], grid: Grid) -> Measured:
    """The peer's."""
    found = []
    for pair in combinations(raters, 2):
        distances = metrics.compute_surface_distances(*pair, grid.spacing[::-1])
        dice = [metrics.compute_surface_dice_at_tolerance(distances, tolerance) for tolerance in (1.0, 2.0)]
        average = float(np.mean(metrics.compute_average_surface_distance(distances)))
        found.append((*dice, metrics.compute_robust_hausdorff(distances, 95), average))
    return found


def largest_gap(one: Measured, other: Measured, columns: Sequence[int]) -> float:
    """Between two lists, in some of their columns."""
    return float(np.abs(np.array(one)[:, columns] - np.array(other)[:, columns]).max())


def measure(arguments: argparse.Namespace) -> Report:
    """Scores, agreement, and surfaces beside the peer's."""
    k, j, i = SHAPE
    raters = drawn_raters(RATERS, (k // 3, j // 3, i // 3) if arguments.quick else SHAPE)
    grid, names = Grid(raters.shape[:0:-1], (1.0, 1.0, 1.0)), [f"rater{number}" for number in range(RATERS)]
    probability = ndimage.gaussian_filter(raters.mean(axis=0), 1.5).astype(np.float32)
    entropy = binary_entropy(probability)
    candidates: dict[str, Callable[[], object]] = {
        "scores of a prediction": partial(
            case_scores, raters, names, probability > 0.5, entropy, grid, probability, raters[0]
        ),
        "agreement of raters": partial(case_agreement, raters, names, grid),
        OURS: partial(by_surfaces, raters, grid),
    }
    targets, notes = [], ["No peer: surface-distance is not installed."]
    try:
        import surface_distance as metrics
    except ImportError:
        pass
    else:
        candidates[PEER] = partial(by_peer, metrics, raters, grid)
        mine, theirs = by_surfaces(raters, grid), by_peer(metrics, raters, grid)
        dice, distances = (largest_gap(mine, theirs, columns) for columns in ((0, 1), (2,)))
        targets.append(Target("surface Dice as the peer's, within 0.005", f"{dice:.4f}", dice <= 0.005))
        targets.append(Target("95 % Hausdorff as the peer's, within 0.1 mm", f"{distances:.3f}", distances <= 0.1))
        notes = []
    series = interleaved(candidates, 2 if arguments.quick else arguments.repetitions)
    total = sum(found.median for found in series if found.name not in (OURS, PEER))
    targets.append(Target(f"scores and agreement below {LIMIT_SECONDS:g} s", f"{total:.1f} s", total < LIMIT_SECONDS))
    size = "x".join(map(str, grid.size))
    title = f"All measures of {RATERS} raters on {size}"
    return Report(title, Machine.here(), (spread("seconds", series),), series, tuple(notes), tuple(targets))


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--repetitions", type=int, default=5)
    run(options, measure)
