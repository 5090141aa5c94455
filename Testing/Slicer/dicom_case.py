"""A DICOM study for the tests of the module: two sequences with two raters' contours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from contour_files import frame_of_reference, write_series, write_structure_set
from pydicom.uid import generate_uid

from ObserverUncertaintyLib.images.grid import Grid

GRID = Grid((32, 30, 12), (1.0, 1.2, 3.0), (-20.0, -15.0, 7.0), (1, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8))
IDENTITY = {"PatientName": "Doe^Jane", "PatientID": "4711"}


@dataclass(frozen=True)
class Study:
    """The folder, and the raters' masks."""

    folder: Path
    contours: Path
    raters: dict[str, np.ndarray]


def writeStudy(folder: Path) -> Study:
    """Write the study's series into folders of their own, and the contours beside them."""
    together = {**IDENTITY, "StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
    values = np.random.default_rng(0).integers(0, 900, GRID.shape)
    files = write_series(folder / "s1", GRID, values, {**together, "SeriesDescription": "t1_mprage_post"})
    write_series(folder / "s2", GRID, values + 1, {**together, "SeriesDescription": "3D FLAIR"})
    raters, polygons = {}, {}
    for name, half in (("anna", 8), ("ben", 5)):
        mask = np.zeros(GRID.shape, bool)
        mask[3:9, 15 - half : 15 + half, 16 - half : 16 + half] = True
        raters[name] = mask
        square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half + [15.5, 14.5]
        corners = [np.column_stack([square, np.full(4, k), np.ones(4)]) for k in range(3, 9)]
        polygons[name] = [(each @ GRID.index_to_physical().T)[:, :3] for each in corners]
    referring = {"StudyInstanceUID": together["StudyInstanceUID"], **IDENTITY}
    path = write_structure_set(folder / "rs" / "rs.dcm", polygons, frame_of_reference(files), header=referring)
    return Study(folder, path, raters)
