"""What a training step sees as label: one rater at random, a fused map, or the raters' mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.raters.fusion import FusionMethod, Tie, fuse


def training_labels(raters: NDArray[np.bool_], method: FusionMethod, tie: Tie = Tie.BACKGROUND) -> NDArray[Any]:
    """The labels that a case offers to training.

    Args:
        raters: bool, shape (rater, k, j, i), at least one rater; fusion happens on the case's own grid.
        method: "none" offers every rater's mask, any other method its one fused map.
        tie: used by "majority" only.

    Returns:
        Shape (label, k, j, i): bool, or float32 in [0, 1] for "mean".
    """
    if method is FusionMethod.NONE:
        return raters
    return np.asarray(fuse(raters, method, tie))[None]


def draw_labels(counts: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """For each slice, which of its labels this epoch sees, drawn evenly.

    Args:
        counts: number of labels that each slice has, shape (slice,); cases may lack a rater.
        rng: the epoch's generator.

    Returns:
        Indices below `counts`, same shape; always 0 where a slice has one label.

    Source: Jungo et al. 2018, section 3.2: without fusion "the observer annotations are sampled randomly".
    """
    return rng.integers(0, counts).astype(np.intp)
