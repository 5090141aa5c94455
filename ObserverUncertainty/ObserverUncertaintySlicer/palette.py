"""Every colour that the module draws with: contours, the overlays' scales and the swatches of tables.

Contours lie over grey images and over an entropy of any value, so their colours were chosen together, by measured
difference (CIEDE2000), for readers with normal vision and without one of the three kinds of cones;
`Testing/Slicer/test_palette.py` states how far apart they are and must stay. Raters are light, what is computed of
them is darker. No contour is white, grey, red, orange or yellow: the images and the entropy scale have these.
"""

from __future__ import annotations

Color = tuple[float, float, float]
"""Red, green and blue in 0..1."""


def _color(code: str) -> Color:
    # With the four decimals that an attribute of a node keeps.
    red, green, blue = (round(int(code[start : start + 2], 16) / 255, 4) for start in (1, 3, 5))
    return red, green, blue


def _colors(codes: str) -> tuple[Color, ...]:
    return tuple(_color(code) for code in codes.split())


# Hardly a colour is farther from the entropy scale and from grey at once, whatever the kind of vision.
WORKING_COLOR = _color("#52b7ff")
"""Sky blue: the working copy, which is drawn on while it lies over raters and entropy."""

SAVED_COLOR = _color("#3cbc92")
"""Green: a saved correction."""

# In the order in which they are given: the first three are the farthest apart, the last two the nearest.
RATER_COLORS = _colors("#34fec4 #ff79d5 #8c69ff #a5ff00 #00e6ff #2f5df9 #7881bd")
"""Mint, pink, violet, lime, cyan, blue and slate: the raters."""

FUSED_COLOR = _color("#00a4b2")
"""Teal: the contour fused from the raters'."""

SEGMENT_COLOR = _color("#0076bf")
"""Dark blue: the model's segmentation."""

PLACE_COLOR = _color("#ffffff")
"""White: the outline of the place that is being reviewed."""

SWATCH_BORDER = _color("#808080")
"""Middle grey, which is told from the background of a light table and from that of a dark one."""

# Equal steps of matplotlib's "inferno" (CC0) from 0.18 to 0.96: even steps for the eye, lightness rising throughout.
# Its black end is left out, since low entropies would look like holes in a grey image; its white end too, since
# high ones would look like bright tissue.
ENTROPY_STEPS = _colors(
    "#390963 #520e6d #6a176e #84206b #9b2964 #b3325a #ca404a #dd513a #eb6628 #f68013 #fb9b06 #fbba1f #f6d746 #f2f27d"
)
"""The entropy scale from 0 to 1 bits."""

# Blue for "only the experts", orange for "only the model": told apart with every common colour blindness. Both arms
# have the same lightness at the same distance from 0.
DIFFERENCE_STEPS = _colors("#8fd3ff #55b4f5 #2b8fd6 #1f69a8 #1d4775 #36363c #753a16 #a65214 #d0701f #ef9433 #ffbb66")
"""The scale of entropy differences from -1 to 1 bits."""
