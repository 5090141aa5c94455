"""How much a training has to learn from, for the estimate of its time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintySlicer.sceneCases import SceneCase
from ObserverUncertaintySlicer.volumes import gridOfVolume

Size = tuple[Grid, int, int]
"""A case's grid, the number of sequences and of cases."""


class TrainingSize:
    """Finds out the size of what is trained on, a manifest's once; None where it cannot be found out."""

    def __init__(self) -> None:
        self._cohort: tuple[tuple, Size | None] = ((), None)

    def ofScene(self, cases: Sequence[SceneCase]) -> Size | None:
        """The size of the scene's cases."""
        cases = [case for case in cases if case.sequences]
        if not cases:
            return None
        try:
            grid = gridOfVolume(next(iter(cases[0].sequences.values())))
        except InputError:  # told when training starts
            return None
        return grid, len(cases[0].sequences), len(cases)

    def ofManifest(self, manifest: str) -> Size | None:
        """The size of a manifest's cases."""
        path = Path(manifest)
        try:
            if not path.is_file():
                return None
            key = (path, path.stat().st_mtime_ns)
        except OSError:  # not to be looked at, as the field says
            return None
        if self._cohort[0] != key:
            self._cohort = (key, _sizeOf(path))
        return self._cohort[1]


def _sizeOf(manifest: Path) -> Size | None:
    try:
        cohort = Cohort.open(manifest)
        image = next(iter(cohort.manifest.files(cohort.case_names[0]).images.values()))
        return read_image(image).grid, len(cohort.sequences), len(cohort)
    except InputError:  # told when training starts
        return None
