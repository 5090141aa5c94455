"""A prediction after its model's calibration to the experts: probability and entropies change, the contour stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ObserverUncertaintyLib.model.calibration import CalibrationMap
from ObserverUncertaintyLib.prediction.maps import Prediction
from ObserverUncertaintyLib.scores.entropy import Uncertainty, binary_entropy


def calibrated(prediction: Prediction, calibration: CalibrationMap) -> Prediction:
    """Calibrate a prediction.

    The predictive entropy is that of the calibrated probability. It has two parts as before, in the same proportion:
    a map of the mean says nothing of single samples, so what each part is a share of changes, and the share does not.

    Args:
        prediction: not calibrated yet.
        calibration: what is done to its mean probability.

    Returns:
        The prediction with a level at which the segmentation is exactly what it was.
    """
    inside = prediction.segmentation
    after = calibration(prediction.probability).astype(np.float32)
    level = np.float32(calibration(np.array(prediction.level)))
    # Rounding may bring a voxel of the segmentation down to the level itself.
    after[inside] = np.maximum(after[inside], np.nextafter(level, np.float32(1)))
    predictive, parts = binary_entropy(after), prediction.uncertainty
    share = np.divide(parts.expected, parts.predictive, out=np.ones_like(predictive), where=parts.predictive > 0)
    expected = predictive * share
    return replace(
        prediction,
        probability=after,
        uncertainty=Uncertainty(predictive, expected, predictive - expected),
        level=float(level),
    )
