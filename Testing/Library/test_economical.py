"""Fewer samples, and only where a structure is possible: stopping, and the error against all samples."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from cohorts import disc_case, discs
from torch import nn

from ObserverUncertaintyLib.cases import Case
from ObserverUncertaintyLib.economical import FIRST_SAMPLES, entropy_error
from ObserverUncertaintyLib.entropy import binary_entropy
from ObserverUncertaintyLib.geometry import Grid
from ObserverUncertaintyLib.inference import Prediction, predict
from ObserverUncertaintyLib.jobs import Progress
from ObserverUncertaintyLib.model_file import ModelDescription, load_model
from ObserverUncertaintyLib.preprocessing import Crop
from ObserverUncertaintyLib.settings import Economy, TrainingSettings
from ObserverUncertaintyLib.training import train


class TestEntropyError:
    def test_it_is_the_error_that_simulated_draws_have(self) -> None:
        """Against a simulation: beta-distributed probabilities, entropies of 8 and of all 20 samples."""
        rng = np.random.default_rng(0)
        drawn = rng.beta(3, 5, (20, 200_000))
        few = drawn[:8]
        found = entropy_error(few.mean(axis=0), (few**2).mean(axis=0), 8, 20)
        actual = np.abs(binary_entropy(few.mean(axis=0)) - binary_entropy(drawn.mean(axis=0))).mean()
        assert found == pytest.approx(actual, rel=0.1)

    def test_none_is_left_when_all_are_drawn_or_nothing_is_unsure(self) -> None:
        assert entropy_error(np.array([0.3]), np.array([0.2]), 20, 20) == 0
        assert entropy_error(np.array([0.001]), np.array([0.0005]), 5, 20) == 0


def beside_background(case: Case) -> Case:
    """The case with six times its width, the rest of it grey noise."""
    rows, columns = case.raters.shape[-2:]
    noise = np.random.default_rng(0).normal(40, 8, (*case.images.shape[:2], rows, 5 * columns)).clip(1)
    return replace(
        case,
        grid=Grid((6 * columns, rows, case.raters.shape[1]), case.grid.spacing),
        images=np.concatenate([case.images, noise.astype(np.float32)], axis=3),
        raters=np.pad(case.raters, ((0, 0), (0, 0), (0, 0), (0, 5 * columns))),
        truth=None,
    )


CASE = beside_background(disc_case(9, slices=4, size=64))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, ModelDescription]:
    folder = tmp_path_factory.mktemp("models") / "model"
    settings = TrainingSettings(
        epochs=12, depth=2, filters=8, batch_size=2, learning_rate=5e-3, crop=Crop.NONE, prior_bias=True
    )
    train([beside_background(case) for case in discs(4, slices=4, size=64)], folder, settings, device="cpu")
    return load_model(folder)


class TestPrediction:
    def test_only_the_likely_part_is_sampled_and_the_error_is_below_that_of_sampling(
        self, model: tuple[nn.Module, ModelDescription]
    ) -> None:
        exact = predict(*model, CASE, samples=20, seed=0)
        again = predict(*model, CASE, samples=20, seed=1)
        found = predict(*model, CASE, samples=20, seed=0, economy=Economy(likely_only=True))
        # Of most of the case only the first samples are drawn; the box is the disc and 40 pixels to its right.
        assert int(found.notes[-1].removeprefix("case10: ").split(" %")[0]) < 75

        def error(first: Prediction, second: Prediction) -> float:
            return float(np.abs(first.uncertainty.predictive - second.uncertainty.predictive).mean())

        assert 0 < error(found, exact) < error(again, exact)
        # Where most is drawn the samples are the same, but for what lies beyond the box.
        inside = exact.probability > 0.3
        assert found.probability[inside] == pytest.approx(exact.probability[inside], abs=0.02)
        assert np.abs(again.probability[inside] - exact.probability[inside]).max() > 0.04
        parts = found.uncertainty
        assert parts.predictive == pytest.approx(parts.expected + parts.mutual_information, abs=1e-6)

    def test_a_tolerance_ends_early_and_none_draws_all(self, model: tuple[nn.Module, ModelDescription]) -> None:

        class Count(Progress):
            done = 0
            steps = 0
            settled = False

            def start(self, _task: str, steps: int, done: int = 0) -> None:
                self.steps, self.done = steps, done

            def advance(self, steps: int = 1, detail: str = "") -> None:
                self.done += steps
                self.settled |= detail == "settled"

        for tolerance, settled in ((1.0, True), (0.0, False)):
            count = Count()
            found = predict(*model, CASE, samples=10, economy=Economy(entropy_tolerance=tolerance), progress=count)
            assert count.settled is settled
            assert count.done == count.steps
            assert found.notes[-1].startswith(f"case10: {60 if settled else 100} %"), found.notes
        exact = predict(*model, CASE, samples=10)
        assert found.probability == pytest.approx(exact.probability, abs=1e-6)
        assert found.uncertainty.expected == pytest.approx(exact.uncertainty.expected, abs=1e-6)

    def test_where_nothing_is_likely_the_first_samples_are_the_result(
        self, model: tuple[nn.Module, ModelDescription]
    ) -> None:
        network, description = model
        sure = copy.deepcopy(network)
        with torch.no_grad():
            sure.classifier.bias -= 30
        found = predict(sure, description, CASE, samples=10, economy=Economy(likely_only=True))
        assert found.notes == ("case10: 30 % of the work of 10 samples of everything was done",)
        expected = predict(sure, description, CASE, samples=FIRST_SAMPLES)
        assert 0 < found.probability.max() < 0.01
        assert found.probability == pytest.approx(expected.probability, abs=1e-7)
        assert found.uncertainty.expected == pytest.approx(expected.uncertainty.expected, abs=1e-6)

    def test_with_fewer_samples_than_the_first_all_is_drawn(self, model: tuple[nn.Module, ModelDescription]) -> None:
        found = predict(*model, CASE, samples=2, economy=Economy(likely_only=True))
        assert found.probability == pytest.approx(predict(*model, CASE, samples=2).probability, abs=1e-6)
