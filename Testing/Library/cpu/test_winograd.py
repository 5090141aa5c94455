"""Winograd's convolution against torch's in double precision."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ObserverUncertaintyLib.cpu.winograd import Filtering, FixedConvolution


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 4), (5, 6), (12, 10), (17, 8)])
def test_equals_the_direct_convolution(tile: int, rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 40, rows, columns, generator=generator).to(memory_format=torch.channels_last)
    weight, bias = torch.randn(7, 40, 3, 3, generator=generator), torch.randn(7, generator=generator)
    expected = functional.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    result = FixedConvolution(Filtering.convolution(tile), weight, bias)(x)
    assert result.is_contiguous(memory_format=torch.channels_last)
    # Rounding grows with the tile; the results' standard deviation is 19.
    torch.testing.assert_close(result.double(), expected, atol=2e-5 if tile == 2 else 5e-4, rtol=0)


@pytest.mark.parametrize("tile", [2, 4])
def test_transforms_are_exact_where_arithmetic_is(tile: int) -> None:
    """In double precision nothing is left of the difference: the matrices are right, not nearly right."""
    x = torch.randn(2, 5, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weight = torch.randn(3, 5, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    bias = torch.zeros(3, dtype=torch.float64)
    expected = functional.conv2d(x, weight, bias, padding=1)
    result = FixedConvolution(Filtering.convolution(tile), weight, bias)(x)
    torch.testing.assert_close(result, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize(("slices", "rows", "columns"), [(1, 1, 1), (3, 2, 5), (2, 9, 4)])
def test_upsampling_is_exact_where_arithmetic_is(tile: int, slices: int, rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(slices, 6, rows, columns, dtype=torch.float64, generator=generator)
    weight = torch.randn(5, 6, 3, 3, dtype=torch.float64, generator=generator)
    bias = torch.randn(5, dtype=torch.float64, generator=generator)
    expected = functional.conv2d(functional.interpolate(x, scale_factor=2), weight, bias, padding=1)
    result = FixedConvolution(Filtering.upsampling(tile), weight, bias)(x)
    assert result.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result, expected, atol=1e-12, rtol=0)
