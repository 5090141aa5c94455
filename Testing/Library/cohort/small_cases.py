"""What the tests of cases share: a small grid, something to see and to draw on it, and the files of a cohort."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ObserverUncertaintyLib.cohort.loading import LoadOptions
from ObserverUncertaintyLib.formats import write_image, write_mask
from ObserverUncertaintyLib.images.grid import Grid

GRID = Grid((24, 20, 12), (1.0, 1.25, 2.0), (-12.0, 7.5, 30.0))
OTHER = replace(GRID, size=(12, 10, 12), spacing=(2.0, 2.5, 2.0))
FORMATS = [".nii.gz", ".nii", ".nrrd", ".mha"]
RESAMPLE = LoadOptions(resample=True)


def positions(grid: Grid) -> list[np.ndarray]:
    """The x, y and z of every voxel in mm LPS, each of shape (k, j, i)."""
    k, j, i = np.indices(grid.shape)
    return list(np.einsum("ab,bkji->akji", grid.index_to_physical(), np.stack([i, j, k, np.ones_like(i)]))[:3])


def ball(grid: Grid = GRID, radius: float = 7.0, x: float = 0.0) -> np.ndarray:
    px, py, pz = positions(grid)
    return (px - x) ** 2 + (py - 20) ** 2 + (pz - 42) ** 2 < radius**2


def head(grid: Grid = GRID) -> np.ndarray:
    """Something to see: a bright ball with a gradient, on an empty background."""
    px, py, _ = positions(grid)
    return (ball(grid, 10.0) * (100 + px + 2 * py)).astype(np.float32)


def save(path: Path, array: np.ndarray, grid: Grid = GRID) -> Path:
    (write_mask if array.dtype == bool else write_image)(path, array, grid)
    return path


def save_segments(path: Path, masks: dict[str, np.ndarray], grid: Grid = GRID) -> Path:
    """A segmentation as Slicer stores it: segments that do not overlap, in one layer."""
    labels = np.zeros(grid.shape, np.uint8)
    for n, mask in enumerate(masks.values()):
        labels[mask] = n + 1
    image = grid.to_sitk(labels)
    for n, name in enumerate(masks):
        fields = {"ID": f"Segment_{n + 1}", "Name": name, "LabelValue": str(n + 1), "Layer": "0"}
        for key, value in fields.items():
            image.SetMetaData(f"Segment{n}_{key}", value)
    path.parent.mkdir(exist_ok=True)
    sitk.WriteImage(image, str(path), True)
    return path


def save_cohort(folder: Path, raters: dict[str, list[str]], more: str = "") -> Path:
    """A cohort whose cases have one image T1 and the masks of the raters given for each."""
    for case, names in raters.items():
        save(folder / case / "t1.nii.gz", head())
        for name in names:
            save(folder / case / f"{name}.nrrd", ball())
    known = sorted({name for names in raters.values() for name in names})
    patterns = "\n".join(f'{name} = "{name}.nrrd"' for name in known)
    manifest = folder / "cohort.toml"
    manifest.write_text(
        f'[cohort]\nname = "Study"\ncases = "p*"\n{more}\n[images]\nT1 = "t1.nii.gz"\n[raters]\n{patterns}\n',
        encoding="utf-8",
    )
    return manifest


def one_name(file: Path) -> Path:
    return file


def relative_name(file: Path) -> Path:
    return file.parent / ".." / file.parent.name / file.name


def link(file: Path) -> Path:
    name = file.with_name(f"link-{file.name}")
    name.symlink_to(file.name)
    return name


def hard_link(file: Path) -> Path:
    name = file.with_name(f"hard-{file.name}")
    name.hardlink_to(file)
    return name


ALIASES = [one_name, relative_name, link, hard_link]
