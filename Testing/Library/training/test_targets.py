from __future__ import annotations

import numpy as np
import pytest

from ObserverUncertaintyLib.raters.fusion import FusionMethod, Tie, majority, mean
from ObserverUncertaintyLib.training.targets import draw_labels, training_labels

RATERS = np.random.default_rng(0).random((4, 2, 5, 6)) < 0.5


def test_no_fusion_offers_every_rater() -> None:
    assert np.array_equal(training_labels(RATERS, FusionMethod.NONE), RATERS)


def test_fusion_offers_one_map() -> None:
    labels = training_labels(RATERS, FusionMethod.MAJORITY, Tie.FOREGROUND)
    assert labels.shape == (1, 2, 5, 6)
    assert np.array_equal(labels[0], majority(RATERS, Tie.FOREGROUND))


def test_mean_offers_the_soft_map() -> None:
    labels = training_labels(RATERS, FusionMethod.MEAN)
    assert labels.dtype == np.float32
    assert np.array_equal(labels[0], mean(RATERS))


def test_every_rater_is_drawn_equally_often() -> None:
    drawn = draw_labels(np.full(30_000, 3), np.random.default_rng(1))
    share = np.bincount(drawn, minlength=3) / drawn.size
    # Three standard deviations of a share of one third among 30,000.
    assert share == pytest.approx([1 / 3] * 3, abs=3 * np.sqrt(2 / 9 / 30_000))


def test_a_label_that_a_slice_lacks_is_never_drawn() -> None:
    counts = np.array([1, 2, 3] * 200)
    rng = np.random.default_rng(2)
    for _ in range(20):
        assert (draw_labels(counts, rng) < counts).all()
