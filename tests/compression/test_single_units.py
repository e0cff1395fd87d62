"""Layers that are cut to one unit: the axis of units has length one, and is still known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sksparse.module_graph import ModuleGraph
from sksparse.neural_network import SparseNetClassifier
from tests.helpers.compacted import checked, taken


class Last(nn.Module):
    """A recurrent layer that is read at its last step, or by its last states."""

    def __init__(self, layer: nn.RNNBase, reads_states: bool) -> None:
        super().__init__()
        self.layer, self.reads_states = layer, reads_states
        self.last = nn.Linear(layer.hidden_size, 3)

    def forward(self, x: Tensor) -> Tensor:
        output, state = self.layer(x)
        state = state[0] if isinstance(state, tuple) else state
        return self.last(state[-1] if self.reads_states else output[:, -1])


def cut_to_one(module: nn.Module, example: Tensor, *layers: str) -> None:
    """Compact a module of which only the second unit of each layer is read."""
    module = module.double().eval()
    first = ModuleGraph(module, example)
    parameters = dict(module.named_parameters())
    dead = torch.cat([torch.from_numpy(layer.units)[[0, 2, 3]] for layer in first.layers])
    with torch.no_grad():
        for slot in first.slots:
            if slot.role == "reads":
                here = torch.isin(torch.from_numpy(slot.units), dead).nonzero().flatten()
                parameters[slot.tensor].index_fill_(slot.axis, here, 0.0)
    result = checked(module, example, inputs=False)
    assert [kept for kept, _ in result.widths.values()] == [1] * len(layers)
    small = ModuleGraph(result.module, taken(example, result))
    assert small.is_followed
    assert [(layer.name, len(layer.units)) for layer in small.layers] == [(n, 1) for n in layers]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("reads_states", [False, True])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_recurrent(kind: type[nn.RNNBase], reads_states: bool, n_layers: int) -> None:
    layer = kind(5, 4, num_layers=n_layers, batch_first=True)
    example = torch.randn(3, 6, 5, dtype=torch.float64)
    cut_to_one(Last(layer, reads_states), example, *["layer"] * n_layers)


def test_linear() -> None:
    module = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    cut_to_one(module, torch.randn(3, 5, dtype=torch.float64), "0", "2")


def test_convolution() -> None:
    module = nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(1, 2)),
        *(nn.Unflatten(1, (-1, 3)), nn.Flatten(), nn.Linear(36, 2)),
    )
    cut_to_one(module, torch.randn(3, 2, 5, 5, dtype=torch.float64), "0")


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_sizes_of_a_fitted_network(kind: type[nn.RNNBase]) -> None:
    X, y = torch.randn(30, 4, 5).numpy(), torch.arange(30).numpy() % 3
    layer = kind(5, 4, batch_first=True)
    model = SparseNetClassifier(
        Last(layer, reads_states=True), sparsifier="magnitude", max_iter=2, random_state=0
    ).fit(X, y)
    fitted = model.module_
    with torch.no_grad():
        fitted.get_parameter("layer.weight_hh_l0")[:, 1:] = 0.0
        fitted.get_parameter("last.weight")[:, 1:] = 0.0
    small = model.compacted()
    for network in (model, small, small.compacted()):
        assert network.n_units_ == {"layer": 1}
        assert network.dense_n_units_ == {"layer": 4}
        assert network.layer_sizes_["layer"]["units"] == (1, 4)
    assert small.module_.get_parameter("layer.weight_hh_l0").shape[1] == 1
