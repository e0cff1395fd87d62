"""The removable units of a module over the flat tensor of its parameters.

A removed unit takes all that makes it (rows, biases, scales of normalisations) and all that reads
it (columns of the layers behind).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sksparse.module_graph import ModuleGraph
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._groups import Groups

#: Everything that belongs to a unit; "writes" alone are its rows, "reads" what leaves it.
ALL_ROLES = ("writes", "scales", "reads")


@dataclass(frozen=True)
class Place:
    """The positions on one axis of a parameter, and the unit at each; ``n_units`` for none."""

    tensor: str
    axis: int
    units: Tensor
    role: str


class ModuleUnits(Groups):
    """Sums, factors, masks and counts over the units of a module.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of the module.
    parameters : FlatParameters
        Its parameters.

    Attributes
    ----------
    n_units : int
        Number of removable units, here numbered from 0 layer by layer.
    layer : torch.Tensor of shape (n_units,)
        The number of the layer of each unit.
    layer_names : list of str
        The layers by their numbers.
    graph_units : torch.Tensor of shape (n_units,)
        The numbers of the units in the graph.
    """

    noun = "unit"

    def __init__(self, graph: ModuleGraph, parameters: FlatParameters) -> None:
        self.graph = graph
        self.parameters = parameters
        device = parameters.values.device
        self.layer_names = [layer.name for layer in graph.layers]
        counts = [len(layer.units) for layer in graph.layers]
        self.graph_units = torch.cat(
            [
                torch.empty(0, dtype=torch.long),
                *[torch.from_numpy(layer.units) for layer in graph.layers],
            ]
        ).to(device)
        self.n_units = len(self.graph_units)
        self.layer = torch.arange(len(counts), device=device).repeat_interleave(
            torch.tensor(counts, dtype=torch.long, device=device)
        )
        number = torch.full((graph.n_units,), self.n_units, dtype=torch.long, device=device)
        number[self.graph_units] = torch.arange(self.n_units, device=device)
        trained = set(parameters.names)
        self._places = [
            Place(s.tensor, s.axis, number[torch.from_numpy(s.units).to(device)], s.role)
            for s in graph.slots
            if s.tensor in trained
        ]
        self._count_axes()

    def _chosen(self, roles: Sequence[str]) -> list[Place]:
        """The places of these roles, those of a tensor that is used several times once."""
        places = {(p.tensor, p.axis): p for p in self._places if p.role in roles}
        return list(places.values())

    def places(self, *roles: str) -> list[tuple[str, int, Tensor]]:
        """Tensor, axis and the unit at each position on it, ``n_units`` for none.

        Parameters
        ----------
        *roles : {"writes", "scales", "reads"}
            What the positions are; all by default.

        Returns
        -------
        places : list of tuple
        """
        return [(p.tensor, p.axis, p.units) for p in self._chosen(roles or ALL_ROLES)]

    def sums(self, values: Tensor, roles: Sequence[str] = ALL_ROLES) -> Tensor:
        """For each unit the sum over what belongs to it.

        A weight between two units of one layer, as in a recurrent layer, counts for both.

        Parameters
        ----------
        values : torch.Tensor of shape (n_parameters,) or (n_weights,)
            A flat tensor over all parameters, or over the prunable weights alone.
        roles : sequence of {"writes", "scales", "reads"}
            What is summed.

        Returns
        -------
        sums : torch.Tensor of shape (n_units,)
        """
        by_name = self._views(values)
        sums = values.new_zeros(self.n_units + 1)
        for place in self._chosen(roles):
            if place.tensor in by_name:
                tensor = by_name[place.tensor].movedim(place.axis, 0)
                sums.index_add_(0, place.units, tensor.reshape(len(tensor), -1).sum(1))
        # positions without a unit were added to the last one
        return sums[:-1]

    def scale(self, values: Tensor, factors: Tensor, roles: Sequence[str] = ALL_ROLES) -> None:
        """Multiply what belongs to each unit by its factor, in place."""
        for tensor, numbers in self._at_places(values, factors, 1.0, roles):
            tensor.mul_(numbers)

    def add(self, values: Tensor, terms: Tensor, roles: Sequence[str] = ALL_ROLES) -> None:
        """Add a number of each unit to what belongs to it, in place."""
        for tensor, numbers in self._at_places(values, terms, 0.0, roles):
            tensor.add_(numbers)

    def _at_places(
        self, values: Tensor, numbers: Tensor, elsewhere: float, roles: Sequence[str]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Views of a flat tensor, and the numbers of the units that broadcast against them."""
        by_name = self._views(values)
        padded = torch.cat([numbers, numbers.new_full((1,), elsewhere)])
        for place in self._chosen(roles):
            if place.tensor in by_name:
                tensor = by_name[place.tensor]
                shape = [1] * tensor.ndim
                shape[place.axis] = -1
                yield tensor, padded[place.units].view(shape).to(tensor.dtype)

    def mask(self, keep: Tensor) -> Tensor:
        """What is left of all parameters when only some units are kept."""
        mask = torch.ones_like(self.parameters.values, dtype=torch.bool)
        self.scale(mask, keep)
        return mask

    def in_use(self, values: Tensor) -> Tensor:
        """Which units are made by something that is not zero, and read by something.

        Parameters
        ----------
        values : torch.Tensor of shape (n_parameters,)
            A flat tensor over all parameters.

        Returns
        -------
        in_use : torch.Tensor of shape (n_units,)
            Boolean.
        """
        is_set = (values != 0).to(values.dtype)
        return (self.sums(is_set, ("writes",)) > 0) & (self.sums(is_set, ("reads",)) > 0)

    def left(self, keep: Tensor, measure: str) -> float:
        """The share of the dense network that is left when only some units are kept."""
        if measure == "units":
            return float(keep.double().mean()) if self.n_units else 1.0
        on_axes = self._places_on_axes @ torch.cat([keep, keep.new_ones(1)]).double().cpu()
        # what is left of a tensor is a product over its axes
        shares = [float(on_axes[axes].prod()) for axes in self._axes]
        sizes = self._costs[measure]
        return sum(s * share for s, share in zip(sizes, shares, strict=True)) / sum(sizes)

    @property
    def totals(self) -> dict[str, float]:
        """What the module has of each measure, as in ``Target``."""
        sums = {measure: sum(sizes) for measure, sizes in self._costs.items()}
        return {**sums, "units": float(self.n_units)}

    def _count_axes(self) -> None:
        """Prepare ``left``: the share of each axis of a weight tensor that a unit stands for."""
        rows: list[Tensor] = []
        self._axes: list[list[int]] = []
        tensors = self.parameters.tensors
        for name, tensor in tensors.items():
            places = {p.axis: p.units for p in self._places if p.tensor == name}
            self._axes.append(list(range(len(rows), len(rows) + len(places))))
            rows += [
                torch.bincount(units, minlength=self.n_units + 1).double().cpu()
                / tensor.shape[axis]
                for axis, units in places.items()
            ]
        empty = torch.zeros(0, self.n_units + 1, dtype=torch.float64)
        self._places_on_axes = torch.stack(rows) if rows else empty
        sizes = [float(w.numel()) for w in tensors.values()]
        times = [self.graph.multiply_adds.get(name, 0.0) for name in tensors]
        flops = [n * size for n, size in zip(times, sizes, strict=True)]
        self._costs = {"weights": sizes, "flops": flops}

    def _views(self, values: Tensor) -> dict[str, Tensor]:
        if len(values) == self.parameters.n_weights:
            return self.parameters.by_tensor(values)
        return self.parameters.all_by_name(values)
