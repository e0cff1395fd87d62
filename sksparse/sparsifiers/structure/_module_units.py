"""The removable units of a module over the flat tensor of its parameters.

A removed unit takes all that makes it (rows, biases, scales of normalisations) and all that reads
it (columns of the layers behind).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sksparse.module_graph import ModuleGraph
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._target import Target

#: Everything that belongs to a unit; "writes" alone are its rows, "reads" what leaves it.
ALL_ROLES = ("writes", "scales", "reads")


@dataclass(frozen=True)
class _Place:
    """The positions on one axis of a parameter, and the unit at each; ``n_units`` for none."""

    tensor: str
    axis: int
    units: Tensor
    role: str


class ModuleUnits:
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
            _Place(s.tensor, s.axis, number[torch.from_numpy(s.units).to(device)], s.role)
            for s in graph.slots
            if s.tensor in trained
        ]

    def _chosen(self, roles: Sequence[str]) -> list[_Place]:
        return [place for place in self._places if place.role in roles]

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
        by_name = self._views(values)
        padded = torch.cat([factors, factors.new_ones(1)])
        for place in self._chosen(roles):
            if place.tensor in by_name:
                tensor = by_name[place.tensor]
                shape = [1] * tensor.ndim
                shape[place.axis] = -1
                tensor.mul_(padded[place.units].view(shape).to(tensor.dtype))

    def mask(self, keep: Tensor) -> Tensor:
        """What is left of all parameters when only some units are kept.

        Parameters
        ----------
        keep : torch.Tensor of shape (n_units,)
            Boolean.

        Returns
        -------
        mask : torch.Tensor of shape (n_parameters,)
            Boolean.
        """
        mask = torch.ones_like(self.parameters.values, dtype=torch.bool)
        self.scale(mask, keep)
        return mask

    def left(self, keep: Tensor, measure: str) -> float:
        """The share of the dense network that is left when only some units are kept.

        Parameters
        ----------
        keep : torch.Tensor of shape (n_units,)
            Boolean.
        measure : {"weights", "flops", "units"}
            What is counted, as in ``Target``.

        Returns
        -------
        share : float
        """
        if measure == "units":
            return float(keep.double().mean()) if self.n_units else 1.0
        total = kept = 0.0
        for name, tensor in self.parameters.tensors.items():
            cost = 1.0 if measure == "weights" else self.graph.multiply_adds.get(name, 0.0)
            total += cost * tensor.numel()
            kept += cost * self._count(name, tensor, keep)
        return kept / total

    def _count(self, name: str, tensor: Tensor, keep: Tensor) -> float:
        """Weights of a tensor that are left: a product over its axes."""
        padded = torch.cat([keep, keep.new_ones(1)])
        shape = list(tensor.shape)
        seen: set[int] = set()
        count = float(tensor.numel())
        for place in self._places:
            if place.tensor == name and place.axis not in seen:
                seen.add(place.axis)
                count *= float(padded[place.units].sum()) / shape[place.axis]
        return count

    def choose(self, scores: Tensor, target: Target) -> Tensor:
        """The units of largest scores, as many as a target allows.

        The unit of largest score of each layer is kept in any case, so that no layer is emptied.

        Parameters
        ----------
        scores : torch.Tensor of shape (n_units,)
            The larger, the better.
        target : Target
            What may be left.

        Returns
        -------
        keep : torch.Tensor of shape (n_units,)
            Boolean.
        """
        order = self._removal_order(scores)
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            if self.left(self._without(order[:middle]), target.measure) <= target.left + 1e-12:
                high = middle
            else:
                low = middle + 1
        return self._without(order[:low])

    def _without(self, removed: Tensor) -> Tensor:
        keep = torch.ones(self.n_units, dtype=torch.bool, device=self.layer.device)
        keep[removed] = False
        return keep

    def _removal_order(self, scores: Tensor) -> Tensor:
        """Units by rising score, without the best one of each layer."""
        best = torch.zeros(self.n_units, dtype=torch.bool, device=scores.device)
        for number in range(len(self.layer_names)):
            units = (self.layer == number).nonzero().squeeze(1)
            best[units[scores[units].argmax()]] = True
        order = torch.argsort(scores, stable=True)
        return order[~best[order]]

    def check_target(self, target: Target) -> None:
        """Refuse a target that cannot be met.

        Raises
        ------
        ValueError
            It says the least share that is possible, one unit in each layer.
        """
        one_each = self._without(self._removal_order(torch.zeros(self.n_units)))
        least = self.left(one_each, target.measure)
        if least > target.left:
            raise ValueError(
                f"{target.option} cannot be met by removing units: with one unit left in each of "
                f"the {len(self.layer_names)} layers, {least:.3g} of the {target.measure} of the "
                "dense network are left; ask for at least that share."
            )

    def _views(self, values: Tensor) -> dict[str, Tensor]:
        if len(values) == self.parameters.n_weights:
            return self.parameters.by_tensor(values)
        return self.parameters.all_by_name(values)
