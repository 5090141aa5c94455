"""STAPLE of 3 raters on 240x240x155: EM over vote patterns beside SimpleITK's filter, both over the same voxels.

Once over the whole image, as the filter is commonly called, and once over the bounding box of the raters' union. Ours
takes masks; the filter is handed SimpleITK's images that are ready. Each is warm: the first large array after SimpleITK
has given its memory back costs Linux up to 0.2 s, whoever asks for it.

    python benchmarks/staple.py
"""

from __future__ import annotations

import argparse

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from drawn_raters import SHAPE, drawn_raters
from measuring import Floor, Machine, Report, Series, Table, Target, interleaved, parser, run, spread
from ObserverUncertaintyLib.raters.staple import StapleRegion, staple
from roofline import copy_rate

FACTOR = 50
TOLERANCE = 1e-6


def compare(raters: NDArray[np.bool_], region: StapleRegion, repetitions: int) -> tuple[Table, list[Series], float]:
    """The table, all repetitions with the ratio last, and the largest difference of the posteriors."""
    found = staple(raters, region=region)
    box = found.box
    images = [sitk.GetImageFromArray(rater[box].astype(np.uint8)) for rater in raters]
    theirs = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0))
    difference = float(np.abs(found.posterior[box] - theirs).max())
    size = "x".join(str(side.stop - side.start) for side in box)
    candidates = {
        f"ours, {region.value}": lambda: staple(raters, region=region),
        f"SimpleITK, {region.value}": lambda: sitk.STAPLE(images, 1.0),
    }
    ours, peer = interleaved(candidates, repetitions, warm=True)
    series = [ours, peer, peer.over(ours, "SimpleITK / ours")]
    return spread(f"{len(raters)} raters, {region.value} of {size} voxels, seconds", series), series, difference


def measure(arguments: argparse.Namespace) -> Report:
    """Both regions."""
    k, j, i = SHAPE
    raters = drawn_raters(3, (k // 3, j // 3, i // 3) if arguments.quick else SHAPE)
    tables, repetitions, floors, notes, targets = [], [], [], [], []
    rate = copy_rate(torch.device("cpu"))
    for region in (StapleRegion.IMAGE, StapleRegion.BOX):
        table, series, difference = compare(raters, region, 2 if arguments.quick else arguments.repetitions)
        tables.append(table)
        repetitions += series
        floors.append(Floor(f"reading the masks once, {region.value}", raters.nbytes, rate, series[0]))
        notes.append(f"largest difference of the posteriors, {region.value}: {difference:.1e}")
        targets.append(Target(f"equal within {TOLERANCE:g}", f"{difference:.1e}", difference <= TOLERANCE))
        if region is StapleRegion.IMAGE:
            ratio = series[-1].median
            targets.append(Target(f"at least {FACTOR} times as fast", f"{ratio:.0f}", ratio >= FACTOR))
    title = f"STAPLE of 3 raters on {'x'.join(map(str, raters.shape[1:]))} beside SimpleITK's filter"
    tables.append(Floor.table(floors, "B"))
    return Report(title, Machine.here(), tuple(tables), tuple(repetitions), tuple(notes), tuple(targets))


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--repetitions", type=int, default=7)
    run(options, measure)
