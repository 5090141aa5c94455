"""A case's raters beside each other: who draws larger, and by how much."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.scores.case_agreement import case_agreement
from ObserverUncertaintyLib.scores.metrics import dice

GRID = Grid((40, 40, 6), (1.0, 1.0, 3.0))


def discs(*radii: float) -> np.ndarray:
    j, i = np.ogrid[:40, :40]
    each = [(j - 19.5) ** 2 + (i - 19.5) ** 2 <= radius**2 for radius in radii]
    raters = np.zeros((len(radii), 6, 40, 40), bool)
    raters[:, 1:5] = np.array(each)[:, None]
    return raters


def test_each_rater_is_larger_than_the_others_by_what_was_drawn():
    raters = discs(10, 10, 12)
    found = case_agreement(raters, ["anna", "ben", "carl"], GRID, "case01")
    assert [rater.rater for rater in found.raters] == ["anna", "ben", "carl"]
    anna, ben, carl = found.raters
    # A layer of 2 mm around the sides, and none on the flat ends.
    sides, ends = 2 * np.pi * 11 * 12, np.pi * (10**2 + 12**2)
    assert carl.larger_mm == pytest.approx(2 * sides / (sides + ends), rel=0.1)
    assert anna.larger_mm == ben.larger_mm == pytest.approx(-carl.larger_mm / 2)
    assert carl.larger_ml == pytest.approx((raters[2].sum() - raters[0].sum()) * 0.003)
    assert sum(rater.larger_ml for rater in found.raters) == pytest.approx(0)
    assert carl.volume_ml == pytest.approx(raters[2].sum() * 0.003)
    pair = {(pair.first, pair.second): pair for pair in found.pairs}
    assert list(pair) == [("anna", "ben"), ("anna", "carl"), ("ben", "carl")]
    assert pair["anna", "ben"].dice == pair["anna", "ben"].surface_dice_1_mm == pair["anna", "ben"].kappa == 1
    assert pair["anna", "carl"].dice == pytest.approx(dice(raters[0], raters[2]))
    assert pair["anna", "carl"].surface_dice_1_mm < pair["anna", "carl"].surface_dice_2_mm
    assert pair["anna", "carl"].added_path_mm > 0


@pytest.mark.parametrize("difference", [1, 3])
def test_a_ball_with_a_larger_radius_is_larger_by_the_difference(difference):
    k, j, i = (axis - 24.5 for axis in np.ogrid[:50, :50, :50])
    raters = np.stack([k**2 + j**2 + i**2 <= radius**2 for radius in (16, 16 + difference)])
    found = case_agreement(raters, ["a", "b"], Grid((50, 50, 50), (1.0, 1.0, 1.0)))
    assert found.raters[1].larger_mm == pytest.approx(difference, rel=0.1)


def test_who_draws_alike_in_every_slice_is_consistent():
    raters = discs(10, 12)
    assert case_agreement(raters, ["a", "b"], GRID).raters[1].spread_mm == pytest.approx(0)
    raters[1, 2] = discs(16)[0, 2]
    changed = case_agreement(raters, ["a", "b"], GRID).raters[1].spread_mm
    assert changed == pytest.approx(np.std([2, 6, 2, 2], ddof=1), rel=0.1)


def test_an_empty_mask_has_a_volume_and_no_distances():
    raters = discs(10, 12, 9)
    raters[2] = False
    found = case_agreement(raters, ["a", "b", "c"], GRID)
    assert found.raters[2].volume_ml == 0
    assert math.isnan(found.raters[2].larger_mm)
    assert found.raters[0].larger_mm < -0.8, "than the one who drew"
    assert found.pairs[1].surface_dice_1_mm == found.pairs[1].dice == 0


def test_nobody_drew_anything():
    found = case_agreement(np.zeros((2, 3, 4, 4), bool), ["a", "b"], Grid((4, 4, 3), (1.0, 1.0, 1.0)))
    assert math.isnan(found.fleiss_kappa)
    assert math.isnan(found.pairs[0].dice)


def test_one_rater_is_refused():
    with pytest.raises(InputError, match="case01 has 1 rater; agreement needs two"):
        case_agreement(discs(10), ["a"], GRID, "case01")
