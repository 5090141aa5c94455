"""How long the clicks that compute take in the scene: three raters on 240 x 240 x 155 voxels of real MRML.

Run with a Python that has the slicer-core wheel and SimpleITK and scipy: `python benchmarks/slicer_clicks.py`. Each
click runs five times; the table shows the median and the spread in seconds. The aim is below 2 s for each.
"""

from __future__ import annotations

import importlib.metadata
import os
import statistics
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "ObserverUncertainty"), str(CHECKOUT / "Testing" / "Slicer")]

import numpy as np  # noqa: E402
import rater_scenes as scenes  # noqa: E402
from real_mrml import boot  # noqa: E402

from ObserverUncertaintyLib.images.grid import Grid  # noqa: E402
from ObserverUncertaintyLib.scores.entropy import binary_entropy  # noqa: E402

REPEATS = 5
GRID = Grid((240, 240, 155), (1.0, 1.0, 1.0), (-120.0, -120.0, -60.0))
OTHER_GRID = Grid((256, 256, 130), (0.95, 0.95, 1.2), (-121.3, -119.2, -63.4), tuple(scenes.rotation(7).ravel()))


def main() -> None:
    """Build both scenes, time every click, print the table."""
    mrml = boot()
    from ObserverUncertaintySlicer.disagreement import differenceVolume, expertEntropy, fuseRaters
    from ObserverUncertaintySlicer.raterMasks import commonGrid, raterMasks, raterStatistics
    from ObserverUncertaintySlicer.raters import ratersOfNode
    from ObserverUncertaintySlicer.scores import metricsTable
    from ObserverUncertaintySlicer.volumes import addVolume

    reference = scenes.addReference(GRID)
    raters = ratersOfNode(scenes.addSegmentation(reference, _raters(GRID)))
    elsewhere = ratersOfNode(scenes.addSegmentation(scenes.addReference(OTHER_GRID), _raters(OTHER_GRID), "Elsewhere"))
    mean = raterMasks(raters, GRID).masks.mean(axis=0, dtype=np.float32)
    probability = addVolume((mean + np.roll(mean, 3, axis=2)) / 2, GRID, "Probability")
    entropy = addVolume(binary_entropy((mean + np.roll(mean, 3, axis=2)) / 2), GRID, "Predictive entropy")
    fused = {method: fuseRaters(raters, method, reference) for method in ("majority", "staple", "mean")}
    experts = expertEntropy(raters, reference)
    clicks = {
        "raters' volumes and pairwise Dice": lambda: raterStatistics(raterMasks(raters, commonGrid(raters, reference))),
        "fusion, majority": lambda: fuseRaters(raters, "majority", reference, fused["majority"]),
        "fusion, STAPLE": lambda: fuseRaters(raters, "staple", reference, fused["staple"]),
        "fusion, mean with its volume": lambda: fuseRaters(raters, "mean", reference, fused["mean"]),
        "expert entropy": lambda: expertEntropy(raters, reference, experts),
        "difference of the entropies": lambda: differenceVolume(entropy, experts),
        "table of scores": lambda: metricsTable(fused["majority"], entropy, raters),
        "table of scores with calibration": lambda: metricsTable(fused["majority"], entropy, raters, probability),
        "fusion, majority, raters on another grid": lambda: fuseRaters(elsewhere, "majority", reference),
        "expert entropy, raters on another grid": lambda: expertEntropy(elsewhere, reference),
    }
    version = importlib.metadata.version("slicer-core")
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    print(f"slicer-core {version}, numpy {np.__version__}, {os.cpu_count()} CPU cores, OMP_NUM_THREADS {threads}")
    print(f"{GRID.size[0]} x {GRID.size[1]} x {GRID.size[2]} voxels, {len(raters)} raters, {REPEATS} runs, seconds\n")
    print(f"{'click':<44}{'median':>8}{'fastest':>9}{'slowest':>9}")
    for name, click in clicks.items():
        seconds = [_seconds(click) for _ in range(REPEATS)]
        print(f"{name:<44}{statistics.median(seconds):>8.3f}{min(seconds):>9.3f}{max(seconds):>9.3f}")
    mrml.removeTemporaryFiles()


def _raters(grid: Grid) -> list[np.ndarray]:
    """Three overlapping ellipsoids of about 110 mL, as large as a large resection cavity."""
    return [scenes.ellipsoid(grid, (10 + dx, -8, 20 + dz), (32, 30 + dx, 28)) for dx, dz in ((0, 0), (2, -3), (-3, 2))]


def _seconds(click) -> float:
    start = time.perf_counter()
    click()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
