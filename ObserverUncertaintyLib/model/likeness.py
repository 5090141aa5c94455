"""Whether a case looks like those that a model was trained on: how large it is, its grey values, what lies where.

A network gives an answer for any image. What is unlike everything it has seen is told in words, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.images.orientation import Reorientation

FEWEST_CASES = 8
"""From fewer training cases nothing can be said about what is usual."""

_QUANTILES = (5, 25, 50, 75, 95)
_BLOCKS = 8
"""An overview has so many blocks along each axis."""

_SIZE_TOLERANCE = 1.25
_GREY_TOLERANCE = (0.5, 0.15)
"""How far beyond the training cases' range a quantile may lie: a share of the range, and standard deviations."""

_RIM_MM = 4.0
_RIM_TOLERANCE = 0.5
"""How much brighter than in any training case what lies at the outside may be, in standard deviations."""

_LAYERS, _SCALP_LAYERS = 5, 2
"""Layers of `_RIM_MM` that are looked at from the outside, and those of them in which the scalp lies."""

_SCALP = 0.5
"""By how many standard deviations a layer near the outside may outshine one below it, where brains are dark outside.

Real heads in T1 and T1c have 1.1 to 1.3, real stripped brains 0, and simulated ones at most 0.2 (FLAIR).
"""

_OVERVIEW_TOLERANCE = 0.15
_TURNED_BETTER = 0.05
"""How much lower than any training case's the agreement may be, and how much better with the case turned."""

_TURNS: Mapping[str, tuple[int, ...]] = {
    "upside down": (0,),
    "front to back": (1,),
    "upside down and front to back": (0, 1),
}
"""What a case may be that lies wrongly, with the axes (k, j, i) along which it is turned."""

_OUTLINE = "outline"


@dataclass(frozen=True)
class Looks:
    """What a case looks like.

    Attributes:
        volume_ml: of the brain, head or body.
        extent_mm: of its bounding box, right-left, front-back, top-bottom.
        quantiles: by sequence, the 5, 25, 50, 75 and 95 % quantile inside it, in standard deviations from the mean.
        rim: by sequence, the mean of the outermost 4 mm of its slices, likewise: dark fluid, or the bright scalp.
        scalp: by sequence, how much brighter the outermost 8 mm are than the darkest layer down to 20 mm, such as bone.
        overview: by sequence and for the outline, the means in 8 x 8 x 8 blocks of the bounding box, in mm towards
            superior, posterior and left.
    """

    volume_ml: float
    extent_mm: tuple[float, ...]
    quantiles: Mapping[str, NDArray[np.float64]]
    rim: Mapping[str, float]
    scalp: Mapping[str, float]
    overview: Mapping[str, NDArray[np.float64]]

    @classmethod
    def of(cls, case: Case, inside: NDArray[np.bool_]) -> Looks | None:
        """Look at a case.

        Args:
            case: the case.
            inside: its brain, head or body, shape (k, j, i) on its grid.

        Returns:
            None for a 2-D case, which has no anatomical directions, and for one that shows nothing.
        """
        found = ndimage.find_objects(inside.astype(np.uint8)) if case.grid.dimension == 3 else []
        if not found:
            return None
        turned = Reorientation.to(case.grid, "LPS")
        (box,) = ndimage.find_objects(turned.apply(inside).astype(np.uint8))
        shown = turned.apply(inside)[box]
        spacing = turned.target.spacing
        layers = _layers(shown, (spacing[1], spacing[0]))
        quantiles, rim, scalp, overview = {}, {}, {}, {_OUTLINE: _block_means(shown.astype(np.float64))}
        for name, image in zip(case.sequences, case.images, strict=True):
            values = turned.apply(image)[box].astype(np.float64)
            within = values[shown]
            normal = (values - within.mean()) / (within.std() or 1.0)
            quantiles[name] = np.percentile(normal[shown], _QUANTILES)
            means = np.array([normal[layer].mean() for layer in layers])
            rim[name] = float(means[0])
            brightest = int(means[:_SCALP_LAYERS].argmax())
            scalp[name] = float(means[brightest] - means[brightest:].min())
            overview[name] = _block_means(np.where(shown, normal, 0.0))
        return cls(
            volume_ml=float(np.count_nonzero(shown)) * case.grid.voxel_volume_ml,
            extent_mm=tuple(length * step for length, step in zip(shown.shape[::-1], spacing, strict=True)),
            quantiles=quantiles,
            rim=rim,
            scalp=scalp,
            overview=overview,
        )


@dataclass(frozen=True)
class TrainingLooks:
    """What the training cases look like; each range from the least to the most.

    Attributes:
        volume_ml, extent_mm, quantiles: ranges of what `Looks` has.
        rim: the brightest of the cases.
        overview: the mean of the cases' overviews, as a list of its 512 numbers.
        agreement: the least correlation of a training case's overview with their mean, the mean over what it shows.
    """

    volume_ml: tuple[float, float]
    extent_mm: tuple[tuple[float, float], ...]
    quantiles: dict[str, list[list[float]]]
    rim: dict[str, float]
    overview: dict[str, list[float]]
    agreement: float

    @classmethod
    def of(cls, looks: Sequence[Looks | None]) -> TrainingLooks | None:
        """Sum up training cases with the same sequences; None if they are too few or have no anatomical directions."""
        seen = [each for each in looks if each is not None]
        if len(seen) < FEWEST_CASES:
            return None
        volumes = [each.volume_ml for each in seen]
        extents = np.array([each.extent_mm for each in seen])
        overview = {name: np.mean([each.overview[name] for each in seen], axis=0) for name in seen[0].overview}
        quantiles = {}
        for name in seen[0].quantiles:
            values = np.array([each.quantiles[name] for each in seen])
            quantiles[name] = np.stack([values.min(axis=0), values.max(axis=0)], axis=1).round(3).tolist()
        return cls(
            volume_ml=(round(min(volumes), 1), round(max(volumes), 1)),
            extent_mm=tuple(
                (round(float(low), 1), round(float(high), 1))
                for low, high in zip(extents.min(axis=0), extents.max(axis=0), strict=True)
            ),
            quantiles=quantiles,
            rim={name: round(max(each.rim[name] for each in seen), 3) for name in seen[0].rim},
            overview={name: mean.ravel().round(2).tolist() for name, mean in overview.items()},
            agreement=round(min(_agreement(each.overview, overview) for each in seen), 3),
        )

    def unlike(self, looks: Looks, skull_stripped: bool | None) -> list[str]:
        """In what a case is unlike the training cases, a phrase each; none if it could be one of them.

        Args:
            looks: what it looks like; sequences that it lacks are left out.
            skull_stripped: whether the training cases show the brain only, if known.
        """
        extent = self._unlike_in_extent(looks)
        found = [*extent, *self._unlike_in_volume(looks), *self._unlike_in_grey(looks)]
        if not extent:  # what lies where in something of another size says nothing
            found += self._lies_wrongly(looks)
        if skull_stripped and self.seems_a_head(looks):
            found.insert(0, "it does not seem to be skull-stripped")
        return found

    def seems_a_head(self, looks: Looks) -> bool:
        """Whether a case shows more than the brain, where the training cases show nothing else.

        It does if its outside is brighter than theirs, if a bright layer lies over a dark one as the scalp lies over
        bone, or if it is larger than a brain.
        """
        bright = any(value > self.rim[name] + _RIM_TOLERANCE for name, value in looks.rim.items())
        # Fluid at the outside of a brain is bright in some sequences, such as T2: there a bright layer tells nothing.
        scalp = any(value > _SCALP for name, value in looks.scalp.items() if self.rim[name] < 0)
        large = looks.volume_ml > self.volume_ml[1] * _SIZE_TOLERANCE or any(
            extent > high * _SIZE_TOLERANCE
            for extent, (_low, high) in zip(looks.extent_mm, self.extent_mm, strict=True)
        )
        return bright or scalp or large

    def _unlike_in_extent(self, looks: Looks) -> list[str]:
        if all(
            low / _SIZE_TOLERANCE <= extent <= high * _SIZE_TOLERANCE
            for extent, (low, high) in zip(looks.extent_mm, self.extent_mm, strict=True)
        ):
            return []
        size = " x ".join(f"{extent:.0f}" for extent in looks.extent_mm)
        usual = " x ".join(f"{low:.0f} to {high:.0f}" for low, high in self.extent_mm)
        return [
            f"it measures {size} mm (right-left x front-back x top-bottom), those {usual} mm: its spacing may be "
            "wrong, or a part of it missing"
        ]

    def _unlike_in_volume(self, looks: Looks) -> list[str]:
        low, high = self.volume_ml
        if low / _SIZE_TOLERANCE <= looks.volume_ml <= high * _SIZE_TOLERANCE:
            return []
        return [f"it shows {looks.volume_ml:.0f} mL, those {low:.0f} to {high:.0f} mL"]

    def _unlike_in_grey(self, looks: Looks) -> list[str]:
        share, more = _GREY_TOLERANCE
        unlike = []
        for name, values in looks.quantiles.items():
            low, high = np.array(self.quantiles[name]).T
            room = share * (high - low) + more
            if ((values < low - room) | (values > high + room)).any():
                unlike.append(name)
        if not unlike:
            return []
        return [f"the grey values of {', '.join(unlike)} are distributed otherwise"]

    def _lies_wrongly(self, looks: Looks) -> list[str]:
        mean = {name: np.reshape(self.overview[name], (_BLOCKS,) * 3) for name in looks.overview}
        as_it_is = _agreement(looks.overview, mean)
        turned = {
            turn: _agreement({name: np.flip(each, axes) for name, each in looks.overview.items()}, mean)
            for turn, axes in _TURNS.items()
        }
        best = max(turned, key=lambda turn: turned[turn])
        if turned[best] > as_it_is + _TURNED_BETTER and turned[best] > self.agreement - 2 * _OVERVIEW_TOLERANCE:
            return [f"it seems to lie {best}"]
        if as_it_is < self.agreement - _OVERVIEW_TOLERANCE:
            return [
                f"bright and dark lie elsewhere in it (agreement {as_it_is:.2f}, those at least {self.agreement:.2f})"
            ]
        return []


def _agreement(overview: Mapping[str, NDArray[Any]], mean: Mapping[str, NDArray[Any]]) -> float:
    """The mean over the maps of Pearson's correlation; 0 for a map that is the same everywhere."""
    found = []
    for name, each in overview.items():
        a, b = each.ravel() - each.mean(), mean[name].ravel() - mean[name].mean()
        scale = np.sqrt(np.vdot(a, a) * np.vdot(b, b))
        found.append(float(np.vdot(a, b) / scale) if scale else 0.0)
    return float(np.mean(found))


def _layers(shown: NDArray[np.bool_], spacing: tuple[float, float]) -> list[NDArray[np.bool_]]:
    """What is shown in layers of 4 mm within the slices, from the outside; those that hold nothing are left out.

    Args:
        shown: shape (k, j, i).
        spacing: (row, column) spacing in mm.
    """
    layers, rest = [], shown
    for _layer in range(_LAYERS):
        inner = rest.view(np.uint8)
        for axis, step in enumerate(spacing, 1):
            size = 2 * max(1, round(_RIM_MM / step)) + 1
            inner = ndimage.minimum_filter1d(inner, size, axis, mode="constant", cval=0)
        layers.append(rest & (inner == 0))
        rest = inner.astype(bool)
        if not rest.any():
            break
    return layers


def _block_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over 8 x 8 x 8 blocks; along an axis with fewer voxels they are repeated."""
    for axis, length in enumerate(values.shape):
        if length < _BLOCKS:
            values = np.repeat(values, -(-_BLOCKS // length), axis=axis)
        starts = np.arange(_BLOCKS) * values.shape[axis] // _BLOCKS
        lengths = np.diff([*starts, values.shape[axis]])
        shape = [1, 1, 1]
        shape[axis] = _BLOCKS
        values = np.add.reduceat(values, starts, axis=axis) / lengths.reshape(shape)
    return values
