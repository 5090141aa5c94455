"""Volumes as files on one grid, for the work in the background."""

import numpy as np
import pytest

from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintySlicer.sequenceExport import exportSequences
from ObserverUncertaintySlicer.volumes import addVolume

GRID = Grid((20, 16, 8), (2.0, 2.0, 3.0))
SMALLER = Grid((10, 16, 8), (2.0, 2.0, 3.0))


@pytest.mark.parametrize("background", [0.0, -1000.0])
def test_beyond_a_smaller_view_stands_the_images_own_background(scene, tmp_path, background):
    """0 is air in a skull-stripped MR, and water in a CT."""
    image = np.full(SMALLER.shape, background, np.float32)
    image[2:6, 4:12, 3:7] = 50.0
    whole = addVolume(np.ones(GRID.shape, np.float32), GRID, "T1")
    smaller = addVolume(image, SMALLER, "CT")
    files, notes = exportSequences({"T1": whole, "CT": smaller}, tmp_path / "inputs")
    written = read_image(files["CT"])
    assert written.grid == GRID
    assert (written.array[:, :, 10:] == background).all()
    np.testing.assert_array_equal(written.array[:, :, :10], image)
    assert len(notes) == 1
    assert "CT" in notes[0]
