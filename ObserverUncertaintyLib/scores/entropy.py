"""Entropies in bits: of the experts' disagreement, and of a model's Monte Carlo samples.

All are entropies of a binary label, divided by log 2 (the number of classes is two), so that they run from 0 (sure)
to 1 (half of the votes, or half of the probability, on either side).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from ObserverUncertaintyLib.raters.votes import Raters, Votes


def binary_entropy(probability: NDArray[Any]) -> NDArray[np.float64]:
    """Entropy in bits of a binary label with this foreground probability; 0 at p = 0 and p = 1.

    Args:
        probability: any shape, in [0, 1].

    Returns:
        H(p) = -p log2 p - (1 - p) log2 (1 - p), same shape, in [0, 1].
    """
    p = np.asarray(probability, np.float64)
    # entr(x) = -x log x takes 0 log 0 as 0, which keeps certain voxels free of NaN.
    return np.asarray((entr(p) + entr(1.0 - p)) / np.log(2.0))


def expert_entropy(raters: Raters) -> NDArray[np.float64]:
    """Entropy in bits of the raters' votes at each voxel: the inter-rater variability.

    Args:
        raters: bool, shape (rater, k, j, i), 1 to 64 raters, or their votes.

    Returns:
        Shape (k, j, i), in [0, 1]; 0 where all raters agree.

    Raises:
        InputError: there is no rater, or there are more than 64.

    Source: Jungo et al. 2018, section 3.4, the entropies of the expert disagreement.
    """
    votes = Votes.of(raters)
    return votes.on_grid(binary_entropy(votes.patterns.mean(axis=1)))


@dataclass(frozen=True)
class Uncertainty:
    """Entropy of a model's prediction in bits and its two parts, each of shape (k, j, i), in [0, 1].

    Attributes:
        predictive: entropy of the mean probability, H[E p]; the sum of the two parts.
        expected: mean entropy of the samples, E[H p]: the aleatoric part, due to the data and the raters.
        mutual_information: of label and weights, the rest: the epistemic part, due to the model.

    Source: Jungo et al. 2018, section 2.2 (predictive entropy); Depeweg et al., ICML 2018 (the two parts).
    """

    predictive: NDArray[np.float64]
    expected: NDArray[np.float64]
    mutual_information: NDArray[np.float64]
