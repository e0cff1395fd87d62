"""How large a network with random gates is in expectation, and its slope by their probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.stochastic._gate_groups import GateGroups
from sksparse.sparsifiers.structure._module_units import ModuleUnits


class ExpectedSize(ABC):
    """What is left of a network in expectation, as a function of the probabilities of gates."""

    @abstractmethod
    def expected(self, probability: Tensor) -> Tensor:
        """What is left, as a scalar, where each gate is open with its probability."""

    @abstractmethod
    def slope(self, probability: Tensor) -> Tensor:
        """Its derivative by the probability of each gate."""


class SumOfGates(ExpectedSize):
    """Each open gate counts by itself.

    Parameters
    ----------
    costs : torch.Tensor of shape (n_groups,)
        What each counts.
    """

    def __init__(self, costs: Tensor) -> None:
        self._costs = costs

    def expected(self, probability: Tensor) -> Tensor:
        return probability @ self._costs

    def slope(self, probability: Tensor) -> Tensor:
        return self._costs


class ProductOfUnits(ExpectedSize):
    """A weight is left while the unit that it makes and the one that it reads are.

    Gates are independent, so that what is left of a tensor is its size times the mean
    probabilities along its axes.

    Parameters
    ----------
    units : ModuleUnits
        The units, of which each has a gate.
    parameters : FlatParameters
        The weights.
    costs : torch.Tensor of shape (n_tensors,)
        What one weight of each prunable tensor counts.
    """

    def __init__(self, units: ModuleUnits, parameters: FlatParameters, costs: Tensor) -> None:
        tensors = parameters.tensors
        sizes = [w.numel() for w in tensors.values()]
        self._totals = costs * costs.new_tensor(sizes)
        rows: list[Tensor] = []
        # an axis without units is the one after the last, all of which is left
        pairs = []
        for name, w in tensors.items():
            axes = {axis: numbers for tensor, axis, numbers in units.places() if tensor == name}
            pair = []
            for axis, numbers in axes.items():
                pair.append(len(rows))
                counts = torch.bincount(numbers, minlength=units.n_units + 1)
                rows.append(counts.to(costs) / w.shape[axis])
            pairs.append([*pair, -1, -1][:2])
        rows.append(costs.new_zeros(units.n_units + 1).index_fill_(0, _last(units, costs), 1.0))
        self._shares = torch.stack(rows)
        self._pairs = torch.tensor(pairs, device=costs.device).t() % len(rows)

    def _on_axes(self, probability: Tensor) -> Tensor:
        return self._shares @ torch.cat([probability, probability.new_ones(1)])

    def expected(self, probability: Tensor) -> Tensor:
        first, second = self._on_axes(probability)[self._pairs]
        return (self._totals * first * second).sum()

    def slope(self, probability: Tensor) -> Tensor:
        on_axes = self._on_axes(probability)
        first, second = on_axes[self._pairs]
        by_axis = torch.zeros_like(on_axes)
        by_axis.index_add_(0, self._pairs[0], self._totals * second)
        by_axis.index_add_(0, self._pairs[1], self._totals * first)
        return by_axis @ self._shares[:, :-1]


def _last(units: ModuleUnits, like: Tensor) -> Tensor:
    return torch.tensor([units.n_units], device=like.device)


def expected_weights(
    gates: GateGroups, units: ModuleUnits | None, factors: Tensor | None = None
) -> ExpectedSize:
    """The expected number of weights that are left.

    Parameters
    ----------
    gates : GateGroups
        The groups that have gates.
    units : ModuleUnits or None
        The units of the module, which gates of units need.
    factors : torch.Tensor of shape (n_tensors,), default=None
        Factors on what a weight of each prunable tensor counts.

    Returns
    -------
    size : ExpectedSize
    """
    parameters = gates.parameters
    if factors is None:
        factors = parameters.weights.new_ones(len(parameters.tensors))
    if gates.granularity == "unit":
        assert units is not None
        return ProductOfUnits(units, parameters, factors)
    return SumOfGates(gates.sizes * factors[gates.layer])


def expected_share(gates: GateGroups, measure: str, units: ModuleUnits | None) -> ExpectedSize:
    """The expected share of the dense network that is left.

    Parameters
    ----------
    gates : GateGroups
        The groups that have gates.
    measure : {"weights", "flops", "units"}
        What is counted, as in ``Target``.
    units : ModuleUnits or None
        The units of the module, which multiplications and gates of units need.

    Returns
    -------
    share : ExpectedSize
    """
    if measure == "units":
        return SumOfGates(torch.full_like(gates.sizes, 1 / gates.n_groups))
    tensors = gates.parameters.tensors
    costs = dict.fromkeys(tensors, 1.0)
    if measure == "flops":
        assert units is not None
        costs = {name: units.graph.multiply_adds.get(name, 0.0) for name in tensors}
    total = sum(costs[name] * w.numel() for name, w in tensors.items())
    factors = [cost / total for cost in costs.values()]
    return expected_weights(gates, units, gates.sizes.new_tensor(factors))
