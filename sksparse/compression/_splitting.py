"""Recurrent layers whose layers and directions need different widths."""

from __future__ import annotations

from torch import Tensor, nn

from sksparse._typing import Mask
from sksparse.compression._recurrent_stack import RecurrentStack
from sksparse.module_graph import ModuleGraph
from sksparse.module_graph._surgery import recurrent_states


def split_uneven(
    module: nn.Module, graph: ModuleGraph, keep: Mask, example: Tensor
) -> tuple[nn.Module, ModuleGraph, set[str]]:
    """Put stacks of single layers, in place, where one layer of torch would need several widths.

    Where the module uses the states in a way that only one tensor allows, its layers stay.

    Parameters
    ----------
    module : torch.nn.Module
        The module.
    graph : ModuleGraph
        Its picture.
    keep : ndarray of shape (graph.n_units,)
        Boolean: the units that stay.
    example : torch.Tensor
        A few rows of features.

    Returns
    -------
    module : torch.nn.Module
        The module; another one only where it is itself such a layer.
    graph : ModuleGraph
        Its picture now.
    names : set of str
        The layers that were replaced.
    """
    uneven = [
        (name, module.get_submodule(name))
        for name, states in recurrent_states(graph).items()
        if len({int(keep[units].sum()) for units in states}) > 1
    ]
    names: set[str] = set()
    for name, layer in uneven:
        assert isinstance(layer, nn.RNNBase)
        stack = RecurrentStack.of(layer)
        split = _replaced(module, layer, stack)
        after = ModuleGraph(split, example)
        if after.is_followed:
            module, graph = split, after
            names.add(name)
        else:
            module = _replaced(split, stack, layer)
    return module, graph, names


def _replaced(module: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """The module with another layer wherever one stands."""
    if module is old:
        return new
    for part in module.modules():
        for name, child in part._modules.items():
            if child is old:
                part._modules[name] = new
    return module
