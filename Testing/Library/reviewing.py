"""Reviews for tests, as the module of 3D Slicer writes them: a mask with its record beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ObserverUncertaintyLib.formats import write_mask
from ObserverUncertaintyLib.images.grid import Grid

TIME = "2026-05-04T12:30:00+02:00"


def save_review(
    file: Path, mask: np.ndarray, grid: Grid, author: str = "Dr. A", corrected: str = TIME, **more: Any
) -> Path:
    """Write a mask and its record; returns the mask's file."""
    write_mask(file, mask, grid)
    record = {"name": "Segmentation reviewed", "Author": author, "Corrected": corrected, **more}
    file.with_name(file.name + ".json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    return file
