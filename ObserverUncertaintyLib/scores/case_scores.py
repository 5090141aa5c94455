"""Every score of a case by its name: a prediction beside what several raters drew.

The names, in this order, are the columns of the tables; docs/method.md defines the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.raters import fusion
from ObserverUncertaintyLib.raters.votes import Votes
from ObserverUncertaintyLib.scores import metrics, multi_rater_metrics
from ObserverUncertaintyLib.scores.entropy import expert_entropy
from ObserverUncertaintyLib.scores.error_detection import error_auroc, error_overlap
from ObserverUncertaintyLib.scores.proper_scores import brier_score, negative_log_likelihood
from ObserverUncertaintyLib.scores.region import around_raters
from ObserverUncertaintyLib.scores.surfaces import Surface, SurfaceDistances, added_path_length


def case_scores(
    raters: NDArray[np.bool_],
    rater_names: Sequence[str],
    segmented: NDArray[np.bool_],
    predictive: NDArray[Any],
    grid: Grid,
    probability: NDArray[Any] | None = None,
    truth: NDArray[np.bool_] | None = None,
    wanted: Collection[str] | None = None,
) -> dict[str, float]:
    """Score a case.

    Args:
        raters: bool, shape (rater, k, j, i), 1 to 64 raters.
        rater_names: theirs.
        segmented: the model's segmentation, bool, shape (k, j, i).
        predictive: entropy of the model's mean probability in bits, same shape.
        grid: theirs.
        probability: the model's mean probability in [0, 1], same shape; None leaves out what needs it.
        truth: bool, same shape; None leaves out the Dice with it.
        wanted: names of scores; all if None. Others are not computed.

    Returns:
        The scores by name; NaN where undefined.

    Raises:
        InputError: there is no rater, or there are more than 64.
    """
    votes = Votes.of(raters)
    expert, majority = expert_entropy(votes), fusion.majority(votes)
    disputed = expert > 0
    voxel_volume_ml = grid.voxel_volume_ml
    region = cache(lambda: around_raters(votes, grid))
    apart = cache(lambda: SurfaceDistances.of(Surface.of(segmented, grid), Surface.of(majority, grid)))

    def near(values: NDArray[Any]) -> NDArray[Any]:
        return values[region()]

    table: dict[str, Callable[[], float]] = {
        "wme": lambda: metrics.weighted_mean_entropy(expert, predictive),
        "wme_as_printed": lambda: metrics.weighted_mean_entropy_as_printed(expert, predictive),
        "me": lambda: metrics.mean_entropy(predictive),
    }
    if probability is not None:
        # In the probability's own precision: a coarser one would be a calibration error of its own.
        rater_mean = votes.on_grid(votes.patterns.mean(axis=1).astype(probability.dtype))
        table |= {
            "ece_roi": lambda: metrics.expected_calibration_error(near(probability), near(rater_mean)),
            "ece_all": lambda: metrics.expected_calibration_error(probability, rater_mean),
            "ece_inside": lambda: metrics.expected_calibration_error(probability[disputed], rater_mean[disputed]),
            "brier_roi": lambda: brier_score(near(probability), near(rater_mean)),
            "nll_roi": lambda: negative_log_likelihood(near(probability), near(rater_mean)),
        }
    table |= {
        "entropy_inside_disagreement": lambda: _mean(predictive[disputed]),
        "entropy_outside_disagreement": lambda: _mean(predictive[~disputed]),
        "entropy_correlation": lambda: multi_rater_metrics.entropy_correlation(expert, predictive),
        "entropy_correlation_roi": lambda: multi_rater_metrics.entropy_correlation(near(expert), near(predictive)),
        "error_auroc_roi": lambda: error_auroc(near(predictive), near(segmented != majority)),
        "error_overlap_roi": lambda: error_overlap(near(predictive), near(segmented != majority)),
        "dice_majority": lambda: metrics.dice(segmented, majority),
        "surface_dice_1_mm": lambda: apart().surface_dice(1.0),
        "surface_dice_2_mm": lambda: apart().surface_dice(2.0),
        "hausdorff_95_mm": lambda: apart().hausdorff(),
        "surface_distance_mm": lambda: apart().average(),
        "added_path_mm": lambda: added_path_length(majority, segmented, grid),
    }
    if truth is not None:
        table["dice_truth"] = lambda: metrics.dice(segmented, truth)
    for name, mask in zip(rater_names, raters, strict=True):
        table[f"dice_with_{name}"] = lambda mask=mask: metrics.dice(segmented, mask)  # type: ignore[misc]
        if probability is not None:
            table[f"ece_roi_with_{name}"] = lambda mask=mask: metrics.expected_calibration_error(  # type: ignore[misc]
                near(probability), near(mask)
            )
    table["dice_between_raters"] = lambda: metrics.mean_of_defined(
        metrics.pairwise_dice(votes)[np.triu_indices(len(raters), 1)]
    )
    if probability is not None:
        table["soft_dice"] = lambda: multi_rater_metrics.soft_dice(probability, votes)
    table |= {
        "dice_consensus": lambda: multi_rater_metrics.consensus_dice(segmented, votes),
        "dice_dissensus": lambda: multi_rater_metrics.dissensus_dice(segmented, votes),
    }
    if probability is not None:
        table["volume_crps_ml"] = lambda: multi_rater_metrics.volume_crps(probability, votes, voxel_volume_ml)
    table |= {
        "volume_ml": lambda: np.count_nonzero(segmented) * voxel_volume_ml,
        "volume_ml_majority": lambda: np.count_nonzero(majority) * voxel_volume_ml,
    }
    chosen = table.keys() if wanted is None else wanted
    return {name: score() for name, score in table.items() if name in chosen}


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else float("nan")
