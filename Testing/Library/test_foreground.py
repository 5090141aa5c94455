"""Finding the brain or body: the quick steps against scipy's plain ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ObserverUncertaintyLib.foreground import _filled_slicewise, _opened_slicewise, foreground


@pytest.mark.parametrize("shape", [(5, 20, 30), (1, 7, 1), (3, 64, 64)])
@pytest.mark.parametrize("threshold", [0.3, 0.45, 0.55])
def test_holes_are_those_that_scipy_fills_slice_by_slice(shape: tuple[int, ...], threshold: float) -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).random(shape), (0, 0.7, 0.7))
    content = noise > threshold
    expected = np.stack([ndimage.binary_fill_holes(plane) for plane in content])
    assert np.array_equal(_filled_slicewise(content), expected)


@pytest.mark.parametrize("shape", [(5, 20, 30), (1, 7, 1), (2, 1, 2), (3, 64, 64)])
@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.6])
def test_specks_are_those_that_scipy_removes(shape: tuple[int, ...], threshold: float) -> None:
    content = np.random.default_rng(1).random(shape) > threshold
    cross = ndimage.generate_binary_structure(2, 1)[np.newaxis]
    assert np.array_equal(_opened_slicewise(content), ndimage.binary_opening(content, cross))


def test_a_hole_that_is_open_through_another_slice_only_is_filled() -> None:
    image = np.zeros((3, 40, 40), np.float32)
    image[:, 5:35, 5:35] = 100
    image[1:, 15:25, 15:25] = 0  # closed within its slices, open towards the last one
    assert foreground(image)[2, 10:30, 10:30].all()
