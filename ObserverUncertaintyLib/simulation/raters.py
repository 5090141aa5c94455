"""How raters draw a cavity: near its true wall, further off where the wall is ambiguous, each with their habits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.simulation.anatomy import positions
from ObserverUncertaintyLib.simulation.random_fields import Field, smooth_field
from ObserverUncertaintyLib.simulation.settings import RaterProfile

SHARED_ERROR_MM = 0.8
"""Standard deviation of the displacement that all raters make alike where the border is as ambiguous as on average."""

SMALLEST_PIECE_MM2 = 30.0
"""Nobody contours a smaller piece on a slice."""


@dataclass(frozen=True)
class Scene:
    """What the raters look at, on the scan grid; every array has shape (k, j, i).

    Attributes:
        grid: the scan grid.
        brain: the brain, bool.
        distance: mm to the true wall, negative in the cavity.
        ambiguity: how hard the border is to place, about 1 on average over the wall.
        csf: fraction of CSF in the brain before surgery.
        air: fraction of air.
        settled: fraction of the lower part of the cavity in which blood has settled.
    """

    grid: Grid
    brain: NDArray[np.bool_]
    distance: Field
    ambiguity: Field
    csf: Field
    air: Field
    settled: Field


def draw(scene: Scene, profiles: tuple[RaterProfile, ...], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Let every rater draw the cavity.

    The raters share one error, since they look at the same misleading image, and each has one of their own.

    Args:
        scene: the true cavity and how visible it is.
        profiles: the raters.
        rng: source of randomness; a rater's drawing does not depend on those after.

    Returns:
        bool, shape (rater, k, j, i).
    """
    shared_rng, *own = rng.spawn(1 + len(profiles))
    shared = SHARED_ERROR_MM * smooth_field(scene.grid, 9.0, shared_rng)
    masks = [_draw_one(scene, shared, profile, rng) for profile, rng in zip(profiles, own, strict=True)]
    return np.array(masks, dtype=bool).reshape(len(profiles), *scene.grid.shape)


def _draw_one(scene: Scene, shared: Field, profile: RaterProfile, rng: np.random.Generator) -> NDArray[np.bool_]:
    own = profile.uncertainty_mm * smooth_field(scene.grid, 9.0, rng)
    jitter = profile.slice_jitter_mm * smooth_field(scene.grid, 12.0, rng, independent_slices=True)
    moved = profile.bias_mm + scene.ambiguity * (shared + own) + jitter
    width = [profile.smoothing_mm / spacing for spacing in scene.grid.spacing[::-1]]
    mask = (ndimage.gaussian_filter(scene.distance, width) < moved) & scene.brain

    if rng.random() < profile.missed_part:
        wall = mask & (np.abs(scene.distance) < 3)
        unclear = wall & (scene.ambiguity >= np.quantile(scene.ambiguity[wall], 0.8))
        mask &= ~_ball_at(scene, unclear, rng.uniform(6, 10), rng)
    if rng.random() < profile.included_sulcus:
        fluid = (scene.csf > 0.4) & (scene.distance < 12)
        added = fluid & _ball_at(scene, fluid & (scene.distance > 0) & (scene.distance < 4), rng.uniform(8, 14), rng)
        mask = ndimage.binary_propagation(mask, mask=mask | added)
    if rng.random() < profile.excluded_air:
        mask &= scene.air < 0.5
    if rng.random() < profile.excluded_blood:
        mask &= scene.settled < 0.5
    return _as_contours(mask, scene.grid) & scene.brain


def _ball_at(
    scene: Scene, candidates: NDArray[np.bool_], radius_mm: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A ball around one of the candidate voxels; empty if there is none."""
    chosen = np.flatnonzero(candidates)
    if chosen.size == 0:
        return np.zeros(scene.grid.shape, bool)
    place = positions(scene.grid).reshape(3, -1)
    offset = place - place[:, [rng.choice(chosen)]]
    return np.asarray((np.square(offset).sum(axis=0) < radius_mm**2).reshape(scene.grid.shape))


def _as_contours(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """What contours drawn slice by slice can be: pieces without holes that are not tiny."""
    smallest = SMALLEST_PIECE_MM2 / (grid.spacing[0] * grid.spacing[1])
    drawn = np.zeros_like(mask)
    for k in np.flatnonzero(mask.any(axis=(1, 2))):
        labels, _ = ndimage.label(ndimage.binary_fill_holes(mask[k]))
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        drawn[k] = (sizes >= smallest)[labels]
    return drawn
