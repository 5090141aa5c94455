"""The roofline of a training step against counts by hand and torch's counter of operations."""

from __future__ import annotations

import time

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ObserverUncertaintyLib.cpu.unet import cpu_unet
from ObserverUncertaintyLib.model.settings import UNetSettings
from ObserverUncertaintyLib.network.unet import UNet
from roofline import LayerCost, copy_rate, training_step_costs

SETTINGS = [
    (1, UNetSettings()),
    (4, UNetSettings(depth=5, filters=48)),
    (2, UNetSettings(depth=0, filters=3)),
]


@pytest.mark.parametrize("as_defined", [False, True])
@pytest.mark.parametrize(("sequences", "settings"), SETTINGS)
def test_operations_are_those_that_torch_counts(sequences: int, settings: UNetSettings, as_defined: bool) -> None:
    with torch.device("meta"):
        network = (UNet if as_defined else cpu_unet)(sequences, settings)
        images = torch.empty(2, sequences, 384, 512)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    counted = sum(n for operation, n in counter.get_flop_counts()["Global"].items() if "conv" in str(operation))
    found = training_step_costs(sequences, settings, 2, 384, 512, 4, as_defined=as_defined)
    assert sum(cost.operations for cost in found) == counted


def test_bytes_are_those_counted_by_hand() -> None:
    found = training_step_costs(2, UNetSettings(depth=1, filters=3), 1, 4, 8, 2)
    shallow, deep = 3 * 32, 6 * 8  # activations of a feature map at either level
    dropout, norm, relu = (4 + 1) * 2, 8 * 2, 5 * 2  # bytes an activation; a mask has one byte and is used twice
    between = dropout + norm + relu
    expected = [
        # The images' gradient is not computed, the others' is.
        (2 * 2 * (2 * 32 + shallow + 2 * 3 * 9) + between * shallow),
        (3 * 2 * (2 * shallow + 3 * 3 * 9) + between * shallow),
        2 * 5 * 2 * (3 * 8),  # pooling
        (3 * 2 * (3 * 8 + deep + 3 * 6 * 9) + between * deep),
        (3 * 2 * (2 * deep + 6 * 6 * 9) + between * deep),
        3 * 2 * (deep + shallow + 6 * 3 * 9),  # upsampling
        4 * 2 * (2 * shallow),  # joining
        (3 * 2 * (3 * shallow + 6 * 3 * 9) + between * shallow),
        (3 * 2 * (2 * shallow + 3 * 3 * 9) + between * shallow),
        3 * 2 * (shallow + 32 + 3),  # the classifier
        28 * sum(parameter.numel() for parameter in UNet(2, UNetSettings(depth=1, filters=3)).parameters()),
    ]
    assert sum(cost.bytes for cost in found) == sum(expected)


def test_a_layer_takes_the_longer_of_computing_and_moving() -> None:
    assert LayerCost("a", 100, 30).seconds(50, 10) == 3
    assert LayerCost("a", 200, 30).seconds(50, 10) == 4


def test_half_as_many_bytes_an_activation_move_half_as_many_but_for_the_optimiser() -> None:
    wide, narrow = (training_step_costs(*SETTINGS[0], 4, 32, 32, size) for size in (4, 2))
    assert narrow[-1].bytes == wide[-1].bytes
    convolutions = [(a.bytes, b.bytes) for a, b in zip(wide, narrow, strict=True) if a.operations]
    assert all(a == 2 * b for a, b in convolutions)


def test_the_rate_is_that_of_a_copy() -> None:
    source = torch.zeros(2**24, dtype=torch.uint8)
    target = source.clone()
    started = time.perf_counter()
    for _ in range(20):
        target.copy_(source)
    plain = 20 * 2 * 2**24 / (time.perf_counter() - started)
    # A busy machine may halve either; a wrong count of bytes is off by more.
    assert 0.05 < copy_rate(torch.device("cpu"), size=2**24) / plain < 20
