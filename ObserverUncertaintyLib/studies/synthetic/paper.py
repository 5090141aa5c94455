"""What the paper reports, to stand beside what was measured here.

Source: Jungo et al. 2018, Table 1: mean and standard deviation, presumably over test samples.
"""

from __future__ import annotations

from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.simulation.shapes import PERTURBED, UNPERTURBED

PAPERS_FUSIONS = (
    FusionMethod.NONE,
    FusionMethod.MAJORITY,
    FusionMethod.STAPLE,
    FusionMethod.UNION,
    FusionMethod.INTERSECTION,
)
"""The arms of the paper's Table 1, in its order."""

_ROWS = {
    ("wme", UNPERTURBED): ((0.68, 0.08), (0.54, 0.10), (0.59, 0.09), (0.29, 0.13), (0.30, 0.12)),
    ("wme", PERTURBED): ((0.67, 0.07), (0.47, 0.09), (0.56, 0.08), (0.30, 0.08), (0.20, 0.08)),
    ("me", UNPERTURBED): ((0.12, 0.03), (0.09, 0.02), (0.10, 0.02), (0.08, 0.02), (0.08, 0.02)),
    ("me", PERTURBED): ((0.12, 0.03), (0.08, 0.02), (0.09, 0.02), (0.08, 0.02), (0.09, 0.03)),
    ("dice", UNPERTURBED): ((0.99, 0.01), (0.99, 0.01), (0.98, 0.01), (0.90, 0.02), (0.89, 0.03)),
    ("dice", PERTURBED): ((0.96, 0.02), (0.96, 0.02), (0.96, 0.02), (0.92, 0.03), (0.88, 0.04)),
}

TABLE1: dict[tuple[str, str, str], tuple[float, float]] = {
    (score, state, fusion): value
    for (score, state), values in _ROWS.items()
    for fusion, value in zip(PAPERS_FUSIONS, values, strict=True)
}
"""(score, state, fusion) to (mean, standard deviation)."""

TABLE1_SCORES = ("wme", "me", "dice")
