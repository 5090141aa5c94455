"""What the ways of fusing raters are called in tables and figures."""

from __future__ import annotations

from ObserverUncertaintyLib.raters.fusion import FusionMethod

FUSION_TITLES: dict[str, str] = {
    FusionMethod.NONE: "No fusion",
    FusionMethod.MAJORITY: "Majority",
    FusionMethod.STAPLE: "STAPLE",
    FusionMethod.UNION: "Union",
    FusionMethod.INTERSECTION: "Intersection",
    FusionMethod.MEAN: "Rater mean",
}
"""By a method's name, in the order in which they are shown."""
