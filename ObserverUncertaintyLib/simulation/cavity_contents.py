"""What makes a resection cavity ill-defined: fluid, blood products, air, enhancement, oedema and vanishing borders.

Jungo et al. 2018, section 3.3: "post-operative resection cavities are ill-defined due to the presence of blood
products producing pseudo-image gradients, CSF infiltration and air pockets".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import expit

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.simulation.anatomy import Anatomy, positions
from ObserverUncertaintyLib.simulation.cavity_shape import Cavity
from ObserverUncertaintyLib.simulation.random_fields import Field, smooth_field
from ObserverUncertaintyLib.simulation.settings import CavitySettings

SEQUENCES = ("T1", "T1c", "T2", "FLAIR")


@dataclass(frozen=True)
class CavityContents:
    """What fills and surrounds a cavity, as fractions from 0 to 1 on the fine grid.

    Attributes:
        extent: how much of a voxel looks like cavity on each sequence of `SEQUENCES`, shape (4, k, j, i); the
            transition is wide where the sequence does not show the border.
        blood: blood products within the cavity, the settled ones included, shape (k, j, i).
        settled: the lower part of the cavity in which blood has settled, shape (k, j, i).
        blood_age: from fresh (0, dark on T2) to a week old (1, bright on T1), shape (k, j, i).
        air: air within the cavity, shape (k, j, i).
        protein: how far the fluid is from pure CSF, one number.
        enhancement: contrast uptake of the tissue, shape (k, j, i).
        oedema: oedema of the tissue, shape (k, j, i).
        ambiguity: how hard the border is to place, about 1 on average over the wall, shape (k, j, i).
    """

    extent: Field
    blood: Field
    settled: Field
    blood_age: Field
    air: Field
    protein: float
    enhancement: Field
    oedema: Field
    ambiguity: Field


def simulate_contents(
    anatomy: Anatomy, cavity: Cavity, settings: CavitySettings, rng: np.random.Generator
) -> CavityContents:
    """Draw what fills and surrounds the cavity of one patient."""
    grid, distance = anatomy.grid, cavity.distance
    difficulty = rng.lognormal(0.0, settings.difficulty_log_sd)
    softness = _border_softness(grid, settings.border_softness_mm * difficulty, rng)
    nothing = np.zeros(grid.shape, np.float32)
    air = _air(grid, cavity, rng) if rng.random() < settings.air_probability else nothing
    settled = _settled(grid, cavity, rng) if rng.random() < settings.layering_probability else nothing
    blood, blood_age = _blood(grid, distance, rng)
    return CavityContents(
        extent=np.stack([_extent(grid, distance, width, rng) for width in softness]),
        blood=np.maximum(blood, rng.uniform(0.3, 0.7) * settled),
        settled=settled,
        blood_age=blood_age,
        air=air,
        protein=float(rng.beta(1.5, 3.0)),
        enhancement=_enhancement(grid, distance, rng),
        oedema=_oedema(anatomy, distance, rng),
        ambiguity=_ambiguity(anatomy, cavity, softness, blood, difficulty),
    )


def _border_softness(grid: Grid, widest_mm: float, rng: np.random.Generator) -> list[Field]:
    """Width in mm of the transition at the border on each sequence: sharp in part, nearly invisible in part.

    Half of the variance is shared: a wall that has collapsed or is infiltrated is unclear everywhere, and only some
    sequences show it.
    """
    shared = smooth_field(grid, 15.0, rng)
    own = [smooth_field(grid, 15.0, rng) for _ in SEQUENCES]
    return [0.5 + widest_mm * expit(2.5 * (0.7 * (shared + field) - 0.8)) for field in own]


def _extent(grid: Grid, distance: Field, width: Field, rng: np.random.Generator) -> Field:
    """The soft outline of the cavity on one sequence; where it is soft, its apparent place wanders as well."""
    apparent = distance + 0.5 * (width - 0.5) * smooth_field(grid, 10.0, rng)
    return np.asarray(expit(-2 * apparent / width), dtype=np.float32)


def _blood(grid: Grid, distance: Field, rng: np.random.Generator) -> tuple[Field, Field]:
    """Patches of blood along the wall, whose inner edge looks like a border, and clots; with their age."""
    severity = rng.uniform(-0.7, 0.8)
    thickness = 2.5 * np.maximum(smooth_field(grid, 10.0, rng) + severity, 0)
    # Some blood lies in the wall itself, hence the 0.7 mm outside the cavity.
    rim = expit(3 * (thickness / 2 - np.abs(distance + thickness / 2 - 0.7)) - 1)
    clots = expit(4 * (smooth_field(grid, 8.0, rng) + severity - 1.6)) * (distance < 0)
    age = expit(rng.normal(0.0, 1.5) + 1.2 * smooth_field(grid, 7.0, rng))
    return np.maximum(rim, clots).astype(np.float32), age.astype(np.float32)


def _air(grid: Grid, cavity: Cavity, rng: np.random.Generator) -> Field:
    """Air rises to the front of a patient who lies on the back: a pocket with a level across the LPS y axis."""
    y = positions(grid)[1]
    level = np.quantile(y[cavity.mask], rng.uniform(0.04, 0.15))
    return np.asarray(expit(3 * (level - y)) * (cavity.distance < 0), dtype=np.float32)


def _settled(grid: Grid, cavity: Cavity, rng: np.random.Generator) -> Field:
    """Blood cells sink to the back of a patient who lies on the back, and leave a level."""
    y = positions(grid)[1]
    level = np.quantile(y[cavity.mask], rng.uniform(0.7, 0.92))
    return np.asarray(expit(2 * (y - level)) * (cavity.distance < 0), dtype=np.float32)


def _enhancement(grid: Grid, distance: Field, rng: np.random.Generator) -> Field:
    """A thin interrupted rim of contrast uptake just outside the cavity, nodular in places."""
    thickness = 2.0 * np.maximum(smooth_field(grid, 9.0, rng) + rng.uniform(-0.8, 0.6), 0)
    thickness = np.minimum(thickness, 5.0)
    return np.asarray(expit(4 * (thickness / 2 - np.abs(distance - thickness / 2)) - 1), dtype=np.float32)


def _oedema(anatomy: Anatomy, distance: Field, rng: np.random.Generator) -> Field:
    """Oedema and gliosis around the cavity: follows the white matter, spares most of the cortex."""
    reach = rng.lognormal(math.log(7.0), 0.6) * np.exp(0.6 * smooth_field(anatomy.grid, 14.0, rng))
    near = expit((reach - distance) / 1.5)
    return np.asarray(near * (anatomy.white + 0.25 * anatomy.grey), dtype=np.float32)


def _ambiguity(anatomy: Anatomy, cavity: Cavity, softness: list[Field], blood: Field, difficulty: float) -> Field:
    """Where raters will differ: soft borders, blood at the wall, CSF next to it; scaled by the patient's difficulty.

    The sum is scaled to mean 1 over the wall, so that the raters' millimetres keep their meaning, then by difficulty.
    """
    spacing = anatomy.grid.spacing[::-1]
    nearby = [3.0 / s for s in spacing]
    bloody = ndimage.gaussian_filter(blood, nearby)
    csf = ndimage.gaussian_filter(np.where(cavity.distance > 0, anatomy.csf, 0), nearby)
    unclear = 0.3 + 0.3 * np.mean(softness, axis=0) + 1.5 * bloody + 2.0 * csf
    wall = (np.abs(cavity.distance) < 2) & anatomy.brain
    return np.asarray(difficulty * unclear / unclear[wall].mean(), dtype=np.float32)
