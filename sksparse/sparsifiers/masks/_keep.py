"""Which weights to keep: pure functions from flat scores to flat boolean masks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

#: Share of the weights to keep that is apportioned to the tensors by their sizes.
_QUOTA = 0.3


def n_kept(n_weights: int, sparsity: float) -> int:
    """Weights left at a sparsity, rounded to the nearest whole weight."""
    return n_weights - round(n_weights * sparsity)


def keep_above_deviation(weights: Tensor, sizes: Sequence[int], quality: float) -> Tensor:
    """Keep ``|w| >= quality * std(W)`` in each tensor (Han et al., 2015), but no zero.

    A pruned weight stays so, also where its whole tensor is pruned and the deviation is zero.
    """
    return torch.cat(
        [(w.abs() >= quality * w.std(correction=0)) & (w != 0) for w in weights.split(sizes)]
    )


def keep_largest(scores: Tensor, count: int) -> Tensor:
    """Keep exactly the `count` weights with the largest scores; equal ones by index."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    cut = scores.kthvalue(len(scores) - count + 1).values
    keep = scores >= cut
    surplus = int(torch.count_nonzero(keep)) - count
    if surplus:
        ties = (scores == cut).nonzero().squeeze(1)
        keep[ties[len(ties) - surplus :]] = False
    return keep


def keep_counts(scores: Tensor, sizes: Sequence[int], counts: Sequence[int]) -> Tensor:
    """Keep exactly the given number of weights with the largest scores in each tensor."""
    parts = zip(scores.split(sizes), counts, strict=True)
    return torch.cat([keep_largest(part, count) for part, count in parts])


def keep_top(
    scores: Tensor, sparsity: float, *, sizes: Sequence[int], per_tensor: bool = False
) -> Tensor:
    """Keep exactly the share ``1 - sparsity`` with the largest scores, over all or per tensor."""
    if per_tensor:
        return keep_counts(scores, sizes, [n_kept(n, sparsity) for n in sizes])
    return keep_largest(scores, n_kept(len(scores), sparsity))


def keep_ranked(first: Tensor, second: Tensor, count: int) -> Tensor:
    """Keep exactly `count` weights: by the first score, within equal ones by the second."""
    by_second = torch.argsort(second, stable=True, descending=True)
    order = by_second[torch.argsort(first[by_second], stable=True, descending=True)]
    keep = torch.zeros_like(first, dtype=torch.bool)
    keep[order[:count]] = True
    return keep


def rank_shares(values: Tensor) -> Tensor:
    """For each number of a matrix its rank in its row as a share of the row, flat."""
    n_rows, n = values.shape
    order = torch.argsort(values, dim=1, stable=True)
    shares = torch.arange(n, device=values.device, dtype=values.dtype).div_(n)
    return torch.empty_like(values).scatter_(1, order, shares.expand(n_rows, n)).view(-1)


def ranks_of(first: Tensor, second: Tensor) -> Tensor:
    """From 1 for the least to n for the largest: by the first score, then by the second."""
    order = torch.argsort(second, stable=True)
    return _ranks(order[torch.argsort(first[order], stable=True)])


def _ranks(order: Tensor) -> Tensor:
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(1, len(order) + 1, device=order.device)
    return ranks


def layer_quotas(sizes: Sequence[int], count: int) -> list[int]:
    """Of `count` weights to keep, how many each tensor keeps at least, by its size."""
    total = sum(sizes)
    return [min(n, math.ceil(_QUOTA * count * n / total)) for n in sizes]


def ranks_with_quotas(scores: Tensor, sizes: Sequence[int], count: int) -> Tensor:
    """Ranks from 1 for the least score, where the best of each tensor come before all others.

    A score whose scale differs from tensor to tensor may leave one of them without weights, and
    the network without paths. A share of the weights to keep is therefore a quota of each tensor.
    """
    ranks = _ranks(torch.argsort(scores, stable=True))
    for part, quota in zip(ranks.split(sizes), layer_quotas(sizes, count), strict=True):
        part[torch.topk(part, quota).indices] += len(scores)
    return ranks
