"""Experiment 2 without patients: a post-operative brain MRI with a resection cavity, drawn by three raters.

Stands in for the 30 glioblastoma patients of Jungo et al. 2018, section 3.3, which are not public.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.simulation.anatomy import load_template
from ObserverUncertaintyLib.simulation.appearance import healthy_signals, scan, with_cavity
from ObserverUncertaintyLib.simulation.cavity_contents import SEQUENCES, simulate_contents
from ObserverUncertaintyLib.simulation.cavity_shape import simulate_cavity
from ObserverUncertaintyLib.simulation.patients import simulate_patient
from ObserverUncertaintyLib.simulation.raters import Scene, draw
from ObserverUncertaintyLib.simulation.real_brain import RealBrain
from ObserverUncertaintyLib.simulation.settings import RATERS, CavitySettings, RaterProfile

__all__ = [
    "RATERS",
    "SEQUENCES",
    "SIMULATION_BYTES",
    "CavitySettings",
    "RaterProfile",
    "case_names",
    "many_raters_mean",
    "simulate_cavity_case",
]

DEFAULT_SETTINGS = CavitySettings()

_STREAMS = 7

SIMULATION_BYTES = 3 * 2**29
"""Memory of a process that simulates a patient at 1 mm (1.2 GiB), with room to spare."""


def simulate_cavity_case(
    index: int, seed: int, settings: CavitySettings = DEFAULT_SETTINGS, brains: Sequence[RealBrain] = ()
) -> Case:
    """Simulate one patient after brain tumour surgery, with the true cavity and each rater's drawing of it.

    The same arguments give the same arrays, whatever else was simulated before.

    Args:
        index: number of the case in its cohort, from 0; case 0 is named "case01".
        seed: seed of the cohort, 0 or more.
        settings: scanner grid, variety and raters.
        brains: real brains, taken in turn by the cases' numbers; the ICBM152 template if there is none.

    Returns:
        A case with skull-stripped images of `SEQUENCES`, or of those that the real brain has (exactly 0 outside the
        brain, arbitrary units of up to about 1000), `truth` and one mask per rater. Its note says in which lobe, on
        which side and how large the cavity is.
    """
    case, scene, settings = _patient(index, seed, settings, brains)
    rng = np.random.default_rng([seed, index]).spawn(_STREAMS)[5]
    return replace(
        case,
        rater_names=tuple(rater.name for rater in settings.raters),
        raters=draw(scene, settings.raters, rng),
    )


def many_raters_mean(
    index: int, seed: int, count: int, settings: CavitySettings = DEFAULT_SETTINGS
) -> NDArray[np.float32]:
    """The mean of `count` further drawings by each rater of a patient: what they draw in the long run.

    A forecast of somebody who knows the true cavity and how the raters draw, but not what they drew. See
    `simulate_cavity_case` for the arguments.

    Returns:
        float32, shape (k, j, i), in [0, 1].
    """
    case, scene, settings = _patient(index, seed, settings)
    total = np.zeros(case.grid.shape, np.float32)
    # Streams beyond those of the patient: [seed, index, 0] would be the patient's own again.
    for rng in np.random.default_rng([seed, index]).spawn(_STREAMS + count)[_STREAMS:]:
        total += draw(scene, settings.raters, rng).sum(axis=0)
    return total / np.float32(count * len(settings.raters))


def _patient(
    index: int, seed: int, settings: CavitySettings, brains: Sequence[RealBrain] = ()
) -> tuple[Case, Scene, CavitySettings]:
    """A patient whom no rater has drawn yet, what raters will look at, and the settings of this patient."""
    if index < 0 or seed < 0:
        raise ValueError(f"index and seed must be 0 or more, not {index} and {seed}")
    # One stream per step: a change to the images leaves the cavity and the raters as they were.
    streams = np.random.default_rng([seed, index]).spawn(_STREAMS)
    settings = settings.of_case(streams[6])
    brain = brains[index % len(brains)] if brains else None
    sequences = brain.sequences if brain else SEQUENCES
    if brain:
        patient = simulate_patient(brain.anatomy, settings, streams[0], brain.signals)
    else:
        patient = simulate_patient(load_template(), settings, streams[0])
    cavity = simulate_cavity(patient.anatomy, settings, streams[1])
    contents = simulate_contents(patient.anatomy, cavity, settings, streams[2])
    healthy = healthy_signals(patient.anatomy, streams[3]) if patient.signals is None else patient.signals
    signals = with_cavity(healthy, contents, streams[3], sequences)
    images = scan(patient, signals, settings.noise, streams[4], sequences)

    grid = patient.scan_grid
    inside = images[0] > 0
    distance = patient.to_scan(cavity.distance)
    truth = (distance < 0) & inside
    scene = Scene(
        grid=grid,
        brain=inside,
        distance=distance,
        ambiguity=patient.to_scan(contents.ambiguity),
        csf=patient.to_scan(patient.anatomy.csf),
        air=patient.to_scan(contents.air),
        settled=patient.to_scan(contents.settled),
    )
    volume_ml = truth.sum() * grid.voxel_volume_ml
    case = Case(
        name=case_names(index + 1)[-1],
        grid=grid,
        sequences=sequences,
        images=images,
        truth=truth,
        notes=(f"simulated: cavity of {volume_ml:.1f} mL in the {cavity.side} {cavity.lobe} lobe",),
    )
    return case, scene, settings


def case_names(count: int) -> list[str]:
    """The names of a cohort's cases: "case01", "case02" and so on."""
    return [f"case{number:02d}" for number in range(1, count + 1)]
