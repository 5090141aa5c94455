"""Cross-validation by patient: which cases are tested in which fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ObserverUncertaintyLib.base.errors import InputError


def split_into_folds(cases: Sequence[str], folds: int, seed: int) -> list[tuple[str, ...]]:
    """Split cases at random into parts of equal size, or of sizes that differ by one.

    Args:
        cases: the cases' names; a case is a patient.
        folds: number of parts.
        seed: same seed, same parts.

    Returns:
        The test cases of each fold, in the order of `cases`; every case is in exactly one.

    Raises:
        InputError: there are fewer cases than folds.
    """
    if len(cases) < folds:
        raise InputError(f"{len(cases)} cases cannot be split into {folds} folds. Give more cases, or fewer --folds.")
    order = np.random.default_rng(seed).permutation(len(cases))
    return [tuple(cases[number] for number in sorted(part)) for part in np.array_split(order, folds)]
