"""STAPLE of 3 raters on 240x240x155: EM over vote patterns against SimpleITK's filter, on the same box, side by side.

python benchmarks/staple.py
"""

from __future__ import annotations

import argparse

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from measuring import Machine, Report, interleaved, parser, run, spread
from ObserverUncertaintyLib.fusion import STAPLE_MARGIN, staple
from ObserverUncertaintyLib.staple import union_box

SHAPE = (155, 240, 240)


def draw_raters(count: int, seed: int) -> NDArray[np.bool_]:
    """Blobs of about 30 mL whose borders differ from rater to rater."""
    rng = np.random.default_rng(seed)
    k, j, i = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    distance = np.sqrt((k - 80) ** 2 + (j - 150) ** 2 + (i - 90.0) ** 2) - 19
    wobble = [2.5 * ndimage.zoom(rng.normal(size=(8, 8, 8)), np.divide(SHAPE, 8), order=1) for _ in range(count)]
    return np.stack([distance < field for field in wobble])


def with_simpleitk(raters: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The posterior from SimpleITK's filter on the raters' bounding box."""
    box = union_box(raters, STAPLE_MARGIN)
    assert box is not None
    images = [sitk.GetImageFromArray(np.ascontiguousarray(rater[box]).astype(np.uint8)) for rater in raters]
    posterior = np.zeros(raters.shape[1:])
    posterior[box] = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0))
    return posterior


def measure(arguments: argparse.Namespace) -> Report:
    """Both in turn, and the largest difference of what they find."""
    raters = draw_raters(3, seed=0)
    difference = np.abs(staple(raters).posterior - with_simpleitk(raters)).max()
    candidates = {"ours": lambda: staple(raters), "SimpleITK": lambda: with_simpleitk(raters)}
    ours, theirs = interleaved(candidates, 2 if arguments.quick else arguments.repetitions)
    title = f"3 raters, {'x'.join(map(str, SHAPE))}, seconds"
    table = spread(title, (ours, theirs, theirs.over(ours, "SimpleITK / ours")))
    note = f"largest difference of the posteriors: {difference:.1e}"
    return Report("STAPLE beside SimpleITK's", Machine.here(), (table,), (ours, theirs), (note,))


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--repetitions", type=int, default=7)
    run(options, measure)
