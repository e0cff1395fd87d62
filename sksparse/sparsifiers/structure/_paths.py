"""Masks that leave every output a path from an input, where as many weights are kept.

A ranking over single weights may leave an output without a path: it is then a constant. Where the
module can be followed, weights are exchanged, as few as possible, until all outputs have paths.
Other modules are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sksparse.sparsifiers.structure._weight_graph import Link, WeightGraph

#: Cost of a path by the ranks of its weights, from 0 for the best to 1 for the worst. A weight
#: that was not kept costs 1, so that the number of these decides first on short paths.
_RANK_COST = 1e-3


def keep_paths(keep: Tensor, scores: Tensor, graph: WeightGraph) -> Tensor:
    """As many weights, with a path of them from an input to every output where that can be.

    Outputs that share a path need one weight each beyond the first, of which the path has as many
    as there are layers. Where fewer weights are kept, as many outputs as possible have a path.

    Parameters
    ----------
    keep : torch.Tensor of shape (n_weights,)
        Boolean: the weights that are to be kept.
    scores : torch.Tensor of shape (n_weights,)
        The larger, the better.
    graph : WeightGraph
        The units of the network.

    Returns
    -------
    kept : torch.Tensor of shape (n_weights,)
        `keep` itself where all outputs have paths, or where paths are not known.
    """
    if not graph.is_known:
        return keep
    paths = Paths(keep, graph)
    has_path = paths.ends(paths.keep)[0][paths.outputs]
    if has_path.all():
        return keep
    ranks = torch.empty_like(scores, dtype=torch.float64)
    order = torch.argsort(scores, stable=True, descending=True)
    ranks[order] = torch.linspace(0, 1, len(scores), dtype=torch.float64, device=scores.device)
    outputs = paths.outputs[np.argsort(~has_path, kind="stable")]
    needed = paths.needed(ranks.cpu().numpy(), outputs)
    if not needed.any():
        return keep
    return torch.from_numpy(paths.fill(needed, ranks.cpu().numpy())).to(keep.device)


class Paths:
    """Masks over all weights, and the cheapest paths through them, in numpy.

    Parameters
    ----------
    keep : torch.Tensor of shape (n_weights,)
        Boolean: the weights that are kept.
    graph : WeightGraph
        The units of the module.

    Attributes
    ----------
    keep : ndarray of shape (n_weights,)
        The same.
    outputs : ndarray of int
        The units of the outputs.
    """

    def __init__(self, keep: Tensor, graph: WeightGraph) -> None:
        self.keep = keep.cpu().numpy()
        self._graph = graph
        assert graph.picture is not None
        self.outputs = np.unique(graph.picture.output_units)
        is_made = np.zeros(graph.n_units + 1, dtype=bool)
        for link in graph.links:
            is_made[link.made] = True
        self._is_source = ~is_made
        self._places = [_in_rows(link, self._place_of(link)) for link in graph.links]

    def _place_of(self, link: Link) -> Tensor:
        """The place of each weight of a tensor in the flat mask.

        Those that are not trained stand behind it: first what is not zero, then what is.
        """
        fixed = self._graph.fixed.get(link.tensor)
        if fixed is not None:
            return len(self.keep) + (~fixed).long()
        return self._graph.parameters.by_tensor(torch.arange(len(self.keep)))[link.tensor]

    def ends(self, keep: Any) -> tuple[Any, Any]:
        """For all units: do inputs reach them, do they reach outputs?"""
        device = self._graph.parameters.weights.device
        masks = self._graph.by_name(torch.from_numpy(keep).to(device))
        is_output = np.zeros_like(self._is_source)
        is_output[self.outputs] = True
        sources, outputs = (torch.from_numpy(a).to(device) for a in (self._is_source, is_output))
        reached, read = self._graph.reached(masks, sources), self._graph.read(masks, outputs)
        return reached.cpu().numpy(), read.cpu().numpy()

    def _between_units(self) -> Iterator[tuple[Link, Any]]:
        """The links that lead to other units, with their weights in rows."""
        for link, places in zip(self._graph.links, self._places, strict=True):
            if not link.is_depthwise:
                yield link, places

    def needed(self, ranks: Any, outputs: Any) -> Any:
        """The weights of one path for each output, as many as the count allows, in this order."""
        count = int(self.keep.sum())
        needed = np.zeros_like(self.keep)
        depth = self._cheapest(np.ones(len(self.keep)))[0][outputs].min(initial=np.inf)
        n_served = int(min(len(outputs), max(0.0, count - depth + 1)))
        for n_left, output in zip(range(n_served, 0, -1), outputs, strict=False):
            # weights that are kept anyway come first, unless too few are left for the others
            path = self._best_path(
                np.where(self.keep, 0.0, 1.0) + _RANK_COST * ranks, needed, output
            )
            if len(path) > count - int(needed.sum()) - (n_left - 1):
                path = self._best_path(1.0 + _RANK_COST * ranks, needed, output)
            if len(path) <= count - int(needed.sum()):
                needed[path] = True
        return needed

    def _cheapest(self, costs: Any) -> tuple[Any, Any, Any]:
        """For each unit the cost of the cheapest path to it, its last weight, and where it starts.

        Links come in the order of the calls, so that one pass over them suffices.
        """
        costs = np.append(costs, [0.0, np.inf])
        total = np.where(self._is_source, 0.0, np.inf)
        last, before = np.full(len(total), -1), np.full(len(total), -1)
        for link, places in self._between_units():
            single = costs[places].argmin(axis=2)[..., None]
            best = np.take_along_axis(places, single, axis=2)[..., 0]
            through = costs[best] + total[link.read]
            column = through.argmin(axis=1)
            value = through[np.arange(len(column)), column]
            # of several rows of one unit the last that is assigned is the cheapest
            rows = np.argsort(-value, kind="stable")
            rows = rows[value[rows] < total[link.made[rows]]]
            units = link.made[rows]
            total[units] = value[rows]
            last[units], before[units] = best[rows, column[rows]], link.read[column[rows]]
        return total, last, before

    def _best_path(self, costs: Any, needed: Any, output: int) -> Any:
        """The weights of the cheapest path to an output, less those that are needed already."""
        costs = np.where(needed, 0.0, costs)
        _, last, before = self._cheapest(costs)
        path, unit = [], int(output)
        while before[unit] >= 0:
            path += [last[unit], *self._depthwise_on(unit, costs, needed)]
            unit = before[unit]
        indices = np.array([place for place in path if place < len(needed)], dtype=np.intp)
        return np.unique(indices[~needed[indices]])

    def _depthwise_on(self, unit: int, costs: Any, needed: Any) -> Iterator[int]:
        """The best weight of each depthwise convolution that a unit passes."""
        for link, places in zip(self._graph.links, self._places, strict=True):
            if link.is_depthwise and link.tensor not in self._graph.fixed:
                for row in places[link.made == unit]:
                    yield int(row.ravel()[costs[row.ravel()].argmin()])

    def fill(self, needed: Any, ranks: Any) -> Any:
        """The needed weights, and the best of the kept ones, those on paths first."""
        count = int(self.keep.sum())
        kept = self.keep | needed
        reached, read = self.ends(kept)
        live = np.append(np.ones_like(kept), [True, True])
        for _, places in self._between_units():
            live[places] = False
        for link, places in self._between_units():
            live[places] |= (reached[link.read] & read[link.made][:, None])[..., None]
        order = np.lexsort([ranks, ~(live[:-2] & kept), ~self.keep, ~needed])
        chosen = np.zeros_like(needed)
        chosen[order[:count]] = True
        return chosen


def _in_rows(link: Link, places: Tensor) -> Any:
    """What stands at the weights of a tensor, of shape (units made, units read, between)."""
    if link.is_depthwise:
        rows = places.movedim(link.made_axis, 0).reshape(len(link.made), 1, -1)  # type: ignore
        return rows.cpu().numpy()
    axes = [axis for axis in (link.made_axis, link.read_axis) if axis is not None]
    moved = places.movedim(axes, list(range(len(axes))))
    return moved.reshape(len(link.made), len(link.read), -1).cpu().numpy()
