"""The rule for how long a network computes, against the shipped model's weights and a measured run."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace

import pytest

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.settings import TrainingSettings
from ObserverUncertaintySlicer.computingTime import (
    PREDICTION_FACTOR,
    STARTUP_SECONDS,
    durationText,
    estimateSeconds,
    estimateTrainingSeconds,
    networkCost,
)
from ObserverUncertaintySlicer.modelCards import readCard, shippedModel

GRID = Grid(size=(100, 124, 53), spacing=(1.5, 1.5, 3.0))
# Sagittal: i runs from top to bottom, j from front to back, k from right to left.
SAGITTAL = Grid(size=(100, 124, 53), spacing=(1.5, 1.5, 3.0), direction=(0, 0, 1, 0, 1, 0, 1, 0, 0))


def shippedShapes():
    """Shapes of the shipped model's weights, from the header of its file."""
    data = (shippedModel() / "weights.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}


def test_operations_and_values_are_those_of_the_shipped_models_convolutions():
    pixels, operations, values = 120 * 104, 0, 0
    for name, shape in shippedShapes().items():
        if len(shape) != 4 or name.startswith("classifier"):
            continue
        part, level = name.split(".")[:2]
        # Upsampling and decoder count from the deepest level, at the resolution that they give.
        here = pixels / 4 ** (int(level) if part == "encoder" else 2 - int(level))
        operations += 2 * math.prod(shape) * here
        values += shape[0] * here
    assert networkCost({"sequences": 4, "depth": 3, "filters": 14}, pixels) == pytest.approx((operations, values))


def test_the_papers_cavity_network_costs_what_was_counted_for_it():
    # A profiler counted 61.7 billion for a slice of 192 x 224 pixels, other layers than convolutions included.
    operations, _values = networkCost({"sequences": 4, "depth": 5, "filters": 48}, 192 * 224)
    assert operations == pytest.approx(61.7e9, rel=0.05)


def test_the_time_grows_with_samples_and_slices_and_shrinks_with_processors(monkeypatch):
    card = readCard(shippedModel())
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    one = estimateSeconds(card, GRID, 1) - STARTUP_SECONDS
    assert estimateSeconds(card, GRID, 20) - STARTUP_SECONDS == pytest.approx(20 * one)
    assert estimateSeconds(card, replace(GRID, size=(100, 124, 106)), 1) - STARTUP_SECONDS == pytest.approx(2 * one)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert estimateSeconds(card, GRID, 1) - STARTUP_SECONDS == pytest.approx(one / 2)
    # Measured with two processors: a slice of 112 x 96 pixels in 8.5 ms.
    assert 0.5 < one / 53 / (0.0085 * 120 * 104 / (112 * 96)) < 2


def test_slices_are_counted_along_the_models_axis_however_the_image_lies():
    card = readCard(shippedModel())
    # 100 axial slices of 186 x 159 mm instead of 53 of 150 x 186 mm.
    axial, sagittal = (estimateSeconds(card, grid, 1) - STARTUP_SECONDS for grid in (GRID, SAGITTAL))
    pixels = [max(a * b / 4, 120 * 104) for a, b in ((150, 186), (186, 159))]
    assert sagittal / axial == pytest.approx(100 * pixels[1] / (53 * pixels[0]))


def test_training_takes_three_forward_passes_for_each_slice_case_and_epoch(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    card = readCard(shippedModel())
    settings = TrainingSettings(depth=3, filters=14, epochs=1, spacing=(2.0, 2.0))
    whole = replace(GRID, size=(200, 200, 53))  # so large that the model's smallest size does not count
    forward = estimateSeconds(card, whole, 1) - STARTUP_SECONDS
    one = estimateTrainingSeconds(settings, 4, whole, 1) - STARTUP_SECONDS
    assert one == pytest.approx(3 * forward / PREDICTION_FACTOR)
    more = estimateTrainingSeconds(replace(settings, epochs=5), 4, whole, 7) - STARTUP_SECONDS
    assert more == pytest.approx(35 * one)
    fewer = estimateTrainingSeconds(replace(settings, background_slices=0.6), 4, whole, 1) - STARTUP_SECONDS
    assert fewer == pytest.approx(0.4 * one)


def test_a_single_image_is_one_slice():
    card = readCard(shippedModel())
    image = Grid(size=(100, 124, 1), spacing=(1.5, 1.5, 1.0), dimension=2)
    volume = replace(GRID, size=(100, 124, 1))
    assert estimateSeconds(card, image, 3) == pytest.approx(estimateSeconds(card, volume, 3))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(40.4, "40 s"), (200, "3 min"), (7500, "2 h 5 min"), (3 * 86400, "3 days")],
)
def test_durations_are_told_as_people_say_them(seconds, text):
    assert durationText(seconds) == text
