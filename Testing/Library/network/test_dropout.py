"""Dropout from raw random bits: the same distribution as torch's own, and the same rules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ObserverUncertaintyLib.network.dropout import ElementDropout, scaled_mask

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
