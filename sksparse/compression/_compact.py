"""A module without its dead parts, which computes the same."""

from __future__ import annotations

import copy

import numpy as np
from torch import Tensor, nn

from sksparse._typing import Mask
from sksparse.compression._result import CompactResult
from sksparse.module_graph import ModuleGraph
from sksparse.module_graph._constants import read_units
from sksparse.module_graph._surgery import resize


def compact(module: nn.Module, example: Tensor, *, inputs: bool | None = None) -> CompactResult:
    """Remove what is dead in a module; its output in evaluation mode stays the same.

    A unit (neuron, filter, channel, state of a recurrent layer) is removed where nothing reads it,
    or where it emits a constant, which is added to the biases of what reads it.

    Parameters
    ----------
    module : torch.nn.Module
        The network with zeros in it, which is left as it is.
    example : torch.Tensor of shape (n_rows, ...)
        A few rows of features, with which the module can be called.
    inputs : bool or None, default=None
        Whether features that nothing reads are dropped as well, so that the small module takes
        those of ``kept_inputs`` only. None drops them where `example` has two dimensions.

    Returns
    -------
    result : CompactResult
        The small module, which is of the same types of layers, with what is left of it.

    Raises
    ------
    ValueError
        Where it cannot be followed which units of the layers belong together; it names the part of
        the module and the line.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sksparse.compression import compact
    >>> module = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    >>> with torch.no_grad():
    ...     _ = module[2].weight[:, :4].zero_()
    >>> compact(module, torch.randn(2, 8)).module
    Sequential(
      (0): Linear(in_features=8, out_features=2, bias=True)
      (1): ReLU()
      (2): Linear(in_features=2, out_features=2, bias=True)
    )
    """
    inputs = example.ndim == 2 if inputs is None else inputs
    small = copy.deepcopy(module)
    graph = ModuleGraph(small, example)
    graph.require_followed("compact", "Keep the masked module, or write that part with layers.")
    n_inputs = len(graph.input_units) or example.shape[-1]
    dense = {layer.name: len(layer.units) for layer in graph.layers}
    before = _parameters(small), _multiply_adds(graph)
    removable = _removable(graph, inputs)
    keep = read_units(graph, removable)
    widths = {
        layer.name: (int(keep[layer.units].sum()), dense[layer.name]) for layer in graph.layers
    }
    kept_inputs = (
        np.flatnonzero(keep[graph.input_units]) if len(graph.input_units) else np.arange(n_inputs)
    )
    resize(graph, keep)
    after = ModuleGraph(small, example[:, kept_inputs] if len(kept_inputs) < n_inputs else example)
    return CompactResult(
        small,
        kept_inputs,
        n_inputs,
        widths,
        (_parameters(small), before[0]),
        (_multiply_adds(after), before[1]),
    )


def _removable(graph: ModuleGraph, inputs: bool) -> Mask:
    removable = graph.removable.copy()
    if inputs:
        dropped = [u for u in graph.input_units.tolist() if u not in graph.kept_whole]
        removable[dropped] = True
    return removable


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _multiply_adds(graph: ModuleGraph) -> float:
    tensors = dict(graph.module.named_parameters())
    return float(sum(n * tensors[name].numel() for name, n in graph.multiply_adds.items()))
