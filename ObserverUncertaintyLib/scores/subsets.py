"""How agreement and expert entropy settle with the number of raters: what every subset of them would have shown."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from ObserverUncertaintyLib.raters.votes import Raters, Votes
from ObserverUncertaintyLib.scores.agreement import conformity_index
from ObserverUncertaintyLib.scores.entropy import binary_entropy
from ObserverUncertaintyLib.scores.metrics import mean_of_defined

MOST_SUBSETS = 100
"""Of a size with more subsets so many are drawn at random, always the same ones."""


@dataclass(frozen=True)
class SubsetsOfRaters:
    """What so many of a case's raters show, mean over the subsets of that size.

    Attributes:
        raters: the size.
        disputed_ml: volume where the raters of a subset disagree.
        entropy_ml: their expert entropy, summed over the voxels, in bits times mL.
        conformity_index: their generalised conformity index; NaN for one rater.
        conformity_spread: its standard deviation over the subsets, n - 1; NaN with fewer than two subsets.
        dice_left_out: Dice of their majority with each rater who is not in the subset, an even split counted half as
            foreground; NaN where nobody is left out.
    """

    raters: int
    disputed_ml: float
    entropy_ml: float
    conformity_index: float
    conformity_spread: float
    dice_left_out: float


def subsets_of_raters(raters: Raters, voxel_volume_ml: float) -> tuple[SubsetsOfRaters, ...]:
    """Look at subsets of one rater up to all.

    Args:
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.
        voxel_volume_ml: volume of a voxel in mL.
    """
    votes = Votes.of(raters)
    number = votes.patterns.shape[1]
    return tuple(_of_size(votes, size, voxel_volume_ml) for size in range(1, number + 1))


def _of_size(votes: Votes, size: int, voxel_volume_ml: float) -> SubsetsOfRaters:
    number, generator = votes.patterns.shape[1], np.random.default_rng(size)
    if comb(number, size) <= MOST_SUBSETS:
        subsets = list(combinations(range(number), size))
    else:
        drawn = (sorted(generator.choice(number, size, replace=False).tolist()) for _subset in range(MOST_SUBSETS))
        subsets = list(dict.fromkeys(map(tuple, drawn)))
    # Patterns of votes hold all that there is to know: no voxel is looked at again.
    disputed, entropy, conformity, dice = [], [], [], []
    for subset in subsets:
        marked = votes.patterns[:, subset]
        share = marked.mean(axis=1)
        disputed.append(float(votes.counts @ ((share > 0) & (share < 1))))
        entropy.append(float(votes.counts @ binary_entropy(share)))
        conformity.append(conformity_index(Votes(marked, votes.index, votes.box, votes.shape)))
        fused = np.where(share == 0.5, 0.5, share > 0.5)
        for other in set(range(number)) - set(subset):
            both, total = votes.counts @ (fused * votes.patterns[:, other]), fused + votes.patterns[:, other]
            dice.append(2 * both / each if (each := float(votes.counts @ total)) else float("nan"))
    spread = float(np.std(conformity, ddof=1)) if len(subsets) > 1 else float("nan")
    return SubsetsOfRaters(
        size,
        float(np.mean(disputed)) * voxel_volume_ml,
        float(np.mean(entropy)) * voxel_volume_ml,
        float(np.mean(conformity)),
        spread,
        mean_of_defined(dice),
    )
