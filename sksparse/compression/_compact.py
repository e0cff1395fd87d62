"""A module without its dead parts, which computes the same."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sksparse._typing import Indices, Mask
from sksparse.compression._branches import remove_dead_branches
from sksparse.compression._folding import fold_constants
from sksparse.compression._live_units import find_links, live_units, one_each
from sksparse.compression._recurrent_stack import RecurrentStack
from sksparse.compression._result import CompactResult
from sksparse.compression._splitting import split_uneven
from sksparse.module_graph import ModuleGraph
from sksparse.module_graph._surgery import even, resize
from sksparse.module_graph._value import Value


def compact(module: nn.Module, example: Tensor, *, inputs: bool | None = None) -> CompactResult:
    """Remove what is dead in a module; its output in evaluation mode stays the same.

    A unit (neuron, filter, channel, state of a recurrent layer) is removed where nothing reads it,
    or where it emits a constant, which is added to the biases of what reads it. A residual branch
    that emits constants is removed with all its layers. One unit of each other layer stays.

    Parameters
    ----------
    module : torch.nn.Module
        The network with zeros in it, which is left as it is.
    example : torch.Tensor of shape (n_rows, ...)
        A few rows of features, of the type and on the device of the module.
    inputs : bool or None, default=None
        Whether features that nothing reads are dropped as well, so that the small module takes
        those of ``kept_inputs`` only. None drops them where `example` has two dimensions.

    Returns
    -------
    result : CompactResult
        The small module, with what is left of it. Types, devices and modes of training stay, and
        so do the names of the layers and what may be trained.

    Raises
    ------
    ValueError
        Where it cannot be followed which units of the layers belong together; it names the part of
        the module and the line. Also where ``inputs=True`` cannot be.

    Notes
    -----
    Layers stay plain layers of torch, with three exceptions. Where layers or directions of an
    ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` end up with several widths, it becomes a
    :class:`RecurrentStack`. The part of the module in whose code a dead branch is added becomes an
    ``nn.Identity``, an ``nn.Sequential`` or a ``torch.fx.GraphModule`` of what is left of it, with
    a :class:`Shift` where the constants of the branch have no bias to go to.

    A constant cannot go into a bias where zeros are put around the maps of a convolution, since
    its border would be another number. All constants that such a layer reads become one unit, whose
    kernels are summed in proportion. Layers without a bias get one, unless a normalisation
    behind them subtracts a mean.

    Units of recurrent layers count as constant only where their state stays zero. Units that
    `LayerNorm` normalises over together all stay.

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
    if not isinstance(module, nn.Module) or not isinstance(example, Tensor):
        raise ValueError(
            f"module must be a torch.nn.Module, not a {type(module).__name__}, and example a "
            f"tensor of a few rows of features, not a {type(example).__name__}; torch.as_tensor "
            "makes one."
        )
    inputs = example.ndim == 2 if inputs is None else inputs
    small = copy.deepcopy(module)
    graph = ModuleGraph(small, example)
    graph.require_followed("compact", "Keep the masked module, or write that part with layers.")
    dense = [
        (name, len(units), [name, *_writers(graph, units)])
        for name, units in _layers(graph).items()
    ]
    sizes = _n_parameters(small), graph.flops()
    n_inputs = len(graph.input_units) or example.shape[-1]
    kept_inputs = np.arange(n_inputs)
    left: dict[str, int] = {}
    changed = True
    while changed and graph.is_followed:
        # what is cut off in one pass may be all that made something else seem alive
        small, graph = remove_dead_branches(small, graph, example)
        cut = _cut(small, graph, example, inputs)
        small, example, changed = cut.module, cut.example, cut.changed
        if cut.kept_inputs is not None:
            kept_inputs = kept_inputs[cut.kept_inputs]
        parts = {name for name, _ in small.named_modules()}
        left = {name: n for name, n in {**left, **cut.widths}.items() if _part(name) in parts}
        graph = ModuleGraph(small, example) if changed else graph
    widths = {
        name: (next((left[other] for other in others if other in left), 0), width)
        for name, width, others in dense
    }
    return CompactResult(
        module=small,
        kept_inputs=kept_inputs,
        n_inputs=n_inputs,
        widths=widths,
        parameters=(_n_parameters(small), sizes[0]),
        multiply_adds=(cut.flops / 2, sizes[1] / 2),
    )


@dataclass(frozen=True)
class _Cut:
    """A module after a pass, and what the next one takes.

    Parameters
    ----------
    module : torch.nn.Module
        The module.
    example : torch.Tensor
        The features that it takes.
    kept_inputs : ndarray or None
        Their positions among those before; None where none were dropped.
    widths : dict of str to int
        Units of each layer.
    flops : float
        For one row.
    changed : bool
        Whether units were cut.
    """

    module: nn.Module
    example: Tensor
    kept_inputs: Indices | None
    widths: dict[str, int]
    flops: float
    changed: bool


def _cut(module: nn.Module, graph: ModuleGraph, example: Tensor, inputs: bool) -> _Cut:
    """Fold what dead units emit, and cut them out, in place."""
    n_tensors = len(list(module.parameters()))
    fold_constants(graph, _removable(graph, inputs))
    if len(list(module.parameters())) > n_tensors:
        # biases were added
        graph = ModuleGraph(module, example)
    keep = _kept(graph, inputs)
    module, split, apart = split_uneven(module, graph, keep, example)
    keep = even(graph, keep, apart)
    widths = {name: int(keep[units].sum()) for name, units in _layers(graph).items()}
    if apart:
        graph, keep = split, _kept(split, inputs)
    kept_inputs = None
    if not keep[graph.input_units].all():
        kept_inputs = np.flatnonzero(keep[graph.input_units])
        positions = torch.from_numpy(kept_inputs).to(example.device)
        example = example.index_select(_axis_of_features(graph), positions)
    resize(graph, keep)
    return _Cut(module, example, kept_inputs, widths, graph.flops(), not keep.all())


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
    """The removable units of each layer, by names of which each is another one.

    Layers and directions of a recurrent layer are numbered, as they are in a stack of them.
    """
    names = [_name(graph.module, layer.name) for layer in graph.layers]
    times = Counter(names)
    seen: Counter[str] = Counter()
    layers = {}
    for name, layer in zip(names, graph.layers, strict=True):
        key = name if times[name] == 1 else f"{name}[{seen[name]}]"
        seen[name] += 1
        layers[key] = layer.units
    return layers


def _name(module: nn.Module, name: str) -> str:
    """The name of a layer, or of the stack that it stands in."""
    outer = name.rsplit(".", 2)[0]
    is_stacked = outer != name and isinstance(module.get_submodule(outer), RecurrentStack)
    return outer if is_stacked else name


def _part(name: str) -> str:
    """The part of the module that a name of a layer stands for."""
    return name.partition("[")[0]


def _writers(graph: ModuleGraph, units: Indices) -> list[str]:
    """The layers that write units together: the first may have been removed with its branch."""
    return [s.layer for s in graph.slots if s.role == "writes" and np.isin(units, s.units).any()]


def _n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
