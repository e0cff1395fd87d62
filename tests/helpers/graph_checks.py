"""What must be true of the picture of any module, by running the module itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sksparse.module_graph import ModuleGraph
from sksparse.module_graph._surgery import even, resize


class Code(nn.Module):
    """A function of x and of layers, with parameters and buffers by name."""

    def __init__(self, function: Callable[..., Any], *layers: nn.Module, **tensors: Tensor) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.function = function
        for name, tensor in tensors.items():
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            else:
                self.register_buffer(name, tensor)

    def forward(self, x: Tensor) -> Any:
        own = [*self._parameters, *self._buffers]
        return self.function(x, *self.layers, **{name: getattr(self, name) for name in own})


def randomised(module: nn.Module) -> nn.Module:
    """The module in double precision with random parameters and statistics."""
    module = module.double().eval()
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -0.6, 0.6)
    for buffer in module.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    return module


def output(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return module(x)


def places(
    graph: ModuleGraph, module: nn.Module, units: np.ndarray, *roles: str
) -> Iterator[tuple[Tensor, int, Tensor]]:
    """All that belongs to some units in a copy of the module: tensors, axes and positions."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for slot in graph.slots:
        if slot.role in roles:
            here = torch.from_numpy(np.flatnonzero(np.isin(slot.units, units)))
            yield tensors[slot.tensor].data, slot.axis, here


def fill(tensor: Tensor, axis: int, here: Tensor, value: float | None) -> None:
    """Set positions to a number, or to random ones."""
    part = tensor.index_select(axis, here)
    new = torch.rand_like(part) + 0.5 if value is None else torch.full_like(part, value)
    tensor.index_copy_(axis, here, new)


def some_units(graph: ModuleGraph, seed: int = 0) -> np.ndarray:
    """About half of the units that may go, at least one of each layer left."""
    rng = np.random.default_rng(seed)
    keep = np.ones(graph.n_units, dtype=bool)
    for layer in graph.layers:
        keep[layer.units[1:]] = rng.random(len(layer.units) - 1) < 0.5
    return np.flatnonzero(~even(graph, keep))


def masked(graph: ModuleGraph, units: np.ndarray) -> nn.Module:
    """A copy whose columns that read some units are zero."""
    copied = copy.deepcopy(graph.module)
    for place in places(graph, copied, units, "reads"):
        fill(*place, 0.0)
    return copied


def changed(graph: ModuleGraph, units: np.ndarray) -> nn.Module:
    """The same, and what makes and scales the units is random."""
    copied = copy.deepcopy(graph.module)
    for place in places(graph, copied, units, "writes", "scales"):
        fill(*place, None)
    for place in places(graph, copied, units, "reads"):
        fill(*place, 0.0)
    return copied


def cut(graph: ModuleGraph, units: np.ndarray, example: Tensor) -> nn.Module:
    """A copy without the units."""
    small = copy.deepcopy(graph.module)
    keep = np.ones(graph.n_units, dtype=bool)
    keep[units] = False
    resize(ModuleGraph(small, example), keep)
    return small


def check(module: nn.Module, example: Tensor, n_removable: int | None = None) -> ModuleGraph:
    """Check that removed units are gone for good, and that nothing else is."""
    example = example.double() if example.is_floating_point() else example
    graph = ModuleGraph(randomised(module), example)
    assert not graph.obstacles, graph.obstacles
    if n_removable is not None:
        assert graph.removable.sum() == n_removable
    units = some_units(graph)
    before = output(masked(graph, units), example)
    assert torch.equal(output(changed(graph, units), example), before)
    torch.testing.assert_close(
        output(cut(graph, units, example), example), before, atol=1e-12, rtol=0
    )
    return graph
