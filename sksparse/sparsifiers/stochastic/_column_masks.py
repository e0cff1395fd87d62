"""Masks of columns: an input of a layer that is removed takes the units that nothing else reads."""

from __future__ import annotations

import torch
from torch import Tensor

from sksparse.sparsifiers.masks._keep import keep_ranked
from sksparse.sparsifiers.stochastic._gate_groups import GateGroups
from sksparse.sparsifiers.structure._groups import Groups
from sksparse.sparsifiers.structure._module_units import ModuleUnits


class ColumnMasks(Groups):
    """The inputs of all layers as groups that are removed as a whole.

    A unit is removed, with everything that makes it, when all columns that read it are.

    Parameters
    ----------
    gates : GateGroups
        The inputs of all layers.
    units : ModuleUnits or None
        The units of the module; None where it cannot be followed, and columns are all that is
        removed.
    """

    noun = "input"

    def __init__(self, gates: GateGroups, units: ModuleUnits | None) -> None:
        self.n_units, self.layer, self.layer_names = gates.n_groups, gates.layer, gates.layer_names
        self._gates = gates
        self._units = units
        self._parameters = gates.parameters
        self._read = [] if units is None else units.places("reads")
        self._made = [] if units is None else units.places("writes", "scales")

    def sums(self, values: Tensor) -> Tensor:
        """For each input the sum over the weights that leave it."""
        weights = values[: self._parameters.n_weights]
        return self._gates.sums(self._gates.views(weights)).clone()

    def used(self, keep: Tensor) -> Tensor:
        """The units that a kept column reads, or something else than a column."""
        assert self._units is not None
        n_units = self._units.n_units
        columns, readers = (torch.zeros(n_units + 1, device=keep.device) for _ in range(2))
        for name, axis, numbers in self._read:
            groups = self._gates.groups_of(name)
            readers.index_add_(0, numbers, torch.ones_like(numbers, dtype=readers.dtype))
            is_column = groups is not None and self._gates.axes[name] == axis
            kept = keep[groups] if is_column else torch.ones_like(numbers, dtype=torch.bool)
            columns.index_add_(0, numbers, kept.to(columns))
        return ((columns > 0) | (readers == 0))[:-1]

    def mask(self, keep: Tensor) -> Tensor:
        """All parameters, flat, that are left; biases and scales go with their units."""
        live = torch.ones_like(self._parameters.values, dtype=torch.bool)
        live[: self._parameters.n_weights] = self._gates.spread(keep)
        if self._units is not None:
            live &= self._units.mask(self.used(keep))
        return live

    def left(self, keep: Tensor, measure: str) -> float:
        """The share of the weights or multiplications that is left."""
        costs = dict.fromkeys(self._parameters.tensors, 1.0)
        if measure == "flops":
            assert self._units is not None
            times = self._units.graph.multiply_adds
            costs = {name: times.get(name, 0.0) for name in costs}
        total = sum(costs[name] * w.numel() for name, w in self._parameters.tensors.items())
        return sum(costs[name] * n for name, n in self._counts(keep).items()) / total

    def count(self, keep: Tensor) -> int:
        """The number of weights that are left."""
        return sum(self._counts(keep).values())

    def _counts(self, keep: Tensor) -> dict[str, int]:
        """The number of weights of each tensor that are left, without a mask."""
        rows: dict[str, Tensor] = {}
        if self._units is not None:
            used = torch.cat([self.used(keep), keep.new_ones(1)])
            rows = {name: used[numbers] for name, axis, numbers in self._made if axis == 0}
        counts = {}
        for name, w in self._parameters.tensors.items():
            groups = self._gates.groups_of(name)
            n_columns = w.shape[1] if groups is None else int(keep[groups].sum())
            n_rows = int(rows[name].sum()) if name in rows else len(w)
            counts[name] = n_rows * n_columns * w[0, 0].numel()
        return counts

    def keep_best(self, removal_scores: Tensor, magnitude: Tensor, count: int) -> Tensor:
        """Keep exactly `count` weights: whole columns, the last one in part.

        Parameters
        ----------
        removal_scores : torch.Tensor of shape (n_groups,)
            Columns of large scores are removed first. The one of least score of every layer is
            removed last, so that no layer loses all its inputs while others have several.
        magnitude : torch.Tensor of shape (n_weights,)
            Orders the weights of the last column.
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
        inner, outer = (self.mask(rank < n)[: self._parameters.n_weights] for n in (low - 1, low))
        return keep_ranked(inner.to(magnitude.dtype) + outer, magnitude, count)

    def _ranks(self, removal_scores: Tensor) -> Tensor:
        score = removal_scores.clone()
        for columns in self.by_layer():
            score[columns[score[columns].argmin()]] = -torch.inf
        return torch.argsort(torch.argsort(score, stable=True))
