"""The operations of a network against a count by hand, and the rate of a device."""

from __future__ import annotations

import time

import pytest
import torch

from cost import forward_flops, matmul_rate
from ObserverUncertaintyLib.model.settings import Precision, UNetSettings


def convolutions(sequences: int, settings: UNetSettings, rows: int, columns: int, upsampling_taps: int) -> int:
    """Two operations for each weight of a convolution and pixel, layer by layer."""
    widths = [settings.filters * 2**level for level in range(settings.depth + 1)]
    total, channels = 0, sequences
    for level, width in enumerate(widths):
        pixels = rows * columns // 4**level
        total += 2 * 9 * pixels * (channels * width + width * width)
        channels = width
    for level in range(settings.depth):
        pixels, width = rows * columns // 4**level, widths[level]
        total += 2 * 9 * pixels * (2 * width * width + width * width)
        total += 2 * upsampling_taps * pixels * 2 * width * width
    return total + 2 * rows * columns * widths[0]


@pytest.mark.parametrize(
    ("sequences", "settings", "rows", "columns"),
    [
        (1, UNetSettings(), 128, 128),
        (4, UNetSettings(depth=5, filters=48), 192, 224),
        (2, UNetSettings(depth=0, filters=3), 7, 9),
    ],
)
def test_the_operations_are_those_of_the_convolutions(
    sequences: int, settings: UNetSettings, rows: int, columns: int
) -> None:
    counted = forward_flops(sequences, settings, rows, columns, as_defined=True)
    assert counted == convolutions(sequences, settings, rows, columns, 9)


def test_upsampling_in_one_step_takes_four_products_instead_of_nine() -> None:
    settings = UNetSettings(depth=3, filters=8)
    assert forward_flops(4, settings, 256, 128) == convolutions(4, settings, 256, 128, 4)


def test_the_rate_is_that_of_a_product() -> None:
    a, b = torch.randn(512, 512), torch.randn(512, 512)
    torch.mm(a, b)
    started = time.perf_counter()
    for _ in range(20):
        torch.mm(a, b)
    plain = 20 * 2 * 512**3 / (time.perf_counter() - started)
    # A busy machine may halve either; a wrong count of operations is off by more.
    assert 0.1 < matmul_rate(torch.device("cpu"), Precision.FLOAT32, size=512) / plain < 20
