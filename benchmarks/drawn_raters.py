"""Made-up raters for benchmarks of what needs masks only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SHAPE = (155, 240, 240)
"""A case of the brain tumour data that the field measures on; 240x240x155 as images are named."""


def drawn_raters(count: int, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> NDArray[np.bool_]:
    """Blobs in the middle, 1/325 of the image (27 mL of `SHAPE`), whose borders differ from rater to rater.

    Returns:
        bool, shape (rater, k, j, i).
    """
    rng = np.random.default_rng(seed)
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    radius = (np.prod(shape) / 325 * 3 / (4 * np.pi)) ** (1 / 3)
    distance = np.sqrt((k - shape[0] / 2) ** 2 + (j - shape[1] / 2) ** 2 + (i - shape[2] / 2) ** 2) - radius
    return np.stack([distance < _wobble(shape, rng) * radius / 8 for _ in range(count)])


def _wobble(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth random field of about standard deviation 1."""
    return ndimage.zoom(rng.normal(size=(8, 8, 8)), np.divide(shape, 8), order=1)
