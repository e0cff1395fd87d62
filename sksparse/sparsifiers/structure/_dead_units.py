"""Dead units: found, and replaced in masks.

A hidden unit without inputs emits a constant; the output of one without outgoing weights is never
used. Both are known only where a module can be followed; everywhere else all units count as alive.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sksparse.sparsifiers.masks._keep import keep_largest
from sksparse.sparsifiers.structure._weight_graph import WeightGraph


def live_weights(keep: Tensor, graph: WeightGraph) -> Tensor:
    """Those of the kept weights that lie on a path of kept weights from what enters to an output.

    Parameters
    ----------
    keep : torch.Tensor of shape (n_weights,)
        Boolean: the weights that are kept.
    graph : WeightGraph
        The units of the module.

    Returns
    -------
    live : torch.Tensor of shape (n_weights,)
        Boolean.
    """
    masks = graph.by_name(keep)
    reached, read = graph.reached(masks), graph.read(masks)
    live = keep.clone()
    seen: dict[str, Tensor] = {}
    views = graph.by_name(live)
    for link in graph.links:
        lies = link.along(reached[link.read_at], link.read_axis) & link.along(
            read[link.made_at], link.made_axis
        )
        # a tensor that is used several times is alive if one of its uses is
        seen[link.tensor] = lies = seen[link.tensor] | lies if link.tensor in seen else lies
        if link.tensor in graph.parameters.tensors:
            torch.logical_and(masks[link.tensor], lies, out=views[link.tensor])
    return live


def keep_alive(scores: Tensor, count: int, graph: WeightGraph) -> Tensor:
    """Keep exactly `count` weights, all on paths through the connections where that can be.

    The weights with the largest scores are kept as far as they lie on paths; the next ones
    in the ranking take the places of those that do not. Weights of score 0 are no candidates;
    where too few others lie on paths, the largest scores decide alone.

    Parameters
    ----------
    scores : torch.Tensor of shape (n_weights,)
        The larger, the better.
    count : int
        Number of weights to keep.
    graph : WeightGraph
        The units of the module.

    Returns
    -------
    keep : torch.Tensor of shape (n_weights,)
        Boolean.
    """
    order = torch.argsort(scores, descending=True, stable=True)

    def live_of_best(n: int) -> Tensor:
        keep = torch.zeros_like(scores, dtype=torch.bool)
        keep[order[:n]] = True
        return live_weights(keep, graph)

    # live weights grow with the weights kept, so the least sufficient number is bisected
    low, high = count, int((scores > 0).sum())
    if low >= high or int(live_of_best(high).sum()) < count:
        return keep_largest(scores, count)
    while low < high:
        middle = (low + high) // 2
        if int(live_of_best(middle).sum()) < count:
            low = middle + 1
        else:
            high = middle
    keep = live_of_best(low)
    return _trim(keep, scores, int(keep.sum()) - count, graph)


def _trim(keep: Tensor, scores: Tensor, excess: int, graph: WeightGraph) -> Tensor:
    """Remove the weights of least score, first those that leave both their units alive."""
    for _ in range(excess):
        redundant = keep & _redundant(keep, graph)
        candidates = redundant if redundant.any() else keep
        least = torch.where(candidates, scores, torch.inf).argmin()
        keep[least] = False
    return keep


def _redundant(keep: Tensor, graph: WeightGraph) -> Tensor:
    """The weights without which the units at both their ends are still alive."""
    masks = graph.by_name(keep)
    n_made, n_read = graph.counts(masks)
    redundant = keep.clone()
    views = graph.by_name(redundant)
    for link in graph.links:
        if link.tensor in graph.parameters.tensors and not link.is_depthwise:
            views[link.tensor].logical_and_(link.along(n_made[link.made_at] > 1, link.made_axis))
            views[link.tensor].logical_and_(link.along(n_read[link.read_at] > 1, link.read_axis))
    return redundant
