"""What a pruning run removes as a whole, for each granularity: scores, gates and choices."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers.pruning._asked import asked_target
from sksparse.sparsifiers.structure._columns import Columns
from sksparse.sparsifiers.structure._groups import Groups
from sksparse.sparsifiers.structure._module_units import ModuleUnits
from sksparse.sparsifiers.structure._target import Target

#: What targets may count, for each granularity.
MEASURES = {
    "weight": ("weights",),
    "input": ("weights", "flops"),
    # a module has no form without single positions of filters
    "shape": ("weights",),
    "layer": ("weights", "flops"),
    "unit": ("weights", "flops", "units"),
}


class RemovedGroups:
    """The groups that a run removes, and how they are compared.

    Parameters
    ----------
    run : SparsifierRun
        The run.
    granularity : {"input", "unit", "shape", "layer"}
        What is removed as a whole.
    by_layer : bool, default=False
        Whether groups compete with those of their layer alone, so that all layers lose the same
        share.

    Attributes
    ----------
    groups : Groups
        The groups.
    """

    def __init__(self, run: SparsifierRun, granularity: str, *, by_layer: bool = False) -> None:
        self._run = run
        self._by_layer = by_layer
        self._n_weights = run.n_weights
        self._units: ModuleUnits | None = None
        self._columns: Columns | None = None
        self.groups = self._make(run, granularity)
        if run.task.target is not None:
            self.groups.check_target(run.task.target)

    @classmethod
    def of(cls, run: SparsifierRun, granularity: str, scope: str) -> RemovedGroups | None:
        """What a run removes; None where that is single weights."""
        return None if granularity == "weight" else cls(run, granularity, by_layer=scope == "layer")

    def _make(self, run: SparsifierRun, granularity: str) -> Groups:
        if granularity == "layer":
            return run.branches()
        if granularity == "unit":
            self._units = run.require_units()
            return self._units
        option = f"granularity={granularity!r}"
        run.graph.require_axis(granularity, option, "Choose 'unit' or 'weight'.")
        self._columns = run.columns(positions=granularity == "shape")
        return self._columns

    def sums(self, values: Tensor, role: str = "writes") -> Tensor:
        """For each group the sum over its weights; of a unit over those of one role.

        Parameters
        ----------
        values : torch.Tensor of shape (n_weights,)
            Numbers of all weights.
        role : {"writes", "reads"}, default="writes"
            Of a unit, whether over the weights that make it or over those that read it.

        Returns
        -------
        sums : torch.Tensor of shape (n_units,)
        """
        if self._units is None:
            return self.groups.sums(values)
        return self._units.sums(values, (role,))

    def means(self, values: Tensor, role: str = "writes") -> Tensor:
        """The same over the number of these weights."""
        return self.sums(values, role) / self.sums(torch.ones_like(values), role).clamp(min=1)

    def gate(self, keep: Tensor) -> Tensor:
        """The weights, flat, without those that pass on what removed groups emit.

        What makes a unit stays in use: it learns on, and the unit may be used again.
        """
        if self._columns is not None:
            return self._columns.spread(keep)
        if self._units is None:
            return self.groups.mask(keep)[: self._n_weights]
        gate = self._run.weights.new_ones(self._n_weights)
        self._units.scale(gate, keep.to(gate.dtype), ("reads",))
        return gate > 0

    def choose(self, scores: Tensor, share: float = 1.0) -> Tensor:
        """The groups of largest scores, at a share of the way from the dense network to the target.

        Parameters
        ----------
        scores : torch.Tensor of shape (n_units,)
            Comparable within each layer.
        share : float, default=1.0
            From 0 to 1.

        Returns
        -------
        keep : torch.Tensor of shape (n_units,)
            Boolean.
        """
        target = asked_target(self._run.task)
        return self.at(scores, replace(target, left=1.0 - share * (1.0 - target.left)))

    def at(self, scores: Tensor, target: Target) -> Tensor:
        """The groups of largest scores for a target."""
        return self.groups.choose(self.comparable(scores), target)

    def comparable(self, scores: Tensor) -> Tensor:
        """Scores that may be compared between layers."""
        if self._by_layer:
            return self.groups.ranks_in_layers(scores)
        return self.groups.relative(scores)

    def freeze(self, keep: Tensor, asked: Target | None = None) -> None:
        """Remove groups for good, with all that belongs to them.

        Parameters
        ----------
        keep : torch.Tensor of shape (n_units,)
            Boolean: the groups that stay.
        asked : Target, default=None
            What a strength asks for; it warns where more than that is left.
        """
        if asked is not None and self._run.task.target is None:
            self.groups.warn_if_above(asked, keep)
        self._run.freeze_units(keep, self.groups)
