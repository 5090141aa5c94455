"""The colours of contours, by measured difference: to every kind of vision, on the entropy scale and on grey images.

Differences are CIEDE2000: 1 is just seen on two large areas side by side, and about 10 at a glance. Contours are thin
lines, and apart from each other, so that more is asked of them. It is asked in this order:

1. the working copy, which somebody draws with: from the scale, from grey, and from the raters under it
2. each other contour from the scale and from grey: a contour that is not seen is not there
3. contours that are shown together from one another

Less is asked for colour-blind readers, who have two dimensions of colour left where others have three: there is no
room for eleven colours beside the scale. For them contours also differ in width (the copy is the thickest), raters
stand by name in a table, and the fused contour, the model's and saved corrections can be hidden one by one.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from ObserverUncertaintySlicer.palette import (
    ENTROPY_STEPS,
    FUSED_COLOR,
    RATER_COLORS,
    SAVED_COLOR,
    SEGMENT_COLOR,
    SWATCH_BORDER,
    WORKING_COLOR,
)

# Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency",
# severity 1.0; on linear red, green and blue.
SEEN = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}

# sRGB (IEC 61966-2-1, white point D65) to XYZ.
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)

RATERS = {f"rater {number}": color for number, color in enumerate(RATER_COLORS, 1)}
FIRST_THREE, FIRST_FIVE = (dict(list(RATERS.items())[:count]) for count in (3, 5))
COPY = {"copy": WORKING_COLOR}
RESULTS = {"fused": FUSED_COLOR, "model": SEGMENT_COLOR}
SAVED = {"saved": SAVED_COLOR}
ALL = COPY | RATERS | RESULTS | SAVED

# The least differences: for normal vision, protanopia, deuteranopia, tritanopia (of which there is one in ten
# thousand, where the others are one man in twelve).
COPY_FROM_IMAGE = (20, 20, 20, 20)
OTHERS_FROM_IMAGE = (16, 8, 6, 7.5)
COPY_FROM_RATERS = (18, 8, 9, 8)
COPY_FROM_RESULTS = (17, 9, 9, 7)
FIRST_THREE_APART = (20, 11, 16, 20)
FIRST_FIVE_APART = (18, 10, 8, 4.5)
RESULTS_FROM_FIRST_THREE = (20, 8, 10, 12)
ALL_APART = (11, 5, 6, 4.5)


def linear(colors):
    """Linear red, green and blue of sRGB colours in 0..1."""
    colors = np.asarray(colors, float)
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def luminance(color) -> float:
    """Relative luminance, as WCAG 2 has it."""
    return float(linear(color) @ XYZ[1])


def contrast(first, second) -> float:
    """Contrast ratio of two colours, 1 to 21, as WCAG 2 has it."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def lab(colors, vision="normal"):
    """CIE L*, a*, b* of sRGB colours in 0..1 as a kind of vision sees them."""
    seen = np.clip(linear(colors) @ SEEN[vision].T, 0, 1)
    ratio = seen @ XYZ.T / XYZ.sum(axis=1)
    x, y, z = np.moveaxis(np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * 841 / 108 + 4 / 29), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def difference(first, second):
    """CIEDE2000 of L*, a*, b*, with the names of Sharma, Wu and Dalal 2005."""
    (l1, a1, b1), (l2, a2, b2) = (np.moveaxis(np.asarray(colors, float), -1, 0) for colors in (first, second))
    g = 0.5 * (1 - saturation((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    isGrey = c1 * c2 == 0
    dh = np.where(isGrey, 0, (h2 - h1 + 180) % 360 - 180)
    dl, dc, dH = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh / 2))
    light, c = (l1 + l2) / 2, (c1 + c2) / 2
    h = np.radians(np.where(isGrey, h1 + h2, h1 + dh / 2))
    t = 1 - 0.17 * np.cos(h - np.radians(30)) + 0.24 * np.cos(2 * h)
    t += 0.32 * np.cos(3 * h + np.radians(6)) - 0.2 * np.cos(4 * h - np.radians(63))
    turn = 30 * np.exp(-((((np.degrees(h) % 360) - 275) / 25) ** 2))
    sl = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    dl, dc, dH = dl / sl, dc / (1 + 0.045 * c), dH / (1 + 0.015 * c * t)
    return np.sqrt(dl**2 + dc**2 + dH**2 - 2 * saturation(c) * np.sin(np.radians(2 * turn)) * dc * dH)


def saturation(chroma):
    """The part of a mean chroma that CIEDE2000 corrects for."""
    return np.sqrt(chroma**7 / (chroma**7 + 25.0**7))


def images():
    """What contours lie on: grey, and the entropy scale over grey at the opacity with which views show it."""
    places = np.linspace(0, len(ENTROPY_STEPS) - 1, 4 * len(ENTROPY_STEPS))
    scale = [np.interp(places, np.arange(len(ENTROPY_STEPS)), part) for part in np.transpose(ENTROPY_STEPS)]
    grey = np.linspace(0, 230 / 255, 24)[:, None] * np.ones(3)
    over = 0.7 * np.transpose(scale)[:, None] + 0.3 * grey
    return np.concatenate([grey, over.reshape(-1, 3)])


def tooNear(least, pairs) -> list[str]:
    """The pairs, by name, that some kind of vision sees nearer than this; a pair's second may be many colours."""
    found = []
    for (one, first), (other, second) in pairs:
        for vision, enough in zip(SEEN, least, strict=True):
            measured = float(np.min(difference(lab(first, vision), lab(second, vision))))
            if measured < enough:
                found.append(f"{one} and {other}, {vision}: {measured:.1f}, not {enough}")
    return found


def onImages(colors):
    """Pairs of colours and all that they may lie on."""
    return [(item, ("the image", images())) for item in colors.items()]


# L*, a*, b* twice and their difference, from Sharma, Wu and Dalal 2005, "The CIEDE2000 Color-Difference Formula:
# Implementation Notes, Supplementary Test Data, and Mathematical Observations", table 1.
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0),
        ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
        ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
        ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((50.0, 2.5, 0.0), (58.0, 24.0, 15.0), 19.4535),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_differences_are_those_of_the_published_pairs(first, second, expected):
    assert difference(first, second) == pytest.approx(expected, abs=5e-5)
    assert difference(second, first) == pytest.approx(expected, abs=5e-5)


def test_grey_stays_grey_to_every_kind_of_vision_and_red_and_green_come_nearer_without_red_or_green_cones():
    for vision in SEEN:
        assert np.hypot(*lab((0.5, 0.5, 0.5), vision)[1:]) < 0.1
    red, green = (0.8, 0.2, 0.1), (0.4, 0.5, 0.1)
    normal, *_others = (difference(lab(red, vision), lab(green, vision)) for vision in SEEN)
    assert normal > 40
    assert difference(lab(red, "deuteranopia"), lab(green, "deuteranopia")) < normal / 3


def test_the_working_copy_is_told_from_the_entropy_scale_and_from_the_image():
    assert tooNear(COPY_FROM_IMAGE, onImages(COPY)) == []


def test_every_other_contour_is_told_from_the_entropy_scale_and_from_the_image():
    assert tooNear(OTHERS_FROM_IMAGE, onImages(RATERS | RESULTS | SAVED)) == []


def test_the_working_copy_is_told_from_the_raters_that_are_shown_with_it():
    assert tooNear(COPY_FROM_RATERS, product(COPY.items(), RATERS.items())) == []


def test_the_working_copy_is_told_from_what_it_was_made_of_and_from_what_it_was_saved_as():
    assert tooNear(COPY_FROM_RESULTS, product(COPY.items(), (RESULTS | SAVED).items())) == []


def test_the_first_five_raters_are_told_from_one_another_and_the_first_three_best():
    assert tooNear(FIRST_FIVE_APART, combinations(FIRST_FIVE.items(), 2)) == []
    assert tooNear(FIRST_THREE_APART, combinations(FIRST_THREE.items(), 2)) == []


def test_the_fused_contour_and_the_models_are_told_from_one_another_and_from_three_raters():
    assert tooNear(RESULTS_FROM_FIRST_THREE, product(RESULTS.items(), FIRST_THREE.items())) == []
    assert tooNear(RESULTS_FROM_FIRST_THREE, combinations(RESULTS.items(), 2)) == []


def test_no_two_contours_have_one_colour():
    assert len(RATERS) == 7
    assert tooNear(ALL_APART, combinations(ALL.items(), 2)) == []


def test_contours_are_light_and_colourful_enough_for_thin_lines_on_a_dark_image():
    # A line of two pixels looks paler than an area: pale mint and pale pink both looked white in a slice view.
    chroma = {name: float(np.hypot(*lab(color)[1:])) for name, color in ALL.items()}
    assert min(chroma.values()) > 25
    assert min(chroma[name] for name in ("copy", "model", *FIRST_THREE)) > 40
    assert min(lab(color)[0] for color in ALL.values()) > 45


@pytest.mark.parametrize(
    ("name", "color"),
    [("orange", (1.0, 0.55, 0.0)), ("magenta", (1.0, 0.0, 1.0)), ("pure green", (0.0, 1.0, 0.0))],
)
def test_colours_that_the_entropy_scale_comes_near_to_would_be_no_working_copys(name, color):
    assert tooNear(COPY_FROM_IMAGE, onImages({name: color})) != []


@pytest.mark.parametrize(
    ("name", "color"), [("white", (1.0, 1.0, 1.0)), ("nearly white", (0.95, 0.95, 0.95)), ("red", (0.9, 0.1, 0.1))]
)
def test_colours_of_the_image_would_be_no_raters(name, color):
    assert tooNear(OTHERS_FROM_IMAGE, onImages({name: color})) != []


@pytest.mark.parametrize("background", ["#ffffff", "#f0f0f0", "#1e1e1e", "#353535"])
def test_a_swatchs_border_is_seen_on_light_and_dark_tables(background):
    behind = [int(background[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    assert contrast(SWATCH_BORDER, behind) >= 3  # what WCAG 2.2 asks of graphics (1.4.11)
