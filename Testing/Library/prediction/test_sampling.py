"""Samples of a batch: what they depend on, and that fast and plain ones are the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ObserverUncertaintyLib.model.settings import DropoutKind, DropoutMasks, FeatureNorm, Precision, UNetSettings
from ObserverUncertaintyLib.network.dropout import ChannelDropout, ElementDropout
from ObserverUncertaintyLib.network.unet import UNet
from ObserverUncertaintyLib.prediction.drawn_sums import drawn_sums
from ObserverUncertaintyLib.prediction.sampling import (
    Sampler,
    choose_batch_size,
    monte_carlo_samples,
    reference_samples,
    slices_that_fit,
)
from ObserverUncertaintyLib.prediction.sums import MonteCarloSums

IMAGES = torch.randn(5, 2, 24, 40, generator=torch.Generator().manual_seed(0))


def network(**settings: object) -> UNet:
    torch.manual_seed(0)
    made = UNet(2, UNetSettings(depth=2, filters=8, **settings))  # type: ignore[arg-type]
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def sampler(network: nn.Module) -> Sampler:
    return Sampler(network, 24, 40, Precision.FLOAT32)


def textbook_loop(network: nn.Module, images: torch.Tensor, samples: int, seed: int) -> np.ndarray:
    """One slice at a time, dropout of single activations switched on by hand."""
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.train()
    stack = np.zeros((samples, len(images), *images.shape[-2:]))
    for sample in range(samples):
        for at, image in enumerate(images):
            torch.manual_seed(int(np.random.default_rng((seed, sample, at)).integers(2**62)))
            with torch.no_grad():
                logits = network(image[None].to(memory_format=torch.channels_last))
            stack[sample, at] = 1 / (1 + np.exp(-logits[0, 0].double().numpy()))
    return stack


@pytest.mark.parametrize("norm", list(FeatureNorm))
def test_samples_are_those_of_the_textbook_loop(norm: FeatureNorm) -> None:
    made = network(feature_norm=norm)
    expected = textbook_loop(made, IMAGES, 3, 4)
    assert np.ptp(expected, axis=0).max() > 0.01
    for drawn in (monte_carlo_samples(sampler(made), IMAGES, 3, 4, 1), reference_samples(made, IMAGES, 3, 4)):
        assert np.stack(list(drawn)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("batch", [2, 5])
@pytest.mark.parametrize("norm", list(FeatureNorm))
def test_a_slice_has_the_same_sample_whatever_batch_it_is_in(norm: FeatureNorm, batch: int) -> None:
    made = network(feature_norm=norm)
    expected = np.stack(list(reference_samples(made, IMAGES, 2, 0)))
    assert np.stack(list(monte_carlo_samples(sampler(made), IMAGES, 2, 0, batch))) == pytest.approx(expected, abs=1e-5)


def test_after_sampling_training_draws_from_torchs_generator() -> None:
    made = network(feature_norm=FeatureNorm.INSTANCE)
    list(reference_samples(made, IMAGES, 1, 0))
    made.train()
    assert not torch.equal(made(IMAGES), made(IMAGES))


def test_a_sample_depends_on_neither_the_number_of_samples_nor_the_other_slices() -> None:
    made = sampler(network())
    few = np.stack(list(monte_carlo_samples(made, IMAGES[:4], 2, 0, 2)))
    many = np.stack(list(monte_carlo_samples(made, IMAGES, 4, 0, 2)))
    assert np.array_equal(few, many[:2, :4])
    assert not np.array_equal(many[0, :2], many[0, 2:4])


def test_deterministic_is_evaluation_mode() -> None:
    for norm in FeatureNorm:
        made = network(feature_norm=norm)
        found = sampler(made).deterministic(IMAGES)
        with torch.no_grad():
            expected = torch.sigmoid(made.eval()(IMAGES))[:, 0]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_torchs_generator_is_left_alone() -> None:
    made = sampler(network())
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    made.draw(IMAGES, 0, 0, range(5))
    assert torch.equal(torch.rand(3), expected)


def test_slices_at_a_time_follow_from_a_gpus_free_memory() -> None:
    cavity = UNetSettings(depth=5, filters=48)
    # A slice's twelve maps of 48 x 192 x 224 float32 take 99 MB, of which four fifths of 2 GB hold sixteen.
    assert slices_that_fit(2 * 10**9, cavity, 192, 224) == 16
    assert slices_that_fit(10**7, cavity, 192, 224) == 1
    assert slices_that_fit(80 * 10**9, cavity, 192, 224) == 64
    assert choose_batch_size(network(), 24, 40) == 8  # on a CPU


def test_sums_are_those_of_the_samples() -> None:
    made = sampler(network())
    expected = MonteCarloSums((5, 24, 40))
    for drawn in monte_carlo_samples(made, IMAGES, 4, 1, 2):
        expected.add(drawn)
    found = drawn_sums(made, IMAGES, 4, 1, 2)
    assert found.mean_probability() == pytest.approx(expected.mean_probability(), abs=1e-12)
    for name, values in vars(expected.uncertainty()).items():
        assert getattr(found.uncertainty(), name) == pytest.approx(values, abs=1e-9)


class TestBalancedMasks:
    """In groups of five samples, for p = 0.2, each activation is dropped once."""

    @pytest.mark.parametrize("kind", list(DropoutKind))
    @pytest.mark.parametrize("norm", [FeatureNorm.BATCH, FeatureNorm.INSTANCE])
    def test_fast_and_plain_samples_are_the_same(self, norm: FeatureNorm, kind: DropoutKind) -> None:
        made = network(feature_norm=norm, dropout_kind=kind)
        expected = np.stack(list(reference_samples(made, IMAGES, 7, 4, DropoutMasks.BALANCED)))
        assert np.ptp(expected, axis=0).max() > 0.001
        fast = Sampler(made, 24, 40, Precision.FLOAT32, DropoutMasks.BALANCED)
        assert np.stack(list(monte_carlo_samples(fast, IMAGES, 7, 4, 2))) == pytest.approx(expected, abs=1e-5)
        # The first of a group has the masks of an independent sample, the others have not.
        independent = np.stack(list(reference_samples(made, IMAGES, 2, 4)))
        assert expected[[0, 5]] == pytest.approx(independent, abs=1e-5)
        assert np.abs(expected[1] - independent[1]).max() > 0.001

    @pytest.mark.parametrize("dropout", [ElementDropout(0.2), ChannelDropout(0.2, 2)])
    def test_where_the_output_is_linear_in_the_masks_five_samples_have_no_error(self, dropout: nn.Module) -> None:
        """The mean of the masks is then one, so that of the logits is the logit without dropout."""
        torch.manual_seed(0)
        linear = nn.Sequential(dropout, nn.Conv2d(2, 1, 3, padding=1))
        with torch.no_grad():
            expected = linear.eval()(IMAGES)[:, 0].numpy()

        def error(masks: DropoutMasks) -> float:
            drawn = np.stack(list(reference_samples(linear, IMAGES, 5, 0, masks))).astype(np.float64)
            return float(np.abs(np.log(drawn / (1 - drawn)).mean(axis=0) - expected).mean())

        # Of 65536 levels one is never dropped.
        assert error(DropoutMasks.BALANCED) < 1e-4
        assert error(DropoutMasks.INDEPENDENT) > 0.05

    def test_after_sampling_training_draws_masks_that_are_not_rotated(self) -> None:
        made = network(feature_norm=FeatureNorm.INSTANCE)
        list(reference_samples(made, IMAGES, 2, 0, DropoutMasks.BALANCED))
        assert {module.rotation for module in made.modules() if isinstance(module, ElementDropout)} == {None}

    def test_layers_that_cannot_rotate_are_refused(self) -> None:
        made = Sampler(
            nn.Sequential(nn.Conv2d(2, 1, 1), nn.Dropout(0.2)), 24, 40, Precision.FLOAT32, DropoutMasks.BALANCED
        )
        with pytest.raises(ValueError, match="balanced masks need ElementDropout or ChannelDropout"):
            made.draw(IMAGES, 0, 0, range(5))


class TestWholeChannels:
    """Channel-wise dropout: one set of channels for all slices of a sample."""

    @pytest.mark.parametrize("norm", list(FeatureNorm))
    def test_the_smaller_network_gives_what_the_masked_one_gives(self, norm: FeatureNorm) -> None:
        made = network(dropout_kind=DropoutKind.CHANNEL, feature_norm=norm)
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):  # so that dropped channels hold constants that are not 0
                nn.init.normal_(module.bias)
                nn.init.normal_(module.running_mean)
        expected = np.stack(list(reference_samples(made, IMAGES, 3, 0)))
        assert np.ptp(expected, axis=0).max() > 0.001
        found = np.stack(list(monte_carlo_samples(sampler(made), IMAGES, 3, 0, 2)))
        assert found == pytest.approx(expected, abs=1e-6)

    def test_about_a_fifth_of_the_channels_is_dropped_and_the_others_are_scaled(self) -> None:
        layer = ChannelDropout(0.2, 4)
        layer.kept = torch.tensor([True, False, True, True])
        x = torch.rand(3, 4, 5, 5)
        assert torch.equal(layer(x)[:, 1], torch.zeros(3, 5, 5))
        torch.testing.assert_close(layer(x)[:, 0], x[:, 0] * 1.25)
        assert layer.eval()(x) is x

    def test_a_slice_has_the_same_sample_whatever_batch_it_is_in(self) -> None:
        made = network(dropout_kind=DropoutKind.CHANNEL)
        one, two = (np.stack(list(monte_carlo_samples(sampler(made), IMAGES, 2, 0, batch))) for batch in (1, 5))
        assert one == pytest.approx(two, abs=1e-6)

    def test_after_sampling_training_draws_for_each_slice(self) -> None:
        made = network(dropout_kind=DropoutKind.CHANNEL)
        list(reference_samples(made, IMAGES, 1, 0))
        made.train()
        alike = made(IMAGES[:1].expand(2, -1, -1, -1).contiguous())
        assert not torch.allclose(alike[0], alike[1])
