"""All fused maps and the experts' entropy of 5 raters on 240x240x155: from one count of the votes beside one by one.

Once with raters who drew a lesion, and once with the same raters who also marked two opposite corners, so that the
bounding box is the whole image: the worst case. "One by one" hands each function the masks; "sums" is numpy without any
of this, sums over the raters at every voxel, and STAPLE's EM over counted votes all the same.

    python benchmarks/fusion.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from drawn_raters import SHAPE, drawn_raters
from measuring import Floor, Machine, Report, Target, interleaved, parser, run, spread
from ObserverUncertaintyLib.raters.fusion import FusionMethod, Votes, fuse, staple
from ObserverUncertaintyLib.scores.entropy import binary_entropy, expert_entropy
from roofline import copy_rate

RATERS = 5
LIMIT_SECONDS = 0.3
METHODS = [method for method in FusionMethod if method is not FusionMethod.NONE]

Maps = dict[str, NDArray[Any]]


def from_one_count(raters: NDArray[np.bool_]) -> Maps:
    """Every map from votes counted once."""
    votes = Votes.of(raters)
    return {**{method.value: fuse(votes, method) for method in METHODS}, "entropy": expert_entropy(votes)}


def one_by_one(raters: NDArray[np.bool_]) -> Maps:
    """Every map from the masks."""
    return {**{method.value: fuse(raters, method) for method in METHODS}, "entropy": expert_entropy(raters)}


def from_sums(raters: NDArray[np.bool_]) -> Maps:
    """Every map from sums over the raters at every voxel."""
    number = raters.sum(axis=0, dtype=np.uint8)
    share = number / len(raters)
    return {
        "majority": 2 * number > len(raters),
        "staple": staple(raters).segmentation,
        "union": raters.any(axis=0),
        "intersection": raters.all(axis=0),
        "mean": share.astype(np.float32),
        "entropy": binary_entropy(share),
    }


def measure(arguments: argparse.Namespace) -> Report:
    """Both kinds of raters."""
    k, j, i = SHAPE
    lesion = drawn_raters(RATERS, (k // 3, j // 3, i // 3) if arguments.quick else SHAPE)
    corners = lesion.copy()
    corners[:, 0, 0, 0] = corners[:, -1, -1, -1] = True
    ways: dict[str, Callable[[NDArray[np.bool_]], Maps]] = {
        "one count": from_one_count,
        "one by one": one_by_one,
        "sums": from_sums,
    }
    candidates: dict[str, Callable[[], object]] = {}
    moved: dict[str, int] = {}
    targets = []
    for name, raters in (("lesion", lesion), ("whole image", corners)):
        counted, summed = from_one_count(raters), from_sums(raters)
        gap = max(float(np.abs(counted[key].astype(float) - summed[key]).max()) for key in counted)
        targets.append(Target(f"{name}: every map as from sums, within 1e-12", f"{gap:.0e}", gap <= 1e-12))
        moved |= {f"{name}, {way}": raters.nbytes + sum(each.nbytes for each in counted.values()) for way in ways}
        candidates |= {f"{name}, {way}": partial(work, raters) for way, work in ways.items()}
    series = interleaved(candidates, 2 if arguments.quick else arguments.repetitions)
    for found in series:
        if "one count" in found.name:
            wanted = f"{found.name}: below {LIMIT_SECONDS} s"
            targets.append(Target(wanted, f"{found.median:.3f} s", found.median < LIMIT_SECONDS))
    rate = copy_rate(torch.device("cpu"))
    floors = [Floor(found.name, moved[found.name], rate, found) for found in series]
    size = "x".join(map(str, lesion.shape[1:]))
    title = f"All fused maps and the experts' entropy of {RATERS} raters on {size}"
    notes = ("The floor: reading the masks and writing the maps once, at the rate of a copy.",)
    return Report(
        title, Machine.here(), (spread("seconds", series), Floor.table(floors, "B")), series, notes, tuple(targets)
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--repetitions", type=int, default=7)
    run(options, measure)
