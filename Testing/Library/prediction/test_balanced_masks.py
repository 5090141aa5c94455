"""How near few samples with balanced masks come to many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cohorts import disc_case, discs

from ObserverUncertaintyLib.model.preprocessing import Crop
from ObserverUncertaintyLib.model.settings import DropoutMasks, PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.training.train import train


def test_five_balanced_samples_are_nearer_to_many_than_twice_as_many_independent_ones(tmp_path: Path) -> None:
    settings = TrainingSettings(
        epochs=12,
        network=UNetSettings(depth=2, filters=8),
        batch_size=2,
        learning_rate=5e-3,
        crop=Crop.NONE,
        prior_bias=True,
    )
    train(discs(4, slices=4, size=64), tmp_path, settings, device="cpu")
    model, case = load_model(tmp_path), disc_case(9, slices=4, size=64)
    many = predict(*model, case, PredictionSettings(samples=100, seed=99)).uncertainty

    def errors(samples: int, masks: DropoutMasks) -> tuple[float, float]:
        found = [
            predict(*model, case, PredictionSettings(samples=samples, seed=seed, dropout_masks=masks)).uncertainty
            for seed in (0, 1)
        ]
        predictive, expected = (
            np.mean([np.abs(getattr(each, part) - getattr(many, part)).mean() for each in found])
            for part in ("predictive", "expected")
        )
        return float(predictive), float(expected)

    balanced, independent = errors(5, DropoutMasks.BALANCED), errors(10, DropoutMasks.INDEPENDENT)
    assert balanced[0] < independent[0]
    assert balanced[1] < independent[1]
