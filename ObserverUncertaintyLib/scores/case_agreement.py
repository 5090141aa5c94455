"""How well the raters of one case agree: every two of them, each beside the others, and all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.raters.votes import Votes
from ObserverUncertaintyLib.scores.agreement import cohens_kappa, conformity_index, fleiss_kappa
from ObserverUncertaintyLib.scores.metrics import mean_of_defined, pairwise_dice
from ObserverUncertaintyLib.scores.region import around_raters
from ObserverUncertaintyLib.scores.subsets import SubsetsOfRaters, subsets_of_raters
from ObserverUncertaintyLib.scores.surfaces import Surface, SurfaceDistances, added_path_length


@dataclass(frozen=True)
class PairAgreement:
    """Two raters of a case; NaN where undefined.

    Attributes:
        first, second: their names.
        dice: overlap.
        surface_dice_1_mm, surface_dice_2_mm: share of both surfaces within that distance of the other.
        hausdorff_95_mm: the larger 95th percentile of the distances between the surfaces.
        surface_distance_mm: average symmetric surface distance.
        added_path_mm: outline to be drawn to turn either contour into the other, mean of both ways.
        kappa: Cohen's, within 5 mm of what any rater marked.
    """

    first: str
    second: str
    dice: float
    surface_dice_1_mm: float
    surface_dice_2_mm: float
    hausdorff_95_mm: float
    surface_distance_mm: float
    added_path_mm: float
    kappa: float


@dataclass(frozen=True)
class RaterInCase:
    """One rater of a case beside the others; NaN where undefined.

    Attributes:
        rater: the name.
        volume_ml: what the rater marked.
        larger_ml: by how much that is more than the others' mean volume.
        larger_mm: the same as the thickness of a layer over the mean surface of the two raters, mean over the others.
        spread_mm: standard deviation, n - 1, of that thickness over the slices k, each measured within its plane.
    """

    rater: str
    volume_ml: float
    larger_ml: float
    larger_mm: float
    spread_mm: float


@dataclass(frozen=True)
class CaseAgreement:
    """How well the raters of a case agree.

    Attributes:
        case: its name.
        pairs: every two raters.
        raters: each rater beside the others.
        fleiss_kappa: of all raters, within 5 mm of what any of them marked.
        conformity_index: generalised conformity index of all raters.
        subsets: what subsets of the raters show, from one rater to all.
    """

    case: str
    pairs: tuple[PairAgreement, ...]
    raters: tuple[RaterInCase, ...]
    fleiss_kappa: float
    conformity_index: float
    subsets: tuple[SubsetsOfRaters, ...]


def case_agreement(
    raters: NDArray[np.bool_], rater_names: Sequence[str], grid: Grid, case: str = "case"
) -> CaseAgreement:
    """Compare the raters of a case.

    Args:
        raters: bool, shape (rater, k, j, i), 2 to 64 raters.
        rater_names: theirs.
        grid: theirs; its axes are taken as perpendicular.
        case: its name.

    Raises:
        InputError: there are fewer than two raters, or more than 64.
    """
    if len(raters) < 2:
        raise InputError(f"{case} has {len(raters)} rater; agreement needs two or more. Give further raters' masks.")
    votes = Votes.of(raters)
    voxels = int(np.count_nonzero(around_raters(votes, grid)))
    surfaces = [Surface.of(mask, grid) for mask in raters]
    dice, kappa = pairwise_dice(votes), cohens_kappa(votes, max(voxels, 1))
    pairs = []
    for one, other in combinations(range(len(raters)), 2):
        apart = SurfaceDistances.of(surfaces[one], surfaces[other])
        ways = ((raters[one], raters[other]), (raters[other], raters[one]))
        pairs.append(
            PairAgreement(
                rater_names[one],
                rater_names[other],
                float(dice[one, other]),
                apart.surface_dice(1.0),
                apart.surface_dice(2.0),
                apart.hausdorff(),
                apart.average(),
                float(np.mean([added_path_length(*way, grid) for way in ways])),
                float(kappa[one, other]),
            )
        )
    volumes = votes.intersections.diagonal() * grid.voxel_volume_ml
    larger = _larger_mm(volumes, np.array([surface.areas.sum() for surface in surfaces]))
    by_slice = _larger_mm(*_in_slices(raters, grid))
    each = tuple(
        RaterInCase(
            name,
            float(volumes[n]),
            float(volumes[n] - np.delete(volumes, n).mean()),
            mean_of_defined(larger[n]),
            _spread([mean_of_defined(along) for along in by_slice[n].T]),
        )
        for n, name in enumerate(rater_names)
    )
    return CaseAgreement(
        case,
        tuple(pairs),
        each,
        fleiss_kappa(votes, max(voxels, 1)),
        conformity_index(votes),
        subsets_of_raters(votes, grid.voxel_volume_ml),
    )


def _larger_mm(volumes_ml: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thickness in mm of the layer by which each rater's volume exceeds each other's, spread over their mean surface.

    Args:
        volumes_ml: the raters' volumes, shape (rater, ...).
        areas: the areas of their surfaces in mm², same shape.

    Returns:
        Shape (rater, rater, ...); NaN of a rater with himself, and where one of the two has no surface.
    """
    difference = 1000 * (volumes_ml[:, None] - volumes_ml)
    surface = (areas[:, None] + areas) / 2
    have_both = (areas[:, None] > 0) & (areas > 0)
    have_both[np.diag_indices(len(areas))] = False
    return np.divide(difference, surface, out=np.full(difference.shape, np.nan), where=have_both)


def _in_slices(raters: NDArray[np.bool_], grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Volume in mL and area of the sides in mm² within each slice, each of shape (rater, k)."""
    volumes = np.count_nonzero(raters, axis=(2, 3)) * grid.voxel_volume_ml
    areas = np.zeros(volumes.shape)
    for n, k in np.argwhere(volumes > 0):
        areas[n, k] = Surface.of(raters[n, k : k + 1], grid).areas.sum()
    return volumes, areas


def _spread(values: list[float]) -> float:
    """Standard deviation, n - 1, of the values that are defined; NaN with fewer than two."""
    defined = [value for value in values if np.isfinite(value)]
    return float(np.std(defined, ddof=1)) if len(defined) > 1 else float("nan")
