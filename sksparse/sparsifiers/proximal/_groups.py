"""Groups of weights that a penalty shrinks together: their norms, and block soft thresholding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import torch
from torch import Tensor

from sksparse.penalties._operators import block_factors
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters, UnitGates
from sksparse.sparsifiers.structure._branches import Branches
from sksparse.sparsifiers.structure._module_units import ModuleUnits

#: Norms are divided by no less.
LEAST_DIVISOR = 1e-30

#: The roles of the weights that belong to a unit, in each kind of group over units.
UNIT_ROLES = {
    "unit": ("writes", "scales"),
    "read": ("reads",),
    "state": ("writes", "scales", "reads"),
}


class PenaltyGroups(ABC):
    """Groups of prunable weights, numbered layer by layer.

    Attributes
    ----------
    sizes : torch.Tensor of shape (n_groups,)
        Weights in each group.
    counts : list of int
        Groups in each layer.
    """

    sizes: Tensor
    counts: list[int]
    #: The layers whose last group was kept from vanishing.
    rescued: set[str]

    @abstractmethod
    def sums(self, flat: Tensor) -> Tensor:
        """For each group the sum over its weights of a flat tensor over all weights."""

    @abstractmethod
    def scale(self, flat: Tensor, factors: Tensor) -> None:
        """Multiply the weights of each group by its factor, in place."""

    @abstractmethod
    def spread(self, values: Tensor) -> Tensor:
        """At each weight the number of its group, and infinity where it is in none.

        A weight of several units has the number of the one that it makes.
        """

    @abstractmethod
    def own(self, spread: Tensor) -> Tensor:
        """For each group the number that ``spread`` gave its weights."""

    @abstractmethod
    def add(self, flat: Tensor, terms: Tensor) -> None:
        """Add the number of each group to its weights in a flat tensor, in place."""

    @cached_property
    def roots(self) -> Tensor:
        """The root of the size of each group."""
        return self.sizes.sqrt()

    @cached_property
    def layer(self) -> Tensor:
        """The number of the layer of each group."""
        counts = torch.tensor(self.counts, device=self.sizes.device)
        return torch.arange(len(counts), device=self.sizes.device).repeat_interleave(counts)

    def norms(self, flat: Tensor) -> Tensor:
        """The Euclidean norm of each group."""
        return self.sums(flat.square()).sqrt_()

    def mean(self, flat: Tensor) -> Tensor:
        """The mean over each group of a flat tensor."""
        return self.sums(flat).div_(self.sizes)

    def shrink(self, flat: Tensor, thresholds: Tensor) -> None:
        """Block soft thresholding, in place."""
        self.scale(flat, block_factors(self.norms(flat), thresholds))

    def bring_to(self, flat: Tensor, norms: Tensor) -> None:
        """Scale the groups to these norms, in place; a group of norm zero stays."""
        before = self.norms(flat)
        self.scale(flat, norms / (before + (before == 0)))

    def layer_means(self, values: Tensor) -> Tensor:
        """The mean of numbers of all groups over each layer."""
        return torch.stack([part.mean() for part in values.split(self.counts)])

    def relative_norms(self, flat: Tensor, penalised: Tensor) -> Tensor:
        """The norm of each group over the mean norm in its layer, without zeros.

        Ties are broken by position; groups that are not penalised rank above all others.
        """
        norms = self.norms(flat).double()
        if not len(norms):
            # a network without hidden layers has no unit that could be removed
            return norms
        for part in norms.split(self.counts):
            part.div_((part.sum() / (part != 0).sum().clamp(min=1)).clamp_(min=LEAST_DIVISOR))
            part.mul_(1 + 1e-6 * torch.linspace(0, 1, len(part)).to(part))
        return norms.add_(~penalised * (1.0 + norms.max()))


class WeightGroups(PenaltyGroups):
    """The groups of each tensor by itself, such as its columns.

    Parameters
    ----------
    parameters : FlatParameters
        The weights.
    granularity : {"weight", "input", "shape"}
        What a group is, as in ``UnitGates``.
    """

    def __init__(self, parameters: FlatParameters, granularity: str) -> None:
        self._gates = UnitGates(parameters, granularity)
        self.sizes, self.counts = self._gates.sizes, self._gates.counts
        self.rescued = set()

    def sums(self, flat: Tensor) -> Tensor:
        sums = torch.empty_like(self.sizes)
        self._gates.gather(self._gates.weight_views(flat), out=self._gates.unit_views(sums))
        return sums

    def scale(self, flat: Tensor, factors: Tensor) -> None:
        views = zip(self._gates.weight_views(flat), self._gates.unit_views(factors), strict=True)
        for weights, factor in views:
            weights.mul_(factor)

    def spread(self, values: Tensor) -> Tensor:
        return self._gates.spread(values)

    def own(self, spread: Tensor) -> Tensor:
        return self.mean(spread)

    def add(self, flat: Tensor, terms: Tensor) -> None:
        views = zip(self._gates.weight_views(flat), self._gates.unit_views(terms), strict=True)
        for weights, term in views:
            weights.add_(term)


class UnitGroups(PenaltyGroups):
    """The removable units of a module, each with what makes it, or with what reads it as well.

    The last unit of a layer with a norm is not thresholded to zero: no layer is emptied.

    Parameters
    ----------
    units : ModuleUnits
        The units.
    kind : {"unit", "read", "state"}
        Whether what makes a unit is a group, or what reads it, or both. In the last case a weight
        between two units belongs to both groups, and one between a unit and itself, as in a
        recurrent layer, counts twice in its group.
    """

    def __init__(self, units: ModuleUnits, kind: str) -> None:
        self._units = units
        self._roles = UNIT_ROLES[kind]
        #: One of the groups of each weight: a weight of several units stands for the one it makes.
        self._own = UNIT_ROLES["unit" if kind == "state" else kind]
        self.counts = torch.bincount(units.layer, minlength=len(units.layer_names)).tolist()
        self.sizes = self.sums(torch.ones_like(units.parameters.weights))
        self.rescued = set()

    def sums(self, flat: Tensor) -> Tensor:
        return self._units.sums(flat, self._roles)

    def scale(self, flat: Tensor, factors: Tensor) -> None:
        self._units.scale(flat, factors, self._roles)

    def spread(self, values: Tensor) -> Tensor:
        ones = torch.ones_like(self._units.parameters.weights)
        spread, covered = torch.zeros_like(ones, dtype=values.dtype), torch.zeros_like(ones)
        self._units.add(spread, values, self._own)
        self._units.add(covered, torch.ones_like(self.sizes), self._own)
        return spread.masked_fill_(covered == 0, torch.inf)

    def own(self, spread: Tensor) -> Tensor:
        counts = self._units.sums(torch.ones_like(spread), self._own)
        return self._units.sums(spread, self._own) / counts

    def add(self, flat: Tensor, terms: Tensor) -> None:
        self._units.add(flat, terms, self._roles)

    def shrink(self, flat: Tensor, thresholds: Tensor) -> None:
        norms = self.norms(flat)
        factors = block_factors(norms, thresholds)
        parts = zip(factors.split(self.counts), norms.split(self.counts), strict=True)
        for name, (factor, norm) in zip(self._units.layer_names, parts, strict=True):
            if not factor.any():
                factor[norm.argmax()] = 1.0
                self.rescued.add(name)
        self.scale(flat, factors)


class BranchGroups(PenaltyGroups):
    """All weights of each residual branch, which can be left out beside its shortcut.

    Parameters
    ----------
    parameters : FlatParameters
        The parameters of the module.
    branches : Branches
        Its branches.
    """

    def __init__(self, parameters: FlatParameters, branches: Branches) -> None:
        self._n_groups = branches.n_units
        self._ids, self._other_ids = branches.group.tensor_split([parameters.n_weights])
        self._others = parameters.others
        self.counts, self.rescued = [branches.n_units], set()
        self.sizes = self.sums(torch.ones_like(parameters.weights))

    def sums(self, flat: Tensor) -> Tensor:
        # what is in no branch is added to the last number
        return flat.new_zeros(self._n_groups + 1).index_add_(0, self._ids, flat)[:-1]

    def scale(self, flat: Tensor, factors: Tensor) -> None:
        flat.mul_(torch.cat([factors, factors.new_ones(1)])[self._ids])

    def add(self, flat: Tensor, terms: Tensor) -> None:
        flat.add_(torch.cat([terms, terms.new_zeros(1)])[self._ids])

    def spread(self, values: Tensor) -> Tensor:
        return torch.cat([values, values.new_full((1,), torch.inf)])[self._ids]

    def own(self, spread: Tensor) -> Tensor:
        return self.mean(spread.masked_fill(self._ids == self._n_groups, 0.0))

    def shrink(self, flat: Tensor, thresholds: Tensor) -> None:
        super().shrink(flat, thresholds)
        # a branch without weights adds nothing only without biases, scales and shifts
        is_left = torch.cat([self.norms(flat), flat.new_ones(1)]) > 0
        self._others.mul_(is_left[self._other_ids])
