"""What the paper finds in its Table 1, looked at in ours: paired differences within each seed.

Test samples of a seed are seen by all its models, so differences are taken sample by sample. Their interval is a
bootstrap over samples (Efron, Ann. Stat. 1979); seeds are shown one by one, since a few are no sample of seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ObserverUncertaintyLib.simulation.shapes import STATES
from ObserverUncertaintyLib.studies.paired import paired_interval
from ObserverUncertaintyLib.studies.synthetic.paper import PAPERS_FUSIONS
from ObserverUncertaintyLib.studies.synthetic.settings import Part
from ObserverUncertaintyLib.studies.synthetic.tables import Result, values

SEVERAL_POINTS = 0.03
"""What "several points" of Dice are taken to be."""
SAME_DICE = 0.01


@dataclass(frozen=True)
class Difference:
    """A score of one arm minus another's, for one seed.

    Attributes:
        claim: the finding it belongs to.
        state, score, seed: what is compared.
        first, second: fusions; the difference is first minus second.
        mean, low, high: mean difference over test samples and its 95 % bootstrap interval.
    """

    claim: str
    state: str
    score: str
    first: str
    second: str
    seed: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Claim:
    """One of the paper's findings.

    Attributes:
        text: the finding.
        score: what it is about.
        pairs: fusions that are compared, the first minus the second.
        holds: whether a difference agrees with it.
    """

    text: str
    score: str
    pairs: tuple[tuple[str, str], ...]
    holds: Callable[[Difference], bool]


CLAIMS = (
    Claim(
        "no fusion has the highest WME",
        "wme",
        tuple(("none", other) for other in ("majority", "staple", "union", "intersection")),
        lambda difference: difference.low > 0,
    ),
    Claim(
        "STAPLE has a higher WME than majority",
        "wme",
        (("staple", "majority"),),
        lambda difference: difference.low > 0,
    ),
    Claim(
        f"union and intersection have the lowest Dice, by {SEVERAL_POINTS} or more",
        "dice",
        tuple((better, worse) for worse in ("union", "intersection") for better in ("none", "majority", "staple")),
        lambda difference: difference.mean >= SEVERAL_POINTS,
    ),
    Claim(
        f"the Dice of no fusion is within {SAME_DICE} of majority's",
        "dice",
        (("none", "majority"),),
        lambda difference: abs(difference.mean) <= SAME_DICE,
    ),
)


@dataclass(frozen=True)
class Finding:
    """A claim in one image state: the differences it rests on, and in how many of them it holds."""

    claim: str
    state: str
    differences: tuple[Difference, ...]
    held: int

    @property
    def holds(self) -> bool:
        """Whether it holds in all of them."""
        return self.held == len(self.differences)


def findings(results: Sequence[Result]) -> list[Finding]:
    """The paper's findings for each image state, over the seeds whose five arms are all there."""
    table = {
        (result["state"], result["fusion"], result["seed"]): result
        for result in results
        if result["part"] == Part.TABLE1
    }
    found = []
    for state in STATES:
        seeds = sorted({seed for at, _fusion, seed in table if at == state})
        # Another call may still be working on the others.
        complete = [seed for seed in seeds if all((state, fusion, seed) in table for fusion in PAPERS_FUSIONS)]
        for claim in CLAIMS if complete else ():
            differences = []
            for first, second in claim.pairs:
                for seed in complete:
                    a, b = (np.array(values(table[(state, arm, seed)], claim.score)) for arm in (first, second))
                    differences.append(
                        Difference(claim.text, state, claim.score, first, second, seed, *paired_interval(a - b))
                    )
            found.append(Finding(claim.text, state, tuple(differences), sum(map(claim.holds, differences))))
    return found


def difference_rows(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """Every difference as a row of a table."""
    return [vars(difference) for finding in found for difference in finding.differences]
