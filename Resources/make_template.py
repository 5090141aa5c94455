"""Make the shipped brain template from the ICBM152 2009a maps in the nilearn wheel.

Run with `python Resources/make_template.py [folder]` after installing the `template` extra. The same
nilearn and SimpleITK versions give the same bytes.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ObserverUncertaintyLib.simulation.anatomy import TEMPLATE_LEVELS

SHIPPED = Path(__file__).resolve().parents[1] / "ObserverUncertaintyLib" / "simulation" / "template"

SPACING_MM = 1.5
"""Fine enough for the sulci that an average of 152 brains still shows; at 1 mm the files are three times as large."""

MARGIN_VOXELS = 2


def read_map(name: str) -> sitk.Image:
    """Read one ICBM152 map ("t1", "gm" or "wm") from nilearn, in LPS order, scaled to 0..1."""
    resource = files("nilearn.datasets") / "data" / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    with as_file(resource) as path:
        image = sitk.ReadImage(str(path), sitk.sitkFloat32)
    return sitk.DICOMOrient(image, "LPS") / 255.0


def brain_grid(brain: sitk.Image) -> sitk.Image:
    """An empty image of `SPACING_MM` that covers the brain and the margin."""
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(brain)
    i, j, k, *extent = shape.GetBoundingBox(1)
    margin = MARGIN_VOXELS * SPACING_MM
    size = [int(np.ceil((n * s + 2 * margin) / SPACING_MM)) for n, s in zip(extent, brain.GetSpacing(), strict=True)]
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetSpacing([SPACING_MM] * 3)
    grid.SetOrigin([p - margin for p in brain.TransformIndexToPhysicalPoint((i, j, k))])
    return grid


def write_reproducibly(array: np.ndarray, grid: sitk.Image, path: Path) -> None:
    """Write a compressed NIfTI without the time and file name that gzip would put into its header."""
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(grid)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "image.nii"
        sitk.WriteImage(image, str(plain))
        content = plain.read_bytes()
    with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as compressed:
        compressed.write(content)


def make_template(folder: Path) -> None:
    """Write grey.nii.gz, white.nii.gz and brain.nii.gz into `folder`."""
    head = read_map("t1")
    mask = sitk.Cast(head > 0, sitk.sitkUInt8)
    grid = brain_grid(mask)
    nothing = sitk.Transform(3, sitk.sitkIdentity)
    brain = sitk.GetArrayFromImage(
        sitk.Resample(sitk.Cast(mask, sitk.sitkFloat32), grid, nothing, sitk.sitkLinear, 0.0)
    )
    brain = brain >= 0.5
    grey, white = (
        np.rint(
            TEMPLATE_LEVELS
            * sitk.GetArrayFromImage(sitk.Resample(read_map(name), grid, nothing, sitk.sitkLinear, 0.0))
            * brain
        ).astype(np.uint8)
        for name in ("gm", "wm")
    )
    # Both may have been rounded up; together they may not exceed the whole voxel.
    white = np.minimum(white, TEMPLATE_LEVELS - grey)
    write_reproducibly(grey, grid, folder / "grey.nii.gz")
    write_reproducibly(white, grid, folder / "white.nii.gz")
    write_reproducibly(brain.astype(np.uint8), grid, folder / "brain.nii.gz")


if __name__ == "__main__":
    make_template(Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED)
