"""The paper's two groups of cases: those that were segmented worse than the median, and the others.

Source: Jungo et al. 2018, section 4.2 and Fig. 4(b): the cases "were divided by segmentation performance in two groups,
separated by the median Dice"; of the upper one "the Dice was equal or larger than the median Dice".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.raters.fusion import FusionMethod

LOWER, UPPER = "below", "above"
GROUPS = (LOWER, UPPER)
"""Below the median Dice (Q1-Q2), and at it or above (Q3-Q4)."""

ArmScores: TypeAlias = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Arm to score to one value a case; all arms have the same cases in the same order."""


class Split(StrEnum):
    """By which Dice the cases are split."""

    OWN = "own"
    """Each arm at the median of its own Dice with the raters' majority: the main one."""

    TRUTH = "truth"
    """Each arm at the median of its own Dice with the truth, which only a simulation knows."""

    COMMON = "common"
    """All arms at the median of the Dice of no fusion with the majority: the same cases in every arm."""

    @property
    def score(self) -> str:
        """The Dice that splits."""
        return "dice_truth" if self is Split.TRUTH else "dice_majority"


@dataclass(frozen=True)
class Members:
    """Which cases are in which group, bool, shape (case,); a case without WME or Dice is in neither."""

    lower: NDArray[np.bool_]
    upper: NDArray[np.bool_]

    def of(self, group: str) -> NDArray[np.bool_]:
        """The cases of `LOWER` or `UPPER`."""
        return self.upper if group == UPPER else self.lower


def groups(arms: ArmScores, split: Split) -> dict[str, Members]:
    """Split the cases of every arm.

    Args:
        arms: the arms' scores, `wme` and `split.score` among them.
        split: by which Dice.

    Returns:
        Each arm's groups; empty where the Dice is not known (no truth).
    """
    if any(split.score not in scores for scores in arms.values()):
        return {}
    found = {}
    for arm, scores in arms.items():
        deciding = arms[FusionMethod.NONE] if split is Split.COMMON else scores
        dice = deciding[split.score]
        defined = ~np.isnan(dice) & ~np.isnan(scores["wme"])
        upper = dice >= np.median(dice[defined]) if defined.any() else defined
        found[arm] = Members(defined & ~upper, defined & upper)
    return found
