"""Where a number may be added to the outputs of a layer."""

from __future__ import annotations

from collections import Counter

from torch import Tensor, nn

from sksparse.module_graph._constants import Read
from sksparse.module_graph._graph import ModuleGraph


def bias_of(read: Read) -> Tensor | None:
    """The bias beside a tensor of weights; None where the layer has none."""
    layer = read.step.layer
    name = read.slot.tensor.rpartition(".")[2].replace("weight", "bias")
    return dict(layer.named_parameters()).get(name)  # type: ignore[union-attr]


def mean_behind(graph: ModuleGraph, read: Read) -> Tensor | None:
    """The mean that the only layer behind subtracts, if it does."""
    step = read.step
    calls = Counter(id(s.layer) for s in graph.steps)
    followers = [s for s in graph.steps if s.node in step.node.users]
    if len(followers) != 1 or len(step.node.users) != 1 or calls[id(step.layer)] > 1:
        return None
    layer = followers[0].layer
    if not isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        return None
    return layer.running_mean if calls[id(layer)] == 1 else None
