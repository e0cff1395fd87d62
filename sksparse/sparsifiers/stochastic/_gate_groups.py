"""One number for each group of weights, multiplied into these weights.

A group is a single weight, an input of a layer with all weights that leave it, or a unit of the
module with all weights that read it, in however many layers. A factor on what reads a unit is
a factor on what the unit emits, whatever stands between the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters, numbers_for
from sksparse.sparsifiers.structure._module_units import ModuleUnits

#: Views of a flat tensor over all weights, as ``GateGroups.views`` makes them.
Views = Sequence[Tensor]


class GateGroups:
    """Groups of weights that share a factor, and sums over them.

    Parameters
    ----------
    parameters : FlatParameters
        The weights.
    granularity : {"weight", "input", "unit"}
        What a group is.
    units : ModuleUnits, default=None
        The units of the module, which ``granularity="unit"`` needs.

    Attributes
    ----------
    n_groups : int
        Their number.
    sizes : torch.Tensor of shape (n_groups,)
        Weights that each factor multiplies.
    layer : torch.Tensor of shape (n_groups,)
        The number of the layer of each group: of its tensor, or of the layer that writes the unit.
    layer_names : list of str
        The layers by their numbers.
    axes : dict of str to int
        For each tensor with groups the axis along which they lie; empty for single weights.
    """

    def __init__(
        self, parameters: FlatParameters, granularity: str, units: ModuleUnits | None = None
    ) -> None:
        self.parameters = parameters
        self.granularity = granularity
        tensors = parameters.tensors
        self.layer_names = list(tensors)
        self.axes: dict[str, int] = {}
        groups: dict[str, tuple[int, Tensor]] = {}
        if granularity == "weight":
            counts = parameters.sizes
        elif granularity == "input":
            counts = [w.shape[1] for w in tensors.values()]
            starts = [sum(counts[:i]) for i in range(len(counts))]
            groups = {
                name: (1, torch.arange(start, start + n))
                for name, start, n in zip(tensors, starts, counts, strict=True)
            }
        else:
            assert units is not None
            groups = _readers(units, parameters)
            counts = torch.bincount(units.layer, minlength=len(units.layer_names)).tolist()
            self.layer_names = units.layer_names
        self.n_groups = sum(counts)
        device = parameters.weights.device
        self.layer = torch.arange(len(counts), device=device).repeat_interleave(
            torch.tensor(counts, dtype=torch.long, device=device)
        )
        if not self._is_single:
            self._place(groups, device)
        self.sizes = self.sums(self.views(torch.ones_like(parameters.weights))).clone()

    def _place(self, groups: dict[str, tuple[int, Tensor]], device: Any) -> None:
        """Lay the positions of all tensors end to end; those without a group get number n."""
        like, none = self.parameters.weights, torch.full((1,), self.n_groups)
        parts, shapes = [], []
        for name, w in self.parameters.tensors.items():
            axis, numbers = groups.get(name, (0, none))
            if name in groups:
                self.axes[name] = axis
            parts.append(numbers)
            shapes.append([len(numbers) if i == axis else 1 for i in range(w.ndim)])
        self._counts = [len(part) for part in parts]
        self._shapes = shapes
        self._index = torch.cat(parts).to(device)
        self._at = like.new_ones(len(self._index))
        self._factors = self._shaped(self._at)
        self._padded = like.new_ones(self.n_groups + 1)
        self._sums = torch.zeros_like(self._padded)
        self._other_axes = {
            i: [a for a in range(w.ndim) if a != self.axes[name]]
            for i, (name, w) in enumerate(self.parameters.tensors.items())
            if name in self.axes
        }

    def _shaped(self, at_positions: Tensor) -> list[Tensor]:
        parts = at_positions.split(self._counts)
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    @property
    def _is_single(self) -> bool:
        return self.granularity == "weight"

    def groups_of(self, name: str) -> Tensor | None:
        """The group at each position on the axis of a tensor; ``n_groups`` for none."""
        if name not in self.axes:
            return None
        number = list(self.parameters.tensors).index(name)
        return self._index.split(self._counts)[number]

    def views(self, weights: Tensor) -> Views:
        """Views of a flat tensor over all weights, for the other methods."""
        if self._is_single:
            return [weights]
        return list(self.parameters.by_tensor(weights).values())

    def _spread_factors(self, factors: Tensor) -> None:
        self._padded[:-1] = factors
        torch.index_select(self._padded, 0, self._index, out=self._at)

    def multiply(self, weights: Views, factors: Tensor, *, out: Views) -> None:
        """Write the weights times the factors of their groups; weights without one as they are."""
        if self._is_single:
            torch.mul(weights[0], factors, out=out[0])
            return
        self._spread_factors(factors)
        for source, factor, product in zip(weights, self._factors, out, strict=True):
            torch.mul(source, factor, out=product)

    def add_multiple(self, target: Views, weights: Views, factors: Tensor, value: float) -> None:
        """Add `value` times the weights times the factors of their groups, 1 without one."""
        if self._is_single:
            target[0].addcmul_(weights[0], factors, value=value)
            return
        self._spread_factors(factors)
        for total, source, factor in zip(target, weights, self._factors, strict=True):
            total.addcmul_(source, factor, value=value)

    def sums(self, weights: Views) -> Tensor:
        """For each group the sum over its weights, in a tensor that the next call overwrites."""
        if self._is_single:
            return weights[0]
        for number, axes in self._other_axes.items():
            torch.sum(weights[number], axes, keepdim=True, out=self._factors[number])
        self._sums.zero_().index_add_(0, self._index, self._at)
        return self._sums[:-1]

    def spread(self, values: Tensor) -> Tensor:
        """The value of its group at each weight, flat; one, or true, without a group."""
        if self._is_single:
            return values
        at_positions = torch.cat([values, values.new_ones(1)])[self._index]
        tensors = self.parameters.tensors.values()
        pairs = zip(self._shaped(at_positions), tensors, strict=True)
        return torch.cat([part.expand_as(w).reshape(-1) for part, w in pairs])

    def per_layer(
        self, name: str, values: Any, *, least: float = 0.0, most: float = math.inf
    ) -> Tensor:
        """One number for each layer, from one for all of them or a sequence.

        Parameters
        ----------
        name : str
            The option that is read, for the message.
        values : float or sequence of float
            What the user gave.
        least, most : float
            The range of what is accepted.

        Returns
        -------
        numbers : torch.Tensor of shape (n_layers,)
            Indexed by ``layer`` they are those of the groups.
        """
        noun = "layers with units" if self.granularity == "unit" else "weight tensors"
        n = len(self.layer_names)
        found = numbers_for(name, values, n, noun, least=least, most=most)
        return self.parameters.weights.new_tensor(found)


def _readers(units: ModuleUnits, parameters: FlatParameters) -> dict[str, tuple[int, Tensor]]:
    """The axis of each tensor that reads removable units, and the unit at each position."""
    found: dict[str, tuple[int, Tensor]] = {}
    for name, axis, numbers in units.places("reads"):
        if name not in parameters.tensors or bool((numbers == units.n_units).all()):
            continue
        if name in found and found[name][0] != axis:
            raise ValueError(
                f"{name!r} reads units along two of its axes, so that they cannot have gates; "
                "choose granularity='weight' or 'input'."
            )
        found[name] = (axis, numbers.cpu())
    return found
