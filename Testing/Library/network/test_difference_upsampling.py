"""Upsampling by differences, against upsampling and convolution as torch computes them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ObserverUncertaintyLib.network.difference_upsampling import DifferenceUpsampling


@pytest.mark.parametrize(("slices", "rows", "columns"), [(1, 1, 1), (3, 2, 5), (2, 9, 4)])
def test_equals_upsampling_and_convolution(slices: int, rows: int, columns: int) -> None:
    # In double precision, so that nothing but the arithmetic's last digits may differ.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(slices, 6, rows, columns, dtype=torch.float64, generator=generator)
    weight = torch.randn(5, 6, 3, 3, dtype=torch.float64, generator=generator)
    bias = torch.randn(5, dtype=torch.float64, generator=generator)
    expected = functional.conv2d(functional.interpolate(x, scale_factor=2), weight, bias, padding=1)
    result = DifferenceUpsampling(weight, bias)(x)
    assert result.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result, expected, atol=1e-12, rtol=0)


def test_rounding_stays_that_of_the_convolution() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 256, 8, 8, generator=generator).to(memory_format=torch.channels_last)
    weight, bias = torch.randn(64, 256, 3, 3, generator=generator) / 48, torch.randn(64, generator=generator)
    exact = functional.conv2d(
        functional.interpolate(x.double(), scale_factor=2), weight.double(), bias.double(), padding=1
    )
    error = (DifferenceUpsampling(weight, bias)(x) - exact).abs().max()
    of_torch = (
        (functional.conv2d(functional.interpolate(x, scale_factor=2), weight, bias, padding=1) - exact).abs().max()
    )
    assert error < 3 * of_torch
