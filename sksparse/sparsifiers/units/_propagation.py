"""Importance of units, carried back from the last response of a network to all its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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
        total = sum(responses.values(), torch.zeros(self._graph.n_units, dtype=torch.float64))
        at: dict[fx.Node, Tensor] = {}
        for step in reversed(self._graph.steps):
            if step.node in responses:
                before = responses[step.node]
            elif step.node not in at:
                continue
            else:
                after = at.pop(step.node)
                before = self._through(step, after)
                if self._matrices(step):
                    total = total + before - after
            for node, value in zip(_nodes_of(step), _values_of(step), strict=True):
                if value.axis is not None:
                    entering = _only(before, self._graph.units_of(value))
                    at[node] = at[node] + entering if node in at else entering
        return total

    def _through(self, step: Step, after: Tensor) -> Tensor:
        """Scores of what enters a call, added to those of what leaves it where units are new."""
        matrices = self._matrices(step)
        scores = after.clone()
        for tensor, writes, reads in reversed(matrices):
            sizes = _as_matrix(self._tensor(tensor), writes.axis, reads.axis)
            scores.index_add_(
                0, torch.from_numpy(reads.units), scores[torch.from_numpy(writes.units)] @ sizes
            )
        if not matrices:
            for units, factor in self._scales(step):
                scores[units] *= factor
        return scores

    def _matrices(self, step: Step) -> list[tuple[str, Slot, Slot]]:
        """The weights of a layer between units that it writes and units that it reads."""
        slots = self._slots.get(step.name, [])
        writes = {slot.tensor: slot for slot in slots if slot.role == "writes"}
        reads = [slot for slot in slots if slot.role == "reads" and slot.tensor in writes]
        return [(slot.tensor, writes[slot.tensor], slot) for slot in reads]

    def _scales(self, step: Step) -> Iterator[tuple[Tensor, Tensor]]:
        """Units and the magnitudes of what multiplies each of them."""
        for slot in self._slots.get(step.name, []):
            values = self._tensor(slot.tensor)
            units = torch.from_numpy(slot.units)
            if slot.tensor.endswith("running_var"):
                yield units, (values + step.layer.eps).rsqrt()  # type: ignore[union-attr,operator]
            elif slot.role == "scales" and slot.tensor.endswith("weight"):
                yield units, _as_matrix(values, slot.axis, slot.axis)[:, 0]

    def _tensor(self, name: str) -> Tensor:
        module = self._graph.module
        tensor = dict(module.named_parameters()).get(name)
        if tensor is None:
            tensor = dict(module.named_buffers())[name]
        return tensor.detach().cpu().double()
