"""The differences between no fusion and the other arms that answer the paper's question, with their intervals.

The paper's finding (section 4.2): where the segmentation is good (Dice at the median or above), training on all labels
gives a higher WME than the majority vote does; where it is poor, it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.studies.cavity.groups import GROUPS, LOWER, UPPER, ArmScores, Split, groups
from ObserverUncertaintyLib.studies.cavity.tables import Scores
from ObserverUncertaintyLib.studies.paired import paired_test, resamples

TESTED_SCORES = (
    "wme",
    "me",
    "dice_majority",
    "dice_truth",
    "ece_roi",
    "nll_roi",
    "soft_dice",
    "volume_crps_ml",
    "ged",
)
CONTRAST = "above - below"


@dataclass(frozen=True)
class GroupDifference:
    """The mean WME of no fusion minus that of another arm in one Dice group.

    Attributes:
        seed, split: see `tables.group_rows`.
        group: a group, or `CONTRAST`: how much larger the difference is in the upper group than in the lower one.
        arm: the arm that no fusion is compared with.
        n: cases in the group, of the arm that has fewer; for `CONTRAST` of the smaller group.
        mean, low, high: the difference and its 95 % bootstrap interval over patients, each resample split anew.
    """

    seed: str
    split: str
    group: str
    arm: str
    n: int
    mean: float
    low: float
    high: float


def group_differences(tables: Sequence[Scores]) -> list[GroupDifference]:
    """No fusion against every other arm, for each seed, split and group."""
    found = []
    for scores in tables:
        for split in Split:
            if groups(scores.arms, split):
                for arm in _others(scores):
                    found += _differences(scores, split, arm)
    return found


def _differences(scores: Scores, split: Split, arm: str) -> list[GroupDifference]:
    pair = {name: scores.arms[name] for name in (FusionMethod.NONE, arm)}
    middle = _by_group(pair, split, arm, np.arange(len(scores.cases)))
    drawn = np.array([_by_group(pair, split, arm, chosen) for chosen in resamples(len(scores.cases))])
    # A resample of one patient only, in a tiny cohort, has an empty group.
    low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0) if not np.isnan(middle).any() else (middle, middle)
    members = groups(pair, split).values()
    counts = [min(int(each.of(group).sum()) for each in members) for group in GROUPS]
    return [
        GroupDifference(scores.label, split.value, group, arm, n, *(float(value) for value in values))
        for group, n, *values in zip((*GROUPS, CONTRAST), [*counts, min(counts)], middle, low, high, strict=True)
    ]


def _by_group(pair: ArmScores, split: Split, arm: str, chosen: NDArray[np.intp]) -> NDArray[np.float64]:
    """The difference in the lower group, in the upper one, and between the two, for some of the cases."""
    part = {name: {key: scores[key][chosen] for key in ("wme", split.score)} for name, scores in pair.items()}
    members = groups(part, split)
    means = {name: np.array([_mean(part[name]["wme"][members[name].of(group)]) for group in GROUPS]) for name in part}
    lower, upper = means[FusionMethod.NONE] - means[arm]
    return np.array([lower, upper, upper - lower])


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def paired_rows(tables: Sequence[Scores]) -> list[dict[str, Any]]:
    """Paired tests of no fusion against every other arm: of all cases, and of the groups of the common split."""
    rows = []
    for scores in tables:
        none = scores.arms[FusionMethod.NONE]
        common = groups(scores.arms, Split.COMMON)[FusionMethod.NONE]
        everyone = np.ones(len(scores.cases), bool)
        for arm in _others(scores):
            for score in (score for score in TESTED_SCORES if score in none):
                for group, members in (("all", everyone), (LOWER, common.lower), (UPPER, common.upper)):
                    test = paired_test(none[score][members], scores.arms[arm][score][members])
                    rows.append({"seed": scores.label, "score": score, "group": group, "arm": arm, **asdict(test)})
    return rows


def _others(scores: Scores) -> list[str]:
    return [arm for arm in scores.arms if arm != FusionMethod.NONE]
