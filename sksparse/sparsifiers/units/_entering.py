"""What enters the readers of units, and how far the loss changes when it is taken away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sksparse.module_graph import Value
from sksparse.sparsifiers.structure._module_units import ModuleUnits
from sksparse.sparsifiers.units._calls import slots_of


def numbers_of_units(units: ModuleUnits) -> Tensor:
    """For each unit of the graph its number among the removable ones, ``n_units`` for none."""
    device = units.layer.device
    numbers = torch.full((units.graph.n_units,), units.n_units, device=device)
    numbers[units.graph_units] = torch.arange(units.n_units, device=device)
    return numbers


@dataclass(frozen=True)
class _Reader:
    """A layer whose first argument holds units.

    Parameters
    ----------
    layer : torch.nn.Module
        The layer.
    axis : int
        The axis of the units in its first argument.
    units : torch.Tensor of shape (n_positions,)
        The number of the unit at each position, ``n_units`` for none.
    """

    layer: nn.Module
    axis: int
    units: Tensor


class ReaderProducts:
    """For each row and unit, the sum of ``dC/dz * z`` over all that reads the unit.

    To first order this is what the cost of the row loses when the unit is taken away from the
    layers that read it. It is summed over positions, time steps and readers. What a recurrent layer
    reads of its own states, and what functions read, is known for the rows of a batch together
    only.

    Parameters
    ----------
    units : ModuleUnits
        The units of a network.
    """

    def __init__(self, units: ModuleUnits) -> None:
        self._units = units
        self._handles: list[RemovableHandle] = []
        self._products: Tensor | None = None
        self._readers: list[_Reader] = []
        self._unseen = torch.ones_like(units.parameters.weights)
        self._find_readers()

    def _find_readers(self) -> None:
        graph = self._units.graph
        numbers = numbers_of_units(self._units)
        by_name = self._units.parameters.by_tensor(self._unseen)
        for step in graph.steps:
            value = step.inputs[0] if step.inputs else None
            if step.layer is None or not isinstance(value, Value) or value.axis is None:
                continue
            entering = graph.units_of(value)
            seen = [
                slot.tensor
                for slot in slots_of(graph, step)
                if slot.role == "reads"
                and slot.tensor in by_name
                and len(slot.units) == len(entering)
                and (slot.units == entering).all()
            ]
            for name in seen:
                by_name[name].zero_()
            found = numbers[torch.from_numpy(entering).to(numbers.device)]
            known = any(reader.layer is step.layer for reader in self._readers)
            if seen and not known and (found < self._units.n_units).any():
                self._readers.append(_Reader(step.layer, value.axis, found))
        self._sees_all = not bool(self._unseen.any())

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note the products of one forward and backward pass."""
        self.watch()
        try:
            yield
        finally:
            self.unwatch()

    def watch(self) -> None:
        """Note the products of the next forward and backward pass."""
        self._products = None
        for reader in self._readers:
            hook = self._hook(reader)
            self._handles.append(reader.layer.register_forward_pre_hook(hook))

    def unwatch(self) -> None:
        """Leave the module as it was."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _hook(self, reader: _Reader) -> Any:
        def entering(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            # a tensor of its own for each reader, whose gradient is that through this reader
            x = inputs[0]
            own = x.view_as(x) if x.requires_grad else x.detach().requires_grad_()
            values = x.detach()
            own.register_hook(lambda slope: self._add(reader, values, slope))
            return (own, *inputs[1:])

        return entering

    def _add(self, reader: _Reader, values: Tensor, slope: Tensor) -> None:
        axis = reader.axis
        rows = _axis_of_rows(reader.layer)
        others = [i for i in range(values.ndim) if i not in (axis, rows)]
        products = values * slope
        if others:
            products = products.sum(others)
        if axis < rows:
            products = products.T
        if self._products is None:
            self._products = products.new_zeros(len(products), self._units.n_units + 1)
        self._products.index_add_(1, reader.units, products)

    def sizes(self) -> Tensor:
        """The sum over rows of the absolute values, as the cost weighs the rows.

        Called after the backward pass, whose gradients by all weights are used too.

        Returns
        -------
        sizes : torch.Tensor of shape (n_units,)
        """
        parameters, units = self._units.parameters, self._units
        total = parameters.weights.new_zeros(units.n_units)
        if self._products is not None:
            total += self._products[:, :-1].abs().sum(0)
        if not self._sees_all:
            products = self._unseen * parameters.weights * parameters.weight_gradient
            total += units.sums(products, ("reads",)).abs()
        return total


def _axis_of_rows(layer: nn.Module) -> int:
    """Rows come first, but for recurrent layers that say otherwise."""
    return int(isinstance(layer, nn.RNNBase) and not layer.batch_first)
