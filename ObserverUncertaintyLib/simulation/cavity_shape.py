"""Where the resection cavity is: its lobe, its volume and its irregular shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.simulation.anatomy import Anatomy, positions
from ObserverUncertaintyLib.simulation.random_fields import Field, smooth_field
from ObserverUncertaintyLib.simulation.settings import CavitySettings

LOBES = {
    #            share   place along L (outwards), P and S
    "frontal": (0.40, (0.50, -0.60, 0.28)),
    "temporal": (0.29, (0.68, -0.03, -0.30)),
    "parietal": (0.14, (0.55, 0.32, 0.52)),
    "occipital": (0.03, (0.38, 0.72, 0.10)),
}
"""Relative frequency of gliomas in the lobes (Larjavaara et al., Neuro-Oncology 9(3), 2007, doi
10.1215/15228517-2007-016) and the middle of each lobe, as a fraction of half the brain's size from its centre."""

SIDES = {"left": +1, "right": -1}
"""The sign of the LPS x coordinate on each side of the patient."""


@dataclass(frozen=True)
class Cavity:
    """The true cavity on the fine grid.

    Attributes:
        lobe: a key of `LOBES`.
        side: "left" or "right", the patient's.
        mask: bool, shape (k, j, i), inside the brain.
        distance: mm to the cavity's wall, negative inside, float32, shape (k, j, i). It goes on outside the brain: the
            opening towards the skull is no wall.
    """

    lobe: str
    side: str
    mask: NDArray[np.bool_]
    distance: Field


def simulate_cavity(anatomy: Anatomy, settings: CavitySettings, rng: np.random.Generator) -> Cavity:
    """Draw a lobe, a side, a volume and an irregular blob that mostly opens to the brain's surface.

    Raises:
        InputError: the drawn volume does not fit into one hemisphere of this brain.
    """
    share = np.array([frequency for frequency, _ in LOBES.values()])
    lobe = str(rng.choice(list(LOBES), p=share / share.sum()))
    side = str(rng.choice(list(SIDES)))
    volume_ml = _draw_volume(settings, rng)

    place = positions(anatomy.grid) - anatomy.centre.astype(np.float32)[:, None, None, None]
    reluctance = _reluctance(anatomy, place, SIDES[side], rng)
    # CSF deeper than any sulcus is ventricle: the cavity may open into it, but raters do not count it as cavity.
    ventricle = (anatomy.depth > 25) & (anatomy.csf > 0.5)
    allowed = anatomy.brain & (reluctance < 0) & ~ventricle
    radius = float(np.cbrt(3000 * volume_ml / (4 * np.pi)))
    wanted = np.array(LOBES[lobe][1]) * anatomy.half_extent * (SIDES[side], 1, 1)
    centre = _choose_centre(anatomy.depth, place, allowed, wanted, radius, rng)
    level = _blob(anatomy, place, centre, radius, rng) + 2 * np.maximum(reluctance + 4, 0)

    count = round(volume_ml / anatomy.grid.voxel_volume_ml)
    inside = np.sort(level[allowed])
    if count >= inside.size:
        raise InputError(f"A cavity of {volume_ml:.0f} mL does not fit into one hemisphere of this brain.")
    blob = (level < inside[count]) & (reluctance < 0) & ~ventricle
    blob = _one_piece(blob, anatomy.brain)
    return Cavity(lobe, side, blob & anatomy.brain, _signed_distance(blob, anatomy.grid.spacing[::-1]))


def _draw_volume(settings: CavitySettings, rng: np.random.Generator) -> float:
    low, high = settings.volume_range_ml
    while True:
        volume = settings.volume_median_ml * rng.lognormal(0.0, settings.volume_log_sd)
        if low <= volume <= high:
            return volume


def _reluctance(anatomy: Anatomy, place: Field, sign: int, rng: np.random.Generator) -> Field:
    """How many mm a place lies beyond where a surgeon stops: the midline, the tentorium, the brain stem."""
    outwards, backwards, upwards = place * np.array([sign, 1, 1], np.float32)[:, None, None, None]
    half_width, half_length, half_height = anatomy.half_extent
    below = -0.2 * half_height - upwards
    beyond_midline = 0.06 * half_width - outwards
    below_tentorium = np.minimum(below, backwards - 0.2 * half_length)
    brain_stem = np.minimum(below, 0.3 * half_width - outwards)
    # Planes would leave flat walls.
    unevenness = 2.5 * smooth_field(anatomy.grid, 9.0, rng)
    return np.maximum.reduce([beyond_midline, below_tentorium, brain_stem]) + unevenness


def _choose_centre(
    depth: Field,
    place: Field,
    allowed: NDArray[np.bool_],
    wanted: NDArray[np.float64],
    radius: float,
    rng: np.random.Generator,
) -> Field:
    """A place near the lobe's middle that is so deep that most cavities open to the surface; mm, shape (3,)."""
    away = np.sqrt(np.square(place - wanted.astype(np.float32)[:, None, None, None]).sum(axis=0))
    mismatch = np.abs(depth - rng.uniform(0.35, 1.0) * radius)
    # Within 20 mm of the lobe's middle the depth decides, in steps of 2 mm; among equals, chance does.
    cost = np.round(mismatch / 2) + np.maximum(away - 20, 0) + rng.random(away.shape, dtype=np.float32)
    chosen = np.argmin(np.where(allowed, cost, np.inf))
    return np.asarray(place.reshape(3, -1)[:, chosen])


def _blob(
    anatomy: Anatomy,
    place: Field,
    centre: Field,
    radius: float,
    rng: np.random.Generator,
) -> Field:
    """An irregular distance in mm from the centre, whose level sets are lumpy ellipsoids with a collapsed side."""
    axes = np.exp(0.2 * rng.standard_normal(3))
    shape = Rotation.from_quat(rng.standard_normal(4)).as_matrix() / np.cbrt(axes.prod()) * axes
    offset = place - centre[:, None, None, None]
    level = np.sqrt(np.square(np.tensordot(shape.astype(np.float32).T, offset, axes=1)).sum(axis=0))
    level += 0.20 * radius * smooth_field(anatomy.grid, 14.0, rng)
    level += 1.2 * smooth_field(anatomy.grid, 6.0, rng)
    # Where the brain has sunk back into the cavity its wall bulges inwards.
    collapse = smooth_field(anatomy.grid, 18.0, rng)
    return np.asarray(level + 0.25 * radius * np.maximum(collapse - 0.5, 0), dtype=np.float32)


def _one_piece(blob: NDArray[np.bool_], brain: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the piece with the most brain in it, fill its holes."""
    labels, _ = ndimage.label(blob)
    sizes = np.bincount(labels[brain])
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(labels == np.argmax(sizes)))


def _signed_distance(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> Field:
    """Distance in mm to the border of a mask, negative inside, smoothed over half a voxel's staircase."""
    outside = ndimage.distance_transform_edt(~mask, spacing)
    inside = ndimage.distance_transform_edt(mask, spacing)
    half_voxel = min(spacing) / 2
    distance = np.where(mask, half_voxel - inside, outside - half_voxel).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(distance, [0.6 * min(spacing) / s for s in spacing]))
