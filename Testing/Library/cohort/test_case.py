"""A case: images and raters on one grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_cases import (
    GRID,
    ball,
)

from ObserverUncertaintyLib.cohort.case import Case


def case(**changes: object) -> Case:
    images = np.stack([np.full(GRID.shape, n, np.float32) for n in range(3)])
    return replace(Case("p1", GRID, ("T1", "T2", "FLAIR"), images, ("anna",), ball()[None]), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sequences": ("T1",)}, r"images \(3, 12, 20, 24\) do not fit \('T1',\)"),
        ({"images": np.zeros((3, 24, 20, 12), np.float32)}, "images .* do not fit"),
        ({"rater_names": ("anna", "ben")}, r"raters \(1, 12, 20, 24\) do not fit \('anna', 'ben'\)"),
        ({"rater_names": ()}, r"raters .* do not fit \(\)"),
        ({"truth": np.zeros((24, 20, 12), bool)}, r"truth \(24, 20, 12\) does not fit"),
    ],
)
def test_arrays_that_do_not_fit_the_names_and_the_grid_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        case(**changes)


def test_a_case_needs_no_raters():
    assert Case("p1", GRID, ("T1",), np.zeros((1, *GRID.shape), np.float32)).raters.shape[0] == 0


def test_sequences_are_chosen_and_ordered_by_name():
    chosen = case().with_sequences(["FLAIR", "T1"])
    assert chosen.sequences == ("FLAIR", "T1")
    assert [float(image.max()) for image in chosen.images] == [2.0, 0.0]
    assert float(chosen.image("FLAIR").max()) == 2.0
    assert chosen.rater_names == ("anna",)


def test_the_same_sequences_are_the_same_case():
    same = case()
    assert same.with_sequences(["T1", "T2", "FLAIR"]) is same
