"""Units cut out of a module in place, and where what is left stood before."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sksparse._typing import Mask
from sksparse.module_graph import ModuleGraph
from sksparse.module_graph._surgery import even, flat_positions, kept_positions, resize
from tests.helpers.random_modules import random_module


def silenced(graph: ModuleGraph, share: float, seed: int) -> Mask:
    """Zero all that belongs to some units, and say which are left; one of each tensor is."""
    rng = np.random.default_rng(seed)
    keep = ~(graph.removable & (rng.random(graph.n_units) < share))
    for slot in graph.slots:
        if not keep[slot.units].any():
            keep[slot.units[0]] = True
    parameters = dict(graph.module.named_parameters())
    with torch.no_grad():
        for slot in graph.slots:
            if slot.tensor in parameters:
                positions = torch.from_numpy(np.flatnonzero(~keep[slot.units]))
                parameters[slot.tensor].index_fill_(slot.axis, positions, 0.0)
    return keep


def flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([t.detach().reshape(-1) for t in tensors.values()])


@pytest.mark.parametrize("seed", range(12))
def test_what_is_left_is_what_was_there(seed: int) -> None:
    case = random_module(seed)
    graph = ModuleGraph(case.module, case.example)
    assert graph.is_followed
    keep = silenced(graph, 0.4, seed)
    parameters = dict(case.module.named_parameters())
    before = flat(parameters).clone()
    shapes = {name: tuple(p.shape) for name, p in parameters.items()}
    kept = resize(graph, keep)
    positions = flat_positions(shapes, kept)
    # the same objects, smaller
    assert all(p is parameters[name] for name, p in case.module.named_parameters())
    assert torch.equal(flat(parameters), before[torch.from_numpy(positions)])
    for name, axes in kept.items():
        tensor = {**parameters, **dict(case.module.named_buffers())}[name]
        left = [n if p is None else len(p) for n, p in zip(tensor.shape, axes, strict=True)]
        assert list(tensor.shape) == left
    # the attributes of the layers say what their parameters are
    for part in case.module.modules():
        if isinstance(part, nn.Linear):
            assert part.weight.shape == (part.out_features, part.in_features)
        if isinstance(part, nn.Conv2d):
            assert part.weight.shape[:2] == (part.out_channels, part.in_channels // part.groups)
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean.shape == part.weight.shape == (part.num_features,)
        if isinstance(part, nn.RNNBase):
            assert part.weight_hh_l0.shape[1] == part.hidden_size
            assert part.weight_ih_l0.shape[1] == part.input_size
    with torch.no_grad():
        case.module(case.example)


def test_weights_between_kept_units_are_left() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    first, second = module[0].weight.detach().clone(), module[2].weight.detach().clone()
    graph = ModuleGraph(module, torch.randn(2, 3))
    keep = np.ones(graph.n_units, dtype=bool)
    keep[graph.layers[0].units[[1, 2]]] = False
    assert {name: [None if p is None else p.tolist() for p in axes] for name, axes in
            kept_positions(graph, keep).items()} == {
        "0.weight": [[0, 3], None],
        "0.bias": [[0, 3]],
        "2.weight": [None, [0, 3]],
        "2.bias": [None],
    }  # fmt: skip
    module[0].weight.grad = torch.ones(4, 3)
    resize(graph, keep)
    assert torch.equal(module[0].weight, first[[0, 3]])
    assert torch.equal(module[2].weight, second[:, [0, 3]])
    assert module[0].weight.grad is None
    assert (module[0].out_features, module[2].in_features) == (2, 2)


def test_layers_of_a_recurrent_layer_keep_one_width() -> None:
    layer = nn.LSTM(3, 5, 2, bidirectional=True, batch_first=True)

    class Outputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.last = layer, nn.Linear(10, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.layer(x)[0][:, -1])

    graph = ModuleGraph(Outputs(), torch.randn(2, 4, 3))
    keep = np.ones(graph.n_units, dtype=bool)
    states = [unit_layer.units for unit_layer in graph.layers]
    for units, n_removed in zip(states, (1, 2, 3, 4), strict=True):
        keep[units[:n_removed]] = False
    level = even(graph, keep)
    assert [int(level[units].sum()) for units in states] == [4, 4, 4, 4]
    assert (level | ~keep).all()
    assert np.array_equal(even(graph, keep, apart=["layer"]), keep)
    n_before = sum(math.prod(p.shape) for p in layer.parameters())
    resize(graph, keep)
    assert layer.hidden_size == 4
    assert sum(math.prod(p.shape) for p in layer.parameters()) < n_before
    assert graph.module(torch.randn(1, 4, 3)).shape == (1, 2)
