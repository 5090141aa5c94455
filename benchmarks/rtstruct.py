"""Masks of an RTSTRUCT file: how near to shapes with a closed form, and how long it takes; beside rt-utils.

The seven shapes are those of the public conformance test brianmanderson/RTMaskConformanceTest: 512 x 512 x 200 voxels
of 1 mm, the truth being the voxels of which half or more lies inside. rt-utils is used where it is installed
(python -m pip install rt-utils).

    python benchmarks/rtstruct.py
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measuring import Machine, Report, Table, Target, interleaved, parser, run, spread
from ObserverUncertaintyLib.formats import read_image, read_masks
from ObserverUncertaintyLib.formats.dicom.space import Space
from ObserverUncertaintyLib.images.grid import Grid

# What makes the files and knows the truth is the tests'.
_TESTS = Path(__file__).parents[1] / "Testing"
sys.path[:0] = [str(_TESTS), str(_TESTS / "Library" / "formats")]

from analytic_shapes import SOLIDS, truth  # noqa: E402
from contour_files import frame_of_reference, write_series, write_structure_set  # noqa: E402

OURS, PEER = "this library", "rt-utils"
LEAST_DICE = {
    "sphere": 0.98,
    "cube": 0.99,
    "cylinder": 0.97,
    "ellipsoid": 0.97,
    "torus": 0.93,
    "hollow_sphere": 0.92,
    "straw": 0.92,
}
"""The conformance test's."""


def by_library(path: Path, space: Space) -> dict[str, NDArray[np.bool_]]:
    """Every region's mask."""
    return {mask.name: mask.array for mask in read_masks(path, space)}


def by_rt_utils(path: Path, series: Path) -> dict[str, NDArray[np.bool_]]:
    """Every region's mask by rt-utils, which has the slices last."""
    from rt_utils import RTStructBuilder

    loaded: Any = RTStructBuilder.create_from(dicom_series_path=str(series), rt_struct_path=str(path))
    return {name: np.moveaxis(loaded.get_roi_mask_by_name(name), -1, 0) for name in loaded.get_roi_names()}


def dice(found: NDArray[np.bool_], expected: NDArray[np.bool_]) -> float:
    """Of two masks."""
    return float(2 * (found & expected).sum() / (found.sum() + expected.sum()))


def measure(arguments: argparse.Namespace) -> Report:
    """Dice of each shape, and the time of all."""
    names = ["cube", "straw"] if arguments.quick else list(SOLIDS)
    grid = Grid((512, 512, 200))
    has_peer = _has_rt_utils()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = write_series(folder / "series", grid)
        contours = {name: [each for k in range(200) for each in SOLIDS[name].polygons(float(k))] for name in names}
        path = write_structure_set(folder / "rs.dcm", contours, frame_of_reference(files), image_files=files)
        space = read_image(folder / "series").space
        candidates = {OURS: partial(by_library, path, space)}
        if has_peer:
            candidates[PEER] = partial(by_rt_utils, path, folder / "series")
        series = interleaved(candidates, 1 if arguments.quick else arguments.repetitions)
        masks = {who: read() for who, read in candidates.items()}
    rows, reached = [], {}
    for name in names:
        expected = truth(SOLIDS[name], grid, np.eye(4))
        reached[name] = dice(masks[OURS][name], expected)
        others = [f"{dice(masks[PEER][name], expected):.4f}"] if has_peer else []
        rows.append((name, f"{LEAST_DICE[name]:.2f}", f"{reached[name]:.4f}", *others))
    tables = [Table(("Dice", "asked for", *candidates), tuple(rows)), spread("seconds for all", series)]
    ratios = (series[1].over(series[0], PEER),) if has_peer else ()
    if ratios:
        tables.append(spread("times this library's", ratios))
    conforms = all(reached[name] >= LEAST_DICE[name] for name in names)
    target = Target("the conformance test's Dice for each shape", f"least {min(reached.values()):.4f}", conforms)
    machine = Machine.here(peers=("pydicom", "rt-utils") if has_peer else ("pydicom",))
    title = f"Masks of an RTSTRUCT with {len(names)} regions"
    return Report(title, machine, tuple(tables), (*series, *ratios), (), (target,))


def _has_rt_utils() -> bool:
    try:
        import rt_utils  # noqa: F401
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--repetitions", type=int, default=3)
    run(options, measure)
