"""Masks of whole units: a removed unit takes the weights that leave it and those that enter it."""

from __future__ import annotations

import torch
from torch import Tensor

from sksparse.sparsifiers.masks._keep import keep_ranked
from sksparse.sparsifiers.parameters._flat_parameters import UnitGates
from sksparse.sparsifiers.structure._weight_graph import WeightGraph


class UnitMasks:
    """Masks over the weights, from masks over the input units of all tensors.

    Where the next tensor is not known to read the units of one, and nothing else, a removed unit
    takes only the weights that leave it.

    Parameters
    ----------
    graph : WeightGraph
        The units of the module.
    units : UnitGates
        Its input units.
    """

    def __init__(self, graph: WeightGraph, units: UnitGates) -> None:
        self._graph = graph
        self._units = units
        self._enters_next = graph.enters_next()
        self._shapes = [tuple(w.shape) for w in graph.parameters.tensors.values()]

    def _used_rows(self, keep: Tensor) -> list[Tensor | None]:
        """For each tensor, which output units have successors; None where that is unknown."""
        following = [*keep.split(self._units.counts)[1:], None]
        return [
            part.view(shape[0], -1).any(dim=1) if connected and part is not None else None
            for part, shape, connected in zip(
                following, self._shapes, self._enters_next, strict=True
            )
        ]

    def live(self, keep: Tensor) -> Tensor:
        """The weights, flat, that leave a kept unit and do not enter a removed one."""
        live = self._units.spread(keep)
        tensors = self._graph.parameters.by_tensor(live).values()
        for part, rows in zip(tensors, self._used_rows(keep), strict=True):
            if rows is not None:
                part &= rows.view(-1, *[1] * (part.ndim - 1))
        return live

    def count(self, keep: Tensor) -> int:
        """The number of such weights."""
        total = 0
        columns = keep.split(self._units.counts)
        for shape, rows, kept in zip(self._shapes, self._used_rows(keep), columns, strict=True):
            n_rows = shape[0] if rows is None else int(rows.sum())
            total += n_rows * int(kept.sum()) * int(torch.Size(shape[2:]).numel())
        return total

    def norms(self, weights: Tensor) -> Tensor:
        """For each unit the norm of the weights that enter it, or where unknown leave it."""
        tensors = list(self._graph.parameters.by_tensor(weights).values())
        before = [
            tensor if connected else None
            for tensor, connected in zip(tensors, self._enters_next, strict=True)
        ]
        norms = []
        for here, previous in zip(tensors, [None, *before], strict=False):
            n = here.shape[1]
            if previous is not None:
                entering = torch.linalg.vector_norm(previous.reshape(len(previous), -1), dim=1)
                norms.append(entering.repeat_interleave(n // len(entering)))
            else:
                norms.append(torch.linalg.vector_norm(here.transpose(0, 1).reshape(n, -1), dim=1))
        return torch.cat(norms)

    def keep_best(self, removal_scores: Tensor, magnitude: Tensor, count: int) -> Tensor:
        """Keep exactly `count` weights: whole units, the last one in part.

        Parameters
        ----------
        removal_scores : torch.Tensor of shape (n_units,)
            Units of large scores are removed first. The unit of least score of every layer is
            removed last, so that no layer loses all its units while others have several.
        magnitude : torch.Tensor of shape (n_weights,)
            Orders the weights of the last unit.
        count : int
            Weights to keep.

        Returns
        -------
        keep : torch.Tensor of shape (n_weights,)
            Boolean.
        """
        rank = self._ranks(removal_scores)
        low, high = 0, len(rank)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.count(rank < middle) < count else (low, middle)
        inner, outer = self.live(rank < low - 1), self.live(rank < low)
        return keep_ranked(inner.to(magnitude.dtype) + outer, magnitude, count)

    def _ranks(self, removal_scores: Tensor) -> Tensor:
        score = removal_scores.clone()
        for part in score.split(self._units.counts):
            part[part.argmin()] = -torch.inf
        return torch.argsort(torch.argsort(score, stable=True))
