"""Which weights to keep: pure functions from scores to boolean masks, by tensor name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Masks = dict[str, Tensor]


def n_kept(n_weights: int, sparsity: float) -> int:
    """Weights left at a sparsity, rounded to the nearest whole weight."""
    return n_weights - round(n_weights * sparsity)


def keep_above_deviation(weights: Mapping[str, Tensor], quality: float) -> Masks:
    """Keep ``|w| >= quality * std(W)`` in each tensor (Han et al., 2015), but no zero.

    A weight that is pruned stays so, also where its whole tensor is and the deviation is zero.
    """
    return {
        name: (w.detach().abs() >= quality * w.detach().std(correction=0)) & (w.detach() != 0)
        for name, w in weights.items()
    }


def keep_top(scores: Mapping[str, Tensor], sparsity: float, *, per_tensor: bool) -> Masks:
    """Keep exactly the share ``1 - sparsity`` with the largest scores, over all or per tensor."""
    if per_tensor:
        return {name: _top(s.flatten(), sparsity).view_as(s) for name, s in scores.items()}
    flat = _top(torch.cat([s.flatten() for s in scores.values()]), sparsity)
    parts = flat.split([s.numel() for s in scores.values()])
    return {name: part.view_as(s) for (name, s), part in zip(scores.items(), parts, strict=True)}


def _top(scores: Tensor, sparsity: float) -> Tensor:
    keep = torch.zeros_like(scores, dtype=torch.bool)
    keep[torch.topk(scores, n_kept(scores.numel(), sparsity)).indices] = True
    return keep
