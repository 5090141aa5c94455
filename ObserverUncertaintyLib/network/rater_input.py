"""The rater as an input: images that tell the network whose drawing it sees, or is to make."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def with_rater(images: Tensor, rater: Tensor, raters: int) -> Tensor:
    """Append an image for each rater, which is 1 everywhere for the one that is meant and 0 for the others.

    Args:
        images: shape (slice, sequence, row, column).
        rater: number of each slice's rater, integers, shape (slice,).
        raters: how many raters there are.

    Returns:
        Shape (slice, sequence + rater, row, column).
    """
    chosen = functional.one_hot(rater, raters).to(images)[:, :, None, None]
    return torch.cat([images, chosen.expand(-1, -1, *images.shape[-2:])], dim=1)
