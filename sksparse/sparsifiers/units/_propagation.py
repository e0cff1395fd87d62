"""Importance of units, carried back from the last response of a network to all its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from sksparse.module_graph import ModuleGraph, Slot, Step, Value
from sksparse.sparsifiers.units._calls import slots_of

#: Layers that multiply each unit by a number, or each group of them by a kernel.
_SCALING = (_NormBase, nn.GroupNorm, nn.LayerNorm, _ConvNd)


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
            for factors in self._scales(step):
                before *= factors
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
        slots = slots_of(self._graph, step)
        writes = {slot.tensor: slot for slot in slots if slot.role == "writes"}
        reads = [slot for slot in slots if slot.role == "reads" and slot.tensor in writes]
        return [(slot.tensor, writes[slot.tensor], slot) for slot in reads]

    def _scales(self, step: Step) -> Iterator[Tensor]:
        """What multiplies each unit of the graph, 1 for others; the mean over its positions."""
        if not isinstance(step.layer, _SCALING):
            return
        for slot in slots_of(self._graph, step):
            values = self._tensors[slot.tensor]
            if slot.tensor.endswith("running_var"):
                factors = (values + step.layer.eps).rsqrt()  # type: ignore[operator]
            elif slot.role == "scales" and slot.tensor.endswith("weight"):
                factors = values.abs().movedim(slot.axis, 0).reshape(len(slot.units), -1).sum(1)
            else:
                continue
            units = torch.from_numpy(slot.units)
            sums = torch.zeros(self._graph.n_units, dtype=torch.float64)
            counts = torch.bincount(units, minlength=len(sums))
            sums.index_add_(0, units, factors)
            yield torch.where(counts > 0, sums / counts, 1.0)


def _as_matrix(weight: Tensor, writes: int, reads: int) -> Tensor:
    """The magnitudes between each output and input, summed over the positions of a kernel."""
    matrix = weight.abs().movedim((writes, reads), (0, 1))
    return matrix.reshape(*matrix.shape[:2], -1).sum(2)
