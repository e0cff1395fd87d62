"""Groups of weights that a penalty shrinks together: their norms, and block soft thresholding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from sksparse.penalties._operators import block_factors
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters, UnitGates
from sksparse.sparsifiers.structure._module_units import ModuleUnits

#: Norms are divided by no less.
LEAST_DIVISOR = 1e-30


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

    @abstractmethod
    def sums(self, flat: Tensor) -> Tensor:
        """For each group the sum over its weights of a flat tensor over all weights."""

    @abstractmethod
    def scale(self, flat: Tensor, factors: Tensor) -> None:
        """Multiply the weights of each group by its factor, in place."""

    @abstractmethod
    def spread(self, values: Tensor, elsewhere: float) -> Tensor:
        """At each weight the value of its group, and another where it is in none."""

    @abstractmethod
    def gather(self, spread: Tensor) -> Tensor:
        """For each group the number that ``spread`` gave its weights."""

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

    def sums(self, flat: Tensor) -> Tensor:
        sums = torch.empty_like(self.sizes)
        self._gates.gather(self._gates.weight_views(flat), out=self._gates.unit_views(sums))
        return sums

    def scale(self, flat: Tensor, factors: Tensor) -> None:
        views = zip(self._gates.weight_views(flat), self._gates.unit_views(factors), strict=True)
        for weights, factor in views:
            weights.mul_(factor)

    def spread(self, values: Tensor, elsewhere: float) -> Tensor:
        return self._gates.spread(values)

    def gather(self, spread: Tensor) -> Tensor:
        return self.mean(spread)


class UnitGroups(PenaltyGroups):
    """The removable units of a module, each with what makes it, or with what reads it as well.

    The last unit of a layer with a norm is not thresholded to zero: no layer is emptied.

    Parameters
    ----------
    units : ModuleUnits
        The units.
    roles : sequence of {"writes", "scales", "reads"}, default=("writes", "scales")
        Which of their weights belong to a group. A weight between two units belongs to both
        groups if it is read and written by them, and one between a unit and itself, as in a
        recurrent layer, counts twice in its group.
    """

    def __init__(self, units: ModuleUnits, roles: Sequence[str] = ("writes", "scales")) -> None:
        self._units = units
        self._roles = roles
        self._n_weights = units.parameters.n_weights
        self._like = units.parameters.weights
        self.counts = torch.bincount(units.layer, minlength=len(units.layer_names)).tolist()
        self.sizes = self.sums(torch.ones_like(self._like))
        #: The layers whose last unit was kept from vanishing.
        self.rescued: set[str] = set()

    def sums(self, flat: Tensor) -> Tensor:
        return self._units.sums(flat, self._roles)

    def scale(self, flat: Tensor, factors: Tensor) -> None:
        self._units.scale(flat, factors, self._roles)

    def shrink(self, flat: Tensor, thresholds: Tensor) -> None:
        norms = self.norms(flat)
        factors = block_factors(norms, thresholds)
        largest = factors.new_zeros(len(self.counts))
        largest.index_reduce_(0, self.layer, factors, "amax")
        if not largest.all():
            parts = zip(factors.split(self.counts), norms.split(self.counts), strict=True)
            for name, (factor, norm) in zip(self._units.layer_names, parts, strict=True):
                if not factor.any():
                    factor[norm.argmax()] = 1.0
                    self.rescued.add(name)
        self.scale(flat, factors)

    def spread(self, values: Tensor, elsewhere: float) -> Tensor:
        spread, covered = torch.ones_like(self._like, dtype=values.dtype), torch.ones_like(self._like)
        self._units.scale(spread, values, ("writes", "scales"))
        self._units.scale(covered, torch.zeros_like(self.sizes), ("writes", "scales"))
        return torch.where(covered == 0, spread, elsewhere)

    def gather(self, spread: Tensor) -> Tensor:
        roles = ("writes", "scales")
        return self._units.sums(spread, roles) / self._units.sums(torch.ones_like(spread), roles)
