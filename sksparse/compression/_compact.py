"""A module without its dead parts, which computes the same."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from sksparse._typing import Mask
from sksparse.compression._folding import fold_constants
from sksparse.compression._result import CompactResult
from sksparse.module_graph import ModuleGraph
from sksparse.module_graph._live_units import find_links, live_units, one_each
from sksparse.module_graph._surgery import resize
from sksparse.module_graph._walk import Value


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
    ...     _ = module[0].weight[:4].zero_()
    >>> compact(module, torch.randn(2, 8)).module
    Sequential(
      (0): Linear(in_features=8, out_features=2, bias=True)
      (1): ReLU()
      (2): Linear(in_features=2, out_features=2, bias=True)
    )
    """
    inputs = example.ndim == 2 if inputs is None else inputs
    small = copy.deepcopy(module)
    graph = _followed(small, example)
    dense_widths = _widths(graph)
    dense_sizes = _parameters(small), _multiply_adds(graph)
    fold_constants(graph, _removable(graph, inputs))
    # biases may have been added
    graph = _followed(small, example)
    keep = _kept(graph, inputs)
    n_inputs = len(graph.input_units) or example.shape[-1]
    kept_inputs = np.arange(n_inputs)
    if inputs and len(graph.input_units):
        kept_inputs = np.flatnonzero(keep[graph.input_units])
        axis = _axis_of_features(graph)
        example = example.index_select(axis, torch.from_numpy(kept_inputs).to(example.device))
    resize(graph, keep)
    graph = _followed(small, example)
    left = _widths(graph)
    return CompactResult(
        module=small,
        kept_inputs=kept_inputs,
        n_inputs=n_inputs,
        widths={name: (left.get(name, 0), n) for name, n in dense_widths.items()},
        parameters=(_parameters(small), dense_sizes[0]),
        multiply_adds=(_multiply_adds(graph), dense_sizes[1]),
    )


def _followed(module: nn.Module, example: Tensor) -> ModuleGraph:
    graph = ModuleGraph(module, example)
    graph.require_followed("compact", "Keep the masked module, or write that part with layers.")
    return graph


def _kept(graph: ModuleGraph, inputs: bool) -> Mask:
    live = live_units(graph, _removable(graph, inputs), find_links(graph))
    return one_each(graph, live)


def _removable(graph: ModuleGraph, inputs: bool) -> Mask:
    """The units that may go: hidden ones, and features that only layers read."""
    removable = graph.removable.copy()
    if inputs:
        dropped = [u for u in graph.input_units.tolist() if u not in graph.kept_whole]
        removable[dropped] = True
    return removable


def _axis_of_features(graph: ModuleGraph) -> int:
    """The axis of the example on which the features stand."""
    for step in graph.steps:
        for value in step.inputs:
            if isinstance(value, Value) and value.is_input and value.axis is not None:
                return value.axis
    raise AssertionError("the features have units, so something has read them")


def _widths(graph: ModuleGraph) -> dict[str, int]:
    return {layer.name: len(layer.units) for layer in graph.layers}


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _multiply_adds(graph: ModuleGraph) -> float:
    tensors = dict(graph.module.named_parameters())
    return float(sum(n * tensors[name].numel() for name, n in graph.multiply_adds.items()))
