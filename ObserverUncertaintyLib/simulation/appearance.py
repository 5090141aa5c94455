"""From tissue and cavity to MR images: the signal of each tissue on each sequence, then the scanner's imperfections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.special import expit

from ObserverUncertaintyLib.simulation.anatomy import Anatomy
from ObserverUncertaintyLib.simulation.cavity_contents import SEQUENCES, CavityContents
from ObserverUncertaintyLib.simulation.patients import Patient
from ObserverUncertaintyLib.simulation.random_fields import Field, smooth_field

SIGNAL = {
    #                 T1    T1c   T2    FLAIR
    "grey": (0.73, 0.80, 0.40, 1.00),
    "white": (1.00, 1.00, 0.31, 0.84),
    "csf": (0.26, 0.28, 1.00, 0.20),
    "oedema": (0.74, 0.76, 0.58, 1.35),
    "protein": (0.52, 0.55, 0.88, 0.85),
    "fresh blood": (0.70, 0.72, 0.16, 0.55),
    "old blood": (1.25, 1.28, 0.75, 1.25),
    "air": (0.03, 0.03, 0.03, 0.03),
    "enhancing": (0.78, 1.75, 0.50, 1.15),
}
"""Signal of each tissue on `SEQUENCES`, relative to white matter on T1 and T1c, CSF on T2, about brain on FLAIR.

Grey to white matter as in the two real patients of Lesjak et al. 2017 (doi 10.1007/s12021-017-9348-7), segmented by
T1: 0.75 and 0.77, 0.82 and 0.81, 1.29 and 1.32, 1.21 and 1.19. Blood: the ageing of
haemoglobin in Bradley, Radiology 189(1), 1993, doi 10.1148/radiology.189.1.8372185.
"""

SCALE = (360.0, 330.0, 850.0, 95.0)
"""Typical grey value of a signal of 1 on each sequence, in a scanner's arbitrary units."""


def healthy_signals(anatomy: Anatomy, rng: np.random.Generator) -> Field:
    """The relative signals of the brain before surgery, shape (sequence, k, j, i); 0 outside the brain."""
    grid = anatomy.grid
    # Tissue is not uniform: myelination varies slowly, and a fine texture is seen alike on every sequence.
    slow, fine = smooth_field(grid, 20.0, rng), smooth_field(grid, 2.5, rng)
    vessels = anatomy.csf * expit(5 * (smooth_field(grid, 3.0, rng) - 1.5))
    signals = np.empty((len(SEQUENCES), *grid.shape), np.float32)
    for n, sequence in enumerate(SEQUENCES):
        signal = SIGNAL["grey"][n] * anatomy.grey + SIGNAL["white"][n] * anatomy.white + SIGNAL["csf"][n] * anatomy.csf
        own = smooth_field(grid, 3.0, rng)
        direction = -1 if sequence.startswith("T1") else 1
        signal = signal * (1 + direction * (0.025 * slow + 0.02 * fine) + 0.02 * own)
        if sequence == "T1c":
            signal += (SIGNAL["enhancing"][n] - SIGNAL["csf"][n]) * vessels
        signals[n] = signal
    return signals


def with_cavity(
    signals: Field, contents: CavityContents, rng: np.random.Generator, sequences: Sequence[str] = SEQUENCES
) -> Field:
    """Put the cavity and the changes around it into the brain's signals.

    Args:
        signals: relative signals as `healthy_signals` gives them, or a real patient's images scaled to them, shape
            (sequence, k, j, i).
        contents: what is in and around the cavity.
        rng: source of randomness.
        sequences: of the signals, some of `SEQUENCES`.
    """
    signals = signals.copy()
    brain = signals[0] > 0
    stir = contents.protein * rng.uniform(0.7, 1.3)
    for tissue, sequence in zip(signals, sequences, strict=True):
        n = SEQUENCES.index(sequence)
        tissue += contents.oedema * (SIGNAL["oedema"][n] - tissue)
        if sequence == "T1c":
            tissue += contents.enhancement * (SIGNAL["enhancing"][n] - tissue)
        fluid = SIGNAL["csf"][n] + stir * (SIGNAL["protein"][n] - SIGNAL["csf"][n])
        old, fresh = SIGNAL["old blood"][n], SIGNAL["fresh blood"][n]
        blood = fresh + contents.blood_age * (old - fresh)
        inside = fluid + contents.blood * (blood - fluid)
        inside += contents.air * (SIGNAL["air"][n] - inside)
        tissue[:] = np.where(brain, tissue + contents.extent[n] * (inside - tissue), 0)
    return signals


def scan(
    patient: Patient, signals: Field, noise: float, rng: np.random.Generator, sequences: Sequence[str] = SEQUENCES
) -> Field:
    """Image the relative signals: blur, slice averaging, bias field, scaling, Rician noise, skull stripping.

    Args:
        patient: the patient whose fine grid the signals are on.
        signals: shape (sequence, k, j, i) on the fine grid.
        noise: standard deviation of the noise as a fraction of a signal of 1 on T1; T2 and FLAIR are a little noisier.
        rng: source of randomness.
        sequences: of the signals, some of `SEQUENCES`.

    Returns:
        float32 grey values, shape (sequence, k, j, i) on the patient's scan grid; exactly 0 outside the brain.
    """
    fine, grid = patient.anatomy.grid, patient.scan_grid
    inside = patient.anatomy.brain.astype(np.float32)
    brain = patient.to_scan(inside) >= 0.5
    images = np.zeros((len(sequences), *grid.shape), np.float32)
    for n, sequence in enumerate(sequences):
        width = [rng.uniform(0.5, 0.8) / s for s in fine.spacing[::-1]]
        # Dividing by the blurred mask keeps the black outside from darkening the brain's edge.
        blurred = ndimage.gaussian_filter(signals[n], width)
        coverage = ndimage.gaussian_filter(inside, width)
        signal = patient.to_scan(blurred) / np.maximum(patient.to_scan(coverage), 0.1)
        signal *= np.exp(0.06 * smooth_field(grid, 60.0, rng))
        level = noise * rng.uniform(0.7, 1.4)
        real, imaginary = level * rng.standard_normal((2, *grid.shape), dtype=np.float32)
        magnitude = np.hypot(signal + real, imaginary)
        images[n] = np.where(brain, SCALE[SEQUENCES.index(sequence)] * rng.lognormal(0, 0.15) * magnitude, 0)
    return images
