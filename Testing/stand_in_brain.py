"""A small program that stands in for SynthStrip and HD-BET, and heads for it to find a brain in."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ObserverUncertaintyLib.images.foreground import foreground

BONE, SCALP = 2, 2
"""Voxels around the brain of a head that `with_head` makes, in its slices."""

_PROGRAM = f"""
import pathlib, sys, time
import numpy as np
import SimpleITK as sitk
mode, source, target = sys.argv[1:4]
print("strip version 0")
image = sitk.ReadImage(source)
array = sitk.GetArrayFromImage(image)
assert array.min() >= 0, array.min()
if mode == "fail":
    sys.exit("no model file: set STRIP_HOME")
if mode == "hang":
    pathlib.Path(__file__).with_name("started").touch()
    time.sleep(600)
if mode == "elsewhere":
    target = target.replace("output", "input_bet")
if mode == "peel":
    shown = sitk.GetImageFromArray((array > 0).astype(np.uint8))
    filled = [sitk.BinaryFillhole(shown[:, :, k]) for k in range(shown.GetDepth())]
    scalp = sitk.GetImageFromArray((array > 0.99 * array.max()).astype(np.uint8))
    outside = [sitk.BinaryDilate(scalp[:, :, k], ({BONE}, {BONE}), sitk.sitkBox) for k in range(scalp.GetDepth())]
    peeled = [inner > outer for inner, outer in zip(filled, outside)]
    brain = sitk.GetArrayFromImage(sitk.JoinSeries(peeled)) > 0
else:
    brain = (array > 150) & (array < 250)
written = {{"mask": brain.astype(np.uint8), "empty": 0 * array, "everything": array + 1}}.get(mode, array * brain)
if mode != "nothing":
    out = sitk.GetImageFromArray(written)
    out.CopyInformation(image)
    if mode == "grid":
        out = out[:, :, 1:]
    sitk.WriteImage(out, target)
"""


def write_program(folder: Path) -> Path:
    """Write the program into a new folder with a space in its name; returns its file."""
    file = folder / "my tools" / "strip.py"
    file.parent.mkdir(parents=True)
    file.write_text(_PROGRAM, encoding="utf-8")
    return file


def command(program: Path, mode: str, target: str = "{output}", python: str = sys.executable) -> str:
    """How the program is run.

    Args:
        program: its file.
        mode: "stripped" and "mask" find what is between 150 and 250, "peel" takes off what `with_head` puts on; the
            others go wrong.
        target: the placeholder of what it writes.
        python: runs it; has SimpleITK.
    """
    return f"{shlex.quote(python)} {shlex.quote(str(program))} {mode} {{input}} {target}"


def with_head(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """A stripped brain with dark bone and a bright scalp around it in each slice, and with 0 around them."""
    brain = foreground(image)
    bone, head = (ndimage.binary_dilation(brain, np.ones((1, 2 * n + 1, 2 * n + 1))) for n in (BONE, BONE + SCALP))
    made = np.where(head, np.float32(1.2 * image.max()), np.float32(0))
    made[bone] = max(float(np.percentile(image[brain], 2)), 1.0)
    made[brain] = np.maximum(image[brain], 1.0)
    return made
