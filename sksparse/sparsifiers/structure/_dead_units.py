"""Dead units: found, and removed without a change of the output.

A hidden unit without inputs emits a constant; the output of one without outgoing weights is never
used. Both are known only where the unit graph has a connection; everywhere else all units count as
alive.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sksparse.sparsifiers.masks._keep import keep_largest
from sksparse.sparsifiers.structure._unit_graph import Connection, UnitGraph


def live_weights(keep: Tensor, graph: UnitGraph) -> Tensor:
    """Those of the kept weights that lie on a path of kept weights through all connections.

    Parameters
    ----------
    keep : torch.Tensor of shape (n_weights,)
        Boolean: the weights that are kept.
    graph : UnitGraph
        The units of the module.

    Returns
    -------
    live : torch.Tensor of shape (n_weights,)
        Boolean.
    """
    live = keep.clone()
    views = graph.views(live)
    for entering, leaving in views:
        leaving &= entering.any(1)[:, None]
    # units without inputs were removed before, so this removal of units without outputs is final
    for entering, leaving in reversed(views):
        entering &= leaving.any(0).any(1)[:, None]
    return live


def keep_alive(scores: Tensor, count: int, graph: UnitGraph) -> Tensor:
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
    graph : UnitGraph
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


def _trim(keep: Tensor, scores: Tensor, excess: int, graph: UnitGraph) -> Tensor:
    """Remove the weights of least score, first those that leave both their units alive."""
    for _ in range(excess):
        redundant = keep & _redundant(keep, graph)
        candidates = redundant if redundant.any() else keep
        least = torch.where(candidates, scores, torch.inf).argmin()
        keep[least] = False
    return keep


def _redundant(keep: Tensor, graph: UnitGraph) -> Tensor:
    """The weights without which the units at both their ends are still alive."""
    redundant = keep.clone()
    for kept, found in zip(graph.views(keep), graph.views(redundant), strict=True):
        entering, leaving = kept
        found[0].logical_and_((entering.sum(1) > 1)[:, None])
        found[1].logical_and_((leaving.sum(0).sum(1) > 1)[:, None])
    return redundant


def remove_dead_units(connections: Sequence[Connection]) -> None:
    """Zero the weights of dead units and keep what the network computes in evaluation mode.

    The constant that a unit without inputs emits is added, through its outgoing weights, to the
    biases of the next layer, or to the running means that are subtracted from its outputs. Near the
    border of a convolution or a mean that is padded with zeros, where the unit is no constant,
    outputs change. A unit whose constant cannot be added anywhere is left as it is.

    Parameters
    ----------
    connections : sequence of Connection
        Those of a module, whose layers are changed in place.
    """
    with torch.no_grad():
        for connection in connections:
            silent = ~connection.entering(connection.first.weight).any(1)
            outgoing = connection.second.weight
            width = outgoing.shape[1] // connection.n_units
            is_silent = silent.repeat_interleave(width)
            constants = torch.where(is_silent, connection.constants(), 0.0)
            sums = outgoing if outgoing.ndim == 2 else outgoing.flatten(2).sum(2)
            if not connection.add_to_outputs(sums @ constants):
                silent &= (constants == 0).view(-1, width).all(1)
            connection.leaving(outgoing).masked_fill_(silent[:, None], 0.0)
        for connection in reversed(connections):
            is_read = connection.leaving(connection.second.weight).any(0).any(1)
            connection.entering(connection.first.weight).masked_fill_(~is_read[:, None], 0.0)
