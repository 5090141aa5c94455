"""Fewer samples, and only where a structure is possible: boxes, stopping, and the error against all samples."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from cohorts import disc_case, discs
from torch import nn

from ObserverUncertaintyLib.economical import CONTEXT, GROWTH, Box, entropy_error, likely_boxes
from ObserverUncertaintyLib.entropy import binary_entropy
from ObserverUncertaintyLib.inference import predict
from ObserverUncertaintyLib.jobs import Progress
from ObserverUncertaintyLib.model_file import ModelDescription, load_model
from ObserverUncertaintyLib.preprocessing import Crop
from ObserverUncertaintyLib.settings import Economy, TrainingSettings
from ObserverUncertaintyLib.training import train


class TestBoxes:
    def test_they_hold_what_is_possible_with_growth_and_context(self) -> None:
        probability = np.zeros((12, 200, 240))
        probability[5, 100:110, 60:64] = 0.5
        (first, second) = likely_boxes(probability, batch_size=6, multiple=16)
        # Slice 5 and its neighbours 4 and 6, which lies in the next batch.
        assert (first.slices, second.slices) == (slice(4, 6), slice(6, 7))
        assert first.used == second.used == (slice(100 - GROWTH, 110 + GROWTH), slice(60 - GROWTH, 64 + GROWTH))
        for used, seen in zip(first.used, first.seen, strict=True):
            assert (seen.stop - seen.start) % 16 == 0
            assert used.start - seen.start >= CONTEXT
            assert seen.stop - used.stop >= CONTEXT

    def test_at_the_images_edge_they_are_cut(self) -> None:
        probability = np.zeros((1, 40, 100))
        probability[0, 0, 99] = 0.5
        (box,) = likely_boxes(probability, batch_size=4, multiple=16)
        assert box.used == (slice(0, 1 + GROWTH), slice(99 - GROWTH, 100))
        assert box.seen[0] == slice(0, 40)
        assert box.seen[1].stop == 100

    def test_nothing_possible_no_box(self) -> None:
        assert likely_boxes(np.full((3, 8, 8), 0.009), 2, 4) == []

    def test_the_used_part_is_counted_from_the_seen_one(self) -> None:
        box = Box(slice(0, 1), (slice(10, 40), slice(5, 25)), (slice(20, 30), slice(5, 6)))
        assert box.inside == (slice(None), slice(10, 20), slice(0, 1))


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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, ModelDescription]:
    folder = tmp_path_factory.mktemp("models") / "model"
    settings = TrainingSettings(epochs=12, depth=2, filters=8, batch_size=2, learning_rate=5e-3, crop=Crop.NONE)
    train(discs(4, slices=4, size=96), folder, settings, device="cpu")
    return load_model(folder)


class TestPrediction:
    def test_only_the_likely_part_is_sampled_and_the_error_is_below_that_of_sampling(
        self, model: tuple[nn.Module, ModelDescription]
    ) -> None:
        case = disc_case(9, slices=4, size=96)
        exact = predict(*model, case, samples=20, seed=0)
        again = predict(*model, case, samples=20, seed=1)
        found = predict(*model, case, samples=20, seed=0, economy=Economy(likely_only=True))
        assert "% of the work" in found.notes[-1]

        def error(first: np.ndarray, second: np.ndarray) -> float:
            return float(np.abs(first - second).mean())

        noise = error(exact.uncertainty.predictive, again.uncertainty.predictive)
        assert 0 < error(found.uncertainty.predictive, exact.uncertainty.predictive) < 2 * noise
        parts = found.uncertainty
        assert parts.predictive == pytest.approx(parts.expected + parts.mutual_information, abs=1e-6)

    def test_a_tolerance_ends_early_and_none_draws_all(self, model: tuple[nn.Module, ModelDescription]) -> None:
        case = disc_case(9, slices=4, size=96)

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
            found = predict(*model, case, samples=10, economy=Economy(entropy_tolerance=tolerance), progress=count)
            assert count.settled is settled
            assert count.done == count.steps
            assert found.notes[-1].startswith(f"case10: {60 if settled else 100} %"), found.notes
        exact = predict(*model, case, samples=10)
        assert found.probability == pytest.approx(exact.probability, abs=1e-6)
        assert found.uncertainty.expected == pytest.approx(exact.uncertainty.expected, abs=1e-6)

    def test_where_nothing_is_likely_the_pass_without_dropout_is_the_result(
        self, model: tuple[nn.Module, ModelDescription]
    ) -> None:
        network, description = model
        sure = copy.deepcopy(network)
        with torch.no_grad():
            sure.classifier.bias -= 30
        found = predict(
            sure, description, disc_case(9, slices=4, size=96), samples=5, economy=Economy(likely_only=True)
        )
        assert found.notes == ("case10: 20 % of the work of 5 samples of everything was done",)
        assert 0 < found.probability.max() < 0.01
        assert not found.uncertainty.mutual_information.any()
