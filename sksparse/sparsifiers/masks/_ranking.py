"""Layers compared with themselves: thresholds in each, and one ranking that respects counts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def keep_above_mean_square(scores: Tensor, sizes: Sequence[int], quality: float) -> Tensor:
    """Keep the scores of each layer from `quality` times their root mean square on, but no 0."""
    return torch.cat(
        [
            (part >= quality * part.square().mean().sqrt()) & (part > 0)
            for part in scores.split(list(sizes))
        ]
    )


def relative_ranks(scores: Tensor, sizes: Sequence[int], counts: Sequence[int]) -> Tensor:
    """Scores of which the largest ``sum(counts)`` are the best `counts` of each layer.

    Beyond these, layers follow in turn in proportion to their counts. A score of 0 stays 0.

    Parameters
    ----------
    scores : torch.Tensor of shape (n_weights,)
        Not negative.
    sizes : sequence of int
        Weights in each layer.
    counts : sequence of int
        Weights to keep in each layer.

    Returns
    -------
    ranks : torch.Tensor of shape (n_weights,)
        1 and more for the best of each layer.
    """
    parts = []
    for part, count in zip(scores.split(list(sizes)), counts, strict=True):
        order = torch.argsort(part, descending=True, stable=True)
        place = torch.arange(1, len(part) + 1, dtype=scores.dtype, device=scores.device)
        parts.append(torch.empty_like(part).index_copy_(0, order, max(count, 0.5) / place))
    return torch.cat(parts).mul_(scores > 0)
