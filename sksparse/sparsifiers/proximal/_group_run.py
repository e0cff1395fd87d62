"""Training with norms of groups of weights as the penalty: units, columns, shapes, layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sksparse.penalties._operators import soft_threshold
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.proximal._base import ProximalRun, ProximalSparsifier
from sksparse.sparsifiers.proximal._groups import UNIT_ROLES, PenaltyGroups, UnitGroups

#: What is added to squared norms in subgradients.
_SMOOTHING = 1e-8


@dataclass(frozen=True)
class GroupPenalty:
    """A sum of norms of groups of several kinds, and how it is minimised.

    Parameters
    ----------
    strengths : dict of str to float
        Factor on `alpha` for each kind of group, as in ``groups_of``.
    by_size : bool, default=True
        Whether norms are multiplied by the root of the size of their group.
    l1_ratio : float, default=0.0
        Share of the absolute values of single weights.
    flops_power : float, default=0.0
        Norms are multiplied by the FLOPs of their group over the mean, to this power.
    threshold : float, default=None
        Follow subgradients, and zero smaller weights after each update; None takes the prox.
    """

    strengths: dict[str, float]
    by_size: bool = True
    l1_ratio: float = 0.0
    flops_power: float = 0.0
    threshold: float | None = None


@dataclass
class _Kind:
    """Groups of one kind, the factor on the threshold of each, and the same at its weights."""

    name: str
    groups: PenaltyGroups
    factors: Tensor
    at_weights: Tensor


class GroupRun(ProximalRun):
    """Block soft thresholding of the groups of one kind after the other, or subgradients.

    Parameters
    ----------
    options : ProximalSparsifier
        The options.
    module : torch.nn.Module
        The network.
    task : Task
        What the estimator asks for.
    penalty : GroupPenalty
        What is penalised.
    """

    compacts = True

    def __init__(
        self,
        options: ProximalSparsifier,
        module: nn.Module,
        task: Task,
        penalty: GroupPenalty,
    ) -> None:
        self._penalty = penalty
        strengths = {kind: f for kind, f in penalty.strengths.items() if f > 0}
        whole, removed = _removal(list(strengths), task)
        super().__init__(options, module, task, whole=whole, removed_kind=removed)
        self._kinds = [self._make(kind, f) for kind, f in strengths.items()]

    def _make(self, kind: str, strength: float) -> _Kind:
        groups = self.groups_of(kind)
        factors = strength * groups.mean(self.weight_factors)
        if self._penalty.by_size:
            factors *= groups.roots
        if self._penalty.flops_power > 0:
            # a unit saves what reads it as well
            flops = (self.units if kind in UNIT_ROLES else groups).sums(self._flops())
            factors *= (flops / flops.mean()) ** self._penalty.flops_power
        return _Kind(kind, groups, factors, groups.spread(factors))

    def _flops(self) -> Tensor:
        """How often each weight is multiplied for one row, flat."""
        times = self.units.graph.multiply_adds
        sizes = torch.tensor(self.parameters.sizes, device=self.weights.device)
        return self.weights.new_tensor([times.get(n, 0.0) for n in self.tensors]).repeat_interleave(
            sizes
        )

    def units_open(self) -> Tensor:
        """The units in use, but for those that alone were kept from vanishing in their layer."""
        in_use = self.in_use()
        if self.removed_kind != "unit":
            return in_use
        layer = self.units.layer
        rescued = set[str]().union(*(kind.groups.rescued for kind in self._kinds))
        for number, name in enumerate(self.units.layer_names):
            if name in rescued and int(in_use[layer == number].sum()) == 1:
                in_use[layer == number] = False
        return in_use

    def rebuild(self, kept: Tensor) -> list[Tensor]:
        positions = super().rebuild(kept)
        for kind in self._kinds:
            rescued = kind.groups.rescued
            kind.groups = self.groups_of(kind.name)
            kind.groups.rescued = rescued
            # the penalty of what is left stays as it was
            kind.at_weights = kind.at_weights[positions[0]]
            kind.factors = kind.groups.own(kind.at_weights)
        return positions

    def penalty_value(self) -> float:
        l1_ratio = self._penalty.l1_ratio
        blocks = sum(float(k.groups.norms(self.weights).dot(k.factors)) for k in self._kinds)
        l1 = float(self.weights.abs().dot(self.weight_factors)) if l1_ratio else 0.0
        return l1_ratio * l1 + (1 - l1_ratio) * blocks

    def shrink(self, strength: float, step: float) -> None:
        if self._penalty.threshold is not None:
            # the subgradients were added to the gradients
            self.weights.masked_fill_(self.weights.abs() < self._penalty.threshold, 0.0)
            return
        squares, l1_ratio = self.metric.squares(), self._penalty.l1_ratio
        if l1_ratio > 0:
            strengths = strength * l1_ratio * self.weight_factors
            steps = self.metric.step(strengths, squares, step)
            self.weights.copy_(soft_threshold(self.weights, steps))
        if l1_ratio < 1:
            for kind in self._kinds:
                groups = kind.groups
                # strengths per root of a weight compare with gradients
                strengths = strength * (1 - l1_ratio) * kind.factors / groups.roots
                steps = self.metric.step(strengths, groups.mean(squares), step)
                groups.shrink(self.weights, steps.mul_(groups.roots))

    def after_backward(self) -> None:
        super().after_backward()
        if self._penalty.threshold is not None and self.mask is None:
            slopes = torch.zeros_like(self.weights)
            for kind in self._kinds:
                norms = (kind.groups.sums(self.weights.square()) + _SMOOTHING).sqrt_()
                kind.groups.add(slopes, self._strength * kind.factors / norms)
            self.latent_gradient.addcmul_(slopes, self.weights)

    def group_scores(self) -> Tensor:
        # a weight is removed with the first of its groups
        return torch.stack(
            [
                k.groups.spread(k.groups.relative_norms(self.weights, k.factors > 0))
                for k in self._kinds
            ]
        ).amin(0)

    def unit_scores(self) -> Tensor:
        kind = self._kinds[0]
        if self.removed_kind == "unit":
            kind = next(k for k in self._kinds if isinstance(k.groups, UnitGroups))
        return kind.groups.relative_norms(self.weights, kind.factors > 0) * self.in_use()


def _removal(kinds: list[str], task: Task) -> tuple[bool, str]:
    """Whether groups are removed as wholes in the end, and which ones."""
    counts_weights = task.target is None or task.target.measure == "weights"
    if all(kind in UNIT_ROLES for kind in kinds):
        return True, "unit"
    if counts_weights or len(kinds) > 1 or kinds == ["shape"]:
        return not counts_weights and any(kind in UNIT_ROLES for kind in kinds), "unit"
    return True, kinds[0]
