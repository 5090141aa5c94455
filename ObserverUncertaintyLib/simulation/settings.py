"""What can be chosen about the simulated cavity cases: scanner grid, patients, cavities, raters."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ObserverUncertaintyLib.base.errors import InputError


@dataclass(frozen=True)
class RaterProfile:
    """How one rater draws. Distances are in mm along the normal of the border.

    Attributes:
        name: the rater's name.
        bias_mm: mean distance from the true border; positive draws larger.
        uncertainty_mm: standard deviation of the rater's own displacement where the border is as ambiguous as it is
            on average over the wall; it grows and shrinks with the ambiguity.
        slice_jitter_mm: standard deviation of what changes from one axial slice to the next.
        smoothing_mm: standard deviation of the Gaussian that rounds off the contours.
        missed_part: probability of leaving out a part of the cavity.
        included_sulcus: probability of taking a neighbouring sulcus or ventricle for cavity.
        excluded_air: probability of leaving out the air pocket, if there is one.
        excluded_blood: probability of taking the level of settled blood, if there is one, for the wall.
    """

    name: str
    bias_mm: float
    uncertainty_mm: float
    slice_jitter_mm: float
    smoothing_mm: float
    missed_part: float
    included_sulcus: float
    excluded_air: float
    excluded_blood: float

    def __post_init__(self) -> None:
        """Refuse negative widths and probabilities outside 0 to 1."""
        for name in ("uncertainty_mm", "slice_jitter_mm", "smoothing_mm"):
            if getattr(self, name) < 0:
                raise InputError(f"Rater {self.name}: {name} is {getattr(self, name)}; 0 or more is needed.")
        for name in ("missed_part", "included_sulcus", "excluded_air", "excluded_blood"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"Rater {self.name}: {name} is {getattr(self, name)}; a probability is needed.")


RATERS = (
    #            name        bias  uncert. jitter smooth missed sulcus air   blood
    RaterProfile("rater_2y", +0.40, 1.10, 0.45, 1.0, 0.15, 0.20, 0.30, 0.30),
    RaterProfile("rater_4y", +0.00, 1.20, 0.35, 1.6, 0.12, 0.15, 0.20, 0.25),
    RaterProfile("rater_6y", +0.05, 1.25, 0.30, 0.8, 0.08, 0.08, 0.10, 0.15),
)
"""Three raters with two, four and over six years of experience, as in section 3.3 of Jungo et al. 2018.

The paper says nothing about how they differ. The values are chosen so that the Dice between raters over a cohort has
the median and interquartile range measured on the paper's patients by Ermiş et al. 2020 (0.84 to 0.86, 0.07 to 0.08;
doi 10.1186/s13014-020-01553-z).
"""


_VARIOUS_SPACING_MM, _VARIOUS_THICKNESS_MM, _VARIOUS_NOISE = (1.0, 2.0), (2.0, 6.0), (0.01, 0.05)
"""From a fine research scan to a quick clinical one; each is drawn in between, the thickness by its logarithm."""


@dataclass(frozen=True)
class CavitySettings:
    """Settings of the simulated cohort; the defaults make a cohort like that of Jungo et al. 2018, section 3.3.

    Attributes:
        in_plane_spacing_mm: voxel size within an axial slice.
        slice_thickness_mm: distance of axial slices, each the mean over its thickness.
        obliquity_deg: standard deviation of the slices' tilt, about a random axis.
        deformation_mm: standard deviation, along each axis, of the displacement from the template's anatomy.
        size_variation: standard deviation of the brain's size along each axis, as a fraction.
        volume_median_ml: median of the cavities' log-normal volume.
        volume_log_sd: standard deviation of the logarithm of the volume.
        volume_range_ml: volumes outside are drawn again.
        air_probability: how often the cavity holds an air pocket.
        layering_probability: how often blood has settled in the lower part of the cavity.
        border_softness_mm: width of the grey-value transition where a border is least visible.
        difficulty_log_sd: standard deviation of the logarithm of how ill-defined a patient's borders are.
        noise: standard deviation of the scanner's noise, as a fraction of white matter's signal in T1.
        various_scanners: whether each case comes from a scanner of its own: spacing, thickness and noise are drawn for
            it, and those above are not used.
        raters: the raters that draw each case.
    """

    in_plane_spacing_mm: float = 1.5
    slice_thickness_mm: float = 3.0
    obliquity_deg: float = 3.0
    deformation_mm: float = 3.0
    size_variation: float = 0.04
    volume_median_ml: float = 25.0
    volume_log_sd: float = 0.5
    volume_range_ml: tuple[float, float] = (10.0, 60.0)
    air_probability: float = 0.3
    layering_probability: float = 0.25
    border_softness_mm: float = 5.5
    difficulty_log_sd: float = 0.3
    noise: float = 0.02
    various_scanners: bool = False
    raters: tuple[RaterProfile, ...] = RATERS

    def __post_init__(self) -> None:
        """Raise InputError for a value that makes no case."""
        for name in ("in_plane_spacing_mm", "slice_thickness_mm"):
            if not 0.5 <= getattr(self, name) <= 10:
                raise InputError(f"{name} is {getattr(self, name)}; 0.5 to 10 mm is possible.")
        for name in (
            "obliquity_deg",
            "deformation_mm",
            "size_variation",
            "volume_log_sd",
            "border_softness_mm",
            "difficulty_log_sd",
            "noise",
        ):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}; 0 or more is needed.")
        for name in ("air_probability", "layering_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; a probability is needed.")
        low, high = self.volume_range_ml
        if not 0 < low < self.volume_median_ml < high:
            raise InputError(
                f"The median volume of {self.volume_median_ml} mL must lie inside the range of {low} to {high} mL."
            )
        names = [rater.name for rater in self.raters]
        if len(set(names)) != len(names):
            raise InputError(f"Every rater needs a name of their own; found {', '.join(names)}.")

    def of_case(self, rng: np.random.Generator) -> CavitySettings:
        """The settings of one case: these, or with a scanner of its own."""
        if not self.various_scanners:
            return self
        low, high = np.log(_VARIOUS_THICKNESS_MM)
        return replace(
            self,
            in_plane_spacing_mm=round(float(rng.uniform(*_VARIOUS_SPACING_MM)), 2),
            slice_thickness_mm=round(float(np.exp(rng.uniform(low, high))), 1),
            noise=round(float(rng.uniform(*_VARIOUS_NOISE)), 3),
        )
