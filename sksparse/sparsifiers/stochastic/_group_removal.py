"""The groups that a run has gates for, and their removal at the end."""

from __future__ import annotations

import torch
from torch import Tensor

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers.masks._keep import keep_ranked, n_kept
from sksparse.sparsifiers.stochastic._expected_size import (
    ExpectedSize,
    expected_share,
    expected_weights,
)
from sksparse.sparsifiers.stochastic._gate_groups import GateGroups
from sksparse.sparsifiers.structure._columns import Columns
from sksparse.sparsifiers.structure._groups import Groups
from sksparse.sparsifiers.structure._module_units import ModuleUnits
from sksparse.sparsifiers.structure._target import Target

#: What targets may count, for each granularity.
MEASURES = {
    "weight": ("weights",),
    "input": ("weights", "flops"),
    "unit": ("weights", "flops", "units"),
}


class GroupRemoval:
    """What a run with one granularity has gates for, and how it closes them for good.

    Parameters
    ----------
    run : SparsifierRun
        The run, whose ``measures`` are those of the granularity.
    name : str
        The name of the sparsifier, for messages.
    granularity : {"weight", "input", "unit"}
        What has gates.

    Attributes
    ----------
    gates : GateGroups
        The groups as factors.
    """

    def __init__(self, run: SparsifierRun, name: str, granularity: str) -> None:
        self._run = run
        self._target = run.task.target
        self._units: ModuleUnits | None = None
        self._groups: Groups | None = None
        self._columns: Columns | None = None
        if granularity == "unit":
            self._units = self._groups = run.require_units()
        elif granularity == "input":
            run.graph.require_axis("input", f"{name} of inputs", "Choose another granularity.")
            self._groups = self._columns = run.columns()
        self.gates = GateGroups(run.parameters, granularity, self._units)
        target = self._target
        if self._groups is not None and target is not None and not self._is_met_exactly(target):
            self._groups.check_target(target)

    def _is_met_exactly(self, target: Target) -> bool:
        """Whether a target is met to one weight, by a group that is removed in part."""
        return target.measure == "weights" and self.gates.granularity != "unit"

    @property
    def removed(self) -> Groups:
        """The groups of inputs or units; single weights have none."""
        assert self._groups is not None
        return self._groups

    def expected_weights(self, factors: Tensor | None = None) -> ExpectedSize:
        """The expected number of weights, with factors for the tensors."""
        return expected_weights(self.gates, self._units, factors)

    def expected_share(self) -> ExpectedSize:
        """What the target counts, as a share of the dense network, in expectation."""
        assert self._target is not None
        units = self._run.units if self._target.measure == "flops" else self._units
        return expected_share(self.gates, self._target.measure, units)

    def density(self, is_open: Tensor) -> float:
        """The share of the weights that is left where some groups are open."""
        if self._groups is None:
            return float(is_open.double().mean())
        return self._groups.left(is_open, "weights")

    def share_left(self, is_open: Tensor) -> float:
        """The same in what the target counts."""
        measure = "weights" if self._target is None else self._target.measure
        if self._groups is None or measure == "weights":
            return self.density(is_open)
        return self._groups.left(is_open, measure)

    def kept(self, scores: Tensor, target: Target) -> Tensor:
        """What is left when groups of small scores are removed until a target is met.

        Parameters
        ----------
        scores : torch.Tensor of shape (n_groups,)
            The larger, the longer a group is kept.
        target : Target
            What may be left. Weights are met to one: the last group is removed in part, by
            magnitude, but for units, which are removed as a whole.

        Returns
        -------
        kept : torch.Tensor of shape (n_weights,)
            Boolean.
        """
        run = self._run
        if self._is_met_exactly(target):
            count, size = n_kept(run.n_weights, 1 - target.left), run.latent.data.abs()
            if self._columns is None:
                return keep_ranked(scores, size, count)
            return self._keep_best(self._columns, scores, size, count)
        return self.removed.mask(self.removed.choose(scores, target))[: run.n_weights]

    def close(self, scores: Tensor, is_open: Tensor, target: Target | None = None) -> None:
        """Fix what the run keeps; its weights are already those of the final network.

        Parameters
        ----------
        scores : torch.Tensor of shape (n_groups,)
            The larger, the longer a group is kept.
        is_open : torch.Tensor of shape (n_groups,)
            Boolean: what is kept without a target.
        target : Target, default=None
            What may be left; None for the target of the run, if it has one.
        """
        run = self._run
        target = self._target if target is None else target
        if target is not None and self._is_met_exactly(target):
            run.fix_mask(self.kept(scores, target))
        elif self._groups is None:
            run.fix_mask(is_open)
        elif target is None:
            run.freeze_units(self._groups.guarded(is_open, scores), self._groups)
        else:
            run.freeze_units(self._groups.choose(scores, target), self._groups)

    def _keep_best(self, columns: Columns, scores: Tensor, size: Tensor, count: int) -> Tensor:
        """Exactly `count` weights: the best column of each layer, others by score, one in part."""
        scores = scores.clone()
        for group in columns.by_layer():
            scores[group[scores[group].argmax()]] = torch.inf
        rank = torch.argsort(torch.argsort(-scores, stable=True))
        low, high = 0, len(rank)
        while low < high:
            middle = (low + high) // 2
            enough = columns.count(rank < middle) >= count
            low, high = (low, middle) if enough else (middle + 1, high)
        inner, outer = (columns.mask(rank < n)[: self._run.n_weights] for n in (low - 1, low))
        return keep_ranked(inner.to(size.dtype) + outer, size, count)
