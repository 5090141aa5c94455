"""Finding the brain or body: the quick steps against scipy's plain ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ObserverUncertaintyLib.images.foreground import (
    _filled_slicewise,
    _opened_slicewise,
    background_value,
    foreground,
    shown_content,
    without_padding,
)


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


def trunk_and_arm() -> tuple[np.ndarray, np.ndarray]:
    _, j, i = np.indices((3, 64, 128))
    return ((j - 32) / 26) ** 2 + ((i - 30) / 24) ** 2 <= 1, (j - 32) ** 2 + (i - 110) ** 2 <= 36


def test_small_parts_are_left_aside_and_told_apart() -> None:
    trunk, arm = trunk_and_arm()
    content = shown_content((100.0 * (trunk | arm)).astype(np.float32))
    assert content.main[trunk].mean() > 0.95
    assert not content.main[arm].any()
    assert content.aside[arm].mean() > 0.7
    assert not (content.main & content.aside).any()


def scan(padding: float, *, noise: float = 8.0) -> np.ndarray:
    """A body in air, and around the scanner's circle its padding."""
    _, j, i = np.indices((3, 96, 96))
    circle = np.hypot(j - 47.5, i - 47.5) <= 47
    body = np.hypot((j - 48) / 30, (i - 48) / 36) <= 1
    values = np.where(body, 40, -1000) + np.random.default_rng(0).normal(0, noise, body.shape)
    return np.where(circle, values, padding).astype(np.float32)


@pytest.mark.parametrize("padding", [-2000, -3024, -32768])
def test_air_takes_the_place_of_a_scanners_padding(padding: float) -> None:
    expected = scan(-1000)
    np.testing.assert_array_equal(without_padding(scan(padding)), expected)
    seam = ndimage.gaussian_filter(scan(padding), (0, 0.4, 0.4))
    assert without_padding(seam).min() >= -1200


@pytest.mark.parametrize(
    "image",
    [
        scan(-1000),
        scan(-1024),
        np.random.default_rng(0).uniform(-4096, 4096, (3, 32, 32)).astype(np.float32),
        np.full((3, 8, 8), -3000, np.float32),
        np.zeros((3, 8, 8), np.float32),
        np.where(np.arange(3 * 900).reshape(3, 30, 30) == 7, -3024, 0).astype(np.float32),
    ],
)
def test_an_image_without_padding_stays_as_it_is(image: np.ndarray) -> None:
    assert without_padding(image) is image


def test_padding_of_an_image_that_has_no_air_becomes_its_lowest_value() -> None:
    image = np.pad(np.random.default_rng(0).uniform(5, 9, (3, 20, 20)), ((0, 0), (5, 5), (5, 5)), constant_values=-9999)
    found = without_padding(image.astype(np.float32))
    assert found.min() == pytest.approx(image[image > 0].min())


def test_the_background_is_0_where_that_marks_it_else_the_lowest_value() -> None:
    assert background_value(scan(-1000, noise=0)) == -1000
    brain = np.zeros((3, 20, 20), np.float32)
    brain[:, 5:15, 5:15] = np.random.default_rng(0).normal(size=(3, 10, 10))
    assert background_value(brain) == 0
