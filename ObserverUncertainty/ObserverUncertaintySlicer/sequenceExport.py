"""The scene's sequences as files on one grid, for work in another process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintyLib.images.grid import same_grid
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.volumes import arrayOfVolume, arrayOnGrid, gridOfVolume


def exportSequences(sequences: Mapping[str, Any], folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Write volumes as uncompressed NRRD on the first one's grid, in world coordinates.

    Args:
        sequences: sequence name to volume node.
        folder: where the files go; it is made.

    Returns:
        Sequence name to file, and a note for each volume that was resampled (linear) onto the first one's grid.
    """
    grid = gridOfVolume(next(iter(sequences.values())))
    files, notes = {}, []
    for number, (name, node) in enumerate(sequences.items()):
        own = gridOfVolume(node)
        if not same_grid(grid, own):
            notes.append(
                _("{name} was resampled onto the first sequence's grid, from {found}").format(
                    name=node.GetName(), found=own.describe()
                )
            )
        # Numbered: sequences may have names that no file can have.
        files[name] = folder / f"{number}.nrrd"
        write_image(files[name], arrayOnGrid(node, grid), grid, compress=False)
    return files, tuple(notes)


def exportAsTheyAre(sequences: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Write volumes as uncompressed NRRD, each on its own grid in world coordinates."""
    files = {name: folder / f"{number}.nrrd" for number, name in enumerate(sequences)}
    for name, node in sequences.items():
        write_image(files[name], arrayOfVolume(node), gridOfVolume(node), compress=False)
    return files
