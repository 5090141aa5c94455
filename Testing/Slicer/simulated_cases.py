"""Simulated cases that many tests need: each is made once a run, by the first process that asks for it."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path

from waiting import wait_for

from ObserverUncertaintyLib.base.output_files import written_atomically
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.simulation.cavities import CavitySettings, simulate_cavity_case

runFolder = Path()
"""The processes of a run have it in common; conftest.py sets it."""


@cache
def simulatedCase(seed: int = 2018, inPlane: float = 3.0, thickness: float = 9.0) -> Case:
    """The first case of a simulated cohort with this seed and this spacing in mm."""
    file = runFolder / f"simulated-{seed}-{inPlane}-{thickness}.pickle"
    try:
        file.with_suffix(".begun").touch(exist_ok=False)
    except FileExistsError:
        wait_for(file.exists, file.name)
        return pickle.loads(file.read_bytes())
    case = simulate_cavity_case(0, seed, CavitySettings(in_plane_spacing_mm=inPlane, slice_thickness_mm=thickness))
    with written_atomically(file) as temporary:
        temporary.write_bytes(pickle.dumps(case))
    return case
