"""Maps from a probability to the share of raters: fitted, kept, applied, and read again."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.model.calibration import (
    CALIBRATION_FILE,
    FITTED_FROM,
    KEPT,
    Calibration,
    CalibrationKind,
    CalibrationMap,
    read_calibration,
)
from ObserverUncertaintyLib.model.description import ModelError, read_description
from ObserverUncertaintyLib.model.shipped import shipped_model

BOTH = pytest.mark.parametrize("kind", list(CalibrationKind))


def overconfident(count: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are too sure and too high, and marks drawn from the true ones."""
    rng = np.random.default_rng(seed)
    true = rng.beta(0.6, 0.6, count).clip(0.03, 0.97)
    return expit(1.8 * logit(true) + 0.5), (rng.random(count) < true).astype(float)


def test_slope_and_bias_are_those_of_a_logistic_regression():
    p, marks = overconfident()
    found = CalibrationMap.fitted(CalibrationKind.TEMPERATURE, p, marks)
    expected = LogisticRegression(C=np.inf).fit(logit(p)[:, None], marks)
    assert found.slope == pytest.approx(float(expected.coef_[0, 0]), rel=1e-3)
    assert found.bias == pytest.approx(float(expected.intercept_[0]), abs=1e-3)
    assert found.slope == pytest.approx(1 / 1.8, rel=0.05)


def test_the_isotonic_map_meets_the_isotonic_regression_at_the_middle_of_its_steps():
    p, marks = overconfident(3000)
    found = CalibrationMap.fitted(CalibrationKind.ISOTONIC, p, marks)
    steps = IsotonicRegression(y_min=0, y_max=1).fit(p, marks).predict(p)
    for value in np.unique(steps)[1:-1]:
        middle = p[steps == value].mean()
        if middle > FITTED_FROM:
            assert float(found(np.array(middle))) == pytest.approx(value, abs=1e-9)


@BOTH
def test_a_calibrated_probability_is_the_share_of_marks(kind):
    found = CalibrationMap.fitted(kind, *overconfident())
    p, marks = overconfident(seed=1)
    after = found(p)
    for low in np.arange(0.1, 0.9, 0.1):
        inside = (after >= low) & (after < low + 0.1)
        assert after[inside].mean() == pytest.approx(marks[inside].mean(), abs=0.03)
    assert np.abs(after.mean() - marks.mean()) < 0.01 < np.abs(p.mean() - marks.mean())


@BOTH
@given(seed=st.integers(0, 10**6), count=st.integers(5, 200), steepness=st.floats(0.3, 3))
@settings(deadline=None, max_examples=40)
def test_every_map_increases_from_0_to_1_whatever_it_was_fitted_to(kind, seed, count, steepness):
    rng = np.random.default_rng(seed)
    p = rng.random(count).round(2)
    share = np.clip(p**steepness + rng.normal(0, 0.2, count), 0, 1).round(1)
    try:
        found = CalibrationMap.fitted(kind, p, share)
    except InputError:  # the votes fall
        return
    x = np.linspace(0, 1, 2001)
    y = found(x)
    assert (y[0], y[-1]) == (0, 1)
    assert (np.diff(y) >= 0).all()
    assert (np.diff(y[np.isin(x, found.knots)]) > 0).all()


@BOTH
def test_where_the_model_is_certain_it_stays_so_if_the_raters_there_were_less(kind):
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.uniform(0, 0.02, 5000), rng.uniform(0.02, 1, 5000)])
    found = CalibrationMap.fitted(kind, p, (rng.random(10_000) < 0.2 + 0.6 * p).astype(float))
    assert found(np.array([0.001, KEPT])) == pytest.approx([0.001, KEPT])
    assert float(found(np.array(FITTED_FROM))) > 0.15


def test_equal_probabilities_are_calibrated_alike_in_whatever_order_they_come():
    p, share = np.repeat([0.2, 0.4, 0.6], 4), np.tile([0.0, 1.0, 0.0, 1.0], 3)
    forth = CalibrationMap.fitted(CalibrationKind.ISOTONIC, p, share)
    back = CalibrationMap.fitted(CalibrationKind.ISOTONIC, p[::-1], share[::-1])
    assert forth == back
    assert float(forth(np.array(0.4))) == pytest.approx(0.5)


def test_votes_that_fall_with_the_probability_cannot_be_calibrated():
    p = np.linspace(0.1, 0.9, 100)
    with pytest.raises(InputError, match="fewer raters marked the voxel"):
        CalibrationMap.fitted(CalibrationKind.TEMPERATURE, p, 1 - p)


@pytest.mark.parametrize(
    "values",
    [
        {"kind": CalibrationKind.TEMPERATURE, "slope": 0.0},
        {"kind": CalibrationKind.TEMPERATURE, "bias": float("nan")},
        {"kind": CalibrationKind.ISOTONIC, "knots": (0.0, 0.5), "values": (0.0, 1.0)},
        {"kind": CalibrationKind.ISOTONIC, "knots": (0.0, 0.5, 0.4, 1.0), "values": (0.0, 0.2, 0.3, 1.0)},
        {"kind": CalibrationKind.ISOTONIC, "knots": (0.0, 1.0), "values": (0.0, 0.2, 1.0)},
        {"kind": CalibrationKind.ISOTONIC},
    ],
)
def test_what_is_no_increasing_map_is_no_calibration(values):
    with pytest.raises(ValueError, match=r"."):
        CalibrationMap(**values)


@pytest.fixture
def calibrated_model(tmp_path):
    """The shipped model's description without its weights, and a calibration of it."""
    (tmp_path / "model.json").write_bytes((shipped_model() / "model.json").read_bytes())
    description = read_description(tmp_path)
    figures = {"ece_roi_pooled": {"before": 0.05, "after": 0.02}, "wme": {"before": None, "after": None}}
    mapping = CalibrationMap.fitted(CalibrationKind.ISOTONIC, *overconfident(500))
    calibration = Calibration(mapping, description.weights_digest, ("a", "b"), (2, 3), 20, figures, "2026-12-01", "1")
    (tmp_path / CALIBRATION_FILE).write_text(json.dumps(calibration.to_json()), encoding="utf-8")
    return tmp_path, description, calibration


def test_a_calibration_is_read_as_it_was_written_and_a_model_without_has_none(calibrated_model):
    folder, description, calibration = calibrated_model
    found = read_calibration(folder, description)
    assert found == calibration
    assert found.map.digest == calibration.map.digest
    assert "2 to 3 raters on 2 cases" in found.summary
    assert "0.050 before, 0.020 after" in found.details
    (folder / CALIBRATION_FILE).unlink()
    assert read_calibration(folder, description) is None


def test_a_calibration_of_other_weights_is_refused(calibrated_model):
    folder, description, _calibration = calibrated_model
    with pytest.raises(ModelError, match="calibrates other weights"):
        read_calibration(folder, replace(description, weights_digest="0" * 32))


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"format": "x", "format_version": 1}'])
def test_a_damaged_calibration_is_refused_by_name(calibrated_model, damage):
    folder, description, _calibration = calibrated_model
    (folder / CALIBRATION_FILE).write_text(damage, encoding="utf-8")
    with pytest.raises(ModelError, match=rf"{CALIBRATION_FILE} cannot be read.*without calibration"):
        read_calibration(folder, description)


def test_raters_who_contradict_the_model_make_no_map_of_either_kind():
    p, marks = overconfident(500)
    for kind in CalibrationKind:
        with pytest.raises(InputError, match="fewer raters marked the voxel"):
            CalibrationMap.fitted(kind, p, 1 - marks)


def test_a_map_that_leaves_no_contour_is_none():
    for bias in (40.0, -800.0):
        with pytest.raises(ValueError, match="no contour is left"):
            CalibrationMap(CalibrationKind.TEMPERATURE, bias=bias)


def test_figures_that_are_no_figures_are_a_damage(calibrated_model):
    folder, description, calibration = calibrated_model
    content = {**calibration.to_json(), "figures": {"ece_roi_pooled": 3}}
    (folder / CALIBRATION_FILE).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be read"):
        read_calibration(folder, description)
