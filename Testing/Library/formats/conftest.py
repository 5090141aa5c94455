from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.images.grid import Grid

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"


@pytest.fixture
def oblique_grid() -> Grid:
    """Anisotropic spacing, turned by 20 degrees about x and then by 35 degrees about z."""
    c, s = np.cos(np.radians(35)), np.sin(np.radians(35))
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    direction = tuple(float(x) for x in (about_z @ about_x).ravel())
    return Grid((7, 6, 5), (0.5, 0.75, 3.0), (-12.5, 40.25, 7.0), direction)


@pytest.fixture
def noise(oblique_grid: Grid) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=oblique_grid.shape).astype(np.float32)


WriteSeries = Callable[..., list[Path]]


@pytest.fixture
def write_series() -> WriteSeries:
    """Writes a DICOM series of axial slices 2 mm apart, in an order that the file names do not give away."""

    def write(
        folder: Path,
        array: NDArray[np.int16],
        uid: str = "1.2.3.4",
        positions: list[str] | None = None,
        orientations: dict[int, str] | None = None,
        slopes: dict[int, str] | None = None,
        further_tags: dict[str, str] | None = None,
    ) -> list[Path]:
        folder.mkdir(exist_ok=True, parents=True)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        files = []
        for k, plane in enumerate(array):
            slope = (slopes or {}).get(k)
            # With a slope, GDCM stores value / slope as integers.
            image = sitk.GetImageFromArray(plane * np.float32(slope) if slope else plane)
            image.SetSpacing((0.5, 0.75))
            tags = {
                "0008|0016": MR_IMAGE_STORAGE,
                "0008|0018": f"{uid}.{k + 1}",
                "0008|0060": "MR",
                "0010|0010": "SECRET^NAME",
                "0020|000d": "1.2.3",
                "0020|000e": uid,
                "0020|0013": str(k + 1),
                "0020|0032": positions[k] if positions else f"10\\20\\{30 + 2 * k}",
                "0020|0037": (orientations or {}).get(k, "1\\0\\0\\0\\1\\0"),
            }
            if slope:
                tags |= {"0028|0100": "16", "0028|0101": "16", "0028|0102": "15", "0028|0103": "1"}
                tags |= {"0028|1052": "0", "0028|1053": slope}
            for tag, value in (tags | (further_tags or {})).items():
                image.SetMetaData(tag, value)
            file = folder / f"{uid}_{(k * 7) % 11:02d}.dcm"
            writer.SetFileName(str(file))
            writer.Execute(image)
            files.append(file)
        return files

    return write
