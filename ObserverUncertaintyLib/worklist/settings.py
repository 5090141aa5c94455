"""What a worklist is made with."""

from __future__ import annotations

from dataclasses import dataclass, field

from ObserverUncertaintyLib.worklist.rules import SequenceRules, shipped_rules


@dataclass(frozen=True)
class WorklistSettings:
    """What a worklist is made with.

    Attributes:
        rules: which text names which sequence.
        structures: names of the structure that raters drew; an ROI whose name has one of them is a rater's.
        sequences: those that every case must have; () takes what half of the cases have, or the manifest's.
        name: the cohort's name.
        label: the structure's name in the manifest; the first of `structures` if None.
    """

    rules: SequenceRules = field(default_factory=shipped_rules)
    structures: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()
    name: str = "Worklist"
    label: str | None = None
