from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from ObserverUncertaintyLib.export.outlines import outlines
from ObserverUncertaintyLib.formats.dicom.polygons import filled


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
@settings(max_examples=300, deadline=None)
def test_every_mask_is_told_again_from_its_outlines(mask):
    polygons = outlines(mask)
    assert len(polygons) == ndimage.label(mask)[1]
    if polygons:
        np.testing.assert_array_equal(filled(polygons, mask.shape), mask)


@pytest.mark.parametrize("smooth", [0.7, 1.5, 4.0])
def test_shapes_with_many_holes_are_told_again(smooth):
    mask = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(90, 110)), smooth) > 0
    np.testing.assert_array_equal(filled(outlines(mask), mask.shape), mask)


def area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return abs(0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def test_an_outline_encloses_the_area_of_its_pixels_but_for_half_a_pixel():
    j, i = np.indices((80, 80))
    disc = (j - 40.3) ** 2 + (i - 38.6) ** 2 < 30**2
    (polygon,) = outlines(disc)
    assert area(polygon) == pytest.approx(disc.sum() - 0.5)
    # With a hole the polygon has a channel of no area, and the hole's edge gives half a pixel back.
    ring = disc & ~((j - 40) ** 2 + (i - 40) ** 2 < 12**2)
    (polygon,) = outlines(ring)
    assert area(polygon) == pytest.approx(ring.sum())


def test_a_single_pixel_is_a_diamond_around_its_centre():
    mask = np.zeros((5, 5), bool)
    mask[3, 1] = True
    (polygon,) = outlines(mask)
    assert sorted(map(tuple, polygon.tolist())) == [(0.5, 3.0), (1.0, 2.5), (1.0, 3.5), (1.5, 3.0)]


def test_straight_edges_have_no_corners_in_between():
    mask = np.zeros((40, 40), bool)
    mask[5:35, 5:35] = True
    assert len(outlines(mask)[0]) == 8
