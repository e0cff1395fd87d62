"""Importance of units, carried back from the last response of a network to all its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, fx

from sksparse.module_graph import ModuleGraph, Slot
from sksparse.module_graph._walk import Step, Value


def response_readers(graph: ModuleGraph) -> list[Step]:
    """The calls behind which no layer reads units any more: the classifiers of a network.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of a network.

    Returns
    -------
    steps : list of Step
        In the order of the calls; what enters them are the final responses.
    """
    readers = {slot.layer for slot in graph.slots if slot.role == "reads"}
    behind: set[fx.Node] = set()
    found = []
    for step in reversed(graph.steps):
        if step.name in readers and step.node not in behind:
            found.append(step)
        if step.name in readers or step.node in behind:
            behind.update(step.node.all_input_nodes)
    return found[::-1]


class Propagation:
    """Carries scores backwards: through weights by ``|W|^T s``, through the rest unchanged.

    A score belongs to a unit at one place of the network. Positions of a flattened map are summed;
    what a scale of a normalisation or a depthwise kernel multiplies takes its magnitude; both
    sides of a sum take the score of the sum. A recurrent layer is gone through for one step of
    time.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of a network.
    """

    def __init__(self, graph: ModuleGraph) -> None:
        self._graph = graph
        self._slots: dict[str, list[Slot]] = {}
        for slot in graph.slots:
            self._slots.setdefault(slot.layer, []).append(slot)
        self._values = {step.node: step.output for step in graph.steps}
        self._tensors = {
            name: tensor.detach().cpu().double()
            for name, tensor in (*graph.module.named_parameters(), *graph.module.named_buffers())
        }

    def scores(self, responses: Mapping[fx.Node, Tensor]) -> Tensor:
        """The importance of each unit of the graph.

        Parameters
        ----------
        responses : dict of Node to torch.Tensor of shape (n_units,)
            For the calls of ``response_readers`` the scores of the units that enter them, over
            all units of the graph.

        Returns
        -------
        scores : torch.Tensor of shape (n_units,)
            For each unit the sum over all that reads it.
        """
        n_units = self._graph.n_units
        total = torch.zeros(n_units, dtype=torch.float64)
        at: dict[fx.Node, Tensor] = {}
        for step in reversed(self._graph.steps):
            if step.node in responses:
                before = read = responses[step.node]
            elif step.node not in at:
                continue
            else:
                before, read = self._through(step, at.pop(step.node))
            total += read
            for node in step.node.all_input_nodes:
                entering = self._in_value(node, before)
                at[node] = at[node] + entering if node in at else entering
        return total

    def _in_value(self, node: fx.Node, scores: Tensor) -> Tensor:
        """Scores of the units in the result of a call alone."""
        value = self._values.get(node)
        if not isinstance(value, Value) or value.axis is None:
            return scores
        units = torch.from_numpy(self._graph.units_of(value))
        return torch.zeros_like(scores).index_copy_(0, units, scores[units])

    def _through(self, step: Step, after: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of what enters a call, and of what a layer of weights reads in it."""
        matrices = self._matrices(step)
        if not matrices:
            before = after.clone()
            for units, factor in self._scales(step):
                before[units] *= factor
            return before, torch.zeros_like(after)
        entering = self._graph.units_of(step.inputs[0])
        own, read, before = after.clone(), torch.zeros_like(after), torch.zeros_like(after)
        for name, writes, reads in reversed(matrices):
            sizes = _as_matrix(self._tensors[name], writes.axis, reads.axis)
            scores = own[torch.from_numpy(writes.units)] @ sizes
            units = torch.from_numpy(reads.units)
            read.index_add_(0, units, scores)
            # a recurrent layer reads states of its own, and layers within it
            inside = not np.array_equal(reads.units, entering)
            (own if inside else before).index_add_(0, units, scores)
        return before, read

    def _matrices(self, step: Step) -> list[tuple[str, Slot, Slot]]:
        """The weights of a layer between units that it writes and units that it reads."""
        slots = self._slots.get(step.name, [])
        writes = {slot.tensor: slot for slot in slots if slot.role == "writes"}
        reads = [slot for slot in slots if slot.role == "reads" and slot.tensor in writes]
        return [(slot.tensor, writes[slot.tensor], slot) for slot in reads]

    def _scales(self, step: Step) -> Iterator[tuple[Tensor, Tensor]]:
        """Units and the magnitudes of what multiplies each of them."""
        for slot in self._slots.get(step.name, []):
            values, units = self._tensors[slot.tensor], torch.from_numpy(slot.units)
            if slot.tensor.endswith("running_var"):
                yield units, (values + step.layer.eps).rsqrt()  # type: ignore[union-attr,operator]
            elif slot.role == "scales" and slot.tensor.endswith("weight"):
                yield units, values.abs().movedim(slot.axis, 0).reshape(len(units), -1).sum(1)


def _as_matrix(weight: Tensor, writes: int, reads: int) -> Tensor:
    """The magnitudes between each output and input, summed over the positions of a kernel."""
    matrix = weight.abs().movedim((writes, reads), (0, 1))
    return matrix.reshape(*matrix.shape[:2], -1).sum(2)
