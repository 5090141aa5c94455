"""Dropout from raw random bits: the same distribution as torch's own, and the same rules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from ObserverUncertaintyLib.network.dropout import (
    ElementDropout,
    rotated_mask,
    rotations,
    scaled_mask,
)

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.05, 0.2, 0.5, 0.9])
def test_the_share_of_zeros_is_p_and_the_rest_is_scaled(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    mask = scaled_mask(torch.empty(64, 16, 32, 31, dtype=dtype), p)
    assert mask.dtype is dtype
    kept = mask != 0
    # Five standard deviations of a binomial share.
    assert float(kept.float().mean()) == pytest.approx(1 - p, abs=5 * np.sqrt(p * (1 - p) / mask.numel()))
    assert set(mask[kept].unique().tolist()) == {torch.tensor(1 / (1 - p), dtype=dtype).item()}


def test_activations_are_dropped_independently_of_their_neighbours() -> None:
    torch.manual_seed(1)
    kept = (scaled_mask(torch.empty(1_000_000), 0.2) != 0).double() - 0.8
    # Four neighbours share one 64-bit draw; the correlation of independent values is 0 within 5 / sqrt(n).
    for distance in (1, 2, 3, 4, 8):
        correlation = float((kept[:-distance] * kept[distance:]).mean()) / (0.8 * 0.2)
        assert abs(correlation) < 5 / np.sqrt(len(kept))


@pytest.mark.parametrize("shape", [(3,), (2, 5, 7, 9)])
def test_any_size_and_memory_layout(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape) + 1
    if len(shape) == 4:
        for form in (x.to(memory_format=torch.channels_last), x.transpose(1, 3), x[:, ::2], x[:1].expand(3, 5, 7, 9)):
            y = ElementDropout(0.5)(form)
            assert y.shape == form.shape
            dropped = y == 0
            torch.testing.assert_close(y[~dropped], 2 * form[~dropped])
            assert 0 < int(dropped.sum()) < y.numel()
    assert ElementDropout(0.5)(x).shape == shape


def test_the_gradient_passes_where_the_activation_did() -> None:
    x = torch.rand(4, 3, 8, 8, requires_grad=True)
    y = ElementDropout(0.2)(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, (y / x).detach())
    assert set(x.grad.unique().tolist()) == {0.0, 1.25}


def test_without_training_or_with_p_0_nothing_changes() -> None:
    x = torch.rand(2, 3, 4, 4)
    assert ElementDropout(0.2).eval()(x) is x
    assert ElementDropout(0.0)(x) is x
    assert isinstance(ElementDropout(0.2), nn.Dropout)  # so that Monte Carlo mode finds it


def test_the_same_seed_gives_the_same_mask_whatever_the_number_of_threads() -> None:
    masks = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            torch.manual_seed(3)
            masks.append(scaled_mask(torch.empty(8, 16, 64, 64), 0.2))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*masks)
    torch.manual_seed(4)
    assert not torch.equal(masks[0], scaled_mask(torch.empty(8, 16, 64, 64), 0.2))


class TestRotation:
    """Masks from the same random numbers, rotated."""

    @pytest.mark.parametrize(
        ("p", "count"), [(0.0, 1), (0.1, 10), (0.2, 5), (0.3, 3), (0.5, 2), (0.8, 5), (0.95, 20), (1.0, 1)]
    )
    def test_as_many_as_drop_or_keep_each_once(self, p: float, count: int) -> None:
        assert rotations(p) == count

    @pytest.mark.parametrize("draw", [scaled_mask, rotated_mask])
    @pytest.mark.parametrize("p", [0.1, 0.2, 0.3, 0.5])
    def test_each_activation_is_dropped_once_and_each_mask_drops_the_share_p(
        self, p: float, draw: Callable[..., torch.Tensor]
    ) -> None:
        like, count = torch.empty(100_000), rotations(p)
        dropped = torch.zeros(len(like))
        for number in range(count):
            torch.manual_seed(2)
            mask = draw(like, p, rotation=number / count)
            kept = mask != 0
            assert float(kept.float().mean()) == pytest.approx(1 - p, abs=0.006)
            assert mask[kept].unique().tolist() == pytest.approx([1 / (1 - p)])
            dropped += ~kept
        # What 16 bits round is never dropped, or twice.
        assert float((dropped > 1).float().mean()) < 1e-3
        assert float(dropped.mean()) == pytest.approx(count * p, abs=1e-3 if count * p > 0.99 else 0.01)

    def test_no_rotation_is_the_mask_itself(self) -> None:
        like = torch.empty(1000)
        masks = []
        for rotation in ({}, {"rotation": 0.0}, {"rotation": 0.2}):
            torch.manual_seed(2)
            masks.append(scaled_mask(like, 0.2, **rotation))
        assert torch.equal(masks[0], masks[1])
        assert not torch.equal(masks[0], masks[2])
