"""What the paper finds in its Table 1, looked at in ours: paired differences within each seed, and a verdict.

Test samples of a seed are seen by all its models, so differences are taken sample by sample. Their interval is a
bootstrap over samples (Efron, Ann. Stat. 1979); seeds are shown one by one, since a few are no sample of seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ObserverUncertaintyLib.simulation.shapes import STATES
from ObserverUncertaintyLib.studies.paired import paired_interval
from ObserverUncertaintyLib.studies.synthetic.arms import PAPERS_FUSIONS
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
class Verdict:
    """Whether a finding came out, in words, with the differences it rests on."""

    claim: str
    state: str
    text: str
    holds: bool
    differences: tuple[Difference, ...]


def verdicts(results: Sequence[Result]) -> list[Verdict]:
    """The paper's four findings for each image state, over the seeds whose five arms are all there."""
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
        if not complete:
            continue
        compare = _Comparison(table, state, complete)
        found += [
            compare.all_above(
                "no fusion has the highest WME", "wme", "none", ("majority", "staple", "union", "intersection")
            ),
            compare.all_above("STAPLE has a higher WME than majority", "wme", "staple", ("majority",)),
            compare.far_below(),
            compare.same_dice(),
        ]
    return found


@dataclass(frozen=True)
class _Comparison:
    table: dict[tuple[str, str, int], Result]
    state: str
    seeds: list[int]

    def all_above(self, claim: str, score: str, first: str, others: Sequence[str]) -> Verdict:
        differences = [self._difference(claim, score, first, other, seed) for other in others for seed in self.seeds]
        return self._verdict(claim, differences, [each.low > 0 for each in differences])

    def far_below(self) -> Verdict:
        claim = f"union and intersection have the lowest Dice, by {SEVERAL_POINTS} or more"
        differences = [
            self._difference(claim, "dice", better, worse, seed)
            for worse in ("union", "intersection")
            for better in ("none", "majority", "staple")
            for seed in self.seeds
        ]
        return self._verdict(claim, differences, [each.mean >= SEVERAL_POINTS for each in differences])

    def same_dice(self) -> Verdict:
        claim = f"the Dice of no fusion is within {SAME_DICE} of majority's"
        differences = [self._difference(claim, "dice", "none", "majority", seed) for seed in self.seeds]
        return self._verdict(claim, differences, [abs(each.mean) <= SAME_DICE for each in differences])

    def _difference(self, claim: str, score: str, first: str, second: str, seed: int) -> Difference:
        a, b = (np.array(values(self.table[(self.state, fusion, seed)], score)) for fusion in (first, second))
        return Difference(claim, self.state, score, first, second, seed, *paired_interval(a - b))

    def _verdict(self, claim: str, differences: list[Difference], hold: list[bool]) -> Verdict:
        kept = sum(hold)
        outcome = "comes out" if kept == len(hold) else "comes out in part" if kept else "does not come out"
        text = f"{outcome} ({kept} of {len(hold)} comparisons)"
        return Verdict(claim, self.state, text, kept == len(hold), tuple(differences))


def difference_rows(found: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Every difference as a row of a table."""
    return [vars(difference) for verdict in found for difference in verdict.differences]
