"""A model's calibration to its experts: an increasing map from its mean probability to the share of raters who agree.

It is fitted after training, to cases with several raters that the model was not trained on, and lies in the model's
folder as `calibration.json`.

Sources: Platt 1999 (slope and bias of the log-odds); Guo et al., ICML 2017 (temperature); Zadrozny and Elkan, KDD 2002
(isotonic regression). Calibrating to the raters' mean: Kirscher et al., MIDL 2026, arXiv 2604.15950.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.records import from_json, to_json
from ObserverUncertaintyLib.cohort.fingerprints import content_digest
from ObserverUncertaintyLib.model.description import ModelDescription, ModelError, weights_digest

CALIBRATION_FILE = "calibration.json"
"""In a model's folder, beside its description."""

WORK_FOLDER = "calibration-in-progress"
"""In a model's folder while cases are predicted for its calibration: what names of folders there begin with."""

FORMAT, FORMAT_VERSION = "observer-uncertainty calibration", 1

KEPT, FITTED_FROM = 0.01, 0.03
"""Below KEPT the model is certain (a review does not look there), and most such voxels lie far from any structure,
where nobody marked any; around the raters, where the map is fitted, some did. Without this the whole brain would look
unsure (docs/results.md, "Calibration to the experts")."""

_FLAT = 0.01
"""A slope of the log-odds this near to 0 neither rises nor falls."""

_CERTAIN = 1e-6
"""Probabilities nearer to 0 and 1 than this have the log-odds of it; what is exactly 0 or 1 stays so."""


class CalibrationKind(StrEnum):
    """What the map may look like.

    TEMPERATURE: log-odds times a slope plus a bias: two numbers. A slope of 1 / t is a temperature t.
    ISOTONIC: any increasing map, in straight pieces.
    """

    TEMPERATURE = "temperature"
    ISOTONIC = "isotonic"


@dataclass(frozen=True)
class CalibrationMap:
    """An increasing map of [0, 1] onto itself.

    Attributes:
        kind: what it looks like.
        slope, bias: of the log-odds; of "temperature" only.
        knots, values: where the straight pieces begin and end, from (0, 0) to (1, 1); of "isotonic" only.
    """

    kind: CalibrationKind
    slope: float = 1.0
    bias: float = 0.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no increasing map of [0, 1] onto itself."""
        if self.kind is CalibrationKind.TEMPERATURE:
            if not (0 < self.slope < np.inf and np.isfinite(self.bias)):
                raise ValueError(f"a slope of {self.slope} and a bias of {self.bias}")
            self._require_contour()
            return
        ends = [(axis[0], axis[-1]) for axis in (self.knots, self.values) if len(axis) > 1]
        rising = all(np.all(np.diff(axis) > 0) for axis in (self.knots, self.values))
        if ends != [(0, 1), (0, 1)] or len(self.knots) != len(self.values) or not rising:
            raise ValueError("knots and values must both rise from 0 to 1, one value a knot")
        self._require_contour()

    def _require_contour(self) -> None:
        """The probability that one half becomes must lie between 0 and 1, also in the precision of the maps."""
        if not 0 < float(np.float32(self(np.array(0.5)))) < 1:
            raise ValueError("the map makes 0 or 1 of one half, so that no contour is left")

    def __call__(self, probability: NDArray[Any]) -> NDArray[np.float64]:
        """The calibrated probability, same shape, in [0, 1]; 0 and 1 stay as they are.

        What is fitted counts from `FITTED_FROM`. Up to `KEPT` the probability stays (or falls, if the map lowers it),
        and between the two the map is straight.
        """
        p = np.asarray(probability, np.float64)
        joined = float(self._fitted(np.array(FITTED_FROM)))
        low = np.interp(p, [0.0, KEPT, FITTED_FROM], [0.0, min(KEPT, joined * KEPT / FITTED_FROM), joined])
        return np.asarray(np.where(p < FITTED_FROM, low, self._fitted(p)))

    def _fitted(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.kind is CalibrationKind.ISOTONIC:
            return np.asarray(np.interp(p, self.knots, self.values))
        mapped = expit(self.slope * _log_odds(p) + self.bias)
        return np.asarray(np.where((p <= 0) | (p >= 1), p, mapped))

    @classmethod
    def fitted(cls, kind: CalibrationKind, probability: NDArray[Any], rater_mean: NDArray[Any]) -> CalibrationMap:
        """The map that makes the raters' marks likeliest, or for "isotonic" is nearest to their share.

        Args:
            kind: what it may look like.
            probability: the model's mean foreground probability of each voxel, any shape, in [0, 1].
            rater_mean: share of raters who marked it, same shape.

        Raises:
            InputError: the voxels do not make an increasing map.
        """
        p, share = np.ravel(probability).astype(np.float64), np.ravel(rater_mean).astype(np.float64)
        return cls._temperature(p, share) if kind is CalibrationKind.TEMPERATURE else cls._isotonic(p, share)

    @classmethod
    def _temperature(cls, p: NDArray[np.float64], share: NDArray[np.float64]) -> CalibrationMap:
        slope, bias = _slope_and_bias(p, share)
        if not slope > 0:
            raise _falling(slope)
        return cls(CalibrationKind.TEMPERATURE, slope, bias)

    @classmethod
    def _isotonic(cls, p: NDArray[np.float64], share: NDArray[np.float64]) -> CalibrationMap:
        if (slope := _slope_and_bias(p, share)[0]) < -_FLAT:  # of which a map would be left that is flat
            raise _falling(slope)
        # Voxels of one probability are one observation of their mean: else their order would decide.
        known, which, count = np.unique(p, return_inverse=True, return_counts=True)
        means = np.bincount(which, weights=share) / count
        fitted = isotonic_regression(means, weights=count)
        first = fitted.blocks[:-1]
        weight = np.add.reduceat(count, first)
        knots = np.add.reduceat(known * count, first) / weight
        # A block's value holds at its middle; between the middles the map rises, so that no two probabilities are made
        # one. (0, 0) and (1, 1) keep what is certain certain.
        inside = (knots > 0) & (knots < 1) & (fitted.x[first] > 0) & (fitted.x[first] < 1)
        ends = [(0.0, *axis[inside].tolist(), 1.0) for axis in (knots, fitted.x[first])]
        return cls(CalibrationKind.ISOTONIC, knots=ends[0], values=ends[1])

    @property
    def digest(self) -> str:
        """A fingerprint of what it does."""
        return content_digest(to_json(self))

    @property
    def text(self) -> str:
        """What it is, in words."""
        if self.kind is CalibrationKind.TEMPERATURE:
            return f"slope {self.slope:.3g} and bias {self.bias:+.3g} of the log-odds"
        return f"increasing in {len(self.knots) - 1} pieces"


@dataclass(frozen=True)
class Calibration:
    """A model's calibration and where it comes from.

    Attributes:
        map: what is done to the mean probability.
        weights: fingerprint of the weights that it was fitted for.
        cases: fingerprints of the images of the cases that it was fitted to.
        raters: how many raters these have, from the fewest to the most.
        samples: T of the predictions that it was fitted to.
        figures: scores before and after, of cases that the map was not fitted to (cross-validation over cases): name to
            {"before", "after"}.
        created: date, ISO 8601.
        library_version: version of this library that fitted it.
    """

    map: CalibrationMap
    weights: str
    cases: tuple[str, ...]
    raters: tuple[int, int]
    samples: int
    figures: dict[str, dict[str, float | None]]
    created: str
    library_version: str

    @property
    def summary(self) -> str:
        """A few words for whoever sees a calibrated probability."""
        fewest, most = self.raters
        raters = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        return f"calibrated to {raters} raters on {len(self.cases)} cases"

    @property
    def details(self) -> str:
        """What the map is, and what it was worth on cases that it was not fitted to."""
        before, after = (self.figures.get("ece_roi_pooled", {}).get(when) for when in ("before", "after"))
        error = "" if before is None or after is None else f"; calibration error {before:.3f} before, {after:.3f} after"
        return f"{self.map.text}{error}"

    def to_json(self) -> dict[str, Any]:
        """The content of calibration.json."""
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **to_json(self)}


def read_calibration(folder: str | Path, description: ModelDescription) -> Calibration | None:
    """Read a model's calibration; None if it has none.

    Args:
        folder: the model's folder.
        description: the model's description.

    Raises:
        ModelError: it cannot be read, or is another model's.
    """
    path = Path(folder) / CALIBRATION_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
        if (content.pop("format"), content.pop("format_version")) != (FORMAT, FORMAT_VERSION):
            raise ValueError(f'its format is not "{FORMAT}" of version {FORMAT_VERSION}')
        found = from_json(Calibration, content)
        _texts = found.summary, found.details  # of values that are what they should be
    except FileNotFoundError:
        return None
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}. Copy the model again, calibrate it again, or use it without calibration."
        ) from error
    if found.weights != weights_digest(folder, description):
        raise ModelError(
            f"{path} calibrates other weights than those beside it. Copy both of one model, calibrate this model, or "
            "use it without calibration."
        )
    return found


def _slope_and_bias(p: NDArray[np.float64], share: NDArray[np.float64]) -> tuple[float, float]:
    """Of the log-odds, that make the raters' marks likeliest."""
    z = _log_odds(p)

    def cross_entropy(numbers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        x = numbers[0] * z + numbers[1]
        # log(1 + e^x) - share x: the cross-entropy of the logit x.
        loss, wrong = np.logaddexp(0, x) - share * x, expit(x) - share
        return float(loss.mean()), np.array([(wrong * z).mean(), wrong.mean()])

    slope, bias = minimize(cross_entropy, np.array([1.0, 0.0]), jac=True, method="BFGS").x.tolist()
    return slope, bias


def _falling(slope: float) -> InputError:
    return InputError(
        f"Where the model's probability is higher, fewer raters marked the voxel (slope {slope:.3g} of the log-odds; "
        "expected one above 0), so that no increasing map calibrates it. Train the model for longer, or give other "
        "cases."
    )


def remove_work(folder: Path, but: Path | None = None) -> None:
    """Remove what calibrations left in a model's folder that were interrupted; maps of cases are nobody else's."""
    for left in folder.glob(f"{WORK_FOLDER}*"):
        if left != but:
            shutil.rmtree(left, ignore_errors=True)


def _log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(p, _CERTAIN, 1 - _CERTAIN)))
