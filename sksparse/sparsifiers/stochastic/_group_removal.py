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
        self._columns: ColumnMasks | None = None
        if granularity == "unit":
            self._units = self._groups = run.units
            if not self._units.n_units:
                raise ValueError(
                    f"The module {type(run.module).__name__} has no units between its layers, so "
                    "that granularity='unit' has nothing to remove; choose another granularity."
                )
        elif granularity == "input":
            run.graph.require_axis("input", f"{name} of inputs", "Choose another granularity.")
            needs_units = self._target is not None and self._target.measure == "flops"
            self._units = run.units if needs_units or run.graph.is_known else None
        self.gates = GateGroups(run.parameters, granularity, self._units)
        if granularity == "input":
            self._groups = self._columns = ColumnMasks(self.gates, self._units)
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
        return expected_share(self.gates, self._target.measure, self._units)

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
            return self._columns.keep_best(-scores, size, count)
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
