"""Dead units: found by paths, removed without a change of the output, replaced in masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sksparse.sparsifiers.masks._keep import keep_largest
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._dead_removal import remove_dead_units
from sksparse.sparsifiers.structure._dead_units import (
    keep_alive,
    live_weights,
)
from sksparse.sparsifiers.structure._weight_graph import WeightGraph

pytestmark = pytest.mark.usefixtures("untraced")


def make_chain(*, batch_norm: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in [(6, 8), (8, 7), (7, 5)]:
        layers += [nn.Linear(n_in, n_out), nn.Sigmoid(), nn.Dropout(0.5)]
        if batch_norm:
            layers.insert(-2, nn.BatchNorm1d(n_out))
    module = nn.Sequential(nn.Sequential(*layers), nn.Linear(5, 3))
    module(torch.randn(50, 6))
    return module.eval()


def graph_of(
    module: nn.Module, parameters: FlatParameters | None = None, shape: tuple[int, ...] = (2, 6)
) -> WeightGraph:
    graph = WeightGraph(
        module,
        parameters or FlatParameters(module),
        torch.zeros(shape).to(next(module.parameters()).dtype),
    )
    assert graph.is_known
    return graph


def live_by_paths(module: nn.Module) -> list[np.ndarray]:
    """Weights on paths from input to output, by counting the paths through each."""
    weights = [(w != 0).double().numpy() for w in FlatParameters(module).tensors.values()]
    into, out_of = [np.ones(weights[0].shape[1])], [np.ones(len(weights[-1]))]
    for w in weights:
        into.append(w @ into[-1])
    for w in reversed(weights):
        out_of.insert(0, w.T @ out_of[0])
    return [
        w * b[None, :] * a[:, None] > 0
        for w, b, a in zip(weights, into[:-1], out_of[1:], strict=True)
    ]


def prune(module: nn.Module, density: float) -> None:
    parameters = FlatParameters(module)
    parameters.weights.mul_(torch.rand(parameters.n_weights) < density)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("density", [0.0, 0.1, 0.25, 1.0])
def test_the_output_is_unchanged(density: float, batch_norm: bool) -> None:
    module = make_chain(batch_norm=batch_norm).double()
    prune(module, density)
    X = torch.randn(20, 6).double()
    before, live = module(X), live_by_paths(module)
    remove_dead_units(graph_of(module, shape=X.shape))
    torch.testing.assert_close(module(X), before, atol=1e-6, rtol=0)
    for w, expected in zip(FlatParameters(module).tensors.values(), live, strict=True):
        np.testing.assert_array_equal((w != 0).numpy(), expected)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.25, 1.0])
def test_live_weights_lie_on_paths(density: float) -> None:
    module = make_chain()
    prune(module, density)
    parameters = FlatParameters(module)
    got = live_weights(parameters.weights != 0, graph_of(module, parameters))
    expected = np.concatenate([live.ravel() for live in live_by_paths(module)])
    np.testing.assert_array_equal(got.numpy(), expected)


def test_a_constant_without_a_bias_to_go_to_stays() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1, bias=False))
    module[0].weight[0] = 0.0
    X = torch.randn(5, 2)
    before = module(X)
    remove_dead_units(graph_of(module, shape=X.shape))
    torch.testing.assert_close(module(X), before)
    assert module[2].weight.all()


def make_convolutions(*, padding: int = 0, bias: bool = True) -> nn.Sequential:
    options = {"padding": padding, "bias": bias}
    module = nn.Sequential(
        *(nn.Conv2d(2, 6, 3, **options), nn.BatchNorm2d(6), nn.Sigmoid(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 5, 3, **options), nn.BatchNorm2d(5), nn.Dropout2d(0.2), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.BatchNorm1d(20), nn.Flatten()),
        *(nn.Linear(20, 4), nn.Tanh(), nn.Linear(4, 3)),
    )
    for p in module.parameters():
        nn.init.normal_(p)
    module(torch.randn(30, 2, 12, 12))
    return module.double().eval()


@pytest.mark.parametrize("bias", [True, False])
def test_constant_channels_move_into_what_follows(bias: bool) -> None:
    module = make_convolutions(bias=bias)
    for layer, units in ((module[0], [0, 2]), (module[4], [1, 4]), (module[12], [3])):
        layer.weight[units] = 0.0
    X = torch.randn(10, 2, 12, 12).double()
    before = module(X)
    remove_dead_units(graph_of(module, shape=X.shape))
    torch.testing.assert_close(module(X), before, atol=1e-9, rtol=0)
    assert not module[4].weight[:, [0, 2]].any()
    assert not module[12].weight.view(4, 5, 4)[:, [1, 4]].any()
    assert not module[14].weight[:, 3].any()


def test_only_borders_change_where_zeros_are_padded() -> None:
    module = make_convolutions(padding=1)
    module[0].weight[[0, 2]] = 0.0
    X = torch.randn(10, 2, 12, 12).double()
    before = module[:5](X)
    remove_dead_units(graph_of(module, shape=X.shape))
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(module[:5](X)[inside], before[inside], atol=1e-9, rtol=0)
    assert not module[4].weight[:, [0, 2]].any()


def test_channels_that_nothing_reads_lose_their_inputs() -> None:
    module = make_convolutions()
    module[12].weight.view(4, 5, 4)[:, 2] = 0.0
    module[4].weight[:, 1] = 0.0
    X = torch.randn(10, 2, 12, 12).double()
    before = module(X)
    remove_dead_units(graph_of(module, shape=X.shape))
    torch.testing.assert_close(module(X), before)
    assert not module[4].weight[2].any()
    assert not module[0].weight[1].any()


@pytest.mark.parametrize("count", [0, 1, 4, 9, 20, 50, 100, 153, 154])
@pytest.mark.parametrize("seed", range(5))
def test_the_exact_number_is_kept_alive(count: int, seed: int) -> None:
    torch.manual_seed(seed)
    module = make_chain()
    parameters = FlatParameters(module)
    graph = graph_of(module, parameters)
    scores = torch.rand(parameters.n_weights)
    keep = keep_alive(scores, count, graph)
    assert int(keep.sum()) == min(count, parameters.n_weights)
    if count >= 20:
        # fewer may only make up whole paths of four weights, and not every number is their sum
        assert torch.equal(live_weights(keep, graph), keep)
    top = keep_largest(scores, min(count, len(scores)))
    if torch.equal(live_weights(top, graph), top):
        assert torch.equal(keep, top)


def test_weights_of_score_zero_are_no_candidates() -> None:
    module = make_chain()
    parameters = FlatParameters(module)
    scores = torch.rand(parameters.n_weights) * (torch.rand(parameters.n_weights) < 0.5)
    count = int((scores > 0).sum()) - 20
    keep = keep_alive(scores, count, graph_of(module, parameters))
    assert int(keep.sum()) == count
    assert (scores[keep] > 0).all()


class Block(nn.Module):
    """A convolution, a branch beside a shortcut, and an LSTM over the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5)
        self.down, self.up = nn.Conv2d(5, 4, 1), nn.Conv2d(4, 5, 1)
        self.lstm, self.head = nn.LSTM(5, 6, batch_first=True), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.sigmoid(self.norm(self.stem(x)))
        h = h + self.up(torch.sigmoid(self.down(h)))
        states, _ = self.lstm(h.mean(3).transpose(1, 2))
        out: torch.Tensor = self.head(states[:, -1])
        return out


def test_constants_of_residual_and_recurrent_modules_move_into_what_follows() -> None:
    module, X = Block(), torch.randn(10, 1, 8, 8).double()
    module(X.float())
    module = module.double().eval()
    for layer, units in ((module.stem, [0, 2]), (module.up, [2]), (module.down, [1])):
        layer.weight[units] = 0.0
    module.head.weight[:, 3] = 0.0
    before = module(X)
    remove_dead_units(graph_of(module, shape=X.shape))
    torch.testing.assert_close(module(X), before, atol=1e-9, rtol=0)
    # unit 2 of the shortcut has no writer left, unit 0 only the branch
    assert not module.down.weight[:, 2].any()
    assert module.down.weight[:, 0].any()
    assert not module.up.weight[:, 1].any()
    assert not module.lstm.weight_ih_l0[:, 2].any()
    assert module.lstm.weight_ih_l0[:, [0, 1, 3, 4]].any(0).all()
    # the state that nothing reads but others of its layer stays
    assert module.lstm.weight_ih_l0.view(4, 6, 5)[:, 3].any()
