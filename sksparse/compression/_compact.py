"""A module without its dead parts, which computes the same."""

from __future__ import annotations

import copy
from collections import Counter

import numpy as np
import torch
from torch import Tensor, nn

from sksparse._typing import Indices, Mask
from sksparse.compression._branches import remove_dead_branches
from sksparse.compression._folding import fold_constants
from sksparse.compression._result import CompactResult
from sksparse.compression._splitting import split_uneven
from sksparse.module_graph import ModuleGraph
from sksparse.module_graph._live_units import find_links, live_units, one_each
from sksparse.module_graph._surgery import even, resize
from sksparse.module_graph._value import Value


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
    dense_layers = [
        (name, len(units), [name, *_writers(graph, units)])
        for name, units in _layers(graph).items()
    ]
    dense_sizes = _parameters(small), _multiply_adds(graph)
    small = remove_dead_branches(small, graph, example)
    graph = _followed(small, example)
    fold_constants(graph, _removable(graph, inputs))
    # biases may have been added
    graph = _followed(small, example)
    keep = _kept(graph, inputs)
    small, split, apart = split_uneven(small, graph, keep, example)
    keep = even(graph, keep, apart)
    left = {name: int(keep[units].sum()) for name, units in _layers(graph).items()}
    widths = {
        name: (next((left[other] for other in others if other in left), 0), width)
        for name, width, others in dense_layers
    }
    if apart:
        graph, keep = split, _kept(split, inputs)
    n_inputs = len(graph.input_units) or example.shape[-1]
    kept_inputs = np.arange(n_inputs)
    if inputs and len(graph.input_units):
        kept_inputs = np.flatnonzero(keep[graph.input_units])
        axis = _axis_of_features(graph)
        example = example.index_select(axis, torch.from_numpy(kept_inputs).to(example.device))
    resize(graph, keep)
    graph = _followed(small, example)
    return CompactResult(
        module=small,
        kept_inputs=kept_inputs,
        n_inputs=n_inputs,
        widths=widths,
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
    values = [v for step in graph.steps for v in step.inputs if isinstance(v, Value) and v.is_input]
    axes = {axes for value in values for part in value.parts for axes in part.source.units}
    if len(axes) != 1 or len(min(axes)) != 1:
        raise ValueError(
            "inputs=True drops features on one axis of the example, but the module reads "
            "several axes of them as one (a flattened image, for example); use inputs=False, or "
            "give features with two dimensions."
        )
    return min(axes)[0]


def _layers(graph: ModuleGraph) -> dict[str, Indices]:
    """The removable units of each layer, by names of which each is another one."""
    times = Counter(layer.name for layer in graph.layers)
    seen: Counter[str] = Counter()
    layers = {}
    for layer in graph.layers:
        name = layer.name if times[layer.name] == 1 else f"{layer.name}.{seen[layer.name]}"
        seen[layer.name] += 1
        layers[name] = layer.units
    return layers


def _writers(graph: ModuleGraph, units: Indices) -> list[str]:
    """The layers that write units together: the first may have been removed with its branch."""
    return [s.layer for s in graph.slots if s.role == "writes" and np.isin(units, s.units).any()]


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _multiply_adds(graph: ModuleGraph) -> float:
    tensors = dict(graph.module.named_parameters())
    return float(sum(n * tensors[name].numel() for name, n in graph.multiply_adds.items()))
