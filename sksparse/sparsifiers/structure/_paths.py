"""Masks that leave every output a path from an input, where as many weights are kept.

A ranking over single weights may leave an output without a path: it is then a constant. Where the
layers are one chain, weights are exchanged, as few as possible, until all outputs have paths.
Other modules are left alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._unit_graph import UnitGraph

#: Cost of a path by the ranks of its weights, from 0 for the best to 1 for the worst. A weight
#: that was not kept costs 1, so that the number of these decides first on short paths.
_RANK_COST = 1e-3


def keep_paths(keep: Tensor, scores: Tensor, graph: UnitGraph) -> Tensor:
    """As many weights, with a path of them from an input to every output where that can be.

    Outputs that share a path need one weight more for each layer but the last than there are
    outputs. Where fewer weights are kept, as many outputs as possible have a path.

    Parameters
    ----------
    keep : torch.Tensor of shape (n_weights,)
        Boolean: the weights that are to be kept.
    scores : torch.Tensor of shape (n_weights,)
        The larger, the better.
    graph : UnitGraph
        The units of the network.

    Returns
    -------
    kept : torch.Tensor of shape (n_weights,)
        `keep` itself where all outputs have paths, or where paths are not known.
    """
    if not graph.is_one_chain:
        return keep
    layers = _Layers(keep, graph.parameters)
    reached = layers.ends()[0][-1]
    if reached.all():
        return keep
    ranks = torch.empty_like(scores, dtype=torch.float64)
    order = torch.argsort(scores, stable=True, descending=True)
    ranks[order] = torch.linspace(0, 1, len(scores), dtype=torch.float64, device=scores.device)
    needed = layers.paths(ranks.cpu().numpy(), np.argsort(~reached, kind="stable"))
    if not needed.any():
        return keep
    return torch.from_numpy(layers.fill(needed, ranks.cpu().numpy())).to(keep.device)


def initialise_revived_units(before: Tensor, after: Tensor, graph: UnitGraph) -> None:
    """Give hidden units that are on a path only since weights were exchanged new values.

    They begin without a bias and with positive weights, or a ReLU might be zero for all rows.

    Parameters
    ----------
    before, after : torch.Tensor of shape (n_weights,)
        The masks, boolean, of a chain of layers.
    graph : UnitGraph
        The units of the network, whose layers are changed in place.
    """
    alive = [_Layers(mask, graph.parameters).ends() for mask in (before, after)]
    (into_before, out_before), (into, out) = alive
    for i, connection in enumerate(graph.connections, start=1):
        revived = into[i] & out[i] & ~(into_before[i] & out_before[i])
        weight, bias = connection.first.weight, connection.first.bias
        rows = torch.from_numpy(np.flatnonzero(revived)).to(weight.device)
        weight.data[rows] = weight.data[rows].abs()
        if bias is not None:
            bias.data[rows] = 0.0


class _Layers:
    """A mask over a chain of layers, as arrays of shape (units out, units in, weights between)."""

    def __init__(self, keep: Tensor, parameters: FlatParameters) -> None:
        self._keep = keep.cpu().numpy()
        tensors = list(parameters.tensors.values())
        n_in = [tensors[0].shape[1], *[len(w) for w in tensors[:-1]]]
        self._shapes = [(len(w), n, -1) for w, n in zip(tensors, n_in, strict=True)]
        self._cuts = np.cumsum(parameters.sizes)[:-1]

    def _split(self, flat: Any) -> list[Any]:
        parts = np.split(flat, self._cuts)
        return [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def ends(self) -> tuple[list[Any], list[Any]]:
        """For the units of all layers: do inputs reach them, do they reach outputs?"""
        masks = [part.any(axis=2) for part in self._split(self._keep)]
        forward = [np.ones(masks[0].shape[1], dtype=bool)]
        for mask in masks:
            forward.append((mask & forward[-1]).any(axis=1))
        backward = [np.ones(len(masks[-1]), dtype=bool)]
        for mask in reversed(masks):
            backward.insert(0, (mask & backward[0][:, None]).any(axis=0))
        return forward, backward

    def paths(self, ranks: Any, outputs: Any) -> Any:
        """The weights of one path for each output, as many as the count allows, in this order."""
        count, depth = int(self._keep.sum()), len(self._shapes)
        n_served = min(len(outputs), count - depth + 1)
        needed = np.zeros_like(self._keep)
        for n_left, output in zip(range(n_served, 0, -1), outputs, strict=False):
            # weights that are kept anyway come first, unless too few are left for the others
            path = self._best_path(
                np.where(self._keep, 0.0, 1.0) + _RANK_COST * ranks, needed, output
            )
            if len(path) > count - int(needed.sum()) - (n_left - 1):
                path = self._best_path(1.0 + _RANK_COST * ranks, needed, output)
            needed[path] = True
        return needed

    def _best_path(self, costs: Any, needed: Any, output: int) -> Any:
        """The weights of the cheapest path to an output, less those that are needed already."""
        costs = np.where(needed, 0.0, costs)
        places = self._split(np.arange(len(costs)))
        total = np.zeros(self._shapes[0][1])
        cheapest = []
        for cost, place in zip(self._split(costs), places, strict=True):
            single = cost.argmin(axis=2)[..., None]
            through = np.take_along_axis(cost, single, axis=2)[..., 0] + total
            before = through.argmin(axis=1)
            total = through.min(axis=1)
            cheapest.append((before, np.take_along_axis(place, single, axis=2)[..., 0]))
        path, unit = [], int(output)
        for before, place in reversed(cheapest):
            path.append(place[unit, before[unit]])
            unit = int(before[unit])
        indices = np.array(path)
        return indices[~needed[indices]]

    def fill(self, needed: Any, ranks: Any) -> Any:
        """The needed weights, and the best of the kept ones, those on paths first."""
        count = int(self._keep.sum())
        before = self._keep.copy()
        self._keep = before | needed
        forward, backward = self.ends()
        live = np.concatenate(
            [
                (mask & (into & out_of[:, None])[..., None]).ravel()
                for mask, into, out_of in zip(
                    self._split(self._keep), forward[:-1], backward[1:], strict=True
                )
            ]
        )
        order = np.lexsort([ranks, ~live, ~before, ~needed])
        kept = np.zeros_like(needed)
        kept[order[:count]] = True
        return kept
