"""Draws the extension's icon: one cavity, three raters' contours, and the entropy of their disagreement.

`python Resources/make_icon.py` writes the catalogue's icon and the module's (both 128 x 128 PNG, transparent corners).
"""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from scipy.ndimage import distance_transform_edt

ROOT = Path(__file__).resolve().parents[1]
ICONS = (
    ROOT / "Resources/ObserverUncertainty.png",
    ROOT / "ObserverUncertainty/Resources/Icons/ObserverUncertainty.png",
)
SIZE = 128
# Okabe and Ito's colours: told apart by colour-blind readers too, and none of them in the entropy's colour map.
RATER_COLORS = ("#56B4E9", "#FFFFFF", "#33D69F")
TILE_COLOR = "#10131C"
# The raters agree on the lower left and differ on the upper right, where the border is ill-defined.
REACH_OF_RATERS = (-0.16, 0.11, 0.38)
BORDER_WIDTH = 0.055
LINE_WIDTH = 3.2
# Below the bright end of the colour map, where the contours would drown.
HALO_BRIGHTNESS = 0.68
# The centre of the contours, so that the whole drawing sits in the middle.
CENTRE = -0.1


def rater_radius(angle: np.ndarray, reach: float) -> np.ndarray:
    """Radius of one rater's contour at each angle (radians), as a fraction of half the icon."""
    disagreement = np.cos((angle - np.pi / 4) / 2) ** 4
    return 0.56 + 0.035 * np.cos(3 * angle + 0.6) + reach * disagreement


def disagreement_entropy(points: int) -> np.ndarray:
    """Entropy in bits, (points, points), of the mean of the raters' softened masks."""
    axis = np.linspace(-1, 1, points)
    x, y = np.meshgrid(axis - CENTRE, axis - CENTRE)
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    masks = [radius < rater_radius(angle, reach) for reach in REACH_OF_RATERS]
    pixel = 2 / points
    distances = [(distance_transform_edt(mask) - distance_transform_edt(~mask)) * pixel for mask in masks]
    probability = np.mean([1 / (1 + np.exp(-distance / BORDER_WIDTH)) for distance in distances], axis=0)
    probability = np.clip(probability, 1e-9, 1 - 1e-9)
    return -(probability * np.log2(probability) + (1 - probability) * np.log2(1 - probability))


def draw_icon() -> np.ndarray:
    """The icon as (SIZE, SIZE, 4) RGBA bytes."""
    figure = Figure(figsize=(1, 1), dpi=SIZE, facecolor="none")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-1, 1), ylim=(-1, 1))
    axes.axis("off")
    tile = FancyBboxPatch((-0.78, -0.78), 1.56, 1.56, boxstyle="round,pad=0.2", facecolor=TILE_COLOR, edgecolor="none")
    axes.add_patch(tile)
    entropy = disagreement_entropy(4 * SIZE)
    halo = colormaps["inferno"](HALO_BRIGHTNESS * entropy)
    halo[..., 3] = np.clip(entropy * 1.5, 0, 1)
    image = axes.imshow(halo, extent=(-1, 1, -1, 1), origin="lower", interpolation="bilinear", zorder=2)
    image.set_clip_path(tile)
    angle = np.linspace(0, 2 * np.pi, 361)
    for reach, color in zip(REACH_OF_RATERS, RATER_COLORS, strict=True):
        radius = rater_radius(angle, reach)
        axes.plot(
            radius * np.cos(angle) + CENTRE,
            radius * np.sin(angle) + CENTRE,
            color=color,
            linewidth=LINE_WIDTH,
            zorder=3,
        )
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


if __name__ == "__main__":
    from matplotlib.image import imsave

    for path in ICONS:
        path.parent.mkdir(parents=True, exist_ok=True)
        imsave(path, draw_icon(), metadata={"Software": None})
