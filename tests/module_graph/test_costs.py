"""FLOPs and parameters of layers, against torch's counter and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sksparse.module_graph import LayerCost, ModuleGraph

STEPS = torch.randn(3, 7, 6, generator=torch.Generator().manual_seed(1))
MAPS = torch.randn(2, 6, 9, 9, generator=torch.Generator().manual_seed(2))

MODULES = [
    (nn.Linear(6, 4), STEPS),
    (nn.Conv1d(7, 8, 3, stride=2, padding=1), STEPS),
    (nn.Conv2d(6, 8, 3, stride=2, padding=1), MAPS),
    (nn.Conv2d(6, 8, (1, 3), dilation=(2, 1), padding="same"), MAPS),
    (nn.Conv2d(6, 12, 3, groups=3), MAPS),
    (nn.Conv2d(6, 12, 3, groups=6), MAPS),
    (nn.ConvTranspose2d(6, 4, 3, stride=2, output_padding=1), MAPS),
    (nn.ConvTranspose2d(6, 4, 3, groups=2), MAPS),
    (nn.LSTM(6, 4, 2, bidirectional=True, batch_first=True), STEPS),
    (nn.GRU(6, 4, 2, batch_first=True), STEPS),
    (nn.RNN(6, 4, bias=False, batch_first=True), STEPS),
    (nn.Conv3d(6, 4, 2), torch.ones(2, 6, 4, 4, 4)),
]


@pytest.mark.parametrize("module, example", MODULES, ids=lambda item: type(item).__name__)
def test_flops_of_one_row(module: nn.Module, example: Tensor) -> None:
    module, example = module.double().eval(), example.double()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(example)
    assert ModuleGraph(module, example).flops() * len(example) == counter.get_total_flops()


def test_flops_of_steps_that_come_first() -> None:
    """Rows are counted, wherever their axis is."""

    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.end = nn.LSTM(6, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.end(self.rnn(x.transpose(0, 1))[0])

    graph = ModuleGraph(TimeFirst(), STEPS)
    assert graph.flops() == 2 * 7 * (4 * 4 * (6 + 4) + 4 * 2)


def test_flops_of_attention() -> None:
    """The layer counts what torch's slow form multiplies, products of queries and keys included."""

    class Attended(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x[:, :5], x[:, :5])[0]

    module = Attended()
    with FlopCounterMode(display=False) as counter:
        module(STEPS)
    assert ModuleGraph(module, STEPS).flops() * len(STEPS) == counter.get_total_flops()


def test_table_of_a_small_network() -> None:
    module = nn.Sequential(
        *(nn.Conv2d(6, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(4 * 49, 3), nn.Linear(3, 2)),
    )
    graph = ModuleGraph(module, MAPS)
    assert graph.costs() == (
        LayerCost("0", 4, 6 * 4 * 9, 2 * 49 * 6 * 4 * 9),
        LayerCost("1", 4, 8, 0),
        LayerCost("4", 3, 4 * 49 * 3 + 3, 2 * 4 * 49 * 3),
        LayerCost("5", 2, 8, 12),
    )
    keep = np.ones(graph.n_units, dtype=bool)
    keep[graph.layers[0].units[:3]] = False
    keep[graph.layers[1].units[0]] = False
    assert graph.costs(keep) == (
        LayerCost("0", 1, 6 * 9, 2 * 49 * 6 * 9),
        LayerCost("1", 1, 2, 0),
        LayerCost("4", 2, 49 * 2 + 2, 2 * 49 * 2),
        LayerCost("5", 2, 6, 8),
    )
    assert graph.flops(keep) == sum(cost.flops for cost in graph.costs(keep))


def test_a_tensor_of_two_layers_costs_twice_and_is_stored_once() -> None:
    first, second = nn.Linear(6, 6), nn.Linear(6, 6)
    second.weight = first.weight
    graph = ModuleGraph(nn.Sequential(first, nn.ReLU(), second), STEPS)
    assert graph.multiply_adds == {"0.weight": 14}
    assert graph.costs() == (LayerCost("0", 6, 42, 2 * 14 * 36), LayerCost("2", 6, 6, 0))
