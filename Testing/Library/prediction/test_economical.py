"""Fewer samples, and only where a structure is possible: stopping, and the error against all samples."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from cohorts import disc_case, discs
from torch import nn

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.jobs import Progress
from ObserverUncertaintyLib.model.description import ModelDescription
from ObserverUncertaintyLib.model.preprocessing import Crop
from ObserverUncertaintyLib.model.settings import DropoutMasks, Economy, TrainingSettings
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.prediction.economical import FIRST_SAMPLES, entropy_effect, needed_samples
from ObserverUncertaintyLib.prediction.inference import Prediction, predict
from ObserverUncertaintyLib.scores.entropy import binary_entropy
from ObserverUncertaintyLib.training.loop import train


class TestEntropyEffect:
    def test_it_predicts_the_error_that_simulated_draws_have(self) -> None:
        """Against a simulation: beta-distributed probabilities, entropies of 8 and of all 20 samples."""
        rng = np.random.default_rng(0)
        drawn = rng.beta(3, 5, (20, 200_000))
        few = drawn[:8]
        effect, unsure = entropy_effect(few.mean(axis=0), (few**2).mean(axis=0), 8)
        actual = np.abs(binary_entropy(few.mean(axis=0)) - binary_entropy(drawn.mean(axis=0))).mean()
        assert unsure == drawn.shape[1]
        assert effect * np.sqrt(1 / 8 - 1 / 20) / unsure == pytest.approx(actual, rel=0.1)

    def test_pixels_that_are_sure_do_not_count(self) -> None:
        assert entropy_effect(np.array([0.001, 0.999, 0.0]), np.array([0.0005, 0.9985, 0.0]), 5) == (0, 0)


class TestNeededSamples:
    def error(self, effects: np.ndarray, numbers: np.ndarray, samples: int) -> float:
        return float(np.sum(effects * np.sqrt(1 / numbers - 1 / samples)))

    def test_no_other_numbers_with_so_small_an_error_cost_less(self) -> None:
        """Against a search of all whole numbers for three boxes, where sqrt(1/t) and sqrt(1/t - 1/T) are nearly one."""
        effects, costs, samples = np.array([90.0, 30.0, 2.0]), np.array([1.0, 2.0, 1.0]), 1000
        fewest, most = np.full(3, 3.0), np.full(3, 60.0)
        found = needed_samples(effects, costs, fewest, most, samples, allowed=30.0)
        assert self.error(effects, found, samples) == pytest.approx(30, rel=1e-6)
        numbers = np.stack(np.meshgrid(*[np.arange(3.0, 61.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        enough = np.sum(effects * np.sqrt(1 / numbers - 1 / samples), axis=1) <= 30
        least = (numbers[enough] @ costs).min()
        assert costs @ found == pytest.approx(least, rel=0.02)
        assert found[0] > found[1] > found[2] == 3

    def test_within_the_limits(self) -> None:
        effects, ones = np.array([5.0, 5.0, 0.0]), np.ones(3)
        nothing_allowed = needed_samples(effects, ones, 3 * ones, np.array([20.0, 7.0, 20.0]), 20, 0.0)
        assert nothing_allowed == pytest.approx([20, 7, 3])
        assert needed_samples(effects, ones, 3 * ones, 20 * ones, 20, 1e6) == pytest.approx([3, 3, 3])
        assert needed_samples(0 * ones, ones, 3 * ones, 20 * ones, 20, 0.0) == pytest.approx([3, 3, 3])


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


def test_five_balanced_samples_are_nearer_to_many_than_twice_as_many_independent_ones(
    model: tuple[nn.Module, ModelDescription],
) -> None:
    many = predict(*model, CASE, samples=100, seed=99).uncertainty

    def errors(samples: int, masks: DropoutMasks) -> tuple[float, float]:
        found = [predict(*model, CASE, samples=samples, seed=seed, dropout_masks=masks).uncertainty for seed in (0, 1)]
        predictive, expected = (
            np.mean([np.abs(getattr(each, part) - getattr(many, part)).mean() for each in found])
            for part in ("predictive", "expected")
        )
        return float(predictive), float(expected)

    balanced, independent = errors(5, DropoutMasks.BALANCED), errors(10, DropoutMasks.INDEPENDENT)
    assert balanced[0] < independent[0]
    assert balanced[1] < independent[1]


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
            assert found.notes[-1].startswith(f"case10: {30 if settled else 100} %"), found.notes
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
