"""Experiment 1's synthetic data: a smooth shape, five observers of it, and an image with or without clear edges.

Each step of Jungo et al. 2018, section 3.2 is a function of its own. What the paper leaves open is a field of
`ShapeSettings`, and docs/method.md says why it has its value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.images.grid import Grid

UNPERTURBED = "unperturbed"
PERTURBED = "perturbed"
STATES = (UNPERTURBED, PERTURBED)
"""The two images of a sample, with low and with high entropy."""

Points = NDArray[np.float64]
"""Perimeter points, shape (point, 2), as (x, y) in mm; x runs to the right and y down."""

FIELD_MM = 256.0
"""Width and height of every image."""

IMAGE_OBSERVERS = 5
"""Observers whose masks make the perturbed image, however many are drawn: the image must not depend on that."""

_FIRST_FURTHER_OBSERVER = 1000
"""Numbers from which observers are counted that belong to no sample."""

PERIMETER_POINTS = 8
PERTURBED_POINTS = 3
_CURVE_STEPS = 50
"""Straight pieces that stand for the spline between two perimeter points."""


@dataclass(frozen=True)
class ShapeSettings:
    """Choices of the generator. Ranges are uniform; lengths are in mm.

    The image is always 256 mm wide, so that at the default width a millimetre is a pixel, and a smaller image shows the
    same scene more coarsely.

    Attributes:
        width: pixels in a row and in a column; the paper does not say how many it had.
        radius: of the circle, as a fraction of the image's width; the paper does not state it. With 0.2 an observer's
            farthest point, 0.2 * 1.5 * 1.4 = 0.42 widths from the centre, still lies in the image.
        observers: number of observers; the first ones are the same whatever their number.
        angle: in degrees, either way, that the truth's perimeter points are turned by.
        distance: factor of their distance to the centre.
        observer_angle: in degrees, either way, that an observer turns the three rightmost points by.
        observer_distance: factor, either way, by which an observer moves them.
        intensity: the image's largest value.
        blur: standard deviation of the Gaussian blur in mm.
        noise: standard deviation of the Gaussian noise, as a fraction of the image's range.
        observer_intensity: with which an observer's mask is added to the truth's, which has 255.
        decay: of the perturbed image from its left to its right border, as the exponent of exp(-decay * x / width).
    """

    width: int = 256
    radius: float = 0.2
    observers: int = 5
    angle: float = 15.0
    distance: tuple[float, float] = (0.75, 1.5)
    observer_angle: float = 10.0
    observer_distance: float = 0.4
    intensity: tuple[float, float] = (30.0, 255.0)
    blur: tuple[float, float] = (2.0, 8.0)
    noise: float = 0.15
    observer_intensity: tuple[float, float] = (50.0, 255.0)
    decay: tuple[float, float] = (0.5, 6.5)

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if self.width < 16 or self.observers < 1 or not 0 < self.radius < 0.5:
            raise ValueError(f"no such shapes: {self}")

    @property
    def pixel(self) -> float:
        """Side of a pixel in mm."""
        return FIELD_MM / self.width


def simulate_shape(index: int, seed: int, settings: ShapeSettings = ShapeSettings(), name: str = "") -> Case:
    """One sample: truth, observers, and both images; the same arguments give the same arrays.

    Args:
        index: number of the sample, 0 or more.
        seed: of the data set, 0 or more.
        settings: the generator's choices.
        name: the case's name; made from the index if empty.

    Returns:
        A 2-D case with the sequences `STATES`, one mask per observer, and `truth`.

    Source: Jungo et al. 2018, section 3.2.
    """
    # One stream per step, and one per observer: a further observer changes nothing else.
    rng = [np.random.default_rng([seed, index, step]) for step in range(3)]
    perimeter = truth_perimeter(settings, rng[0])
    truth = filled(perimeter, settings)
    count = max(settings.observers, IMAGE_OBSERVERS)
    observers = np.stack([observe(perimeter, settings, _observer_stream(seed, index, n)) for n in range(count)])
    images = np.stack(
        [
            low_entropy_image(truth, settings, rng[1]),
            high_entropy_image(truth, observers[:IMAGE_OBSERVERS], settings, rng[2]),
        ]
    )
    return Case(
        name=name or f"shape{index + 1:03d}",
        grid=Grid((settings.width, settings.width, 1), (settings.pixel, settings.pixel, 1.0), dimension=2),
        sequences=STATES,
        images=images[:, None].astype(np.float32),
        rater_names=tuple(f"observer{n + 1}" for n in range(settings.observers)),
        raters=observers[: settings.observers, None],
        truth=truth[None],
        notes=("simulated: synthetic shape of Experiment 1",),
    )


def many_observers_mean(
    index: int, seed: int, count: int, settings: ShapeSettings = ShapeSettings()
) -> NDArray[np.float64]:
    """The mean mask of `count` observers of a sample other than its own: what raters say in the long run.

    Returns:
        float64, shape (row, column), in [0, 1].
    """
    perimeter = truth_perimeter(settings, np.random.default_rng([seed, index, 0]))
    total = np.zeros((settings.width, settings.width))
    for number in range(count):
        total += observe(perimeter, settings, _observer_stream(seed, index, _FIRST_FURTHER_OBSERVER + number))
    return total / count


def _observer_stream(seed: int, index: int, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, index, 3, number])


def truth_perimeter(settings: ShapeSettings, rng: np.random.Generator) -> Points:
    """Eight points, equidistant on a circle, each perturbed in angle and distance.

    Source: Jungo et al. 2018, section 3.2, "Ground truth generation".
    """
    angles = np.arange(PERIMETER_POINTS) * (2 * np.pi / PERIMETER_POINTS)
    angles = angles + np.deg2rad(rng.uniform(-settings.angle, settings.angle, PERIMETER_POINTS))
    distances = settings.radius * FIELD_MM * rng.uniform(*settings.distance, PERIMETER_POINTS)
    return _from_polar(angles, distances)


def observer_perimeter(perimeter: Points, settings: ShapeSettings, rng: np.random.Generator) -> Points:
    """The truth's points with the three rightmost ones perturbed again.

    Source: Jungo et al. 2018, section 3.2, "Observer annotations".
    """
    offset = perimeter - FIELD_MM / 2
    angles, distances = np.arctan2(offset[:, 1], offset[:, 0]), np.hypot(*offset.T)
    rightmost = np.argsort(perimeter[:, 0])[-PERTURBED_POINTS:]
    turn = np.deg2rad(rng.uniform(-settings.observer_angle, settings.observer_angle, PERTURBED_POINTS))
    stretch = rng.uniform(-settings.observer_distance, settings.observer_distance, PERTURBED_POINTS)
    angles[rightmost] += turn
    distances[rightmost] *= 1 + stretch
    return _from_polar(angles, distances)


def closed_spline(perimeter: Points) -> Points:
    """The closed cubic B-spline through the points, as a fine polygon, shape (step, 2).

    The parameter is the length of the chords, so that close points do not make loops.

    Source: Jungo et al. 2018, section 3.2: "interpolated with a B-spline model".
    """
    closed = np.vstack([perimeter, perimeter[:1]])
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    spline = make_interp_spline(length, closed, k=3, bc_type="periodic")
    # Every perimeter point is a corner of the polygon.
    share = np.arange(_CURVE_STEPS) / _CURVE_STEPS
    steps = (length[:-1, None] + share * np.diff(length)[:, None]).ravel()
    return np.asarray(spline(steps))


def filled(perimeter: Points, settings: ShapeSettings) -> NDArray[np.bool_]:
    """The mask inside the spline through the points: pixels whose centre the curve winds around, (row, column)."""
    width = settings.width
    x, y = (closed_spline(perimeter) / settings.pixel - 0.5).T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    rows = np.arange(width)[:, None]
    downwards = (y <= rows) & (rows < next_y)
    upwards = (next_y <= rows) & (rows < y)
    row, edge = np.nonzero(downwards | upwards)
    crossing = x[edge] + (row - y[edge]) * (next_x - x)[edge] / (next_y - y)[edge]
    # What a crossing adds to the winding number holds for all pixels to its right.
    change = np.zeros((width, width + 1), np.int64)
    first = np.clip(np.ceil(crossing), 0, width).astype(np.int64)
    np.add.at(change, (row, first), np.where(downwards[row, edge], 1, -1))
    return np.asarray(change.cumsum(axis=1)[:, :width] != 0)


def observe(perimeter: Points, settings: ShapeSettings, rng: np.random.Generator) -> NDArray[np.bool_]:
    """One observer's mask of the truth with this perimeter, shape (row, column)."""
    return filled(observer_perimeter(perimeter, settings, rng), settings)


def low_entropy_image(
    truth: NDArray[np.bool_], settings: ShapeSettings, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The truth with a random intensity, blurred and noisy: edges are where the truth has them.

    Source: Jungo et al. 2018, section 3.2, "Low-entropy (i.e. unperturbed) images".
    """
    return _scanned(truth * rng.uniform(*settings.intensity), settings, rng)


def high_entropy_image(
    truth: NDArray[np.bool_], observers: NDArray[np.bool_], settings: ShapeSettings, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Truth and observers on top of each other, fading to the right, blurred and noisy: edges are uncertain.

    Source: Jungo et al. 2018, section 3.2, "High-entropy (i.e. perturbed) image".
    """
    intensities = rng.uniform(*settings.observer_intensity, len(observers))
    image = 255.0 * truth + np.tensordot(intensities, observers.astype(np.float64), axes=1)
    image *= rng.uniform(*settings.intensity) / image.max()
    across = (np.arange(settings.width) + 0.5) / settings.width
    return _scanned(image * np.exp(-rng.uniform(*settings.decay) * across), settings, rng)


def _scanned(image: NDArray[Any], settings: ShapeSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian blur, then Gaussian noise relative to the range."""
    blurred = ndimage.gaussian_filter(image, rng.uniform(*settings.blur) / settings.pixel, mode="nearest")
    return np.asarray(blurred + rng.normal(0.0, settings.noise * np.ptp(blurred), blurred.shape))


def _from_polar(angles: NDArray[Any], distances: NDArray[Any]) -> Points:
    return FIELD_MM / 2 + np.stack([distances * np.cos(angles), distances * np.sin(angles)], axis=1)
